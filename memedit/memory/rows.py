"""What the ledger's tables hold, as values: where a namespace stands, an edit's row, times, and bodies read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from sys import intern
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from memedit.edits import KINDS, AnyEdit, Fact, Named
from memedit.embedders.port import text_hash
from memedit.errors import EditRejected, LedgerCorrupt
from memedit.text import same_key, words
from memedit.text.relations import Relations

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Head:
    """Where a namespace stands: its row, its last change set and its last event."""

    namespace_id: int
    revision: int
    seq: int


NOWHERE = Head(namespace_id=-1, revision=0, seq=0)


def read_head(stored: Sequence[Any]) -> Head:
    if not all(isinstance(number, int) for number in stored):
        raise corrupt("the row of a namespace cannot be read")
    return Head(*stored)


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept beside an edit's body, so that it can be found without reading the body."""

    id: str
    kind: str
    subject_key: str | None
    relation_key: str | None
    names_text: str
    content_hash: str
    text_hash: str
    relation_hash: str

    @classmethod
    def of(cls, edit: AnyEdit, relations: Relations) -> Row:
        subject = relation = None
        names: list[str] = []
        if isinstance(edit, Fact):
            subject = same_key(edit.subject) if edit.subject else None
            relation = relations.key(edit.relation) if edit.relation else None
        if isinstance(edit, Named):
            names = [" ".join(words(name)) for name in edit.names]
        return cls(
            edit.id, edit.kind, subject, relation, "\n".join(dict.fromkeys(names)), edit.content_hash,
            text_hash(edit.key_text), text_hash(edit.relation_text),
        )  # fmt: skip

    @property
    def names(self) -> list[str]:
        """The subject's names, each as its normalised words with a blank between them."""
        return self.names_text.split("\n") if self.names_text else []

    @property
    def slotless(self) -> bool:
        """Whether it is a Fact that lacks subject or relation, so that only likeness can show a conflict."""
        return self.kind == "fact" and (self.subject_key is None or self.relation_key is None)


def micros(when: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return (as_utc(when) - EPOCH) // timedelta(microseconds=1)


def as_utc(when: datetime) -> datetime:
    """A time without a zone is taken as UTC, as in edits.

    Raises:
        EditRejected: It is no time.
    """
    if not isinstance(when, datetime):
        raise EditRejected(f"A time was expected, not {when!a:.40}.", do="give a `datetime`")
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def from_micros(at: int) -> datetime:
    try:
        return EPOCH + timedelta(microseconds=at)
    except (TypeError, OverflowError) as error:
        raise corrupt("the time of a change cannot be read") from error


def checksum(values: Sequence[Any], onto: int = 0) -> int:
    """Of the values of a row, behind what was summed before: CRC-32, which no flip of few bits gets past."""
    return crc32(repr(tuple(values)).encode("utf-8", "surrogatepass"), onto)


def read_row(*stored: Any) -> Row:
    """A row as a view keeps it for long: what many rows have in common is one text. Its checksum is the last value."""
    *values, check = stored
    if check is not None and check != checksum(values):
        raise corrupt(f"the row of edit `{stored[0]!s:.40}` is not as it was written")
    try:
        edit_id, kind, subject, relation, names, content, text, relation_text = values
        relation = relation and intern(relation)
        names = subject if subject == names else names
        return Row(edit_id, intern(kind), subject, relation, names, content, text, intern(relation_text))
    except TypeError as error:
        raise corrupt(f"the row of edit `{stored[0]!s:.40}` cannot be read") from error


def read_edit(edit_id: str, kind: str, body: str, check: int | None) -> AnyEdit:
    if check is not None and check != checksum((edit_id, kind, body)):
        raise corrupt(f"edit `{edit_id!s:.40}` is not as it was written")
    try:
        return KINDS[kind].model_validate_json(body)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise corrupt(f"edit `{edit_id!s:.40}` cannot be read") from error


def read_data(stored: str | None) -> dict[str, Any]:
    try:
        return dict(json.loads(stored or "{}"))
    except (ValueError, TypeError) as error:
        raise corrupt("an event cannot be read") from error


def read_vector(key: str, stored: bytes) -> NDArray[np.float32]:
    try:
        return np.frombuffer(stored, dtype="<f4")
    except (ValueError, TypeError) as error:
        raise corrupt(f"vector `{key:.40}` cannot be read") from error


def corrupt(what: str) -> LedgerCorrupt:
    """The error for what cannot be as it stands in the ledger."""
    return LedgerCorrupt(f"The ledger is damaged: {what}.", do=LedgerCorrupt.MEND)


def is_gone(edit_id: str) -> LedgerCorrupt:
    """The error for an edit that is in force and of which the ledger has no row."""
    return corrupt(f"edit `{edit_id!s:.40}` is in force, and what it says is gone")


def as_dict(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Row.__slots__}
