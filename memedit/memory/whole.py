"""Whether the memory is whole: the ledger's file, what it holds, and what is loaded and indexed of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from memedit.errors import LedgerCorrupt
from memedit.memory.ledger import Ledger
from memedit.memory.view import Views


def faults(ledger: Ledger, views: Views, namespaces: Sequence[str] | None) -> list[str]:
    """What is wrong, in words; looks at every edit ever made in these namespaces (in all when None)."""
    try:
        with ledger.reading() as reader:
            found = [f"ledger: {report}" for report in reader.check()]
            wanted = reader.namespaces() if namespaces is None else namespaces
        return found + [
            f"namespace {where}: {fault}" for where in wanted for fault in _of_namespace(ledger, views, where)
        ]
    except LedgerCorrupt as error:
        return [f"ledger: {error.what}"]


def _of_namespace(ledger: Ledger, views: Views, where: str) -> Iterator[str]:
    with ledger.reading() as reader:
        head = reader.head(where)
        edits = reader.edits(head.namespace_id)
        for row in reader.rows(head.namespace_id):
            if edits[row.id].content_hash != row.content_hash:
                yield f"edit `{row.id}` was altered outside memedit"
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
