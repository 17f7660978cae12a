"""A namespace as the memory knew it at one revision; read only."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from memedit.edits import AnyEdit
from memedit.embedders.port import text_hash
from memedit.errors import UnknownEdit
from memedit.index import ExactIndex
from memedit.memory.recall import Candidate
from memedit.memory.vectors import TextVectors


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
        known = self._vectors.of(texts, lambda lacking: {key: texts[key] for key in lacking})
        index = ExactIndex()
        index.put(list(edits), np.stack([known[text_hash(edit.key_text)] for edit in edits.values()]))
        found = index.search(self._vectors.of_queries([query])[0], k)
        return [Candidate(edits[edit_id], cosine) for edit_id, cosine in found]
