"""Feedback: what a user means by a request (MemPrompt, Madaan et al. 2022)."""

from __future__ import annotations

from typing import Literal

from memedit.edits.base import Edit, Text


class Feedback(Edit):
    """A user's clarification: when I ask `situation`, I mean `clarification` (MemPrompt)."""

    kind: Literal["feedback"] = "feedback"
    situation: Text
    clarification: Text

    @property
    def text(self) -> str:
        return f"When asked: {self.situation} — this is meant: {self.clarification}"

    @property
    def key_text(self) -> str:
        return self.situation
