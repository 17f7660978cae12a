"""What a user objects in plain words, as Feedback (MemPrompt, Madaan et al. 2022, arXiv:2201.06009)."""

from __future__ import annotations

import re
from typing import Any

from memedit.answers import Answer
from memedit.edits import Feedback
from memedit.errors import RequestRejected
from memedit.gate.focus import focus
from memedit.messages import as_request
from memedit.text import one_line, tidy

LEAD = re.compile(
    r"(?:when(?:ever)?|if)\s+I\s+(?:ask(?:\s+(?:you|for))?|say|write|mention|request)\b[\s:,]*", re.IGNORECASE
)
TURN = re.compile(
    r"[,;:]\s*(?:then\s+)?(?=I(?:'d|’d|\s+would)?\s+(?:want|mean|need|expect|like)\b"
    r"|(?:it|that|this)\s+means\b|(?:please\s+)?(?:give|answer|tell|show|use)\b)",
    re.IGNORECASE,
)


def as_feedback(about: Any, text: str) -> Feedback:
    """The Feedback that a user's words make.

    Args:
        about: What was misunderstood: an Answer, or what was asked; its question becomes the situation, and the text as
            it stands the clarification. With None, the text is read: “when I ask *situation*, I want *clarification*”.
        text: The user's words.

    Raises:
        RequestRejected: Nothing says of which requests it is meant.
        EditRejected: Situation or clarification is not one an edit may hold.
    """
    if about is not None:
        return Feedback(situation=_asked(about), clarification=text)
    said = tidy(text)
    lead = LEAD.match(said)
    turn = TURN.search(said, lead.end()) if lead else None
    if lead is None or turn is None:
        raise RequestRejected(
            f"It is not said of which requests this is meant: “{one_line(said, 80)}”.",
            do="write “when I ask …, I want …”, or give the answer that missed what was meant",
        )
    return Feedback(situation=said[lead.end() : turn.start()].strip(" \t\"“”'"), clarification=said[turn.end() :])


def _asked(about: Any) -> str:
    if isinstance(about, Answer):
        asked = about.trace.lookups[0].query if about.trace.lookups else ""
    else:
        asked = focus(as_request(about).turns).query
    if not asked:
        raise RequestRejected(
            "Nothing was asked there that could be asked again.",
            do="give the situation in the text: when I ask …, I want …",
        )
    return asked
