"""Checksums of what the ledger holds, so that a bit that flipped on the disk is noticed, and never served.

CRC-32, which no flip of few bits gets past; it is no seal against somebody who changes the file on purpose. Rows that
were written before there were checksums have none, and are read as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

from sqlalchemy import Connection, func, select, update

from memedit.memory.migrations import change_sets, events, namespaces
from memedit.memory.rows import checksum, corrupt

SET = tuple(change_sets.c[name] for name in ("revision", "kind", "at", "author", "reason", "target"))
EVENT = tuple(events.c[name] for name in ("seq", "kind", "edit_id", "active", "data"))


def of_bytes(stored: bytes) -> int:
    """Of a vector as it is stored."""
    return crc32(stored)


def of_events(rows: Sequence[Sequence[Any]], onto: int) -> int:
    """Of the events of a change set, behind those before them."""
    for row in rows:
        onto = checksum(row, onto)
    return onto


def check_changes(
    connection: Connection, namespace_id: int, happened: Sequence[Sequence[Any]], *, whole: bool = True
) -> None:
    """Raise `LedgerCorrupt` where a change set, or one of its events, is not as it was written.

    Args:
        connection: Of a transaction.
        namespace_id: Whose.
        happened: (revision, *EVENT) of all events from the first, in order.
        whole: Whether they are all to the last; else the change set of the last is not looked at, nor what follows it.
    """
    by_revision: dict[int, list[Sequence[Any]]] = {}
    for revision, *event in happened:
        by_revision.setdefault(revision, []).append(event)
    last = None if whole else max(by_revision, default=0)
    query = select(change_sets.c.checksum, *SET).where(change_sets.c.namespace_id == namespace_id)
    for stored, *row in connection.execute(query):
        own = by_revision.pop(row[0], ())
        if last is not None and row[0] >= last:
            continue
        if stored is not None and stored != of_events(own, checksum(row)):
            raise corrupt(f"change set {row[0]!s:.20} is not as it was written")
    if not whole:
        return
    if by_revision:
        raise corrupt(f"change set {min(by_revision, key=str)!s:.20} is gone, and its events are not")
    last_set = select(func.max(change_sets.c.revision)).where(change_sets.c.namespace_id == namespace_id)
    stands = connection.execute(
        select(namespaces.c.revision, namespaces.c.seq).where(namespaces.c.id == namespace_id)
    ).first()
    last_seq = happened[-1][1] if happened else 0
    if stands is not None and tuple(stands) != (connection.scalar(last_set) or 0, last_seq):
        raise corrupt("its last changes are gone, or where a namespace stands is not as it was written")


def seal(connection: Connection, namespace_id: int, revisions: Sequence[int]) -> None:
    """Note the checksums of change sets, as they are now."""
    for revision in revisions:
        one = change_sets.c.namespace_id == namespace_id, change_sets.c.revision == revision
        row = connection.execute(select(*SET).where(*one)).one()
        mine = events.c.namespace_id == namespace_id, events.c.revision == revision
        own = connection.execute(select(*EVENT).where(*mine).order_by(events.c.seq)).all()
        connection.execute(update(change_sets).where(*one).values(checksum=of_events(own, checksum(row))))
