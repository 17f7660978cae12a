"""Indexes: vector stores that propose candidates. Exact (numpy), in two passes for large namespaces, or a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, cast, get_args

from memedit.index.exact import ExactIndex
from memedit.index.folder import throw_away
from memedit.index.mentions import MentionIndex
from memedit.index.port import Index, IndexStore
from memedit.index.two_pass import SMALL, TwoPassIndex
from memedit.plumbing.plugins import plugin, schemes

__all__ = ["ExactIndex", "Index", "IndexChoice", "IndexStore", "MentionIndex", "TwoPassIndex"]

IndexName = Literal["auto", "exact", "two-pass", "chroma"]


@dataclass(frozen=True, slots=True)
class IndexChoice:
    """Which index serves a namespace.

    Args:
        name: `exact`, `two-pass`, `chroma`, or `auto`: exact while a kind has few edits in the namespace, then
            two-pass.
        store: Serves the namespaces that have many edits of a kind, instead of two-pass; `name` is not looked at.
        store_from: How many. Fewer are searched exactly, which is as fast and needs no server.
        folder: Where an index may keep files; None for a memory that ends with the process.
        custom: A function from (namespace, kind) to an Index of your own; then `name` is not looked at.
        two_pass_from: Edits of a kind from which `auto` takes two-pass.
        chroma_from: Edits of a kind from which `auto` takes Chroma, where it is installed and there is a folder; never
            when None, since searching in two passes was faster at every size that was tried (BENCHMARKS.md).
    """

    name: IndexName = "auto"
    store: IndexStore | None = None
    store_from: int = SMALL + 1
    folder: Path | None = None
    custom: Callable[[str, str], Index] | None = None
    two_pass_from: int = SMALL + 1
    chroma_from: int | None = None

    @classmethod
    def of(
        cls,
        given: str | IndexChoice | IndexStore | Callable[[str, str], Index],
        folder: Path | None,
        database: str = "",
    ) -> IndexChoice:
        """What `EditMemory(index=...)` takes, as a choice.

        Args:
            given: A name, `STORE:ADDRESS`, a store, a choice, or a function.
            folder: As above.
            database: The address of the ledger's, which a store without an address takes.

        Raises:
            ValueError: It is none of them.
        """
        if isinstance(given, IndexChoice):
            return replace(given, folder=given.folder or folder)
        if isinstance(given, IndexStore):
            return cls(store=given, folder=folder)
        if callable(given):
            return cls(folder=folder, custom=given)
        if given in get_args(IndexName):
            return cls(cast("IndexName", given), folder=folder)
        scheme, _, address = str(given).partition(":")
        found = plugin("indexes", scheme)
        if found is None or not (address or database):
            names = ", ".join(map(repr, get_args(IndexName)))
            raise ValueError(
                f"index is {names}, a store with its address (of {schemes('indexes')}, such as "
                f"`chroma:http://HOST:8000`), an IndexStore or a function, not `{scheme:.40}`"
            )
        return cls(store=found(address or database), folder=folder)

    def fits(self, index: Index, count: int) -> bool:
        """Whether this index still is the one for `count` edits."""
        return self.custom is not None or index.name == self._name(count)

    def make(
        self, namespace: str, kind: str, count: int, *, embedder_id: str, memory: str = "", anew: bool = False
    ) -> Index:
        """The index for `count` edits of a kind, as vectors of this embedder.

        With `anew` it is empty: without what an earlier one left behind, and wherever that is damaged. One that is
        shared is emptied by whoever then brings it up to the ledger.

        Args:
            memory: What tells this memory from others that use the same store.
        """
        if self.custom is not None:
            index = self.custom(namespace, kind)
            if anew:
                index.clear()
            return index
        if self.store is not None and self._name(count) == self.store.name:
            return self.store.index(_key(memory, namespace, kind, embedder_id))
        name = self._name(count)
        if name == "chroma" and self.folder is not None:
            from memedit.index.chroma import ChromaIndex  # heavy, and an extra

            return ChromaIndex(self.folder, f"{namespace}\0{kind}\0{embedder_id}", anew=anew)
        return TwoPassIndex() if name == "two-pass" else ExactIndex()

    def purge(self, keys: Iterable[tuple[str, str, str]], ids: Sequence[str], *, memory: str) -> None:
        """Take vectors out of what outlives the process: out of a store these, out of a folder all, to be made anew.

        Args:
            keys: Namespace, kind and embedder of the indexes that may hold them.
            ids: Of the edits.
            memory: As above.
        """
        if self.store is not None:
            for key in keys:
                index = self.store.index(_key(memory, *key))
                index.remove(ids)
                index.shed()
        if self.folder is not None and self.folder.exists():
            throw_away(self.folder)

    def _name(self, count: int) -> str:
        if self.store is not None:
            return self.store.name if count >= self.store_from else "exact"
        if self.name == "chroma":
            return "chroma" if self.folder is not None else "exact"
        if self.name != "auto":
            return self.name
        if self.chroma_from is not None and count >= self.chroma_from and self.folder and find_spec("chromadb"):
            return "chroma"
        return "two-pass" if count >= self.two_pass_from else "exact"


def _key(memory: str, namespace: str, kind: str, embedder_id: str) -> str:
    return f"{memory}\0{namespace}\0{kind}\0{embedder_id}"
