"""Putting edits in force: read lazily, embedded one chunk ahead, committed chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from memedit.edits import ASKED, AnyEdit, Behaviour, EditLike, as_edit
from memedit.edits.base import Edit
from memedit.embedders import Vectors
from memedit.embedders.port import text_hash
from memedit.errors import EditRejected
from memedit.memory.book import Book
from memedit.memory.checks import unknown
from memedit.memory.conflicts import OnConflict, Receipt
from memedit.memory.contradictions import NOTHING, ORDERED, Contradicted, Near, alike, judged, nearest
from memedit.memory.events import Change
from memedit.memory.ledger import Ledger
from memedit.memory.rows import Head, Row
from memedit.memory.vectors import TextVectors
from memedit.memory.view import View
from memedit.memory.views import ACROSS, Views
from memedit.text.relations import Relations

if TYPE_CHECKING:
    from memedit.memory.encoders import Encoders

Given = tuple[AnyEdit, bool]  # an edit, and whether it was given as a bare text, which does not say of what kind it is
Made = list[tuple[TextVectors, dict[str, Vectors]]]  # of each encoder, the vectors that the ledger lacked
Ready = tuple[list[AnyEdit], Made]


class Adding:
    """One call that adds edits: at most one change set, as long as nobody else changes the namespace meanwhile.

    Args:
        ledger, views, vectors, relations: The memory's.
        languages: Gives the vectors of its encoder of many languages, where there is one.
        encoders: Read statements against earlier ones, and tell what governs every answer.
        change: What the call is recorded as.
        on_conflict: As in `EditMemory.add`.
        retracting: Ids of edits in force that the first chunk takes out of force before it adds its own.
        replacing: Likewise, those whose place the first edit takes.
        book: Decides what is recorded.
    """

    def __init__(
        self, ledger: Ledger, views: Views, vectors: TextVectors,
        languages: Callable[[], TextVectors | None], relations: Relations,
        encoders: Encoders, change: Change, on_conflict: OnConflict,
        retracting: Sequence[str] = (), replacing: Sequence[str] = (), book: type[Book] = Book,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._views = views
        self._vectors = vectors
        self._languages = languages
        self._relations = relations
        self._encoders = encoders
        self._change = change
        self._on_conflict = on_conflict
        self._retracting = tuple(retracting)
        self._replacing = tuple(replacing)
        self._book = book
        self._begun: Head | None = None

    def run(self, given: Iterator[Given], chunk: int) -> Iterator[Receipt]:
        """The receipts, each yielded once its edit is durable."""
        ahead: Future[Ready] | None = None
        pool = ThreadPoolExecutor(1, "memedit-embed")
        try:
            while batch := list(islice(given, chunk)):
                ready, ahead = ahead, pool.submit(self._made_ready, batch)
                if ready:
                    yield from self._commit(*ready.result())
            if ahead:
                yield from self._commit(*ahead.result())
        finally:  # also when the caller stops early, or an edit is refused
            pool.shutdown(cancel_futures=True)

    def foresee(self, edit: AnyEdit) -> Receipt:
        """The receipt that an edit would get now; nothing is recorded."""
        edits, made = self._made_ready([(edit, False)])
        rows = [Row.of(edit, self._relations)]
        rivals = self._contradicted(rows, edits, made[0][1])
        with self._ledger.reading() as reader:
            head = reader.head(self._change.namespace)
            book = self._book(reader, head.namespace_id, rows, self._relations, self._change.at, (), rivals)
            return book.enter(rows[0], edit, self._on_conflict, head.revision)

    def _made_ready(self, batch: Sequence[Given]) -> Ready:
        """The edits, each of the kind that it is, and the vectors that the ledger lacks of them."""
        vectors = self._vectors.lacking({text_hash(edit.key_text): edit.key_text for edit, _ in batch})
        edits = self._of_their_kind(batch, vectors)
        asked = {text_hash(edit.relation_text): edit.relation_text for edit in edits if edit.kind in ASKED}
        vectors |= self._vectors.lacking({key: text for key, text in asked.items() if key not in vectors})
        made = [(self._vectors, vectors)]
        found = {edit.content_hash: edit.text for edit in edits if edit.kind in ACROSS}
        if found and (languages := self._languages()):
            made.append((languages, languages.lacking(found)))
        return edits, made

    def _of_their_kind(self, batch: Sequence[Given], vectors: Mapping[str, Vectors]) -> list[AnyEdit]:
        """The edits, where a bare text that says how every message is to be answered is a Behaviour."""
        texts = {edit.id: edit.key_text for edit, bare in batch if bare}
        if not texts or (governing := self._encoders.governing) is None:
            return [edit for edit, _ in batch]
        own = {text: vectors[key] for text in texts.values() if (key := text_hash(text)) in vectors}
        again = [text for text in dict.fromkeys(texts.values()) if text not in own]  # the ledger had them already
        own |= dict(zip(again, self._vectors.embedder.embed(again), strict=True)) if again else {}
        found = governing.of(list(texts.values()), np.stack([own[text] for text in texts.values()]))
        ruling = {edit_id for edit_id, governs in zip(texts, found, strict=True) if governs}
        return [_instruction(edit) if edit.id in ruling else edit for edit, _ in batch]

    def _commit(self, edits: Sequence[AnyEdit], made: Made) -> list[Receipt]:
        vectors = made[0][1]
        rows = [Row.of(edit, self._relations) for edit in edits]
        rivals = self._contradicted(rows, edits, vectors)
        with self._ledger.writing() as writer:
            head = writer.namespace(self._change.namespace)
            goes_on = self._begun is not None and head.revision == self._begun.revision
            revision = head.revision if goes_on else head.revision + 1
            wanted = [*self._retracting, *self._replacing]
            if missing := set(wanted) - writer.active_among(head.namespace_id, wanted):
                raise unknown(writer, self._change.namespace, sorted(missing))
            book = self._book(
                writer, head.namespace_id, rows, self._relations, self._change.at, self._retracting, rivals,
                self._replacing,
            )  # fmt: skip
            self._retracting = self._replacing = ()
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
        """What statements that lack subject and relation may contradict, or be contradicted by; and what standing
        instructions may.
        """
        where = self._change.namespace
        if not (self._views.loaded(where) or any(row.slotless or row.kind == "behaviour" for row in rows)):
            return NOTHING

        keys = {row.text_hash: edit.key_text for row, edit in zip(rows, edits, strict=True)}
        others = [key for key in keys if key not in vectors]  # the ledger had them already

        def near(view: View) -> tuple[Near, Near, int]:
            if not (view.counts["slotless"] or any(row.slotless or row.kind == "behaviour" for row in rows)):
                return {}, {}, view.head.namespace_id
            known = vectors | self._vectors.of(others, lambda reader, lacking: {key: keys[key] for key in lacking})
            return nearest(view, rows, known, "fact"), nearest(view, rows, known, "behaviour"), view.head.namespace_id

        found, ordered, namespace_id = self._views.read(where, near)
        instructed = alike(ordered, ORDERED)
        if not any(found.values()):
            return instructed
        own = {edit.id: edit for edit in edits}
        ids = [other for rivals in found.values() for other, _ in rivals if other not in own]
        known = own | self._views.edits(namespace_id, ids)
        texts = {one: edit.text for one, edit in known.items()}
        return {**instructed, **judged(found, texts, self._encoders.judge)}


def made_by(
    change: Change, source: str | None, tags: Sequence[str], expires_at: datetime | str | None
) -> dict[str, Any]:
    """What edits are given that leave it out: who made them, from where, why, their labels, and until when."""
    made: dict[str, Any] = {"author": change.author, "source": source, "reason": change.reason}
    made |= {"tags": tags or None, "expires_at": expires_at}
    return {name: value for name, value in made.items() if value is not None}


def settled(edits: Iterable[EditLike], where: str, defaults: Mapping[str, Any]) -> Iterator[Given]:
    """Valid edits of this namespace, made as they are asked for."""
    if not isinstance(edits, Iterable) or isinstance(edits, (str, bytes, Mapping, Edit)):
        raise EditRejected(
            f"Several edits were expected, not one {type(edits).__name__}.", do="give a list of them, or use `add`"
        )
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
        yield edit if edit.namespace else edit.model_copy(update={"namespace": where}), isinstance(given, str)


def _instruction(statement: AnyEdit) -> Behaviour:
    """A statement as the standing instruction that it is."""
    return Behaviour(conduct=statement.text, **{name: getattr(statement, name) for name in Edit.model_fields})
