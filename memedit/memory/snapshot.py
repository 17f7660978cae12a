"""A namespace as the memory knew it at one revision; read only."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from memedit.edits import AnyEdit
from memedit.embedders.port import text_hash
from memedit.errors import UnknownEdit
from memedit.index import ExactIndex
from memedit.memory.checks import check_revision
from memedit.memory.ledger import Ledger
from memedit.memory.recall import Candidate, expired
from memedit.memory.rows import as_utc, is_gone
from memedit.memory.vectors import TextVectors

FEW = 5_000  # edits that are read one by one; of more, all that were ever added are


@dataclass(frozen=True)
class Snapshot:
    """What was in force at a revision.

    Args:
        namespace: Whose edits.
        revision: The revision.
    """

    namespace: str
    revision: int
    _edits: tuple[AnyEdit, ...] = field(repr=False)
    _vectors: TextVectors = field(repr=False)

    def __len__(self) -> int:
        return len(self._edits)

    def edits(self, *, kind: str | None = None, tag: str | None = None) -> list[AnyEdit]:
        """The edits that were in force, oldest first."""
        return [
            edit for edit in self._edits if (kind is None or edit.kind == kind) and (tag is None or tag in edit.tags)
        ]

    def get(self, edit_id: str) -> AnyEdit:
        """The edit of this id.

        Raises:
            UnknownEdit: It was not in force.
        """
        for edit in self._edits:
            if edit.id == edit_id:
                return edit
        raise UnknownEdit(f"`{edit_id:.40}` was not in force in `{self.namespace}` at revision {self.revision}.")

    def search(self, query: str, *, k: int = 10, kind: str | None = None) -> list[Candidate]:
        """The `k` edits nearest to a text, by exact search over the stored vectors."""
        edits = {edit.id: edit for edit in self.edits(kind=kind)}
        if not edits:
            return []
        texts = {text_hash(edit.key_text): edit.key_text for edit in edits.values()}
        known = self._vectors.known(texts) | self._vectors.lacking(
            texts
        )  # not stored: what was in force then may be purged by now
        index = ExactIndex()
        index.put(list(edits), np.stack([known[text_hash(edit.key_text)] for edit in edits.values()]))
        found = index.search(self._vectors.of_queries([query])[0], k)
        return [Candidate(edits[edit_id], cosine) for edit_id, cosine in found]


def read_snapshot(
    ledger: Ledger, vectors: TextVectors, namespace: str, when: int | datetime | None, *, now: datetime
) -> Snapshot:
    """The namespace as the memory knew it at a revision, or at a (memory) time; `when` None for now.

    Raises:
        UnknownRevision: The namespace never had this revision.
    """
    at = as_utc(when) if isinstance(when, datetime) else now
    with ledger.reading() as reader:
        head = reader.head(namespace)
        if isinstance(when, datetime):
            revision = reader.revision_at(head.namespace_id, at)
        else:
            revision = head.revision if when is None else when
            check_revision(revision, head, namespace)
        ids = reader.in_force(head.namespace_id, until=reader.last_seq(head.namespace_id, revision))
        known = reader.edits(head.namespace_id, ids if len(ids) < FEW else None)
    if lost := ids - known.keys():
        raise is_gone(min(lost))
    edits = sorted((known[edit_id] for edit_id in ids), key=lambda edit: (edit.created_at, edit.id))
    return Snapshot(namespace, revision, tuple(edit for edit in edits if not expired(edit, at)), vectors)
