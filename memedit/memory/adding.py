"""Putting edits in force: read lazily, embedded one chunk ahead, committed chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from memedit.edits import ASKED, AnyEdit, EditLike, as_edit
from memedit.embedders import Vectors
from memedit.embedders.port import text_hash
from memedit.errors import EditRejected
from memedit.memory.book import Book
from memedit.memory.checks import unknown
from memedit.memory.conflicts import OnConflict, Receipt
from memedit.memory.contradictions import NOTHING, Contradicted, Near, judged, nearest
from memedit.memory.events import Change
from memedit.memory.ledger import Ledger
from memedit.memory.rows import Head, Row
from memedit.memory.vectors import TextVectors
from memedit.memory.view import ACROSS, View, Views
from memedit.relations import Relations

if TYPE_CHECKING:
    from memedit.memory.statements import StatementJudge

Made = list[tuple[TextVectors, dict[str, Vectors]]]  # of each encoder, the vectors that the ledger lacked
Chunk = tuple[list[AnyEdit], "Future[Made]"]


class Adding:
    """One call that adds edits: at most one change set, as long as nobody else changes the namespace meanwhile.

    Args:
        ledger, views, vectors, relations: The memory's.
        languages: Gives the vectors of its encoder of many languages, where there is one.
        judge: Gives what reads statements against earlier ones, where there is one.
        change: What the call is recorded as.
        on_conflict: As in `EditMemory.add`.
        retracting: Ids of edits in force that the first chunk takes out of force before it adds its own.
    """

    def __init__(
        self, ledger: Ledger, views: Views, vectors: TextVectors,
        languages: Callable[[], TextVectors | None], relations: Relations,
        judge: Callable[[], StatementJudge | None], change: Change, on_conflict: OnConflict,
        retracting: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._views = views
        self._vectors = vectors
        self._languages = languages
        self._relations = relations
        self._judge = judge
        self._change = change
        self._on_conflict = on_conflict
        self._retracting = tuple(retracting)
        self._begun: Head | None = None

    def run(self, edits: Iterator[AnyEdit], chunk: int) -> Iterator[Receipt]:
        """The receipts, each yielded once its edit is durable."""
        ahead: Chunk | None = None
        pool = ThreadPoolExecutor(1, "memedit-embed")
        try:
            while batch := list(islice(edits, chunk)):
                ready, ahead = ahead, (batch, pool.submit(self._lacking_vectors, batch))
                if ready:
                    yield from self._commit(ready)
            if ahead:
                yield from self._commit(ahead)
        finally:  # also when the caller stops early, or an edit is refused
            pool.shutdown(cancel_futures=True)

    def _lacking_vectors(self, edits: Sequence[AnyEdit]) -> Made:
        texts = {text_hash(edit.key_text): edit.key_text for edit in edits}
        texts |= {text_hash(edit.relation_text): edit.relation_text for edit in edits if edit.kind in ASKED}
        made = [(self._vectors, self._vectors.lacking(texts))]
        found = {edit.content_hash: edit.text for edit in edits if edit.kind in ACROSS}
        if found and (languages := self._languages()):
            made.append((languages, languages.lacking(found)))
        return made

    def _commit(self, chunk: Chunk) -> list[Receipt]:
        edits, made = chunk[0], chunk[1].result()
        vectors = made[0][1]
        rows = [Row.of(edit, self._relations) for edit in edits]
        rivals = self._contradicted(rows, edits, vectors)
        with self._ledger.writing() as writer:
            head = writer.namespace(self._change.namespace)
            goes_on = self._begun is not None and head.revision == self._begun.revision
            revision = head.revision if goes_on else head.revision + 1
            if missing := set(self._retracting) - writer.active_among(head.namespace_id, self._retracting):
                raise unknown(sorted(missing), self._change.namespace)
            book = Book(writer, head.namespace_id, rows, self._relations, self._change.at, self._retracting, rivals)
            self._retracting = ()
            receipts = [
                book.enter(row, edit, self._on_conflict, revision) for row, edit in zip(rows, edits, strict=True)
            ]
            if not book.events:  # all were known: nothing changed, so nothing is recorded
                return [replace(receipt, revision=head.revision) for receipt in receipts]
            if not goes_on:
                head = writer.begin_change(head, self._change)
            writer.put_edits(head.namespace_id, book.fresh)
            for of, lacked in made:
                writer.put_vectors(of.embedder.id, lacked)
            self._begun = writer.append(head, book.events)
        return receipts

    def _contradicted(self, rows: Sequence[Row], edits: Sequence[AnyEdit], vectors: dict[str, Vectors]) -> Contradicted:
        """What statements that lack subject and relation may contradict, or be contradicted by."""
        where = self._change.namespace
        if not (self._views.loaded(where) or any(row.slotless for row in rows)):
            return NOTHING

        keys = {row.text_hash: edit.key_text for row, edit in zip(rows, edits, strict=True)}
        others = [key for key in keys if key not in vectors]  # the ledger had them already

        def near(view: View) -> tuple[Near, int]:
            if not (view.counts["slotless"] or any(row.slotless for row in rows)):
                return {}, view.head.namespace_id
            known = vectors | self._vectors.of(others, lambda reader, lacking: {key: keys[key] for key in lacking})
            return nearest(view, rows, known), view.head.namespace_id

        found, namespace_id = self._views.read(where, near)
        if not any(found.values()):
            return NOTHING
        own = {edit.id: edit for edit in edits}
        ids = [other for rivals in found.values() for other, _ in rivals if other not in own]
        known = own | self._views.edits(namespace_id, ids)
        return judged(found, {one: edit.text for one, edit in known.items()}, self._judge())


def settled(edits: Iterable[EditLike], where: str, defaults: Mapping[str, Any]) -> Iterator[AnyEdit]:
    """Valid edits of this namespace, made as they are asked for."""
    for place, given in enumerate(edits, start=1):
        try:
            edit = as_edit(given, **defaults)
            if edit.namespace not in (None, where):
                raise EditRejected(
                    f"The edit belongs to namespace `{edit.namespace}`, not to `{where}`.",
                    do="leave its namespace out, or add it with namespace=",
                )
        except EditRejected as error:
            raise EditRejected(f"Edit {place}: {error.what}", do=error.do) from error
        yield edit if edit.namespace else edit.model_copy(update={"namespace": where})
