"""Edits: the wanted changes of behaviour, as validated frozen values.

`Fact` (a statement that shall hold), `Feedback` (MemPrompt, Madaan et al. 2022), `Patch` (language patches, Murty et
al. 2022) and `Demonstration` (IKE, Zheng et al. 2023). A plain string stands for a Fact given by its statement.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from memedit.conditional import split_conditional
from memedit.errors import EditRejected
from memedit.naming import asking_part, guess_subjects, split_statement, without_subject
from memedit.relations import PROPERTY_ID, shipped_relations
from memedit.text import deceptive_character, is_blank, one_line, same_key, storable, tidy

MAX_TEXT, MAX_NAME, MAX_TAGS = 8_000, 500, 50
SLOT = "{}"

Strength = Literal["change", "stay"]


def _clean(limit: int) -> AfterValidator:
    def clean(value: str) -> str:
        text = tidy(value)
        if is_blank(text):
            raise ValueError("is empty")
        if len(text) > limit:
            raise ValueError(f"is {len(text):,} characters long, more than {limit:,}")
        if bad := deceptive_character(text):
            raise ValueError(f"holds a character that may not stand there: {bad}")
        return text

    return AfterValidator(clean)


def _with_slot(value: str) -> str:
    if value.count(SLOT) != 1:
        raise ValueError(f"needs its slot {SLOT} for the subject exactly once")
    return value


def _aware(value: Any) -> Any:
    """Dates and times without a zone are taken as UTC."""
    if isinstance(value, str):
        value = _instant.validate_python(value.strip())
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if hasattr(value, "year"):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value


def _in_utc(value: datetime) -> datetime:
    """One form for one instant, so that equal edits have equal hashes."""
    try:
        return value.astimezone(UTC)
    except OverflowError:  # within hours of the years 1 or 9999
        raise ValueError(f"is out of range: {value.isoformat()}") from None


_instant: TypeAdapter[datetime] = TypeAdapter(datetime)

MAX_RADIUS = 20.0  # log-odds; beyond, an edit would be in scope of everything, or of nothing
Text = Annotated[str, _clean(MAX_TEXT)]
Name = Annotated[str, _clean(MAX_NAME)]
Names = Annotated[tuple[Name, ...], Field(max_length=MAX_TAGS)]
Template = Annotated[Name, AfterValidator(_with_slot)]
Time = Annotated[AwareDatetime, BeforeValidator(_aware), AfterValidator(_in_utc)]


def new_id() -> str:
    """A fresh edit id: 16 hexadecimal digits."""
    return secrets.token_hex(8)


class _Value(BaseModel):
    """A frozen value whose faults are `EditRejected`, with every reason in the message."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise _rejected(type(self).__name__, error) from None


class Probe(_Value):
    """A question that tests an edit: its answer must `change` to one of `expect`, or must `stay` what it was."""

    prompt: Text
    must: Strength = "change"
    expect: Names = ()
    """Accepted answers; for a Fact that must change, its object when left out."""


class Edit(_Value):
    """What all kinds of edit share: who made it, why, and how long it is in force (memory time)."""

    id: Name = Field(default_factory=new_id)
    namespace: Name | None = None
    author: Name | None = None
    source: Text | None = None
    reason: Text | None = None
    created_at: Time = Field(default_factory=lambda: datetime.now(UTC))
    expires_at: Time | None = None
    tags: Names = ()

    MADE_BY: ClassVar[frozenset[str]] = frozenset(
        {"id", "namespace", "author", "source", "reason", "created_at", "expires_at", "tags"}
    )

    @model_validator(mode="after")
    def _expires_later(self) -> Self:
        if self.expires_at is not None and self.expires_at <= self.created_at:
            raise ValueError(f"expires_at {self.expires_at} is not after created_at {self.created_at}")
        return self

    @property
    def text(self) -> str:
        """The edit as one readable sentence."""
        raise NotImplementedError

    @property
    def key_text(self) -> str:
        """What is embedded, so that an input in scope lies near it."""
        return self.text

    @property
    def relation_text(self) -> str:
        """The key text without its subject, where it has one: compared with what a query asks *about* the subject."""
        return self.key_text

    @property
    def content(self) -> dict[str, Any]:
        """Everything but who made it and when, as JSON values."""
        return self.model_dump(mode="json", exclude=set(self.MADE_BY), exclude_defaults=True) | {"kind": _kind(self)}

    @property
    def content_hash(self) -> str:
        """The same for two edits that say the same. 32 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.content, sort_keys=True).encode()).hexdigest()[:32]

    def to_dict(self) -> dict[str, Any]:
        """All that is set, as JSON values; `as_edit` gives the edit back."""
        return (
            {"kind": _kind(self)}
            | self.model_dump(mode="json", exclude_defaults=True, exclude={"kind"})
            | {
                "id": self.id,
                "created_at": self.created_at.isoformat(),
            }
        )

    def with_(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated again."""
        return type(self)(**({name: getattr(self, name) for name in type(self).model_fields} | changes))


