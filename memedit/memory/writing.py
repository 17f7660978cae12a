"""The verbs of an EditMemory that change what is in force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal

from memedit.edits import EditLike
from memedit.memory import changing
from memedit.memory.adding import Adding, made_by, settled
from memedit.memory.book import Book
from memedit.memory.care import DEFAULT, Care
from memedit.memory.checks import checked_ids
from memedit.memory.conflicts import OnConflict, Receipt, check_on_conflict
from memedit.memory.events import Change, Event
from memedit.text.relations import Relations

CHUNK = 512  # edits committed together by `add_many`


class Writes(Care):
    """What is put in force, taken out of it, and taken back."""

    relations: Relations

    def add(
        self,
        edit: EditLike,
        *,
        namespace: str = DEFAULT,
        on_conflict: OnConflict = "supersede",
        author: str | None = None,
        source: str | None = None,
        reason: str | None = None,
        tags: Sequence[str] = (),
        expires_at: datetime | str | None = None,
        replaces: str | Sequence[str] = (),
    ) -> Receipt:
        """Put an edit in force.

        A Fact supersedes an older one with the same subject and relation where the relation has one value at a time; so
        does a statement that surely takes the place of an older, short one, in whatever words. Otherwise nothing is
        removed, and the receipt lists `possible_conflicts`.

        A plain text that says how every message is to be answered (“Never use emojis with me.”) becomes a Behaviour
        that governs every answer; any other is a Fact. `Fact("…")` is one whatever it says.

        Args:
            edit: An edit, or a plain text.
            on_conflict: `supersede` does the above; `keep` leaves both in force; `error` refuses the edit.
            author, source, reason: Set on the edit where it leaves them out, and recorded with the change.
            tags: Its labels, where it leaves them out.
            expires_at: When the memory drops it, where it leaves that out.
            replaces: Ids of edits in force whose place it takes, whatever it says, besides what it would replace by
                itself: for what nothing recognises.

        Raises:
            EditRejected: It is not a valid edit, or its id names another edit.
            EditConflict: It contradicts edits in force, and `on_conflict` is `error`.
            UnknownEdit: What it replaces is not in force; nothing is changed.
        """
        check_on_conflict(on_conflict)
        change = self._change("add", namespace, author, reason)
        given = settled([edit], change.namespace, made_by(change, source, tags, expires_at))
        (receipt,) = self._adding(change, on_conflict, replacing=checked_ids(replaces)).run(given, 1)
        return receipt

    def add_many(
        self,
        edits: Iterable[EditLike],
        *,
        namespace: str = DEFAULT,
        on_conflict: OnConflict = "supersede",
        author: str | None = None,
        source: str | None = None,
        reason: str | None = None,
        tags: Sequence[str] = (),
        expires_at: datetime | str | None = None,
        chunk: int = CHUNK,
    ) -> Iterator[Receipt]:
        """Put edits in force, in chunks, yielding receipts as it goes: iterate over it, or nothing happens.

        A yielded receipt is durable. The call is one change set, and so one `undo`; only where another writer changes
        the namespace between two chunks does the rest become a change set of its own, so that undo stays in order.

        Args:
            edits: Any iterable, read lazily.
            chunk: How many are embedded and committed together. Embedding runs ahead of committing by one chunk.

        Raises:
            EditRejected: One of them is not valid. Edits whose receipts were yielded stay in force.
            EditConflict: As in `add`.
            ValueError: `chunk` is less than 1, or `on_conflict` is none of the three.
        """
        check_on_conflict(on_conflict)
        if chunk < 1:
            raise ValueError(f"chunk is at least 1, not {chunk}")
        change = self._change("add", namespace, author, reason)
        made = made_by(change, source, tags, expires_at)
        return self._adding(change, on_conflict).run(settled(edits, change.namespace, made), chunk)

    def apply(
        self, edits: Sequence[EditLike], *, retract: Sequence[str] = (), namespace: str = DEFAULT,
        on_conflict: OnConflict = "supersede", author: str | None = None, reason: str | None = None,
    ) -> list[Receipt]:  # fmt: skip
        """Retract some edits and add others, all or nothing, as one change set.

        Raises:
            UnknownEdit: One of `retract` is not in force; nothing is changed.
            EditRejected: One of the edits is not valid; nothing is changed.
        """
        check_on_conflict(on_conflict)
        change = self._change("apply", namespace, author, reason)
        if not edits:
            changing.retract(self._ledger, change, checked_ids(retract))
            return []
        adding = self._adding(change, on_conflict, retracting=checked_ids(retract))
        return list(adding.run(settled(edits, change.namespace, {}), len(edits)))

    def retract(
        self, ids: str | Sequence[str], *, namespace: str = DEFAULT, author: str | None = None,
        reason: str | None = None,
    ) -> Change:  # fmt: skip
        """Take edits out of force. What a retracted edit had superseded stays superseded (`undo` brings it back).

        Raises:
            UnknownEdit: One of them is not in force; nothing is changed.
        """
        change = self._change("retract", namespace, author, reason)
        return changing.retract(self._ledger, change, checked_ids(ids))

    def record(
        self, kind: Literal["bake", "unbake", "fallback"], events: Sequence[Event], *, namespace: str = DEFAULT,
        author: str | None = None, reason: str | None = None,
    ) -> Change:  # fmt: skip
        """Record what was done with edits in force that stay in force, as one change set, which `undo` takes back.

        Raises:
            UnknownEdit: One of them is not in force; nothing is recorded.
        """
        return changing.record(self._ledger, self._change(kind, namespace, author, reason), events)

    def undo(
        self, *, namespace: str = DEFAULT, author: str | None = None, reason: str | None = None,
        revision: int | None = None,
    ) -> Change:  # fmt: skip
        """Take back the namespace's last change set; once more, the one before it.

        Args:
            revision: Of the change set that is meant, as `undoable` gave it: somebody else may change something
                meanwhile. Left out, whatever is last.

        Raises:
            NothingToUndo: There is none left.
            RevisionMoved: Another change set than what is meant is last; nothing is changed.
        """
        return changing.undo(self._ledger, self._change("undo", namespace, author, reason), revision=revision)

    def revert(
        self, *, to: int, namespace: str = DEFAULT, author: str | None = None, reason: str | None = None
    ) -> Change:
        """Put the namespace into the state it had at a revision. This is a change of its own, which `undo` takes back.

        Where it has that state already, nothing is recorded.

        Raises:
            UnknownRevision: The namespace never had it.
        """
        return changing.revert(self._ledger, self._change("revert", namespace, author, reason), to=to)

    # ---- how it is done -------------------------------------------------------------------------------------------

    def _adding(
        self, change: Change, on_conflict: OnConflict, *, retracting: Sequence[str] = (),
        replacing: Sequence[str] = (), book: type[Book] = Book,
    ) -> Adding:  # fmt: skip
        parts = self._ledger, self._views, self._vectors, lambda: self._languages, self.relations, self._encoders
        return Adding(*parts, change, on_conflict, retracting, replacing, book)
