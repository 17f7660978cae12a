"""What is read of the ledger, within one snapshot of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, or_, select

from memedit.edits import AnyEdit
from memedit.memory.checksums import of_bytes
from memedit.memory.events import NOT_UNDONE, Change
from memedit.memory.folding import changes, states, waiting
from memedit.memory.migrations import change_sets, edits, events, namespaces, vectors
from memedit.memory.rows import (
    NOWHERE,
    Head,
    Row,
    checksum,
    corrupt,
    micros,
    read_data,
    read_edit,
    read_head,
    read_row,
    read_vector,
)
from memedit.memory.storage import Storage

BATCH = 500  # values in one IN (…); SQLite takes 32,766


class Reader:
    """Reads within one transaction."""

    def __init__(self, connection: Connection, storage: Storage) -> None:
        self.connection = connection
        self._storage = storage

    def head(self, namespace: str) -> Head:
        row = self.connection.execute(HEAD, {"name": namespace}).first()
        return NOWHERE if row is None else read_head(row)

    def namespaces(self) -> list[str]:
        found = list(self.connection.execute(select(namespaces.c.name, namespaces.c.checksum)))
        for name, check in found:
            if not isinstance(name, str) or (check is not None and check != checksum([name])):
                raise corrupt(f"the name of a namespace, {name!a:.40}, is not as it was written")
        return sorted(row.name for row in found)

    def check_names(self) -> None:
        """Raise `LedgerCorrupt` where a namespace would not be found by its name, and seem to be empty."""
        other = namespaces.alias()
        found = self.connection.scalar(select(func.count()).where(namespaces.c.name == other.c.name))
        if found != len(self.namespaces()):
            raise corrupt("a namespace is not found by its name")

    def in_force(self, namespace_id: int, *, until: int | None = None) -> set[str]:
        """Ids of the edits in force after event `until` (after the last one when None)."""
        return {edit_id for edit_id, active in states(self.connection, namespace_id, until=until).items() if active}

    def states_since(self, namespace_id: int, seq: int, *, until: int | None = None) -> dict[str, bool]:
        """For each edit that events after `seq` touched, whether it is in force after event `until` (or the last)."""
        return states(self.connection, namespace_id, seq, until)

    def replaced_since(self, namespace_id: int, seq: int) -> dict[str, list[str]]:
        """Of the edits that took others' place after event `seq`, by id, the ids of those others, oldest first."""
        query = select(events.c.edit_id, events.c.data).where(
            events.c.namespace_id == namespace_id, events.c.seq > seq, events.c.kind == "superseded"
        )
        found: dict[str, list[str]] = {}
        for row in self.connection.execute(query.order_by(events.c.seq)):
            found.setdefault(str(read_data(row.data).get("by")), []).append(row.edit_id)
        return found

    def waiting(self, namespace_id: int, *, until: int | None = None) -> list[str]:
        """Ids of the edits that wait for approval after event `until` (after the last one when None), oldest first."""
        return waiting(self.connection, namespace_id, until)

    def marked_since(self, namespace_id: int, seq: int) -> bool:
        """Whether events after `seq` did something with edits in force but take them out."""
        mine = events.c.namespace_id == namespace_id, events.c.seq > seq
        query = select(events.c.seq).where(*mine, events.c.active.is_(None), events.c.kind != "proposed")
        return self.connection.execute(query.limit(1)).first() is not None

    def rows(self, namespace_id: int, ids: Iterable[str] | None = None) -> Iterator[Row]:
        """The rows of these edits, in force or not; of all when None."""
        query = select(*ROW).where(edits.c.namespace_id == namespace_id)
        yield from (read_row(*row) for row in self._in_batches(query, edits.c.id, ids))

    def edits(self, namespace_id: int, ids: Iterable[str] | None = None) -> dict[str, AnyEdit]:
        """The edits of these ids that exist, in force or not; all of them when None."""
        query = select(*BODY).where(edits.c.namespace_id == namespace_id)
        return {row.id: read_edit(*row) for row in self._in_batches(query, edits.c.id, ids)}

    def in_force_of_subjects(self, namespace_id: int, keys: Iterable[str]) -> Iterator[Row]:
        """Rows of the Facts in force with one of these subjects."""
        return self._rows_in_force(namespace_id, edits.c.subject_key, keys)

    def in_force_of_content(self, namespace_id: int, hashes: Iterable[str]) -> Iterator[Row]:
        """Rows of the edits in force that say the same as one with this content hash."""
        return self._rows_in_force(namespace_id, edits.c.content_hash, hashes)

    def _rows_in_force(self, namespace_id: int, column: ColumnElement[str], values: Iterable[str]) -> Iterator[Row]:
        query = select(*ROW).where(edits.c.namespace_id == namespace_id, LAST_STATE == 1)
        yield from (read_row(*row) for row in self._in_batches(query, column, values))

    def ids(self, namespace_id: int, *, beginning: str) -> list[str]:
        """The ids, in force or not, that begin so."""
        query = select(edits.c.id).where(
            edits.c.namespace_id == namespace_id, func.substr(edits.c.id, 1, len(beginning)) == beginning
        )
        return list(self.connection.scalars(query))

    def purged(self, namespace_id: int, *, beginning: str) -> list[str]:
        """The ids of purged edits that begin so."""
        begins = func.substr(events.c.edit_id, 1, len(beginning)) == beginning
        mine = events.c.namespace_id == namespace_id, events.c.kind == "purged", begins
        return list(self.connection.scalars(select(events.c.edit_id).where(*mine).distinct()))

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
        return changes(self.connection, head, namespace, edit_id)

    def undoable(self, namespace_id: int) -> int | None:
        """The last change set that is no undo and no proposal, was not taken back, and of which a purge left something.

        Proposals are no such change, so that nobody's undo is spent by those who may only propose.
        """
        mine = change_sets.c.namespace_id == namespace_id
        undone = select(change_sets.c.target).where(mine, change_sets.c.kind == "undo")
        holding = select(events.c.revision).where(events.c.namespace_id == namespace_id)
        query = select(func.max(change_sets.c.revision)).where(
            mine,
            change_sets.c.kind.not_in(NOT_UNDONE),
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
        """The stored vectors of these texts, shape (dimension,) each; without what is not as it was written."""
        query = select(vectors.c.text_hash, vectors.c.vector, vectors.c.checksum).where(vectors.c.embedder == embedder)
        rows = self._in_batches(query, vectors.c.text_hash, hashes)
        return {
            row.text_hash: read_vector(row.text_hash, row.vector)
            for row in rows
            if row.checksum is None or row.checksum == of_bytes(row.vector)
        }

    def dimension(self, embedder: str) -> int | None:
        """Of the stored vectors of this embedder; None when there are none."""
        query = select(func.length(vectors.c.vector)).where(vectors.c.embedder == embedder).limit(1)
        size = self.connection.scalar(query)
        return size // 4 or None if size else None

    def flipped_vectors(self) -> int:
        """How many vectors are not as they were written."""
        rows = self.connection.execute(select(vectors.c.vector, vectors.c.checksum).execution_options(yield_per=BATCH))
        return sum(row.checksum is not None and row.checksum != of_bytes(row.vector) for row in rows)

    def check(self) -> list[str]:
        """What the database finds wrong with its file."""
        return self._storage.faults(self.connection)

    def _in_batches(self, query: Select[Any], column: Any, values: Iterable[str] | None) -> Iterator[Any]:
        if values is None:
            yield from self.connection.execute(query)
        else:
            for batch in batches(values):
                yield from self.connection.execute(query.where(column.in_(batch)))


BODY = tuple(edits.c[name] for name in ("id", "kind", "body", "checksum"))
ROW = (*(edits.c[name] for name in Row.__slots__), edits.c.row_checksum)
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
