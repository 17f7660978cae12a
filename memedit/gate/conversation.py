"""What of a request is looked up, and what a judge reads: the whole conversation, the last message first.

The pattern grammar of `focus` only proposes one of the texts; none of them decides anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memedit.gate.focus import focus
from memedit.gate.focus_words import ON_TEXT
from memedit.gate.parts import parts

TURNS = 6  # of a conversation that are read
LONGEST = 700  # characters of a turn that are read, about as many as the judge takes
BESIDE = 300  # characters of a long text that are read behind what is asked after it
TOLD = ("system", "developer")  # what they say is of the application
MARKS = {"user": " < user: ", "assistant": " < bot: "}
"""What stands before an earlier turn. The encoders were trained with these."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request as it is looked up.

    Args:
        query: What it asks, made to stand by itself as far as patterns can tell; its last message where they can't.
        whole: The conversation in one text, the last message first, so that what is cut off is the oldest.
        parts: Each thing that its last message asks, as if that were all; empty where it asks one, or none.
        system: What the system (and developer) messages say.
    """

    query: str = ""
    whole: str = ""
    parts: tuple[Conversation, ...] = ()
    system: str = ""


def read_conversation(turns: Sequence[tuple[str, str]]) -> Conversation:
    """The conversation of these turns (role and text, oldest first); empty where the user says no word (“👍”)."""
    said = [(role, " ".join(text.split())) for role, text in turns if role in MARKS and text.strip()]
    while said and said[-1][0] != "user":
        said.pop()
    if not said or not any(map(str.isalnum, said[-1][1])):
        return Conversation()
    query = focus(turns).query
    last = _shortened(said[-1][1], query)
    earlier = (f"{MARKS[role]}{_shortened(text)}" for role, text in reversed(said[-TURNS:-1]))
    asked = parts(next(text for role, text in reversed(turns) if role == "user" and text.strip()))
    system = [(role, text) for role, text in turns if role in TOLD]
    alone = tuple(read_conversation([*system, *said[:-1], ("user", one)]) for one in asked)
    return Conversation(query or last, "".join((last, *earlier)), alone, "\n".join(text for _, text in system))


def _shortened(text: str, query: str = "") -> str:
    """What is read of a long turn: beginning and end; or what it asks, and its beginning, where it asks that later, and
    neither of something just before nor for anything to be made of the text.
    """
    half = LONGEST // 2
    if len(text) <= LONGEST:
        return text
    if query and text.find(query) >= half and not ON_TEXT.match(query):
        return f"{query[-half:]} {text[:BESIDE]}"
    return f"{text[:half]} … {text[-half:]}"
