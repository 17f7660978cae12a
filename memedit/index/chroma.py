"""Chroma as an index for large namespaces: one collection for each namespace, kind and embedder.

Chroma answers with vectors another process has removed, so what it proposes is always checked against the ledger; each
process brings every collection up to the ledger's last event by itself, which also refreshes Chroma's own reader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from memedit.embedders.port import Vectors
from memedit.errors import IndexUnusable, MissingExtra
from memedit.index.port import Index

try:
    import chromadb
    from chromadb.api import ClientAPI
    from chromadb.config import Settings
    from chromadb.errors import ChromaError, NotFoundError
except ModuleNotFoundError as missing:
    raise MissingExtra("chroma", package="chromadb") from missing

BATCH = 5_000  # Chroma takes 5,461 rows a call


class ChromaIndex(Index):
    """A collection in cosine space, without documents, metadata or an embedding function.

    Args:
        folder: Where Chroma keeps its files.
        key: Whose vectors: any text; it is encoded to a name Chroma accepts.
    """

    name = "chroma"

    def __init__(self, folder: Path, key: str) -> None:
        self._client = _client(folder)
        self._collection_name = "m" + hashlib.sha256(key.encode()).hexdigest()[:40]
        self._open()

    def _open(self) -> None:
        try:
            self._collection = self._client.get_or_create_collection(
                self._collection_name,
                embedding_function=None,
                configuration={"hnsw": {"space": "cosine", "ef_search": 200, "ef_construction": 200}},
            )
            self.seq = int((self._collection.metadata or {}).get("seq", 0))
        except (ChromaError, ValueError, OSError) as error:
            raise _unusable(error) from error

    def put(self, ids: Sequence[str], vectors: Vectors) -> None:
        for start in range(0, len(ids), BATCH):
            part = slice(start, start + BATCH)
            try:
                self._collection.upsert(ids=list(ids[part]), embeddings=np.ascontiguousarray(vectors[part]))
            except (ChromaError, ValueError) as error:
                raise _unusable(error) from error

    def remove(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), BATCH):
            self._collection.delete(ids=list(ids[start : start + BATCH]))

    def search(self, vector: Vectors, k: int) -> list[tuple[str, float]]:
        if k < 1:
            return []
        try:
            found = self._collection.query(query_embeddings=[vector], n_results=k, include=["distances"])
        except (ChromaError, ValueError) as error:
            raise _unusable(error) from error
        distances = found["distances"]
        assert distances is not None  # asked for above
        return [(edit_id, 1.0 - float(far)) for edit_id, far in zip(found["ids"][0], distances[0], strict=True)]

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        if not ids:
            return {}
        found = self._collection.get(ids=list(ids), include=["embeddings"])
        return dict(zip(found["ids"], np.asarray(found["embeddings"], dtype=np.float32), strict=True))

    def __len__(self) -> int:
        return int(self._collection.count())

    def mark(self, seq: int) -> None:
        self.seq = seq
        self._collection.modify(metadata={"seq": seq})

    def clear(self) -> None:
        """Drop the collection and begin a new one."""
        try:
            self._client.delete_collection(self._collection_name)
        except (NotFoundError, ValueError):
            pass  # it was never made, or another process has dropped it
        self._open()


def _client(folder: Path) -> ClientAPI:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))
    except Exception as error:  # Chroma's native part raises bare exceptions, panics among them
        raise _unusable(error) from error


def _unusable(error: BaseException) -> IndexUnusable:
    return IndexUnusable(
        f"Chroma failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}.",
        do="run `memedit reindex`; the ledger holds everything",
    )
