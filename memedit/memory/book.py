"""Entering a chunk of edits into the ledger: what is new, what is known already, what is superseded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from memedit.edits import AnyEdit
from memedit.errors import EditRejected
from memedit.memory.conflicts import OnConflict, Receipt, Slots
from memedit.memory.events import Event, added, superseded
from memedit.memory.ledger import Head, Reader, Row, Writer
from memedit.relations import Relations


class Book:
    """Enters a chunk of edits into the ledger, one after the other, each seeing the ones before it."""

    def __init__(self, writer: Writer, head: Head, rows: Sequence[Row], relations: Relations) -> None:
        self.events: list[Event] = []
        self.fresh: list[tuple[Row, str]] = []
        self._head = head
        related = {row.id: row for row in _related(writer, head.namespace_id, rows)}
        active = writer.active_among(head.namespace_id, list(related))
        self._stored = writer.edits(head.namespace_id, active | {row.id for row in rows})
        self._by_content = {related[edit_id].content_hash: edit_id for edit_id in active}
        self._slots = Slots(relations)
        for edit_id in active:
            self._slots.put(related[edit_id], self._stored[edit_id])

    def enter(self, row: Row, edit: AnyEdit, on_conflict: OnConflict) -> Receipt:
        if known := self._by_content.get(row.content_hash):
            return Receipt(self._stored[known], self._head.revision, "known")
        stored = self._stored.get(row.id)
        if stored is not None and stored.content_hash != row.content_hash:
            raise EditRejected(
                f"The id `{row.id}` already names another edit.", do="leave the id out, or give a new one"
            )
        gone, possible = self._slots.judge(row, edit, on_conflict)
        for edit_id in gone:
            self.events.append(superseded(edit_id, by=row.id))
            self._slots.remove(edit_id)
            self._by_content.pop(self._stored[edit_id].content_hash, None)
        if stored is None:
            self.fresh.append((row, edit.model_dump_json(exclude_defaults=True)))
        self.events.append(added(row.id))
        self._stored[row.id] = edit
        self._by_content[row.content_hash] = row.id
        self._slots.put(row, edit)
        return Receipt(edit, self._head.revision, "added", gone, possible)


def _related(reader: Reader, namespace_id: int, rows: Sequence[Row]) -> Iterator[Row]:
    """Stored rows that a chunk can meet: the same id, the same content, or the same subject."""
    yield from reader.rows(namespace_id, [row.id for row in rows])
    yield from reader.rows_of_content(namespace_id, [row.content_hash for row in rows])
    yield from reader.rows_of_subjects(namespace_id, [row.subject_key for row in rows if row.subject_key])
