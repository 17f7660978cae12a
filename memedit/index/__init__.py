"""Indexes: vector stores that propose candidates. Exact (numpy) by default, Chroma for large namespaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from memedit.index.exact import ExactIndex
from memedit.index.mentions import MentionIndex
from memedit.index.port import Index

__all__ = ["ExactIndex", "Index", "IndexChoice", "MentionIndex"]

IndexName = Literal["auto", "exact", "chroma"]


@dataclass(frozen=True, slots=True)
class IndexChoice:
    """Which index serves a namespace.

    Args:
        name: `exact`, `chroma`, or `auto`: Chroma where it is installed, the memory lies in a folder, and a kind of
            edit has at least `chroma_from` edits in the namespace.
        folder: Where an index may keep files; None for a memory that ends with the process.
        custom: A function from (namespace, kind) to an Index of your own; then `name` is not looked at.
    """

    name: IndexName = "auto"
    folder: Path | None = None
    custom: Callable[[str, str], Index] | None = None
    chroma_from: int = 300_000  # below, exact search was the faster one by far (BENCHMARKS.md)

    def fits(self, index: Index, count: int) -> bool:
        """Whether this index still is the one for `count` edits."""
        return self.custom is not None or index.name == self._name(count)

    def make(self, namespace: str, kind: str, count: int, *, embedder_id: str, anew: bool = False) -> Index:
        """The index for `count` edits of a kind, as vectors of this embedder.

        With `anew` it is empty: without what an earlier one left behind, and wherever that is damaged.
        """
        if self.custom is not None:
            index = self.custom(namespace, kind)
            if anew:
                index.clear()
            return index
        if self._name(count) == "exact" or self.folder is None:
            return ExactIndex()
        from memedit.index.chroma import ChromaIndex  # heavy, and an extra

        return ChromaIndex(self.folder, f"{namespace}\0{kind}\0{embedder_id}", anew=anew)

    def _name(self, count: int) -> str:
        if self.name != "auto":
            return self.name if self.folder is not None else "exact"
        large = count >= self.chroma_from and self.folder is not None and find_spec("chromadb") is not None
        return "chroma" if large else "exact"
