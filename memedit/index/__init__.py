"""Indexes: vector stores that propose candidates. Exact (numpy), in two passes for large namespaces, or Chroma."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, cast, get_args

from memedit.index.exact import ExactIndex
from memedit.index.mentions import MentionIndex
from memedit.index.port import Index
from memedit.index.two_pass import SMALL, TwoPassIndex

__all__ = ["ExactIndex", "Index", "IndexChoice", "MentionIndex", "TwoPassIndex"]

IndexName = Literal["auto", "exact", "two-pass", "chroma"]


@dataclass(frozen=True, slots=True)
class IndexChoice:
    """Which index serves a namespace.

    Args:
        name: `exact`, `two-pass`, `chroma`, or `auto`: exact while a kind has few edits in the namespace, then
            two-pass.
        folder: Where an index may keep files; None for a memory that ends with the process.
        custom: A function from (namespace, kind) to an Index of your own; then `name` is not looked at.
        two_pass_from: Edits of a kind from which `auto` takes two-pass.
        chroma_from: Edits of a kind from which `auto` takes Chroma, where it is installed and there is a folder; never
            when None, since searching in two passes was faster at every size that was tried (BENCHMARKS.md).
    """

    name: IndexName = "auto"
    folder: Path | None = None
    custom: Callable[[str, str], Index] | None = None
    two_pass_from: int = SMALL + 1
    chroma_from: int | None = None

    @classmethod
    def of(cls, given: str | IndexChoice | Callable[[str, str], Index], folder: Path | None) -> IndexChoice:
        """What `EditMemory(index=...)` takes, as a choice.

        Raises:
            ValueError: It is none of them.
        """
        if isinstance(given, IndexChoice):
            return replace(given, folder=given.folder or folder)
        if callable(given):
            return cls(folder=folder, custom=given)
        if given not in get_args(IndexName):
            raise ValueError(f"index is 'auto', 'exact', 'two-pass', 'chroma' or a function, not {given!r}")
        return cls(cast("IndexName", given), folder)

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
        name = self._name(count)
        if name == "chroma" and self.folder is not None:
            from memedit.index.chroma import ChromaIndex  # heavy, and an extra

            return ChromaIndex(self.folder, f"{namespace}\0{kind}\0{embedder_id}", anew=anew)
        return TwoPassIndex() if name == "two-pass" else ExactIndex()

    def _name(self, count: int) -> str:
        if self.name == "chroma":
            return "chroma" if self.folder is not None else "exact"
        if self.name != "auto":
            return self.name
        if self.chroma_from is not None and count >= self.chroma_from and self.folder and find_spec("chromadb"):
            return "chroma"
        return "two-pass" if count >= self.two_pass_from else "exact"
