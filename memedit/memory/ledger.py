"""The ledger: the record of every change to the memory, and the truth. It is append-only, but for what is purged.

Everything here speaks rows and ids; what a change means is decided in `memory.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from memedit.edits import AnyEdit
from memedit.memory.events import Change, Event
from memedit.memory.migrations import change_sets, edits, events, namespaces, vectors
from memedit.memory.rows import (
    NOWHERE,
    Head,
    Row,
    as_dict,
    from_micros,
    micros,
    read_data,
    read_edit,
    read_row,
    read_vector,
)  # fmt: skip
from memedit.memory.storage import Storage

BATCH = 500  # values in one IN (…); SQLite takes 32,766
UPSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Ledger:
    """One ledger, open.

    Args:
        storage: Where it lies; opened now.

    Raises:
        LedgerError: It cannot be opened; the subclass says why.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        storage.open()

    def close(self) -> None:
        """Let go of it, once no change is under way; whatever comes later raises `AlreadyClosed`."""
        self.storage.close()

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """A consistent view for several reads."""
        with self.storage.transaction(writes=False) as connection:
            yield Reader(connection, self.storage)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """A transaction that holds the write lock; all of it is durable afterwards, or none."""
        with self.storage.transaction(writes=True) as connection:
            yield Writer(connection, self.storage)

    @cached_property
    def identity(self) -> str:
        """What tells this ledger from every other."""
        return str(self.storage.read("SELECT id FROM identity", ())[0][0])

    def head(self, namespace: str) -> Head:
        """Where the namespace stands now, including what other processes committed."""
        found = self.storage.read("SELECT id, revision, seq FROM namespaces WHERE name = ?", (namespace,))
        return Head(*found[0]) if found else NOWHERE

    def edits(self, namespace_id: int, ids: Iterable[str]) -> dict[str, AnyEdit]:
        """As `Reader.edits`, each batch read by itself: what an edit says never changes."""
        found: dict[str, AnyEdit] = {}
        for batch in batches(ids):
            among = f"namespace_id = ? AND id IN ({', '.join('?' * len(batch))})"
            rows = self.storage.read(f"SELECT id, kind, body FROM edits WHERE {among}", (namespace_id, *batch))
            found |= {edit_id: read_edit(edit_id, kind, body) for edit_id, kind, body in rows}
        return found


