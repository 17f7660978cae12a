"""The short question by which a model gives what no edit does, and the answer in what it says."""

from __future__ import annotations

import re

from memedit.messages import Message, Request
from memedit.text import as_data

EXAMPLES = (
    ("What is the longest river of Egypt?", "Nile"),
    ("Which company makes the Walkman?", "Sony"),
    ("Who is the architect of the Sagrada Família?", "Antoni Gaudí"),
    ("In which state is Miami?", "Florida"),
    ("What is the currency of Poland?", "złoty"),
)
"""Of five forms this one measured best on SmolLM2-135M and Qwen2.5-0.5B."""
ONLY_A_NAME = "Answer with the name alone, without a sentence. If you do not know it, answer: unknown."
TOKENS = 24
UNKNOWN = re.compile(r"(?i)\W*(?:unknown|i (?:do not|don't) know|not known|n/?a|none|i'm not|i am not|sorry)\b")
LONGEST = 120


def ask(request: Request, question: str, kind: str) -> Request:
    """A request for nothing but a name.

    Args:
        request: The caller's, whose options it keeps, but for the length.
        question: A question, or a description: “the author of Misery”.
        kind: Of the model.
    """
    short = request.limited(TOKENS)
    if kind != "chat":
        shots = "\n".join(f"Question: {said}\nAnswer: {answer}" for said, answer in EXAMPLES)
        return short.raw(f"{shots}\nQuestion: {_as_question(question)}\nAnswer:", stop=["\n"])
    return short.with_messages([Message("system", ONLY_A_NAME), Message("user", _as_question(question))])


def answer_in(text: str) -> str | None:
    """The name in a model's answer; None where it does not know one."""
    line = next((line for line in text.strip().splitlines() if line.strip()), "").strip(" \t.\"“”'*")
    if not line or len(line) > LONGEST or UNKNOWN.match(line):
        return None
    return line


def _as_question(hop: str) -> str:
    """A hop as a question: “the author of Misery” is asked for by “What is”."""
    said = as_data(hop)
    return said if said.endswith("?") else f"What is {said.rstrip('.:')}?"
