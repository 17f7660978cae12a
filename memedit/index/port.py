"""The Index port: a vector store that proposes edits. Derived from the ledger, always rebuildable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from memedit.embedders.port import Vectors
from memedit.errors import IndexUnusable


class Index(ABC):
    """The vectors of the edits of one namespace and kind, by edit id.

    The memory calls it from one thread at a time and treats what it proposes as a guess: ids are checked against the
    ledger before they are used. When a call raises `IndexUnusable`, the memory makes the index anew from the ledger;
    when it raises `IndexUnreachable`, the caller is told, and the next call tries again.
    """

    name: str
    """Shown in traces and in `doctor`."""

    seq: int = 0
    """The last event of the ledger that the index holds; kept with it when it outlives the process."""

    shared: bool = False
    """Whether other processes write it too. One of them at a time brings it up to the ledger, for all."""

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

    def settle(self) -> None:  # noqa: B027
        """Do what is best done once much was put. It may take minutes."""

    def shed(self) -> None:  # noqa: B027
        """Overwrite the bytes of what was removed, where the index can; else its server does, in its own time."""

    def level(self) -> int:
        """`seq`, read anew where other processes may have moved it."""
        return self.seq


class IndexStore(ABC):
    """What keeps the indexes of many namespaces apart: a server, or a library that has a database of its own."""

    name: str
    """Of its indexes."""

    @abstractmethod
    def index(self, key: str) -> Index:
        """The index of this key, which is any text; empty where there was none.

        Raises:
            IndexUnusable: It cannot be opened.
        """


def check_dimension(held: int | None, given: int) -> None:
    """Raise `IndexUnusable` for vectors of another dimension than those that an index holds."""
    if given != held:
        raise IndexUnusable(
            f"The index holds vectors of dimension {held}, and was given one of {given}.",
            do="use the embedder the vectors were made with, or give the new one another id",
        )
