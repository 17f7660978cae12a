"""What looks after a memory for years: purging, retention, checking, and building its index again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from memedit.errors import EditRejected
from memedit.memory.backups import Backup, backup, restore
from memedit.memory.checks import checked_ids, checked_namespace, checked_note
from memedit.memory.encoders import Encoders
from memedit.memory.events import Change, ChangeKind
from memedit.memory.ledger import Ledger
from memedit.memory.purging import (
    Choose,
    Purge,
    all_of_it,
    of_ids,
    of_subject,
    out_of_force_before,
    purge,
    that_mention,
    throw_away_baked,
)
from memedit.memory.rows import as_utc
from memedit.memory.vectors import TextVectors
from memedit.memory.views import Views
from memedit.memory.whole import faults
from memedit.plumbing.aio import Shared
from memedit.text import as_html

DEFAULT = "default"
DAY = timedelta(days=1)
NAMESPACES = 20  # that a notebook shows


class Care(Shared):
    """The part of an `EditMemory` that is about the whole of it, and not about what is in force."""

    path: Path | None
    clock: Callable[[], datetime]
    _ledger: Ledger
    _views: Views
    _vectors: TextVectors
    _across: TextVectors | None
    _encoders: Encoders
    _query_cache: int
    _keeps: timedelta | None
    _kept_at: datetime | None = None

    def purge(
        self, ids: str | Sequence[str] | None = None, *, subject: str | None = None, mention: str | None = None,
        before: datetime | None = None, namespace: str | None = None, dry_run: bool = False, author: str | None = None,
        reason: str | None = None,
    ) -> Purge:  # fmt: skip
        """Take edits out of the memory for good, in force or not: what they say, their vectors, their history, the
        reasons that tell of them, and the changes of weights that hold them. `undo` does not bring them back.

        What is left of an edit is its id, and the change that says when it was purged, by whom and why. Every process
        that has the memory open sees it at once. What was exported, backed up or saved elsewhere is out of reach.

        Args:
            ids: These edits.
            subject: Or all that are about it, under any of its names.
            mention: Or all that say this name, word for word, in any of their texts; also those that are about it.
            before: Or what was out of force by this (memory) time, and is so still.
            namespace: Whose edits; without any of the four, all of them. The default one when left out.
            dry_run: Whether it is only told what would be done.
            author, reason: Recorded with the change.

        Raises:
            UnknownEdit: One of `ids` was never recorded; nothing is changed.
            EditRejected: Nothing is named, or more than one of `ids`, `subject`, `mention` and `before`.
            LedgerBusy: Others read for so long that the old bytes could not be overwritten. Purge the same once more.
        """
        given = [one for one in (ids, subject, mention, before) if one is not None]
        if len(given) > 1 or (not given and namespace is None):
            raise EditRejected(
                "It is not said what to purge." if not given else "More than one is said of what to purge.",
                do="give one of ids, subject, mention and before; or a namespace alone, for all of its edits",
            )
        choose: Choose = all_of_it
        if ids is not None:
            choose = of_ids(checked_ids(ids))
        elif subject is not None:
            choose = of_subject(subject)
        elif mention is not None:
            choose = that_mention(mention)
        elif before is not None:
            choose = out_of_force_before(as_utc(before))
        change = self._change("purge", DEFAULT if namespace is None else namespace, author, reason)
        with self._ledger.writing() as writer:
            made = purge(writer, change, choose, naming=subject or mention, dry_run=dry_run)
        if not dry_run:
            self._let_go(made)
            self._ledger.storage.scrub()
        return made

    def backup(self, file: str | Path, *, overwrite: bool = False) -> Backup:
        """Write the whole memory, as it is at one moment and with its history, to one file, while others write on.

        The file holds what Erasures keep, in plain text. `restore` takes it into a folder, or into PostgreSQL.

        Raises:
            FileRejected: There is a file already, or it cannot be written.
            LedgerCorrupt: The ledger is damaged.
        """
        target = Path(file).expanduser()
        return backup(self._ledger, self.path, target, self.clock(), overwrite=overwrite)

    def restore(self, file: str | Path, *, overwrite: bool = False, dry_run: bool = False) -> Backup:
        """Make the memory hold what a backup holds, all or nothing. Every process that has it open sees that at once.

        Args:
            overwrite: Whether what the memory holds may be lost, with its history.
            dry_run: Whether the backup is only checked.

        Raises:
            FileRejected: The file is no backup, or is damaged; nothing is changed.
            LedgerError: The memory holds edits, and `overwrite` is not set.
        """
        made = restore(self._ledger, self.path, Path(file).expanduser(), overwrite=overwrite, dry_run=dry_run)
        if made.done:
            self._views.anew()
            self._forget_vectors()
        return made

    def rebuild_index(self, *, namespace: str = DEFAULT, embed: bool = False) -> int:
        """Build the namespace's index again from the ledger. Gives how many edits it holds.

        Args:
            embed: Also make all vectors of this embedder anew, instead of taking those in the ledger.
        """
        where = checked_namespace(namespace)
        if embed:
            for vectors in filter(None, (self._vectors, self._languages)):
                with self._ledger.writing() as writer:
                    writer.forget_vectors(vectors.embedder.id)
                vectors.forget()
            self._views.drop()  # the other namespaces take the new vectors when they are next used
        return len(self._views.rebuilt(where).rows)

    def check(self, *, namespace: str | None = None, deep: bool = False) -> list[str]:
        """What is wrong with ledger and index, in words; empty when both are whole and agree.

        It reads every edit and change ever made in the namespaces looked at (all when None).

        deep: Whether every vector is read, too.
        """
        names = None if namespace is None else [checked_namespace(namespace)]
        return faults(self._ledger, self._views, names, deep=deep)

    def namespaces(self) -> list[str]:
        """The names of all namespaces that ever held an edit."""
        with self._ledger.reading() as reader:
            return reader.namespaces()

    def _repr_html_(self) -> str:
        """What a notebook shows: each namespace, and how many edits are in force and wait for approval."""
        with self._ledger.reading() as reader:
            rows = []
            for name in reader.namespaces()[:NAMESPACES]:
                head = reader.head(name)
                counts = len(reader.in_force(head.namespace_id)), len(reader.waiting(head.namespace_id))
                rows.append((name, *map(str, (*counts, head.revision))))
        head_row = ("namespace", "in force", "waiting", "revision")
        return as_html(f"edit memory in {self._ledger.storage.shown}", head=head_row, rows=rows)

    # ---- how it is done -------------------------------------------------------------------------------------------

    @property
    def _languages(self) -> TextVectors | None:
        """The vectors of the encoder of many languages; None where there is none."""
        encoder = self._encoders.languages
        if encoder is not None and self._across is None:
            self._across = TextVectors(self._ledger, lambda: encoder, lambda: encoder, self._query_cache)
        return self._across

    def _change(self, kind: ChangeKind, namespace: str, author: str | None, reason: str | None) -> Change:
        """A change set that is about to be made now."""
        self._keep_history()
        author, reason = checked_note(author, reason)
        return Change(checked_namespace(namespace), 0, kind, self.clock(), author, reason)

    def _keep_history(self) -> None:
        """Purge what has been out of force for too long: when the memory is opened, and once a day where it changes."""
        now = self.clock()
        if self._keeps is None or (self._kept_at is not None and now - self._kept_at < DAY):
            return
        self._kept_at = now
        choose, gone = out_of_force_before(now - self._keeps), False
        for where in self.namespaces():
            change = Change(where, 0, "purge", now, "memedit", f"history is kept for {self._keeps}")
            with self._ledger.writing() as writer:
                made = purge(writer, change, choose, naming=None, dry_run=False)
            if made.ids:
                self._let_go(made)
                gone = True
        if gone:
            self._ledger.storage.scrub()

    def _let_go(self, made: Purge) -> None:
        """Let go of what is kept of purged edits beside the ledger."""
        with self._ledger.reading() as reader:
            namespace_id, embedders = reader.head(made.namespace).namespace_id, reader.embedders()
        self._views.purge(made.namespace, namespace_id, made.ids, embedders)
        self._forget_vectors()
        throw_away_baked(self.path, made.baked)

    def _forget_vectors(self) -> None:
        for vectors in filter(None, (self._vectors, self._across)):
            vectors.forget()
