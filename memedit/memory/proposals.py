"""Edits that wait for approval: proposed by whom it is not for to change a memory, accepted or rejected by whom it is.

What an agent, a tool or a document says is of low trust: a text that it was shown may want to be remembered (memory
poisoning, ASI06 of the OWASP Top 10 for Agentic Applications). A proposed edit is an event of the ledger as any other,
so that history, backups and purges know of it; no look-up does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from memedit.edits import AnyEdit, EditLike
from memedit.errors import EditRejected
from memedit.memory import changing
from memedit.memory.adding import made_by, settled
from memedit.memory.book import Book
from memedit.memory.care import DEFAULT
from memedit.memory.checks import checked_ids, checked_namespace, not_waiting
from memedit.memory.conflicts import OnConflict, Receipt, check_on_conflict
from memedit.memory.events import Change, accepted, proposed, superseded
from memedit.memory.rows import Row, is_gone
from memedit.memory.writing import Writes

MOST = 1_000
"""Edits of a namespace that may wait at a time, so that nobody buries what is to be reviewed."""


class Proposing(Book):
    """Records edits as proposed: what they would replace stays in force."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reader, namespace_id = args[:2]
        ids = reader.waiting(namespace_id)
        self._waits = {row.content_hash: row.id for row in reader.rows(namespace_id, ids)}
        self._stored |= reader.edits(namespace_id, ids)
        self._room = MOST - len(ids)

    def enter(self, row: Row, edit: AnyEdit, on_conflict: OnConflict, revision: int) -> Receipt:
        known = self._stored.get(self._known.get(row.content_hash, ""))
        if known is not None and known.expires_at == edit.expires_at:
            return Receipt(known, revision, "known")
        replaced, possible = self._judged(row, edit, "supersede")
        conflicts = tuple(dict.fromkeys(replaced + possible))
        waits = self._stored.get(self._waits.get(row.content_hash, ""))
        if waits is not None and waits.expires_at == edit.expires_at:
            return Receipt(waits, revision, "proposed", (), conflicts)
        if self._room <= 0:
            raise EditRejected(
                f"{MOST:,} edits of this namespace wait for approval already.", do="review them first: `memedit review`"
            )
        stored = self._own(row, edit)
        if stored is None:
            stored = self._stored[row.id] = edit
            self.fresh.append((row, edit.model_dump_json(exclude_defaults=True)))
        self.events.append(proposed(row.id))
        self._waits[row.content_hash] = row.id
        self._room -= 1
        return Receipt(stored, revision, "proposed", (), conflicts)


class Accepting(Book):
    """Puts edits in force that wait for approval, as if they were added now."""

    enters = staticmethod(accepted)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reader, namespace_id, rows = args[:3]
        waits = set(reader.waiting(namespace_id))  # somebody else may have decided meanwhile
        if missing := [row.id for row in rows if row.id not in waits]:
            raise not_waiting(missing, self._stored[missing[0]].namespace or DEFAULT)

    def enter(self, row: Row, edit: AnyEdit, on_conflict: OnConflict, revision: int) -> Receipt:
        receipt = super().enter(row, edit, on_conflict, revision)
        if receipt.status == "known":  # so it waits no longer
            self.events.append(superseded(row.id, by=receipt.id))
        return receipt


class Proposals(Writes):
    """The verbs of an EditMemory about edits that wait for approval."""

    def propose(
        self,
        edits: EditLike | Sequence[EditLike],
        *,
        namespace: str = DEFAULT,
        author: str | None = None,
        source: str | None = None,
        reason: str | None = None,
        tags: Sequence[str] = (),
        expires_at: datetime | str | None = None,
    ) -> list[Receipt]:
        """Record edits that wait for approval, as one change set. Until they are accepted they change no answer.

        One that says what is in force is `known`; one that says what waits already waits once. `possible_conflicts` are
        the edits in force that it would replace or may contradict. `undo` goes past proposals: they are rejected.

        Args:
            edits: One, or several: edits or plain texts.
            author, source, reason: Set on each edit where it leaves them out, and recorded with the change.
            tags: Labels of each that leaves them out.
            expires_at: When the memory drops it, waiting or in force, of each that leaves that out.

        Raises:
            EditRejected: One of them is not valid, or 1,000 wait already; nothing is recorded.
        """
        given: Sequence[Any] = edits if isinstance(edits, list | tuple) else [edits]
        change = self._change("propose", namespace, author, reason)
        made = made_by(change, source, tags, expires_at)
        adding = self._adding(change, "keep", book=Proposing)
        return list(adding.run(settled(given, change.namespace, made), max(len(given), 1)))

    def proposed(self, *, namespace: str = DEFAULT) -> list[AnyEdit]:
        """The edits that wait for approval, oldest first."""
        where = checked_namespace(namespace)
        with self._ledger.reading() as reader:
            head = reader.head(where)
            ids = reader.waiting(head.namespace_id)
            known = reader.edits(head.namespace_id, ids)
        if lost := [edit_id for edit_id in ids if edit_id not in known]:
            raise is_gone(lost[0])
        return [known[edit_id] for edit_id in ids]

    def accept(
        self, ids: str | Iterable[str], *, namespace: str = DEFAULT, on_conflict: OnConflict = "supersede",
        author: str | None = None, reason: str | None = None,
    ) -> list[Receipt]:  # fmt: skip
        """Put edits in force that wait for approval, all or none, as one change set, as if they were added now.

        `undo` lets them wait again.

        Args:
            ids: Of the edits.
            author: Who accepts; who proposed stands in the edit.

        Raises:
            UnknownEdit: One of them does not wait; nothing is changed.
            EditConflict: As in `add`.
        """
        check_on_conflict(on_conflict)
        change = self._change("accept", namespace, author, reason)
        adding = self._adding(change, on_conflict, book=Accepting)
        chosen = self._waiting(ids, change.namespace)
        return list(adding.run(settled(chosen, change.namespace, {}), max(len(chosen), 1)))

    def foresee(self, ids: str | Iterable[str], *, namespace: str = DEFAULT) -> list[Receipt]:
        """The receipts that accepting these edits would give now, each by itself; nothing is changed.

        Raises:
            UnknownEdit: One of them does not wait.
        """
        change = Change(checked_namespace(namespace), 0, "accept", self.clock())
        adding = self._adding(change, "supersede", book=Accepting)
        return [adding.foresee(edit) for edit in self._waiting(ids, change.namespace)]

    def reject(
        self, ids: str | Iterable[str], *, namespace: str = DEFAULT, author: str | None = None,
        reason: str | None = None,
    ) -> Change:  # fmt: skip
        """Let edits that wait for approval wait no longer. They stay in the history; `undo` lets them wait again.

        Raises:
            UnknownEdit: One of them does not wait; nothing is changed.
        """
        return changing.reject(self._ledger, self._change("reject", namespace, author, reason), checked_ids(ids))

    def _waiting(self, ids: str | Iterable[str], where: str) -> list[AnyEdit]:
        wanted = checked_ids(ids)
        waits = {edit.id: edit for edit in self.proposed(namespace=where)}
        if missing := [edit_id for edit_id in wanted if edit_id not in waits]:
            raise not_waiting(missing, where)
        return [waits[edit_id] for edit_id in wanted]
