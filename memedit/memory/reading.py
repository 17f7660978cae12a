"""The verbs of an EditMemory that read: edits by id, by nearness, by kind, and the past."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np

from memedit.edits import KINDS, SCOPED, AnyEdit
from memedit.embedders import Embedder, Vectors
from memedit.memory.care import DEFAULT, Care
from memedit.memory.checks import checked_ids, checked_namespace, several, unknown
from memedit.memory.events import Change
from memedit.memory.recall import Candidate, Recalled, candidates, expired
from memedit.memory.snapshot import Snapshot, read_snapshot
from memedit.memory.view import View
from memedit.plumbing.threads import together
from memedit.text import storable, words


class Reads(Care):
    """What is in force, what is near a text, and what was."""

    @property
    def embedder(self) -> Embedder:
        """The embedder, loaded now if it was not.

        Raises:
            EmbedderError: None is given and the default is not installed; the message names the choices.
        """
        return self._encoders.embedder

    def get(self, edit_id: str, *, namespace: str = DEFAULT) -> AnyEdit:
        """The edit in force of this id, or of an id that begins so.

        Raises:
            UnknownEdit: There is none, or more than one.
        """
        where, (edit_id,) = checked_namespace(namespace), checked_ids([edit_id])
        with self._ledger.reading() as reader:
            head = reader.head(where)
            ids = reader.ids(head.namespace_id, beginning=edit_id) if edit_id else []
            known = reader.edits(head.namespace_id, reader.active_among(head.namespace_id, ids))
            found = {edit.id: edit for edit in known.values() if not expired(edit, self.clock())}
            if not found:
                former = ids or reader.purged(head.namespace_id, beginning=edit_id)
                raise unknown(reader, where, former if edit_id and len(former) == 1 else [edit_id])
        if edit_id in found:
            return found[edit_id]
        if len(found) > 1:
            raise several(edit_id, list(found), where)
        return next(iter(found.values()))

    def recorded(self, ids: Iterable[str], *, namespace: str = DEFAULT) -> dict[str, AnyEdit]:
        """The edits of these ids that were ever added, in force or not: for reading the history."""
        where = checked_namespace(namespace)
        with self._ledger.reading() as reader:
            return reader.edits(reader.head(where).namespace_id, map(storable, ids))

    def edits(self, *, namespace: str = DEFAULT, kind: str | None = None, tag: str | None = None) -> list[AnyEdit]:
        """All edits in force, oldest first."""
        return self.as_of(None, namespace=namespace).edits(kind=kind, tag=tag)

    def search(self, query: str, *, k: int = 10, namespace: str = DEFAULT, kind: str | None = None) -> list[Candidate]:
        """The `k` edits nearest to a text, for people to look at; whether they are in scope is the gate's question."""
        recalled = self.recall(query, k=k, namespace=namespace, kinds=[kind] if kind else list(KINDS))
        return list(recalled.candidates[:k])

    def recall(
        self,
        query: str,
        *,
        k: int = 16,
        namespace: str = DEFAULT,
        kinds: Sequence[str] = SCOPED,
        whole: str = "",
    ) -> Recalled:
        """The edits that may be in scope of a query: the `k` nearest, and those whose subject it names.

        It sees every edit that any process has committed when it is called, and none that is undone or expired.
        An empty namespace costs one look at the ledger and needs no embedder.

        Args:
            query: What is asked.
            k: How many are proposed for each text.
            namespace: Whose edits.
            kinds: Of edit.
            whole: The conversation it is of, which is looked up too, and which the gate reads; empty where it is none.
        """
        where = checked_namespace(namespace)
        if not query.strip() or self._views.is_empty(where):
            return Recalled(query, self._ledger.head(where).revision)
        vectors, across = self._embedded(query, whole)
        named = words(f"{query}\n{whole}")

        def propose(view: View) -> Recalled:
            standing = self._encoders.standing if whole else None
            found = candidates(
                self._views, view, vectors, named, kinds=kinds, k=max(k, 0), now=self.clock(), standing=standing,
                across=across,
            )  # fmt: skip
            index = "+".join(sorted({index.name for index in view.indexes.values()}))
            return Recalled(query, view.head.revision, found, index, vectors[0], self.embedder, whole)

        # The view is made current after embedding, which takes its time: nothing undone meanwhile is used.
        return self._views.read(where, propose)

    def of_kind(self, kind: str, *, namespace: str = DEFAULT, nameless: bool = False) -> list[AnyEdit]:
        """All edits of a kind that are in force, as of now; costs nothing where there are none.

        nameless: Whether only those that are about nothing by name.
        """
        where = checked_namespace(namespace)

        def read(view: View) -> list[AnyEdit]:
            of_kind = (row for row in view.rows.values() if row.kind == kind) if view.counts[kind] else ()
            ids = [row.id for row in of_kind if not (nameless and row.names_text)]
            known = self._views.edits(view.head.namespace_id, ids)
            return [edit for edit in map(known.get, ids) if edit is not None and not expired(edit, self.clock())]

        return [] if self._views.is_empty(where) else self._views.read(where, read)

    def prepare(self, queries: Sequence[str], wholes: Sequence[str] = (), *, namespace: str = DEFAULT) -> None:
        """Embed the texts of several look-ups in one pass before they are recalled one by one."""
        if len(queries) > 1 and not self._views.is_empty(checked_namespace(namespace)):
            self._vectors.of_queries([query for query in queries if query.strip()] or ["?"])
            said = [whole for whole in wholes if whole] or ["?"]
            self._vectors.of_messages(said)
            if self._languages:
                self._languages.of_messages(said)

    def history(self, edit_id: str | None = None, *, namespace: str = DEFAULT) -> list[Change]:
        """The change sets of a namespace, oldest first; with an id, only those that touched this edit."""
        where = checked_namespace(namespace)
        with self._ledger.reading() as reader:
            return reader.changes(reader.head(where), where, edit_id=None if edit_id is None else storable(edit_id))

    def revision(self, *, namespace: str = DEFAULT) -> int:
        """The number of the namespace's last change set; 0 when it has none."""
        return self._ledger.head(checked_namespace(namespace)).revision

    def undoable(self, *, namespace: str = DEFAULT) -> int | None:
        """The revision of the change set that `undo` would take back; None where there is none."""
        where = checked_namespace(namespace)
        with self._ledger.reading() as reader:
            return reader.undoable(reader.head(where).namespace_id)

    def as_of(self, when: int | datetime | None, *, namespace: str = DEFAULT) -> Snapshot:
        """The namespace as the memory knew it at a revision, or at a (memory) time. None for now.

        Raises:
            UnknownRevision: The namespace never had this revision.
        """
        where = checked_namespace(namespace)
        return read_snapshot(self._ledger, self._vectors, where, when, now=self.clock())

    # ---- how it is done -------------------------------------------------------------------------------------------

    def _embedded(self, query: str, whole: str) -> tuple[Vectors, Vectors | None]:
        """The vectors of a query and of its conversation (texts, dimension), and of the latter across languages.

        What several encoders make is made at the same time: they compute outside of Python's lock.
        """
        if not whole:
            return self._vectors.of_queries([query]), None
        first, across = self._vectors, self._languages
        if first.finds_by_itself and across is None:
            vectors = first.of_queries([query, whole])
            return (vectors[:1] if query == whole else vectors), None
        further = [] if across is None else [lambda: across.of_messages([whole])]
        asked, said, *second = together(
            lambda: first.of_queries([query]), lambda: first.of_messages([whole]), *further
        )  # fmt: skip
        return np.concatenate((asked, said)), second[0][0] if second else None
