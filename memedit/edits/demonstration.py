"""Demonstrations: examples of how edits are used (IKE, Zheng et al. 2023)."""

from __future__ import annotations

from typing import Literal

from memedit.edits.base import Edit, Text


class Demonstration(Edit):
    """An example of how an edit is used: to copy it, to update an answer by it, or to retain the old one (IKE)."""

    kind: Literal["demonstration"] = "demonstration"
    role: Literal["copy", "update", "retain"]
    fact: Text
    prompt: Text
    answer: Text

    @property
    def text(self) -> str:
        return f"{self.fact}\n{self.prompt} {self.answer}"
