"""Entering a chunk of edits into the ledger: what is new, what is known already, what is superseded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from memedit.edits import AnyEdit
from memedit.errors import EditRejected
from memedit.memory.conflicts import OnConflict, Receipt, Slots, judge_statement
from memedit.memory.contradictions import NOTHING, Contradicted
from memedit.memory.events import Event, added, retracted, superseded
from memedit.memory.ledger_reading import Reader
from memedit.memory.recall import expired
from memedit.memory.rows import Row, is_gone
from memedit.text.relations import Relations


class Book:
    """Decides for a chunk of edits what the ledger shall record, one after the other, each seeing the ones before it.

    `memedit.memory.proposals` has two that decide otherwise: of what is proposed, and of what is accepted.

    Args:
        reader: Reads the ledger; the caller holds the write lock.
        namespace_id: Whose edits.
        rows: Of the chunk.
        relations: Says which relations have one value at a time.
        now: An edit whose time is over by then is no rival, and none that is known.
        retracting: Ids of edits that the same change takes out of force first.
        contradicted: Which statements, in force or of the chunk, each may contradict.
        replacing: Ids of edits in force whose place the first of the chunk takes.
    """

    def __init__(
        self, reader: Reader, namespace_id: int, rows: Sequence[Row], relations: Relations, now: datetime,
        retracting: Sequence[str] = (), contradicted: Contradicted = NOTHING, replacing: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.events: list[Event] = [retracted(edit_id) for edit_id in retracting]
        self.fresh: list[tuple[Row, str]] = []
        met = {row.id: row for row in reader.in_force_of_content(namespace_id, [row.content_hash for row in rows])}
        slots = {(row.subject_key, row.relation_key) for row in rows if row.subject_key and row.relation_key}
        for rival in reader.in_force_of_subjects(namespace_id, [subject for subject, _ in slots if subject]):
            if (rival.subject_key, rival.relation_key) in slots:
                met[rival.id] = rival
        others = {other for found in contradicted.values() for other in found}
        self._stored = reader.edits(namespace_id, {*met, *others, *replacing, *(row.id for row in rows)})
        gone = set(retracting)
        active = reader.active_among(namespace_id, list(others)) - gone
        if lost := (met.keys() | active | set(replacing)) - self._stored.keys():
            raise is_gone(min(lost))
        self._rivals = {one for one in active if not expired(self._stored[one], now)}
        self._contradicted = contradicted
        self._replacing = tuple(replacing)
        live = [row for row in met.values() if row.id not in gone and not expired(self._stored[row.id], now)]
        self._known = {row.content_hash: row.id for row in live}
        self._slots = Slots(relations)
        for row in live:
            self._slots.put(row, self._stored[row.id])

    enters: Callable[[str], Event] = staticmethod(added)
    """What is recorded of an edit that is put in force."""

    def enter(self, row: Row, edit: AnyEdit, on_conflict: OnConflict, revision: int) -> Receipt:
        """The receipt of one edit, if it becomes part of change set `revision`."""
        known = self._stored.get(self._known.get(row.content_hash, ""))
        replaced, self._replacing = self._replacing, ()
        if known is not None and known.expires_at == edit.expires_at:
            replaced = tuple(one for one in replaced if one != known.id)
            self._supersede(replaced, by=known.id)
            return Receipt(known, revision, "known", replaced)
        stored = self._own(row, edit)
        self._supersede(replaced, by=row.id)
        gone, possible = self._judged(row, edit, on_conflict)
        if known is not None and known.id not in replaced + gone:  # it says the same, and only ends at another time
            gone += (known.id,)
        self._supersede(gone, by=row.id)
        if stored is None:
            stored = self._stored[row.id] = edit
            self.fresh.append((row, edit.model_dump_json(exclude_defaults=True)))
        self.events.append(self.enters(row.id))
        self._known[row.content_hash] = row.id
        self._slots.put(row, stored)
        self._rivals.add(row.id)
        return Receipt(stored, revision, "added", replaced + gone, possible)

    def _supersede(self, gone: Sequence[str], *, by: str) -> None:
        for edit_id in gone:
            self.events.append(superseded(edit_id, by=by))
            self._slots.remove(edit_id)
            self._rivals.discard(edit_id)
            self._known.pop(self._stored[edit_id].content_hash, None)

    def _own(self, row: Row, edit: AnyEdit) -> AnyEdit | None:
        """The edit as it is recorded under its id; None where it is new.

        Raises:
            EditRejected: The id names another edit.
        """
        stored = self._stored.get(row.id)
        if stored is not None and (stored.content_hash, stored.expires_at) != (row.content_hash, edit.expires_at):
            raise EditRejected(
                f"The id `{row.id}` already names another edit.", do="leave the id out, or give a new one"
            )
        return stored

    def _judged(self, row: Row, edit: AnyEdit, on_conflict: OnConflict) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Ids of what it takes the place of, and of what it may contradict."""
        gone, possible = self._slots.judge(row, edit, on_conflict)
        said = self._contradicted.get(row.id, {})
        rivals = {one: likely for one, likely in said.items() if one in self._rivals and one not in gone}
        taken, alike = judge_statement(edit, rivals, self._stored, on_conflict)
        return gone + taken, possible + alike
