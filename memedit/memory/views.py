"""The bounded set of namespaces that are loaded for searching.

A view is a copy of the ledger up to one event. Before every use it is brought up to the ledger's last event, so what
another process committed is seen, and what it undid is gone.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from memedit.edits import ASKED, KINDS, AnyEdit
from memedit.embedders.port import Vectors
from memedit.errors import IndexUnreachable, IndexUnusable
from memedit.index import IndexChoice
from memedit.memory.indexing import Indexing, Kept
from memedit.memory.ledger import Ledger
from memedit.memory.rows import Head, Row, is_gone
from memedit.memory.vectors import TextVectors
from memedit.memory.view import View

T = TypeVar("T")

logger = logging.getLogger(__name__)

MAX_VIEWS = 256
MAX_VECTORS = 400_000  # over all views but the largest; 600 MB at 384 dimensions
MAX_EDITS = 20_000  # that are kept parsed, over all views
LOADED_WHOLE = 10_000  # a namespace of up to so many edits has them parsed when it is loaded, not one look-up at a time
ACROSS = ("fact",)  # kinds that are found across languages: those that the gate reads


class Views:
    """The loaded views, least recently used first out.

    Args:
        ledger: The truth.
        vectors: Gives the vectors of texts.
        languages: Gives those of the encoder of many languages; None where there is none.
        choice: Which index serves a namespace of a size.
    """

    def __init__(
        self, ledger: Ledger, vectors: TextVectors, languages: Callable[[], TextVectors | None], choice: IndexChoice
    ) -> None:
        self._ledger = ledger
        self._vectors = vectors
        self._languages = languages
        self._indexing = Indexing(ledger, choice, Kept.key_texts(vectors), KINDS)
        self._views: OrderedDict[str, View] = OrderedDict()
        self._edits: OrderedDict[tuple[int, str], AnyEdit] = OrderedDict()
        self._lock = threading.Lock()

    def current(self, namespace: str) -> View:
        """The namespace's view, holding every event that is committed now. The caller locks it while reading."""
        with self._lock:
            view = self._views.get(namespace) or self._views.setdefault(namespace, View(namespace))
            self._views.move_to_end(namespace)
        with view.lock:
            head = self._ledger.head(namespace)
            if head != view.head:
                self._catch_up_or_repair(view)
                self._evict(keep=namespace)
        return view

    def is_empty(self, namespace: str) -> bool:
        """Whether a namespace holds nothing in force. One that is loaded and holds something is taken at its word."""
        with self._lock:
            view = self._views.get(namespace)
        return not (view is not None and view.rows) and self.read(namespace, lambda view: not view.rows)

    def read(self, namespace: str, use: Callable[[View], T]) -> T:
        """What `use` makes of the current view, which is locked meanwhile; of a repaired one if its index fails."""
        while True:
            view = self.current(namespace)
            with view.lock:
                if view.dropped:  # by another thread, just now
                    continue
                try:
                    return use(view)
                except IndexUnreachable:
                    raise  # it is as it was, when its server is there again
                except IndexUnusable as error:
                    self._repair(view, error)
                    return use(view)

    def rebuilt(self, namespace: str) -> View:
        """The namespace's view, loaded and indexed anew from the ledger."""
        with self._lock:
            view = self._views.get(namespace) or self._views.setdefault(namespace, View(namespace))
        with view.lock:
            self._load(view, anew=True)
        return view

    def drop(self, namespace: str | None = None) -> None:
        """Forget a view, or all, so that the next use loads it from the ledger."""
        with self._lock:
            names = [namespace] if namespace is not None else list(self._views)
            dropped = [view for name in names if (view := self._views.pop(name, None)) is not None]
        for view in dropped:
            with view.lock:
                view.clear()
                view.dropped = True

    def loaded(self, namespace: str) -> bool:
        with self._lock:
            return namespace in self._views

    def edits(self, namespace_id: int, ids: Sequence[str]) -> dict[str, AnyEdit]:
        """The edits of these ids, from the last used ones or from the ledger; without what was purged meanwhile."""
        with self._lock:
            found = {}
            for edit_id in ids:
                if (edit := self._edits.get((namespace_id, edit_id))) is not None:
                    self._edits.move_to_end((namespace_id, edit_id))
                    found[edit_id] = edit
        if missing := [edit_id for edit_id in ids if edit_id not in found]:
            read = self._ledger.edits(namespace_id, missing)
            found |= read
            if lost := [edit_id for edit_id in missing if edit_id not in read]:
                self._check_purged(namespace_id, lost)
            with self._lock:
                for edit_id, edit in read.items():
                    self._edits[namespace_id, edit_id] = edit
                while len(self._edits) > MAX_EDITS:
                    self._edits.popitem(last=False)
        return found

    def purge(self, namespace: str, namespace_id: int, ids: Sequence[str], embedders: Iterable[str]) -> None:
        """Let go of edits that were purged, wherever something is kept of them beside the ledger."""
        self.forget(namespace_id, ids)
        self.drop()  # so that no index is open while its files are thrown away
        self._indexing.purge(namespace, ids, embedders)

    def anew(self) -> None:
        """Forget all, and what indexes keep in the folder: the ledger is another one."""
        self.drop()
        with self._lock:
            self._edits.clear()
        self._indexing.purge("", (), ())

    def forget(self, namespace_id: int, ids: Iterable[str]) -> None:
        """Keep none of these edits parsed."""
        with self._lock:
            for edit_id in ids:
                self._edits.pop((namespace_id, edit_id), None)

    def _check_purged(self, namespace_id: int, ids: Sequence[str]) -> None:
        with self._ledger.reading() as reader:
            if lost := reader.active_among(namespace_id, ids) - reader.edits(namespace_id, ids).keys():
                raise is_gone(min(lost))

    def _catch_up_or_repair(self, view: View) -> None:
        try:
            self._catch_up(view)
        except IndexUnreachable:
            raise
        except IndexUnusable as error:
            self._repair(view, error)

    def _repair(self, view: View, error: IndexUnusable) -> None:
        """Load a view again whose index failed: first with what the index left behind, then without it."""
        logger.warning("repairing the index of namespace %r: %s", view.namespace, error.what)
        try:
            self._load(view)  # enough when another process made the index anew
            for index in view.indexes.values():
                index.try_out()
        except IndexUnreachable:
            raise
        except IndexUnusable:
            self._load(view, anew=True)

    def _load(self, view: View, *, anew: bool = False) -> None:
        view.clear()
        self._catch_up(view, anew=anew)

    def _catch_up(self, view: View, *, anew: bool = False) -> None:
        """Apply what the ledger recorded since the view's head: net of all events, so order does not matter."""
        with self._ledger.reading() as reader:
            head = reader.head(view.namespace)
            if head.seq < view.head.seq or head.namespace_id != view.head.namespace_id:
                view.clear()  # nothing is loaded yet, or the ledger was replaced by an older copy
            states = reader.states_since(head.namespace_id, view.head.seq)
            came = [edit_id for edit_id, active in states.items() if active]
            fresh = view.head.seq == 0
            rows = list(reader.rows(head.namespace_id, None if fresh and len(came) > 1_000 else came))
            replaced = reader.replaced_since(head.namespace_id, view.head.seq)
        rows = [row for row in rows if states.get(row.id)]
        if lost := set(came) - {row.id for row in rows}:
            raise is_gone(min(lost))
        went = [edit_id for edit_id, active in states.items() if not active]
        for edit_id in went:
            view.remove(edit_id)
        self.forget(head.namespace_id, went)  # they may have been purged
        for row in rows:
            view.put(row)
        for edit_id, others in replaced.items():
            view.replaced.setdefault(edit_id, []).extend(others)
        view.relations |= self._relation_vectors(view, head, rows)
        if len(view.relations) > 2 * len(view.rows) + 1_000:  # most belong to edits that are gone
            used = {row.relation_hash for row in view.rows.values()}
            view.relations = {key: vector for key, vector in view.relations.items() if key in used}
        self._indexing.update(view, view.indexes, head, states, rows, anew=anew)
        if across := self._across_languages(view):
            across.update(view, view.languages, head, states, rows, anew=anew)
        view.head = head
        if len(view.rows) <= LOADED_WHOLE:
            self.edits(head.namespace_id, [row.id for row in rows])

    def _relation_vectors(self, view: View, head: Head, rows: list[Row]) -> dict[str, Vectors]:
        """The vectors of relation texts that the view does not have yet."""
        fresh = [row for row in rows if row.kind in ASKED and row.relation_hash not in view.relations]
        return Kept.relation_texts(self._vectors).of(head, fresh)

    def _across_languages(self, view: View) -> Indexing | None:
        """What keeps the view's second indexes; None where there is nothing to find, or nothing that finds."""
        vectors = self._languages() if view.languages or any(view.counts[kind] for kind in ACROSS) else None
        return None if vectors is None else Indexing(self._ledger, IndexChoice(), Kept.statements(vectors), ACROSS)

    def _evict(self, *, keep: str) -> None:
        with self._lock:
            while len(self._views) > 1 and (len(self._views) > MAX_VIEWS or self._beside_largest() > MAX_VECTORS):
                # The largest goes last: it takes so long to load that small ones may not drive it out.
                largest = max(self._views, key=lambda name: len(self._views[name].rows))
                oldest = next((name for name in self._views if name not in (keep, largest)), largest)
                self._views.pop(oldest).close()

    def _beside_largest(self) -> int:
        """Vectors in all views but the largest."""
        sizes = [len(view.rows) + sum(map(len, view.languages.values())) for view in self._views.values()]
        return sum(sizes) - max(sizes)
