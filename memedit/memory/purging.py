"""Purging: edits taken out of the memory for good. Left of them are an id, a time, who and why; nothing they said."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, or_, select, update

from memedit.edits import AnyEdit
from memedit.errors import UnknownEdit
from memedit.memory.checksums import seal
from memedit.memory.events import Change, purged
from memedit.memory.ledger import Writer
from memedit.memory.ledger_reading import Reader, batches
from memedit.memory.migrations import change_sets, edits, events, vectors
from memedit.memory.recall import expired
from memedit.memory.rows import Head, checksum, micros, read_data
from memedit.text import says, words

BAKED = "baked"
"""The folder, beside the ledger, of what was written into weights."""
PERIOD = re.compile(r"(\d{1,5})\s*(hour|day|week|year)s?")
UNITS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "year": timedelta(days=365),
}
NO_SECRET = {"kind", "relation", "subject", "aliases"}  # fields that many edits share

Choose = Callable[[Reader, Head], Iterable[str]]
"""Gives the ids of the edits to purge."""


@dataclass(frozen=True, slots=True)
class Purge:
    """What a purge took out, or would take out.

    Args:
        ids: Of the edits, in force or not.
        in_force: Those that were in force.
        vectors: How many, over all embedders.
        notes: Reasons and sources that told of them.
        baked: Names of the changes of weights that held one of them. What else they held is answered from memory.
        revision: Of the namespace, afterwards.
        done: Whether it was done.
    """

    namespace: str
    ids: tuple[str, ...]
    in_force: tuple[str, ...]
    vectors: int
    notes: int
    baked: tuple[str, ...]
    revision: int
    done: bool

    def to_dict(self) -> dict[str, Any]:
        """The purge as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


def of_ids(ids: Sequence[str]) -> Choose:
    """These edits, in force or not. ids: As `checked_ids` gives them."""

    def choose(reader: Reader, head: Head) -> list[str]:
        known = reader.recorded_among(head.namespace_id, ids)
        if missing := [edit_id for edit_id in ids if edit_id not in known]:
            raise UnknownEdit(
                f"`{missing[0]:.40}` was never recorded in this namespace.", do="see `memedit history` or `history()`"
            )
        return list(ids)

    return choose


def of_subject(subject: str) -> Choose:
    """Whatever is about it, under any of its names, in force or not."""
    wanted = " ".join(words(subject))

    def choose(reader: Reader, head: Head) -> list[str]:
        return [row.id for row in reader.rows(head.namespace_id) if wanted and wanted in row.names]

    return choose


def that_mention(name: str) -> Choose:
    """Whatever says this name, word for word, in any of its texts, in force or not."""

    def choose(reader: Reader, head: Head) -> list[str]:
        held = reader.edits(head.namespace_id)
        return [one for one, edit in held.items() if any(says(text, [name]) for text in _texts(edit))]

    return choose


def all_of_it(reader: Reader, head: Head) -> list[str]:
    """Every edit of the namespace."""
    return [row.id for row in reader.rows(head.namespace_id)]


def out_of_force_before(when: datetime) -> Choose:
    """What was out of force by then, and is so still: it was retracted, superseded, rejected or undone, or has expired.

    What waits for approval goes on waiting.
    """

    def choose(reader: Reader, head: Head) -> set[str]:
        last = select(func.max(events.c.seq)).where(events.c.active.is_not(None), _of(events, head))
        query = (
            select(events.c.edit_id)
            .join(
                change_sets,
                (change_sets.c.namespace_id == events.c.namespace_id) & (change_sets.c.revision == events.c.revision),
            )
            .where(
                _of(events, head),
                events.c.seq.in_(last.group_by(events.c.edit_id)),
                events.c.active == 0,
                change_sets.c.at < micros(when),
            )
        )
        gone = set(reader.connection.scalars(query)) - set(reader.waiting(head.namespace_id))
        held = reader.edits(head.namespace_id)
        active = reader.in_force(head.namespace_id)
        return {one for one, edit in held.items() if one in gone or (one in active and expired(edit, when))}

    return choose


def period(given: str | timedelta) -> timedelta:
    """A length of time, such as `90 days`.

    Raises:
        ValueError: It is none.
    """
    if isinstance(given, timedelta):
        return given
    found = PERIOD.fullmatch(given.strip())
    if found is None:
        raise ValueError(f"a time to keep is written as `90 days` (hours, days, weeks, years), not {given!a:.40}")
    return int(found[1]) * UNITS[found[2]]


