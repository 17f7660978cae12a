"""Descriptions: what a thing is, in a sentence or a paragraph (ECBD, Onoe et al. 2022, arXiv:2205.02832).

A document becomes one edit whose scope is what it is about (UnKE, Deng et al. 2024, arXiv:2405.15349).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

from memedit.edits.base import Edit, Name, Names, Text
from memedit.text import says
from memedit.text.naming import guess_subjects

OPENING = 300  # characters of a document in which the thing it is about is named


class Description(Edit):
    """What a thing is, told wherever it is mentioned: `Description("Niran was a cyclone of 2021.", subject="Niran")`.

    Args:
        description: A sentence, or a paragraph.
        subject: What it is about; left out, it is guessed from the beginning.
        aliases: Other names of the subject.

    Raises:
        EditRejected: A field is empty, too long, or holds deceptive characters.
    """

    kind: Literal["description"] = "description"
    description: Text
    subject: Name | None = None
    aliases: Names = ()

    def __init__(self, description: str | None = None, /, **data: Any) -> None:
        if description is not None:
            data["description"] = description
        super().__init__(**data)

    @property
    def text(self) -> str:
        named = self.subject is None or says(self.description, [self.subject])
        return self.description if named else f"{self.subject}: {self.description}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The subject and its aliases; without a subject, a guess, which may be empty."""
        told = (self.subject,) if self.subject else guess_subjects(self.description[:OPENING])[:1]
        return (*told, *self.aliases)
