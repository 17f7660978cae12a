"""The ledger: the record of every change to the memory, and the truth. It is append-only, but for what is purged.

Everything here speaks rows and ids; what a change means is decided in `memory.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from memedit.edits import AnyEdit
from memedit.memory.checksums import EVENT, of_bytes, of_events
from memedit.memory.events import Change, Event
from memedit.memory.ledger_reading import Reader, batches
from memedit.memory.migrations import change_sets, edits, events, namespaces, vectors
from memedit.memory.rows import (
    NOWHERE,
    Head,
    Row,
    as_dict,
    checksum,
    corrupt,
    micros,
    read_edit,
    read_head,
)  # fmt: skip
from memedit.memory.storage import Storage

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
        try:
            with self.reading() as reader:
                reader.check_names()
        except BaseException:
            storage.close()
            raise

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

    @property
    def identity(self) -> str:
        """What tells this ledger from every other; another one, once a backup was restored into it."""
        found = self.storage.read("SELECT id FROM identity", ())
        if not found:
            raise corrupt("what tells it from others is gone")
        return str(found[0][0])

    def head(self, namespace: str) -> Head:
        """Where the namespace stands now, including what other processes committed."""
        found = self.storage.read("SELECT id, revision, seq FROM namespaces WHERE name = ?", (namespace,))
        return read_head(found[0]) if found else NOWHERE

    def edits(self, namespace_id: int, ids: Iterable[str]) -> dict[str, AnyEdit]:
        """As `Reader.edits`, each batch read by itself: what an edit says never changes."""
        found: dict[str, AnyEdit] = {}
        for batch in batches(ids):
            among = f"namespace_id = ? AND id IN ({', '.join('?' * len(batch))})"
            query = f"SELECT id, kind, body, checksum FROM edits WHERE {among}"
            found |= {row[0]: read_edit(*row) for row in self.storage.read(query, (namespace_id, *batch))}
        return found


class Writer(Reader):
    """Reads and appends within one transaction that holds the write lock."""

    def namespace(self, name: str) -> Head:
        """The namespace, made when it is new."""
        head = self.head(name)
        if head is NOWHERE:
            self.connection.execute(insert(namespaces).values(name=name, revision=0, seq=0, checksum=checksum([name])))
            head = self.head(name)
        return head

    def begin_change(self, head: Head, change: Change) -> Head:
        """Record a new change set (without its events) and make it the namespace's last."""
        revision = head.revision + 1
        values = {
            "revision": revision, "kind": change.kind, "at": micros(change.at), "author": change.author,
            "reason": change.reason, "target": change.target,
        }  # fmt: skip
        noted = {"namespace_id": head.namespace_id, "checksum": checksum(list(values.values()))}
        self.connection.execute(insert(change_sets).values(values | noted))
        return self._move(head, revision, head.seq)

    def append(self, head: Head, happened: Sequence[Event]) -> Head:
        """Append events to the namespace's last change set."""
        if not happened:
            return head
        rows: list[Sequence[Any]] = [
            (
                head.seq + place, event.kind, event.edit_id, None if event.active is None else int(event.active),
                json.dumps(dict(event.data)) if event.data else None,
            )
            for place, event in enumerate(happened, start=1)
        ]  # fmt: skip
        shared = {"namespace_id": head.namespace_id, "revision": head.revision}
        names = [column.name for column in EVENT]
        self.connection.execute(insert(events), [shared | dict(zip(names, row, strict=True)) for row in rows])
        one = change_sets.c.namespace_id == head.namespace_id, change_sets.c.revision == head.revision
        before = self.connection.scalar(select(change_sets.c.checksum).where(*one))
        if before is not None:
            self.connection.execute(update(change_sets).where(*one).values(checksum=of_events(rows, before)))
        return self._move(head, head.revision, head.seq + len(happened))

    def put_edits(self, namespace_id: int, rows: Sequence[tuple[Row, str]]) -> None:
        """Store new edits: their rows with their bodies (JSON)."""
        if rows:
            values = [
                {"namespace_id": namespace_id, "body": body, "checksum": checksum((row.id, row.kind, body))}
                | as_dict(row)
                | {"row_checksum": checksum(list(as_dict(row).values()))}
                for row, body in rows
            ]
            self.connection.execute(insert(edits), values)

    def put_vectors(self, embedder: str, found: Mapping[str, NDArray[np.float32]]) -> None:
        """Store vectors by the hash of their text, in the place of what is there."""
        if found:
            stored = {key: np.asarray(vector, dtype="<f4").tobytes() for key, vector in found.items()}
            values = [
                {"text_hash": key, "embedder": embedder, "vector": one, "checksum": of_bytes(one)}
                for key, one in stored.items()
            ]
            upsert = UPSERTS[self.connection.dialect.name](vectors)
            fresh = {name: upsert.excluded[name] for name in ("vector", "checksum")}
            key = [vectors.c.text_hash, vectors.c.embedder]
            self.connection.execute(upsert.on_conflict_do_update(index_elements=key, set_=fresh), values)

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