def purge(writer: Writer, change: Change, choose: Choose, *, naming: str | None, dry_run: bool) -> Purge:
    """Take edits out of the ledger, in the caller's transaction, which is rolled back where nothing is to be done.

    Args:
        writer: Holds the write lock.
        change: What it is recorded as.
        choose: Gives which.
        naming: A name that reasons shall not tell any more either.
        dry_run: Whether it is only tried.
    """
    head = writer.head(change.namespace)
    ids = list(choose(writer, head))
    doomed = writer.edits(head.namespace_id, ids)
    ids = [edit_id for edit_id in ids if edit_id in doomed]
    active = writer.in_force(head.namespace_id)  # which also checks what is sealed anew below
    touched: set[int] = set()
    baked = _unbake(writer, head, set(ids), touched)
    vectors_gone = _forget(writer, head, ids, touched)
    told = [text for edit in doomed.values() for text in texts_of(edit)] + ([naming] if naming else [])
    notes = _forget_notes(writer, head, told, touched) if ids else 0
    seal(writer.connection, head.namespace_id, sorted(touched))
    if ids:
        head = writer.append(writer.begin_change(head, change), [purged(edit_id) for edit_id in ids])
    if dry_run:
        writer.roll_back()
    revision = head.revision - (1 if dry_run and ids else 0)
    return Purge(
        change.namespace, tuple(ids), tuple(one for one in ids if one in active), vectors_gone, notes,
        tuple(sorted(baked)), revision, not dry_run,
    )  # fmt: skip


def throw_away_baked(folder: Path | None, names: Iterable[str]) -> None:
    """Delete the files of changes of weights, and what a killed process left of their drafts."""
    for name in names if folder is not None else ():
        for file in ((folder or Path()) / BAKED).glob(f"*{name}*"):
            file.unlink(missing_ok=True)


def texts_of(edit: AnyEdit) -> Iterator[str]:
    """What an edit says, by which it is recognised in a reason."""
    return _texts(edit, without=NO_SECRET)


def _texts(edit: AnyEdit, without: Collection[str] = ()) -> Iterator[str]:
    def leaves(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for one in value.values():
                yield from leaves(one)
        elif isinstance(value, list):
            for one in value:
                yield from leaves(one)

    yield edit.text
    for name, value in edit.content.items():
        if name not in without:
            yield from leaves(value)


def _of(table: Any, head: Head) -> Any:
    return table.c.namespace_id == head.namespace_id


def _unbake(writer: Writer, head: Head, ids: Collection[str], touched: set[int]) -> set[str]:
    """Take out of the ledger that changes of weights were made which hold one of these edits: they are thrown away."""
    query = select(events.c.seq, events.c.revision, events.c.edit_id, events.c.data).where(
        _of(events, head), events.c.kind == "baked"
    )
    found = [(row, str(read_data(row.data).get("delta"))) for row in writer.connection.execute(query)]
    gone = {name for row, name in found if row.edit_id in ids}
    for row in [row for row, name in found if name in gone]:
        touched.add(row.revision)
        writer.connection.execute(events.delete().where(_of(events, head), events.c.seq == row.seq))
    return gone


def _forget(writer: Writer, head: Head, ids: Sequence[str], touched: set[int]) -> int:
    """Delete events, rows and vectors; gives how many vectors."""
    run = writer.connection.execute
    hashes = {
        key
        for row in writer.rows(head.namespace_id, ids)
        for key in (row.text_hash, row.relation_hash, row.content_hash)
    }
    for batch in batches(ids):
        of_them = _of(events, head), events.c.edit_id.in_(batch)
        touched.update(writer.connection.scalars(select(events.c.revision).where(*of_them).distinct()))
        run(events.delete().where(*of_them))
        run(edits.delete().where(_of(edits, head), edits.c.id.in_(batch)))
    count = 0
    columns = edits.c.text_hash, edits.c.relation_hash, edits.c.content_hash
    for batch in batches(hashes):
        shared = {key for row in run(select(*columns).where(or_(*(one.in_(batch) for one in columns)))) for key in row}
        alone = [key for key in batch if key not in shared]
        count += run(vectors.delete().where(vectors.c.text_hash.in_(alone))).rowcount
    return count


def _forget_notes(writer: Writer, head: Head, told: Sequence[str], touched: set[int]) -> int:
    """Take out reasons of changes that hold nothing any more, and each reason or source that tells of what is gone."""
    run, count = writer.connection.execute, 0
    left = set(writer.connection.scalars(select(events.c.revision).where(_of(events, head)).distinct()))
    query = select(change_sets.c.revision, change_sets.c.kind, change_sets.c.reason).where(
        _of(change_sets, head), change_sets.c.reason.is_not(None)
    )
    for row in run(query).all():
        if (row.revision not in left and row.kind != "purge") or says(row.reason, told):
            one = _of(change_sets, head), change_sets.c.revision == row.revision
            run(update(change_sets).where(*one).values(reason=None))
            touched.add(row.revision)
            count += 1
    for edit in writer.edits(head.namespace_id).values():
        gone = [name for name in ("reason", "source") if says(getattr(edit, name) or "", told)]
        if gone:
            body = edit.model_copy(update=dict.fromkeys(gone)).model_dump_json(exclude_defaults=True)
            fresh = {"body": body, "checksum": checksum((edit.id, edit.kind, body))}
            run(update(edits).where(_of(edits, head), edits.c.id == edit.id).values(fresh))
            count += len(gone)
    return count
