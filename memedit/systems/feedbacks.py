"""MemPrompt (Madaan et al. 2022, arXiv:2201.06009): what a user objected to once is remembered for what is like it.

Requests in words of a user's own are misunderstood, and clarified once each; then others of the same wording are asked,
and others that only share words. The method is `methods/memprompt.py`; its frames' answers are in BENCHMARKS.md.
"""

from __future__ import annotations

from memedit import EditableLLM, EditMemory
from memedit.systems.ground import Ground
from memedit.systems.registry import Finding

TOLD = (
    ("What is akin to < {} > ?", "I want a synonym."),
    ("What rings like < {} > ?", "I want a word that rhymes."),
    ("What is the reverse of < {} > ?", "I want an antonym."),
    ("Lay out < {} > for me", "I want a definition."),
    ("Put < {} > to use", "I want a sentence with it."),
)
"""How a user asks, and what is meant."""
FIRST, LIKE = "glad", ("tower", "cold", "river", "swift")
OTHERS = (
    "Why does a bell ring?", "How do I put up a shelf?", "What is the capital of Peru?", "How do I reverse a car?",
    "Who laid the first railway?", "Write a line about glad tidings.", "Is a mule akin to a horse?",
    "How long is a day on Mars?",
)  # fmt: skip


def check(ground: Ground, max_tokens: int = 12) -> Finding:
    """Each clarification given for one word, and the same asked of others; and requests of another kind."""
    with EditMemory() as memory:
        editable = EditableLLM(ground.llm, memory, method="memprompt", gate="feedback")
        for template, meant in TOLD:
            editable.feedback(template.format(FIRST), meant)
        asked = [(template, template.format(word)) for template, _ in TOLD for word in LIKE]
        answers = editable.batch([text for _, text in asked], max_tokens=max_tokens)
        found = [
            bool(said := answer.citations[:1]) and said[0].key_text == template.format(FIRST)
            for answer, (template, _) in zip(answers, asked, strict=True)
        ]
        left = [not one.citations for one in editable.batch(list(OTHERS), max_tokens=max_tokens)]
    carried, untouched = sum(found) / len(found), sum(left) / len(left)
    figure = (
        f"{len(TOLD)} clarifications: {carried:.0%} of {len(found)} requests of the same wording carry theirs; "
        f"{untouched:.0%} of {len(left)} others go out as they are"
    )
    return Finding(figure, carried >= 0.9 and untouched >= 0.95, {"carried": carried, "untouched": untouched})
