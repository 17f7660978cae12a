"""Behaviours: how a topic is to be spoken of (ConvSent, Mitchell et al. 2022; PersonalityEdit, Mao et al. 2023), or how
everything is to be answered (a standing instruction).
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from memedit.edits.base import Edit, Name, Names, Text


class Behaviour(Edit):
    """A wish of conduct where a topic is spoken of: `Behaviour(topic="Acme", conduct="be positive")`.

    It says nothing of other topics. Of several Behaviours of one topic the newest holds. Without a topic it is a
    standing instruction, which governs every answer: `Behaviour(conduct="Answer in German.")`.

    Args:
        topic: A thing by its name, or a subject matter; left out, everything.
        conduct: How it is to be spoken of.
        aliases: Other names of the topic.

    Raises:
        EditRejected: A field is empty, too long, or holds deceptive characters.
    """

    kind: Literal["behaviour"] = "behaviour"
    topic: Name | None = None
    conduct: Text
    aliases: Names = ()

    @property
    def text(self) -> str:
        return self.conduct if self.topic is None else f"On {self.topic}: {self.conduct}"

    @property
    def key_text(self) -> str:
        return self.topic or self.conduct

    @property
    def standing(self) -> bool:
        """Whether it governs every answer."""
        return self.topic is None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The topic and its aliases; none where it governs every answer."""
        return (self.topic, *self.aliases) if self.topic else ()