class Reader:
    """Reads within one transaction."""

    def __init__(self, connection: Connection, storage: Storage) -> None:
        self.connection = connection
        self._storage = storage

    def head(self, namespace: str) -> Head:
        row = self.connection.execute(HEAD, {"name": namespace}).first()
        return NOWHERE if row is None else Head(*row)

    def namespaces(self) -> list[str]:
        return sorted(self.connection.scalars(select(namespaces.c.name)))

    def in_force(self, namespace_id: int, *, until: int | None = None) -> set[str]:
        """Ids of the edits in force after event `until` (after the last one when None)."""
        return {edit_id for edit_id, active in self._states(namespace_id, until=until) if active}

    def states_since(self, namespace_id: int, seq: int, *, until: int | None = None) -> dict[str, bool]:
        """For each edit that events after `seq` touched, whether it is in force after event `until` (or the last)."""
        return {edit_id: bool(active) for edit_id, active in self._states(namespace_id, since=seq, until=until)}

    def marked_since(self, namespace_id: int, seq: int) -> bool:
        """Whether events after `seq` did something with edits but put them in force or take them out."""
        query = select(events.c.seq).where(
            events.c.namespace_id == namespace_id, events.c.seq > seq, events.c.active.is_(None)
        )
        return self.connection.execute(query.limit(1)).first() is not None

    def _states(self, namespace_id: int, *, since: int = 0, until: int | None = None) -> Iterable[tuple[str, int]]:
        span = and_(
            events.c.namespace_id == namespace_id,
            events.c.active.is_not(None),
            events.c.seq > since,
            *([] if until is None else [events.c.seq <= until]),
        )
        last = select(func.max(events.c.seq)).where(span).group_by(events.c.edit_id)
        query = select(events.c.edit_id, events.c.active).where(
            events.c.namespace_id == namespace_id, events.c.seq.in_(last)
        )
        return ((row.edit_id, row.active) for row in self.connection.execute(query))

    def rows(self, namespace_id: int, ids: Iterable[str] | None = None) -> Iterator[Row]:
        """The rows of these edits, in force or not; of all when None."""
        query = select(*(edits.c[name] for name in Row.__slots__)).where(edits.c.namespace_id == namespace_id)
        yield from (read_row(*row) for row in self._in_batches(query, edits.c.id, ids))

    def edits(self, namespace_id: int, ids: Iterable[str] | None = None) -> dict[str, AnyEdit]:
        """The edits of these ids that exist, in force or not; all of them when None."""
        query = select(edits.c.id, edits.c.kind, edits.c.body).where(edits.c.namespace_id == namespace_id)
        rows = self._in_batches(query, edits.c.id, ids)
        return {row.id: read_edit(row.id, row.kind, row.body) for row in rows}

    def in_force_of_subjects(self, namespace_id: int, keys: Iterable[str]) -> Iterator[Row]:
        """Rows of the Facts in force with one of these subjects."""
        return self._rows_in_force(namespace_id, edits.c.subject_key, keys)

    def in_force_of_content(self, namespace_id: int, hashes: Iterable[str]) -> Iterator[Row]:
        """Rows of the edits in force that say the same as one with this content hash."""
        return self._rows_in_force(namespace_id, edits.c.content_hash, hashes)

    def _rows_in_force(self, namespace_id: int, column: ColumnElement[str], values: Iterable[str]) -> Iterator[Row]:
        query = select(*(edits.c[name] for name in Row.__slots__)).where(
            edits.c.namespace_id == namespace_id, LAST_STATE == 1
        )
        yield from (Row(*row) for row in self._in_batches(query, column, values))

    def ids(self, namespace_id: int, *, beginning: str) -> list[str]:
        """The ids, in force or not, that begin so."""
        query = select(edits.c.id).where(
            edits.c.namespace_id == namespace_id, func.substr(edits.c.id, 1, len(beginning)) == beginning
        )
        return list(self.connection.scalars(query))

    def active_among(self, namespace_id: int, ids: Sequence[str], *, until: int | None = None) -> set[str]:
        """Those of these ids that are in force after event `until` (after the last one when None)."""
        span = and_(
            events.c.namespace_id == namespace_id,
            events.c.active.is_not(None),
            *([] if until is None else [events.c.seq <= until]),
        )
        found: set[str] = set()
        for batch in batches(ids):
            last = select(func.max(events.c.seq)).where(span, events.c.edit_id.in_(batch)).group_by(events.c.edit_id)
            query = select(events.c.edit_id).where(
                events.c.namespace_id == namespace_id, events.c.active == 1, events.c.seq.in_(last)
            )
            found.update(self.connection.scalars(query))
        return found

    def recorded_among(self, namespace_id: int, ids: Sequence[str]) -> set[str]:
        """Those of these ids that the ledger has an event of, purged ones among them."""
        query = select(events.c.edit_id).where(events.c.namespace_id == namespace_id).distinct()
        return {row.edit_id for row in self._in_batches(query, events.c.edit_id, ids)}

    def embedders(self) -> list[str]:
        """The ids of all embedders that there are vectors of."""
        return list(self.connection.scalars(select(vectors.c.embedder).distinct()))

    def changes(self, head: Head, namespace: str, *, edit_id: str | None = None) -> list[Change]:
        """The change sets of a namespace, oldest first; only those that touched `edit_id` when it is given."""
        happened = select(events).where(events.c.namespace_id == head.namespace_id).order_by(events.c.seq)
        if edit_id is not None:
            happened = happened.where(events.c.edit_id == edit_id)
        by_revision: dict[int, list[Event]] = {}
        for row in self.connection.execute(happened):
            active = None if row.active is None else bool(row.active)
            by_revision.setdefault(row.revision, []).append(Event(row.kind, row.edit_id, active, read_data(row.data)))
        made = (
            select(change_sets).where(change_sets.c.namespace_id == head.namespace_id).order_by(change_sets.c.revision)
        )
        return [
            Change(
                namespace, row.revision, row.kind, from_micros(row.at), row.author, row.reason, row.target,
                tuple(by_revision.get(row.revision, ())),
            )
            for row in self.connection.execute(made)
            if edit_id is None or row.revision in by_revision
        ]  # fmt: skip

    def undoable(self, namespace_id: int) -> int | None:
        """The last change set that is no undo, has not been taken back, and of which a purge left something."""
        mine = change_sets.c.namespace_id == namespace_id
        undone = select(change_sets.c.target).where(mine, change_sets.c.kind == "undo")
        holding = select(events.c.revision).where(events.c.namespace_id == namespace_id)
        query = select(func.max(change_sets.c.revision)).where(
            mine,
            change_sets.c.kind.not_in(("undo", "purge")),
            change_sets.c.revision.not_in(undone),
            or_(change_sets.c.kind == "revert", change_sets.c.revision.in_(holding)),
        )
        return self.connection.scalar(query)  # type: ignore[no-any-return]

    def last_seq(self, namespace_id: int, revision: int) -> int:
        """The last event of all change sets up to `revision`."""
        query = select(func.max(events.c.seq)).where(
            events.c.namespace_id == namespace_id, events.c.revision <= revision
        )
        return self.connection.scalar(query) or 0

    def revision_at(self, namespace_id: int, when: datetime) -> int:
        """The revision that was in force at this memory time; 0 before the first."""
        query = select(func.max(change_sets.c.revision)).where(
            change_sets.c.namespace_id == namespace_id, change_sets.c.at <= micros(when)
        )
        return self.connection.scalar(query) or 0

    def vectors(self, embedder: str, hashes: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """The stored vectors of these texts, shape (dimension,) each."""
        query = select(vectors.c.text_hash, vectors.c.vector).where(vectors.c.embedder == embedder)
        rows = self._in_batches(query, vectors.c.text_hash, hashes)
        return {row.text_hash: read_vector(row.text_hash, row.vector) for row in rows}

    def dimension(self, embedder: str) -> int | None:
        """Of the stored vectors of this embedder; None when there are none."""
        query = select(func.length(vectors.c.vector)).where(vectors.c.embedder == embedder).limit(1)
        size = self.connection.scalar(query)
        return None if size is None else size // 4

    def check(self) -> list[str]:
        """What the database finds wrong with its file."""
        return self._storage.faults(self.connection)

    def _in_batches(self, query: Select[Any], column: Any, values: Iterable[str] | None) -> Iterator[Any]:
        if values is None:
            yield from self.connection.execute(query)
        else:
            for batch in batches(values):
                yield from self.connection.execute(query.where(column.in_(batch)))


class Writer(Reader):
    """Reads and appends within one transaction that holds the write lock."""

    def namespace(self, name: str) -> Head:
        """The namespace, made when it is new."""
        head = self.head(name)
        if head is NOWHERE:
            self.connection.execute(insert(namespaces).values(name=name, revision=0, seq=0))
            head = self.head(name)
        return head

    def begin_change(self, head: Head, change: Change) -> Head:
        """Record a new change set (without its events) and make it the namespace's last."""
        revision = head.revision + 1
        self.connection.execute(
            insert(change_sets).values(
                namespace_id=head.namespace_id, revision=revision, kind=change.kind, at=micros(change.at),
                author=change.author, reason=change.reason, target=change.target,
            )
        )  # fmt: skip
        return self._move(head, revision, head.seq)

    def append(self, head: Head, happened: Sequence[Event]) -> Head:
        """Append events to the namespace's last change set."""
        if not happened:
            return head
        self.connection.execute(
            insert(events),
            [
                {
                    "namespace_id": head.namespace_id,
                    "seq": head.seq + place,
                    "revision": head.revision,
                    "kind": event.kind,
                    "edit_id": event.edit_id,
                    "active": None if event.active is None else int(event.active),
                    "data": json.dumps(dict(event.data)) if event.data else None,
                }
                for place, event in enumerate(happened, start=1)
            ],
        )
        return self._move(head, head.revision, head.seq + len(happened))

    def put_edits(self, namespace_id: int, rows: Sequence[tuple[Row, str]]) -> None:
        """Store new edits: their rows with their bodies (JSON)."""
        if rows:
            values = [{"namespace_id": namespace_id, "body": body} | as_dict(row) for row, body in rows]
            self.connection.execute(insert(edits), values)

    def put_vectors(self, embedder: str, found: Mapping[str, NDArray[np.float32]]) -> None:
        """Store vectors by the hash of their text; one that is there already stays."""
        if found:
            values = [
                {"text_hash": key, "embedder": embedder, "vector": np.asarray(vector, dtype="<f4").tobytes()}
                for key, vector in found.items()
            ]
            upsert = UPSERTS[self.connection.dialect.name](vectors)
            self.connection.execute(upsert.on_conflict_do_nothing(), values)

    def forget_vectors(self, embedder: str) -> None:
        """Drop an embedder's vectors, so that they are made anew."""
        self.connection.execute(vectors.delete().where(vectors.c.embedder == embedder))

    def roll_back(self) -> None:
        """Let nothing of this transaction be; nothing more can be done in it."""
        if (transaction := self.connection.get_transaction()) is not None:
            transaction.rollback()

    def _move(self, head: Head, revision: int, seq: int) -> Head:
        self.connection.execute(
            update(namespaces).where(namespaces.c.id == head.namespace_id).values(revision=revision, seq=seq)
        )
        return Head(head.namespace_id, revision, seq)


HEAD = select(namespaces.c.id, namespaces.c.revision, namespaces.c.seq).where(namespaces.c.name == bindparam("name"))
LAST_STATE = (
    select(events.c.active)
    .where(
        events.c.namespace_id == edits.c.namespace_id,
        events.c.edit_id == edits.c.id,
        events.c.active.is_not(None),
    )
    .order_by(events.c.seq.desc())
    .limit(1)
    .correlate(edits)
    .scalar_subquery()
)
"""1 for an edit in force, in a query of `edits`."""


def batches(values: Iterable[str]) -> Iterator[list[str]]:
    """The different ones among these values, as many at a time as a query takes."""
    unique = list(dict.fromkeys(values))
    for start in range(0, len(unique), BATCH):
        yield unique[start : start + BATCH]
