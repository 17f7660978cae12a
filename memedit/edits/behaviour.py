"""Behaviours: how a topic is to be spoken of (ConvSent, Mitchell et al. 2022; PersonalityEdit, Mao et al. 2023)."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from memedit.edits.base import Edit, Name, Names, Text


class Behaviour(Edit):
    """A wish of conduct where a topic is spoken of: `Behaviour(topic="Acme", conduct="be positive")`.

    It says nothing of other topics. Of several Behaviours of one topic the newest holds.

    Args:
        topic: A thing by its name, or a subject matter.
        conduct: How it is to be spoken of.
        aliases: Other names of the topic.

    Raises:
        EditRejected: A field is empty, too long, or holds deceptive characters.
    """

    kind: Literal["behaviour"] = "behaviour"
    topic: Name
    conduct: Text
    aliases: Names = ()

    @property
    def text(self) -> str:
        return f"On {self.topic}: {self.conduct}"

    @property
    def key_text(self) -> str:
        return self.topic

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The topic and its aliases."""
        return (self.topic, *self.aliases)
