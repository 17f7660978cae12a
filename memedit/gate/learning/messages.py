"""The open data set *everyday*: edits as people write them, and the messages that people send around them.

Each edit stands with messages for which it must be used (`in`) and messages for which it must not (`out`), of fourteen
kinds; edits of one group lie in one memory together. The form is told in `data/everyday/README.md`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from memedit.edits import Fact
from memedit.errors import FileRejected

Side = Literal["in", "out"]
Turn = tuple[str, str]
"""Role and text."""


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
        FileRejected: A file cannot be read, or a record lacks a field.
    """
    records: dict[str, list[Mapping[str, Any]]] = {}
    for path in map(Path, paths):
        try:
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.strip():
                    record = json.loads(line)
                    records.setdefault(record["group"], []).append(record)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileRejected(f"{path}: {error!r}.", do="give files in the form of everyday") from error
    return [_group(name, found) for name, found in records.items()]


def _group(name: str, records: Sequence[Mapping[str, Any]]) -> Group:
    try:
        successors = {record["replaces"]: record["id"] for record in records if record.get("replaces")}
        edits = tuple(Fact(record["statement"], id=record["id"]) for record in records)
        ids = {edit.id for edit in edits}
        messages = tuple(one for record in records for one in _messages(record, successors))
        return Group(name, edits, messages, {later: earlier for earlier, later in successors.items() if earlier in ids})
    except (KeyError, TypeError, ValueError) as error:
        raise FileRejected(f"Group {name} of everyday: {error!r}.", do="check it with check_everyday.py") from error


def _messages(record: Mapping[str, Any], successors: Mapping[str, str]) -> Iterator[Message]:
    sides: tuple[Side, ...] = ("in", "out")
    for side in sides:
        for message in record[side]:
            bearing = set(message.get("also") or ())
            if side == "in":
                bearing.add(record["id"])
                bearing |= {successors[one] for one in list(bearing) if one in successors}
            given = message["turns"]
            turns = (
                (("user", given),) if isinstance(given, str) else tuple((one["role"], one["content"]) for one in given)
            )
            yield Message(record["id"], side, message["kind"], turns, frozenset(bearing), message.get("answer"))
