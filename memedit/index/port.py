"""The Index port: a vector store that proposes edits. Derived from the ledger, always rebuildable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from memedit.embedders.port import Vectors


class Index(ABC):
    """The vectors of the edits of one namespace and kind, by edit id.

    The memory calls it from one thread at a time and treats what it proposes as a guess: ids are checked against the
    ledger before they are used. When a call raises `IndexUnusable`, the memory makes the index anew from the ledger.
    """

    name: str
    """Shown in traces and in `doctor`."""

    seq: int = 0
    """The last event of the ledger that the index holds; kept with it when it outlives the process."""

    @abstractmethod
    def put(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add vectors, or replace those of ids that are there. vectors (len(ids), dimension), unit length."""

    @abstractmethod
    def remove(self, ids: Sequence[str]) -> None:
        """Take ids out; unknown ones are passed over."""

    @abstractmethod
    def search(self, vector: Vectors, k: int) -> list[tuple[str, float]]:
        """The `k` nearest ids with their cosine, nearest first. vector (dimension,), unit length."""

    def search_whole(self, vector: Vectors, k: int) -> list[tuple[str, float, Vectors]]:
        """As `search`, each with its own vector (dimension,)."""
        found = self.search(vector, k)
        known = self.vectors([edit_id for edit_id, _ in found])
        return [(edit_id, cosine, known[edit_id]) for edit_id, cosine in found if edit_id in known]

    @abstractmethod
    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """The vector of each of these ids that is there."""

    @abstractmethod
    def clear(self) -> None:
        """Begin anew, empty, at event 0."""

    @abstractmethod
    def __len__(self) -> int:
        """How many ids it holds."""

    def try_out(self) -> None:  # noqa: B027
        """Raise `IndexUnusable` if searching cannot work; called only when something failed before."""

    def close(self) -> None:  # noqa: B027
        """Let go of files; what was put stays. The next use may open them again."""

    def mark(self, seq: int) -> None:
        """Note that everything up to event `seq` is in it."""
        self.seq = seq
