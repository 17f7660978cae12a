"""Chroma as an index for large namespaces: one collection for each namespace, kind and embedder.

Chroma answers with vectors another process has removed, so what it proposes is always checked against the ledger; each
process brings every collection up to the ledger's last event by itself, which also refreshes Chroma's own reader.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from memedit.embedders.port import Vectors
from memedit.errors import IndexUnusable, MissingExtra
from memedit.index.port import Index

try:
    import chromadb
    from chromadb.api import ClientAPI
    from chromadb.api.shared_system_client import SharedSystemClient
    from chromadb.config import Settings
    from chromadb.errors import NotFoundError
except ModuleNotFoundError as missing:
    raise MissingExtra("chroma", package="chromadb") from missing

BATCH = 5_000  # Chroma takes 5,461 rows a call


class ChromaIndex(Index):
    """A collection in cosine space, without documents, metadata or an embedding function.

    Args:
        folder: Where Chroma keeps its files.
        key: Whose vectors: any text; it is encoded to a name Chroma accepts.
        anew: Begin empty; files that cannot be used, of other collections too, are thrown away.
    """

    name = "chroma"

    def __init__(self, folder: Path, key: str, *, anew: bool = False) -> None:
        self._folder = folder
        self._collection_name = "m" + hashlib.sha256(key.encode()).hexdigest()[:40]
        try:
            self._connect()
            if anew:
                self.clear()
                self._write_a_little()
        except IndexUnusable:
            if not anew:
                raise
            _throw_away(folder)
            self._connect()

    def _connect(self) -> None:
        with _typed():
            self._folder.mkdir(parents=True, exist_ok=True)
            settings = Settings(anonymized_telemetry=False)
            self._client: ClientAPI = chromadb.PersistentClient(str(self._folder), settings=settings)
        self._open()

    def _open(self) -> None:
        with _typed():
            self._collection = self._client.get_or_create_collection(
                self._collection_name,
                embedding_function=None,
                configuration={"hnsw": {"space": "cosine", "ef_search": 200, "ef_construction": 200}},
            )
            self.seq = int((self._collection.metadata or {}).get("seq", 0))

    def put(self, ids: Sequence[str], vectors: Vectors) -> None:
        for start in range(0, len(ids), BATCH):
            part = slice(start, start + BATCH)
            with _typed():
                self._collection.upsert(ids=list(ids[part]), embeddings=np.ascontiguousarray(vectors[part]))

    def remove(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), BATCH):
            with _typed():
                self._collection.delete(ids=list(ids[start : start + BATCH]))

    def search(self, vector: Vectors, k: int) -> list[tuple[str, float]]:
        found = self._query(vector, k, ["distances"])
        return list(zip(*found[:2], strict=True))

    def search_whole(self, vector: Vectors, k: int) -> list[tuple[str, float, Vectors]]:
        """As `search`, each with its own vector, in one query."""
        ids, cosines, vectors = self._query(vector, k, ["distances", "embeddings"])
        return list(zip(ids, cosines, np.asarray(vectors, dtype=np.float32), strict=True))

    def _query(self, vector: Vectors, k: int, include: list[Any]) -> tuple[list[str], list[float], Any]:
        if k < 1:
            return [], [], []
        with _typed():
            k = min(k, self._collection.count())
            if not k:
                return [], [], []
            found = self._collection.query(query_embeddings=[vector], n_results=k, include=include)
        ids, distances, vectors = found["ids"][0], found["distances"], found["embeddings"]
        if not ids or distances is None:
            raise IndexUnusable("Chroma holds vectors, and finds none.", do=REINDEX)
        return ids, [1.0 - float(far) for far in distances[0]], [] if vectors is None else vectors[0]

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        if not ids:
            return {}
        with _typed():
            found = self._collection.get(ids=list(ids), include=["embeddings"])
            return dict(zip(found["ids"], np.asarray(found["embeddings"], dtype=np.float32), strict=True))

    def __len__(self) -> int:
        with _typed():
            return int(self._collection.count())

    def mark(self, seq: int) -> None:
        with _typed():
            self._collection.modify(metadata={"seq": seq})
        self.seq = seq

    def clear(self) -> None:
        """Drop the collection and begin a new one."""
        with _typed(), suppress(NotFoundError, ValueError):  # never made, or another process has dropped it
            self._client.delete_collection(self._collection_name)
        self._open()

    def try_out(self) -> None:
        with _typed():
            stored = self._collection.get(limit=1, include=["embeddings"])["embeddings"]
        if stored is not None and len(stored):
            self.search(np.asarray(stored[0], dtype=np.float32), 1)

    def close(self) -> None:
        with suppress(IndexUnusable), _typed():
            self._client.close()

    def _write_a_little(self) -> None:
        """Raise `IndexUnusable` if the files cannot be written: a deleted folder can still be read for a while."""
        self.mark(0)


REINDEX = "run `memedit reindex`; the ledger holds everything"


@contextmanager
def _typed() -> Iterator[None]:
    """Raise whatever Chroma raises as `IndexUnusable`."""
    try:
        yield
    except IndexUnusable:
        raise
    except BaseException as error:
        # Its native part raises bare exceptions, and panics that are no `Exception`.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise IndexUnusable(f"Chroma failed: {reason.rstrip('.')}.", do=REINDEX) from error


def _throw_away(folder: Path) -> None:
    """Delete Chroma's files, and have this process forget the client it shares for them."""
    system = SharedSystemClient._identifier_to_system.pop(str(folder), None)
    if system is not None:
        with suppress(IndexUnusable), _typed():
            system.stop()
    if folder.is_file():
        folder.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
