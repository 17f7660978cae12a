"""The open data set *everyday*: edits as people write them, and the messages that people send around them.

Each edit stands with messages for which it must be used (`in`) and messages for which it must not (`out`), of fourteen
kinds; edits of one group lie in one memory together. The form is told in `data/everyday/README.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from memedit.edits import Fact
from memedit.errors import EditRejected, FileRejected
from memedit.text import one_line

Side = Literal["in", "out"]
Turn = tuple[str, str]
"""Role and text."""
FORM = "give files in the form of everyday (memedit/data/everyday/README.md)"


@dataclass(frozen=True, slots=True)
class Message:
    """A conversation whose last message is to be answered.

    Args:
        edit: Id of the edit it was written for.
        side: Whether that edit bears on it.
        kind: Of the fourteen.
        turns: Oldest first; the last is the user's.
        bearing: Ids of all edits of the group that bear on it.
        answer: What a right answer contains; None where that is not known.
    """

    edit: str
    side: Side
    kind: str
    turns: tuple[Turn, ...]
    bearing: frozenset[str]
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One memory: edits, in the order in which they were stored, and the messages around them.

    Args:
        replaced: Ids of edits that take the place of an earlier one, with its id.
    """

    name: str
    edits: tuple[Fact, ...]
    messages: tuple[Message, ...] = field(repr=False)
    replaced: Mapping[str, str] = field(default_factory=dict, repr=False)


def read_groups(paths: Iterable[str | Path]) -> list[Group]:
    """The groups of everyday files.

    Raises:
        FileRejected: A file cannot be read, or a line of it is no record; the message names both.
    """
    records: dict[str, list[_Record]] = {}
    for path in map(Path, paths):
        for number, line in enumerate(_lines(path), start=1):
            if line.strip():
                record = _record(line, f"{path}, line {number}")
                records.setdefault(record.group, []).append(record)
    return [_group(name, found) for name, found in records.items()]


class _Turn(BaseModel):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = Field(min_length=1)


class _Message(BaseModel):
    kind: str
    turns: Annotated[str, Field(min_length=1)] | Annotated[list[_Turn], Field(min_length=1)]
    answer: str | None = None
    also: list[str] | None = None


class _Record(BaseModel):
    id: str
    group: str
    statement: str
    replaces: str | None = None
    inside: list[_Message] = Field(alias="in")
    outside: list[_Message] = Field(alias="out")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError) as error:  # ValueError: it is not UTF-8, or its name holds a NUL
        why = getattr(error, "strerror", None) or str(error)
        raise FileRejected(f"{path} cannot be read: {why}.", do=FORM) from error


def _record(line: str, place: str) -> _Record:
    try:
        record = _Record.model_validate_json(line)
        Fact(record.statement, id=record.id)
        return record
    except EditRejected as error:
        raise FileRejected(f"{place}: {error.what}", do=FORM) from error
    except ValidationError as error:
        fault = max(error.errors(), key=lambda one: len(one["loc"]))  # of what may be two things, the one it nearly is
        at = ".".join(str(one) for one in fault["loc"] if not str(one).startswith(("constrained-", "list[")))
        what = f"`{one_line(at, 60)}`: {fault['msg']}" if at else fault["msg"]
        raise FileRejected(f"{place} is no record of everyday: {one_line(what, 200).rstrip('.')}.", do=FORM) from error


def _group(name: str, records: Sequence[_Record]) -> Group:
    successors = {record.replaces: record.id for record in records if record.replaces}
    edits = tuple(Fact(record.statement, id=record.id) for record in records)
    ids = {edit.id for edit in edits}
    messages = tuple(one for record in records for one in _messages(record, successors))
    return Group(name, edits, messages, {later: earlier for earlier, later in successors.items() if earlier in ids})


def _messages(record: _Record, successors: Mapping[str, str]) -> Iterator[Message]:
    sides: tuple[tuple[Side, list[_Message]], ...] = (("in", record.inside), ("out", record.outside))
    for side, messages in sides:
        for message in messages:
            bearing = set(message.also or ())
            if side == "in":
                bearing.add(record.id)
                bearing |= {successors[one] for one in list(bearing) if one in successors}
            given = message.turns
            turns = (("user", given),) if isinstance(given, str) else tuple((one.role, one.content) for one in given)
            yield Message(record.id, side, message.kind, turns, frozenset(bearing), message.answer)
