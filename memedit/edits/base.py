"""What all kinds of edit share: checked text, who made it and when, and faults in one message."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from datetime import UTC, datetime
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

from memedit.errors import EditRejected
from memedit.text import deceptive_character, is_blank, tidy

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
    """Dates and times without a zone are taken as UTC. Numbers are seconds since 1970, but no year or day is: 2019."""
    if NUMBER.fullmatch(str(value).strip()) and abs(float(value)) < LEAST:
        raise ValueError(f"is no time: {value!a:.40}; write it as 2026-01-31, or 2026-01-31T09:30+01:00")
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


NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
LEAST = 1e8  # seconds since 1970 that are taken for such, in 1973; 20190131 is less
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

    SECRET: ClassVar[frozenset[str]] = frozenset()
    """Fields that hold what is not to be revealed."""

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

    def to_dict(self, *, secrets: bool = False) -> dict[str, Any]:
        """All that is set, as JSON values; `as_edit` gives the edit back.

        secrets: Also what is not to be revealed, without which `as_edit` refuses an Erasure.
        """
        left_out = {"kind"} if secrets else {"kind", *self.SECRET}
        return (
            {"kind": _kind(self)}
            | self.model_dump(mode="json", exclude_defaults=True, exclude=left_out)
            | {
                "id": self.id,
                "created_at": self.created_at.isoformat(),
            }
        )

    def with_(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated again."""
        return type(self)(**({name: getattr(self, name) for name in type(self).model_fields} | changes))


def _kind(edit: Edit) -> str:
    return edit.kind  # type: ignore[attr-defined, no-any-return]


def _rejected(kind: str, error: ValidationError) -> EditRejected:
    faults = []
    for fault in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in fault["loc"])
        cause = fault.get("ctx", {}).get("error")
        reason = cause.what.rstrip(".") if isinstance(cause, EditRejected) else fault["msg"]
        reason = "is missing" if fault["type"] == "missing" else reason.removeprefix("Value error, ")
        faults.append(f"{place} {reason}" if place else reason)
    return EditRejected(f"{kind}: {'; '.join(faults)}.", do="correct the edit and add it again")