class Fact(Edit):
    """A statement that shall hold, with subject, relation and object where they are known.

    Args:
        statement: A sentence. Left out, it is made of `prompt`, or of `relation`, with `subject` and `object`.
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
        super().__init__(**data)

    @model_validator(mode="before")
    @classmethod
    def _derive_statement(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("statement") is None:
            return {**data, "statement": _statement(data)}
        return data

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
        """What it answers: the object; of a plain statement, what follows the part that asks, where there is one."""
        if self.object is not None:
            return self.object
        parts = split_statement(self.statement)
        return parts[1] if parts and self.key_text == parts[0] else None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The subject and its aliases; without a subject, a guess from the statement, which may be empty."""
        return (*((self.subject,) if self.subject else guess_subjects(self.statement)), *self.aliases)

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


class Patch(Edit):
    """A conditional correction: if `condition` holds of the text, then `consequence` (language patches).

    Given as one sentence, `Patch("If the review says the service was slow, then the label is negative")`, or as the two
    fields. What a sentence may look like is said at `memedit.conditional.split_conditional`.

    Raises:
        EditRejected: The sentence has no condition or no consequence, or a field is no valid text.
    """

    kind: Literal["patch"] = "patch"
    condition: Text
    consequence: Text

    def __init__(self, sentence: str | None = None, /, **data: Any) -> None:
        if sentence is not None:
            if given := {"condition", "consequence"} & set(data):
                raise EditRejected(
                    f"Patch: a whole sentence is given, and {' and '.join(sorted(given))} beside it.",
                    do="give the sentence, or both fields",
                )
            parts = split_conditional(sentence)
            if parts is None:
                raise EditRejected(
                    f"Patch: no condition and consequence are found in “{one_line(storable(sentence))}”.",
                    do="write “If …, then …”, or give condition= and consequence=",
                )
            data["condition"], data["consequence"] = parts
        super().__init__(**data)

    @property
    def text(self) -> str:
        return f"If {self.condition}, then {self.consequence}"

    @property
    def key_text(self) -> str:
        return self.condition


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


AnyEdit = Fact | Feedback | Patch | Demonstration
EditLike = AnyEdit | str | Mapping[str, Any]
KINDS: dict[str, type[AnyEdit]] = {"fact": Fact, "feedback": Feedback, "patch": Patch, "demonstration": Demonstration}


def as_edit(value: EditLike, **defaults: Any) -> AnyEdit:
    """An edit from an edit, a plain statement, or a mapping such as `to_dict` gives.

    Args:
        value: The edit. A mapping without `kind` is a Fact.
        defaults: Fields to set where the value leaves them out (author, source, tags, …).

    Raises:
        EditRejected: It is none of these, or not a valid edit.
    """
    if isinstance(value, AnyEdit):
        unset = {name: given for name, given in defaults.items() if not getattr(value, name, None)}
        return value.with_(**unset) if unset else value
    if isinstance(value, str):
        return Fact(value, **defaults)
    if not isinstance(value, Mapping):
        raise EditRejected(
            f"An edit was expected, not {type(value).__name__}.",
            do="give a statement, or Fact(...), Feedback(...), Patch(...), Demonstration(...)",
        )
    data = dict(value)
    kind = data.pop("kind", "fact")
    if not isinstance(kind, str) or kind not in KINDS:
        given = f"`{one_line(storable(kind))}`" if isinstance(kind, str) else f"a {type(kind).__name__}"
        raise EditRejected(f"Unknown kind of edit: {given}.", do=f"use one of {', '.join(KINDS)}")
    if not all(isinstance(key, str) for key in data):
        raise EditRejected("The names of an edit's fields are text.", do="see the fields of the kind of edit")
    return KINDS[kind](**{**defaults, **data})


def _statement(data: Mapping[str, Any]) -> str:
    given = [data.get(name) for name in ("subject", "relation", "prompt", "object")]
    subject, relation, prompt, object_ = (tidy(value) if isinstance(value, str) else value for value in given)
    if not (isinstance(subject, str) and isinstance(object_, str)):
        raise ValueError("needs a statement, or subject and object with a prompt or a relation")
    if isinstance(prompt, str):
        return f"{prompt.replace(SLOT, subject).rstrip()} {object_}"
    if not isinstance(relation, str):
        raise ValueError("needs a statement, a prompt or a relation")
    label = shipped_relations().label(relation) if PROPERTY_ID.fullmatch(relation) else relation
    if PROPERTY_ID.fullmatch(label):
        raise ValueError(f"relation {relation} has no known name, so a statement or a prompt is needed")
    return f"The {label} of {subject} is {object_}."


def _kind(edit: Edit) -> str:
    return edit.kind  # type: ignore[attr-defined, no-any-return]


def _rejected(kind: str, error: ValidationError) -> EditRejected:
    faults = []
    for fault in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in fault["loc"])
        cause = fault.get("ctx", {}).get("error")
        reason = cause.what.rstrip(".") if isinstance(cause, EditRejected) else fault["msg"]
        reason = reason.removeprefix("Value error, ")
        faults.append(f"{place} {reason}" if place else reason)
    return EditRejected(f"{kind}: {'; '.join(faults)}.", do="correct the edit and add it again")
