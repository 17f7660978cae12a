"""Bringing the indexes of a view up to the ledger: which text of an edit is kept there, and by whose vectors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from memedit.edits import AnyEdit
from memedit.embedders.port import Vectors
from memedit.index import Index, IndexChoice
from memedit.memory.ledger import Ledger
from memedit.memory.ledger_reading import Reader
from memedit.memory.rows import Head, Row
from memedit.memory.vectors import TextVectors
from memedit.memory.view import View

logger = logging.getLogger(__name__)

PUT_BATCH = 2_048  # rows whose vectors are read at a time


@dataclass(frozen=True, slots=True)
class Kept:
    """What of an edit is embedded, by which hash its vector is known, and who makes it."""

    vectors: TextVectors
    hash: Callable[[Row], str]
    text: Callable[[AnyEdit], str]

    @classmethod
    def key_texts(cls, vectors: TextVectors) -> Kept:
        return cls(vectors, lambda row: row.text_hash, lambda edit: edit.key_text)

    @classmethod
    def relation_texts(cls, vectors: TextVectors) -> Kept:
        return cls(vectors, lambda row: row.relation_hash, lambda edit: edit.relation_text)

    @classmethod
    def statements(cls, vectors: TextVectors) -> Kept:
        """The whole of what edits say. Rows have no hash of that text; the hash of the content stands for it."""
        return cls(vectors, lambda row: row.content_hash, lambda edit: edit.text)

    def of(self, head: Head, rows: Collection[Row]) -> dict[str, Vectors]:
        """Vectors by hash, but for what is purged by now. The edits are read only where a vector has to be made."""
        wanted = {self.hash(row): row.id for row in rows}

        def texts(reader: Reader, lacking: list[str]) -> dict[str, str]:
            edits = reader.edits(head.namespace_id, [wanted[key] for key in lacking])
            return {key: self.text(edits[wanted[key]]) for key in lacking if wanted[key] in edits}

        return self.vectors.of(wanted, texts)


@dataclass(frozen=True, slots=True)
class Indexing:
    """One family of indexes, one a kind of edit.

    Args:
        ledger: The truth.
        choice: Which index serves a namespace of a size.
        kept: What they hold.
        kinds: Of edit.
    """

    ledger: Ledger
    choice: IndexChoice
    kept: Kept
    kinds: Collection[str]

    def update(
        self, view: View, indexes: dict[str, Index], head: Head, states: dict[str, bool], rows: list[Row], *, anew: bool
    ) -> None:
        """Apply to a view's indexes of this family what the ledger recorded since: ids to whether they are in force,
        and the rows of those that are.
        """
        for kind in self.kinds:
            index, count = indexes.get(kind), view.counts[kind]
            if index is None and not count:
                continue
            if index is None or not self.choice.fits(index, count):
                if index is not None:
                    index.close()
                index = self._made(view, head, kind, anew=anew)
                indexes[kind] = index
            elif index.shared:
                self._level(index, view.namespace, head, kind)
            else:
                index.remove([edit_id for edit_id, active in states.items() if not active])
                self._put(index, head, [row for row in rows if row.kind == kind])
                index.mark(head.seq)

    def purge(self, namespace: str, ids: Sequence[str], embedders: Iterable[str]) -> None:
        """Take the vectors of these edits out of whatever keeps an index beside the ledger."""
        keys = [(namespace, kind, embedder) for kind in self.kinds for embedder in embedders]
        with self.ledger.storage.index_turn():
            self.choice.purge(keys, ids, memory=self.ledger.identity)

    def _made(self, view: View, head: Head, kind: str, *, anew: bool) -> Index:
        index = self.choice.make(
            view.namespace, kind, view.counts[kind], embedder_id=self.kept.vectors.embedder.id,
            memory=self.ledger.identity, anew=anew,
        )  # fmt: skip
        if index.shared:
            self._level(index, view.namespace, head, kind, anew=anew)
            if index.level() == head.seq and len(index) < view.counts[kind]:
                logger.warning("index %s of namespace %r lacked edits and is rebuilt", index.name, view.namespace)
                self._level(index, view.namespace, head, kind, anew=True)
        else:
            self._fill(index, view, head, kind)
        return index

    def _level(self, index: Index, namespace: str, head: Head, kind: str, *, anew: bool = False) -> None:
        """Bring an index that processes share up to the ledger's last event, unless another has done it by now.

        What is put and removed in turn, and from where the index stands, is in the order of the events, whoever does
        it: a process that is behind cannot take out again what was restored meanwhile.
        """
        if index.level() >= head.seq and not anew:
            return
        with self.ledger.storage.index_turn():
            head = self.ledger.head(namespace)
            if anew or index.level() > head.seq:  # or it belongs to a ledger that was since replaced
                index.clear()
            at = index.level()
            while at < head.seq:
                until = min(at + PUT_BATCH, head.seq)
                with self.ledger.reading() as reader:
                    states = reader.states_since(head.namespace_id, at, until=until)
                    rows = list(reader.rows(head.namespace_id, [one for one, active in states.items() if active]))
                index.remove([one for one, active in states.items() if not active])
                self._put(index, head, [row for row in rows if row.kind == kind])
                index.mark(until)
                at = until
            index.settle()

    def _fill(self, index: Index, view: View, head: Head, kind: str) -> None:
        """Bring a new index, or one that outlived its process, up to the view."""
        if index.seq > head.seq:  # it belongs to a ledger that was since replaced
            index.clear()
        if index.seq:
            with self.ledger.reading() as reader:
                states = reader.states_since(head.namespace_id, index.seq)
            index.remove([edit_id for edit_id, active in states.items() if not active])
            rows = [view.rows[edit_id] for edit_id in states if edit_id in view.rows]
        else:
            rows = list(view.rows.values())
        self._put(index, head, [row for row in rows if row.kind == kind])
        if len(index) < view.counts[kind]:
            logger.warning("index %s of namespace %r lacked edits and is rebuilt", index.name, view.namespace)
            index.clear()
            self._put(index, head, [row for row in view.rows.values() if row.kind == kind])
        index.mark(head.seq)

    def _put(self, index: Index, head: Head, rows: list[Row]) -> None:
        for start in range(0, len(rows), PUT_BATCH):
            batch = rows[start : start + PUT_BATCH]
            known = self.kept.of(head, batch)
            if there := [row for row in batch if self.kept.hash(row) in known]:
                index.put([row.id for row in there], np.stack([known[self.kept.hash(row)] for row in there]))
