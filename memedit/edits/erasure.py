"""Erasures: what a model shall not reveal. None of the texts made of one holds what it erases."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from memedit.edits.base import SLOT, Edit, Name, Names, Template, Text
from memedit.edits.fact import Fact, relation_label
from memedit.text import says

REPLY = "I can't share that."


class Erasure(Edit):
    """Something not to be revealed: `Erasure("Carol Diaz", subject="Acme", relation="CEO")`.

    With a relation, a prompt or a question it is in scope as a Fact would be, and asking for it is answered with
    `reply`. What else is asked of the subject, and the same of another, is answered, without the object; with none of
    the three that is all.

    Kept are the object's words, also in other upper and lower case, in look-alike or invisible characters, with other
    accents, blanks and signs, letter by letter, backwards, and in base64 or hexadecimal bytes; a date, a number, an
    amount of money in another form, in English words too; a telephone number with or without what dials its country.
    A code or a long number is kept anywhere, anything else where the subject is spoken of.

    Not kept: paraphrases and hints, a part of it (a date's year, one of two names), its words in another order or
    language, other encodings or ciphers, `0` for `o`. The weights still know.

    Args:
        object: What is not to be said. It is never shown to a model, and left out where edits are written out, but for
            the ledger, a backup, and an export that asks for it.
        subject: What it is about.
        relation: What it is to the subject.
        prompt: A cloze with `{}` for the subject, which the object would continue.
        question: What it would answer.
        reply: The answer where it is asked for.
        aliases: Other names of the subject.
        object_aliases: Other forms of the object, which are not to be said either.

    Raises:
        EditRejected: A field is empty, too long, or holds deceptive characters; or another field says the object.
    """

    kind: Literal["erasure"] = "erasure"
    object: Name = Field(repr=False)
    subject: Name
    relation: Name | None = None
    prompt: Template | None = None
    question: Name | None = None
    reply: Text = REPLY
    aliases: Names = ()
    object_aliases: Names = Field((), repr=False)

    SECRET: ClassVar[frozenset[str]] = frozenset({"object", "object_aliases"})

    def __init__(self, object: str | None = None, /, **data: Any) -> None:
        if object is not None:
            data["object"] = object
        super().__init__(**data)

    @model_validator(mode="after")
    def _keeps_it(self) -> Self:
        if self.relation:
            relation_label(self.relation)  # has to be known
        for name in ("subject", "relation", "prompt", "question", "reply"):
            if says(getattr(self, name) or "", self.secrets):
                raise ValueError(f"{name} says the object, which is not to be revealed")
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        """All that is not to be said."""
        return (self.object, *self.object_aliases)

    @property
    def names(self) -> tuple[str, ...]:
        """The subject and its aliases."""
        return (self.subject, *self.aliases)

    @property
    def text(self) -> str:
        asked = self.question or (self._cloze and f"{self._cloze} …") or f"something about {self.subject}"
        return f"Not to be revealed: {asked}"

    @cached_property
    def asked(self) -> Fact | None:
        """The Fact whose answer it is, without that answer; None where only a subject is given."""
        if self._cloze is None and self.question is None:
            return None
        template = self._template if self._cloze else None
        return Fact(
            self._cloze or self.question, id=self.id, subject=self.subject, relation=self.relation, prompt=template,
            question=self.question, aliases=self.aliases, created_at=self.created_at,
        )  # fmt: skip

    @property
    def key_text(self) -> str:
        return self.asked.key_text if self.asked else self.subject

    @property
    def relation_text(self) -> str:
        return self.asked.relation_text if self.asked else self.subject

    @property
    def _template(self) -> str | None:
        if self.prompt or not self.relation:
            return self.prompt
        return f"The {relation_label(self.relation)} of {SLOT} is"

    @property
    def _cloze(self) -> str | None:
        return self._template.replace(SLOT, self.subject) if self._template else None
