"""Whether the memory is whole: the ledger's file, what it holds, and what is loaded and indexed of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from memedit.edits import AnyEdit
from memedit.errors import LedgerCorrupt
from memedit.memory.ledger import Ledger
from memedit.memory.ledger_reading import Reader
from memedit.memory.rows import Head
from memedit.memory.views import Views


def faults(ledger: Ledger, views: Views, namespaces: Sequence[str] | None, *, deep: bool = False) -> list[str]:
    """What is wrong, in words; looks at every edit ever made in these namespaces (in all when None).

    deep: Whether also at every vector that is stored, of all namespaces.
    """
    found: list[str] = []
    with _noted(found, "ledger: "):
        with ledger.reading() as reader:
            found += [f"ledger: {report}" for report in reader.check()]
            wanted = reader.namespaces() if namespaces is None else namespaces
            if deep and (flipped := reader.flipped_vectors()):
                found.append(f"ledger: {flipped} vectors are not as they were written; they are made anew when needed")
        for where in wanted:
            with ledger.reading() as reader:
                own = faults_of_rows(reader, where)
            if not own:  # else it cannot be loaded
                with _noted(own):
                    own += _of_view(ledger, views, where)
            found += [f"namespace {where}: {fault}" for fault in own]
    return found


def faults_of_rows(reader: Reader, where: str) -> list[str]:
    """What is wrong with the edits and changes of a namespace, in words."""
    found: list[str] = []
    with _noted(found):
        _look_at(reader, reader.head(where), where, found)
    return found


def _look_at(reader: Reader, head: Head, where: str, found: list[str]) -> None:
    """Note what is wrong with the rows of a namespace, one by one where they cannot be read together."""
    with _noted(found):
        reader.changes(head, where)
    edits: dict[str, AnyEdit] = {}
    try:
        edits = reader.edits(head.namespace_id)
    except LedgerCorrupt:
        for edit_id in reader.ids(head.namespace_id, beginning=""):
            with _noted(found):
                edits |= reader.edits(head.namespace_id, [edit_id])
    with _noted(found):
        for row in reader.rows(head.namespace_id):
            if row.id in edits and edits[row.id].content_hash != row.content_hash:
                found.append(f"edit `{row.id}` was altered outside memedit")
    with _noted(found):
        for edit_id in sorted(reader.in_force(head.namespace_id) - edits.keys()):
            if not any(edit_id in fault for fault in found):
                found.append(f"edit `{edit_id}` is in force, and what it says is gone")
        for edit_id in sorted(set(reader.waiting(head.namespace_id)) - edits.keys()):
            if not any(edit_id in fault for fault in found):
                found.append(f"edit `{edit_id}` waits for approval, and what it says is gone")


def _of_view(ledger: Ledger, views: Views, where: str) -> Iterator[str]:
    view = views.current(where)
    with view.lock, ledger.reading() as reader:
        head = reader.head(where)
        if head == view.head and reader.in_force(head.namespace_id) != view.rows.keys():
            yield "what is loaded differs from the ledger"
        indexed = sum(len(index) for index in view.indexes.values())
        if indexed != len(view.rows):
            yield f"{len(view.rows)} edits, but {indexed} in the index"
        for kind, index in view.languages.items():
            if len(index) != view.counts[kind]:
                yield f"{view.counts[kind]} edits to find across languages, but {len(index)} in their index"


@contextmanager
def _noted(found: list[str], about: str = "") -> Iterator[None]:
    try:
        yield
    except LedgerCorrupt as error:
        found.append(f"{about}{error.what}")
