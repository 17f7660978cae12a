"""A namespace as the memory knew it at one revision; read only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from memedit.edits import AnyEdit
from memedit.embedders import Embedder
from memedit.embedders.port import text_hash
from memedit.errors import UnknownEdit
from memedit.index import ExactIndex
from memedit.memory.ledger import Ledger
from memedit.memory.recall import Candidate


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
    _ledger: Ledger = field(repr=False)
    _embedder: Callable[[], Embedder] = field(repr=False)

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
        embedder = self._embedder()
        hashes = {edit.id: text_hash(edit.key_text) for edit in edits.values()}
        with self._ledger.reading() as reader:
            known = reader.vectors(embedder.id, hashes.values())
        lacking = list({edit.key_text for edit in edits.values() if hashes[edit.id] not in known})
        known |= {text_hash(text): vector for text, vector in zip(lacking, embedder.embed(lacking), strict=True)}
        index = ExactIndex()
        for edit_id, key in hashes.items():
            index.put([edit_id], known[key][None, :])
        found = index.search(embedder.embed([query])[0], k)
        return [Candidate(edits[edit_id], cosine) for edit_id, cosine in found]
