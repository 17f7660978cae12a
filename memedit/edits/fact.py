"""Facts: statements that shall hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from memedit.edits.base import MAX_RADIUS, SLOT, Edit, Name, Names, Probe, Template, Text, Time
from memedit.errors import EditRejected
from memedit.text import one_line, same_key, storable, tidy, words
from memedit.text.naming import (
    PREPOSITION,
    asking_part,
    guess_subjects,
    is_one_sentence,
    split_statement,
    unpacked,
    without_subject,
)
from memedit.text.relations import PROPERTY_ID, shipped_relations

VALUES = ("object", "previous_object")
"""Fields that a number or a date may be given for."""
FEW_WORDS = 3
"""Up to so many, a statement may be an object that was put in its place."""


class Fact(Edit):
    """A statement that shall hold, with subject, relation and object where they are known.

    Args:
        statement: A sentence, or a text of 8,000 characters at most. Left out, it is made of `prompt`, or of
            `relation`, with `subject` and `object`.
        prompt: A cloze with `{}` for the subject, continued by the object (CounterFact's and MQuAKE's form).
        question: The same as a question.
        aliases: Other names of the subject.
        object_aliases: Other accepted forms of the object.
        valid_from: When it began to hold in the world.
        valid_until: When it ceased to hold in the world.
        radius: How far its scope reaches, added to the gate's log-odds: above 0 wider than others', below 0 narrower
            (`memedit gate calibrate` finds it from the probes).

    Raises:
        EditRejected: The edit is empty, too long, holds deceptive characters, or contradicts itself.
    """

    kind: Literal["fact"] = "fact"
    statement: Text = ""
    subject: Name | None = None
    relation: Name | None = None
    object: Name | None = None
    previous_object: Name | None = None
    prompt: Template | None = None
    question: Name | None = None
    aliases: Names = ()
    object_aliases: Names = ()
    probes: Annotated[tuple[Probe, ...], Field(max_length=1_000)] = ()
    valid_from: Time | None = None
    valid_until: Time | None = None
    radius: Annotated[float, Field(ge=-MAX_RADIUS, le=MAX_RADIUS)] = 0.0

    def __init__(self, statement: str | None = None, /, **data: Any) -> None:
        if statement is not None:
            data["statement"] = statement
            _check_not_an_object(statement, data)
        super().__init__(**data)

    @model_validator(mode="before")
    @classmethod
    def _derive_statement(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        data = {name: _said(name, value) if name in VALUES else value for name, value in data.items()}
        if data.get("statement") is not None:
            return data
        if unknown := sorted(data.keys() - cls.model_fields.keys()):
            raise ValueError(f"has no field `{one_line(storable(unknown[0]), 40)}`")
        return {**data, "statement": _statement(data)}

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.prompt and not self.subject:
            raise ValueError("prompt has a slot for the subject, but no subject is given")
        if self.valid_from and self.valid_until and self.valid_until <= self.valid_from:
            raise ValueError(f"valid_until {self.valid_until} is not after valid_from {self.valid_from}")
        return self

    @property
    def text(self) -> str:
        return self.statement

    @cached_property
    def key_text(self) -> str:
        return self.cloze or asking_part(self.statement)

    @property
    def answer(self) -> str | None:
        """What it answers: the object; of a plain sentence, what follows the part that asks, where there is one."""
        if self.object is not None:
            return self.object
        if not is_one_sentence(self.statement):
            return None
        parts = split_statement(self.statement)
        return parts[1] if parts and self.key_text == parts[0] else None

    @property
    def thing(self) -> str | None:
        """The thing that its answer names: “is in Oslo” leads to “Oslo”."""
        return self.answer if self.object is not None or self.answer is None else PREPOSITION.sub("", self.answer)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The subject and its aliases; without a subject, a guess from the statement, which may be empty."""
        return (*((self.subject,) if self.subject else guess_subjects(unpacked(self.statement))), *self.aliases)

    @cached_property
    def relation_text(self) -> str:
        return without_subject(self.key_text, self.names) or self.key_text

    @property
    def cloze(self) -> str | None:
        """The prompt with the subject put in."""
        return self.prompt.replace(SLOT, self.subject) if self.prompt and self.subject else None

    @property
    def slot(self) -> tuple[str, str] | None:
        """(subject, relation) in the form in which two Facts count as the same question, where both are known."""
        if self.subject is None or self.relation is None:
            return None
        return same_key(self.subject), shipped_relations().key(self.relation)

    def holds_at(self, when: datetime) -> bool:
        """Whether it holds in the world at this time."""
        return (self.valid_from is None or self.valid_from <= when) and (
            self.valid_until is None or when < self.valid_until
        )


def _said(name: str, value: Any) -> Any:
    """A value as it is said: a number or a date in figures.

    Raises:
        ValueError: It is a yes or no, which no question can be answered with.
    """
    if isinstance(value, bool):
        raise ValueError(f"{name} is {value}, which answers no question; say it in words, such as “enabled”")
    if isinstance(value, (int, float, Decimal, date)):
        return value.isoformat() if isinstance(value, date) else f"{value}"
    return value


def _check_not_an_object(statement: str, given: Mapping[str, Any]) -> None:
    """Refuse `Fact("Sydney", subject="Australia", relation="capital")`, which states nothing of Australia.

    Raises:
        EditRejected: The statement is a word or two that do not name the subject, and no object is given.
    """
    subject = given.get("subject")
    if not isinstance(statement, str) or not isinstance(subject, str) or given.get("object") is not None:
        return
    if not (given.get("relation") or given.get("prompt")) or len(words(statement)) > FEW_WORDS:
        return
    names = (subject, *given.get("aliases", ()))
    if not any(isinstance(name, str) and same_key(name) in same_key(statement) for name in names):
        raise EditRejected(
            f"The statement “{one_line(statement, 40)}” does not say what it is of {one_line(subject, 40)}.",
            do="give it as `object=`, or write the whole sentence",
        )


def _statement(data: Mapping[str, Any]) -> str:
    given = [data.get(name) for name in ("subject", "relation", "prompt", "object")]
    subject, relation, prompt, object_ = (tidy(value) if isinstance(value, str) else value for value in given)
    if not (isinstance(subject, str) and isinstance(object_, str)):
        raise ValueError("needs a statement, or subject and object with a prompt or a relation")
    if isinstance(prompt, str):
        return f"{prompt.replace(SLOT, subject).rstrip()} {object_}"
    if not isinstance(relation, str):
        raise ValueError("needs a statement, a prompt or a relation")
    return f"The {relation_label(relation)} of {subject} is {object_.removesuffix('.')}."


def relation_label(relation: str) -> str:
    """A relation in words, also where it is given by its property id.

    Raises:
        ValueError: The id has no known name.
    """
    label = shipped_relations().label(relation) if PROPERTY_ID.fullmatch(relation) else relation
    if PROPERTY_ID.fullmatch(label):
        raise ValueError(f"relation {relation} has no known name, so a statement or a prompt is needed")
    return label
