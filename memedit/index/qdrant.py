"""Qdrant as an index, on a server or in a folder: a collection a namespace, kind and embedder."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from memedit.embedders.port import Vectors
from memedit.errors import IndexUnreachable, IndexUnusable, MissingExtra
from memedit.index.port import Index, IndexStore, check_dimension
from memedit.text import one_line

try:
    from qdrant_client import QdrantClient, models
    from qdrant_client.http.exceptions import ResponseHandlingException
except ModuleNotFoundError as missing:
    raise MissingExtra("qdrant", package="qdrant-client") from missing

BATCH = 1_000
MARKS = "memedit"  # the collection that keeps what each of the others holds


class QdrantStore(IndexStore):
    """Qdrant, as its client reaches it.

    Args:
        client: `QdrantClient(…)`.
    """

    name = "qdrant"

    def __init__(self, client: QdrantClient) -> None:
        self.client = client
        self._is_ready = False

    @classmethod
    def at(cls, address: str) -> QdrantStore:
        """The server at `http://HOST:PORT`; or a folder, or `:memory:`, of one process alone."""
        if address.startswith(("http://", "https://")):
            return cls(QdrantClient(url=address, check_compatibility=False))
        with typed():
            return cls(QdrantClient(":memory:") if address == ":memory:" else QdrantClient(path=address))

    def index(self, key: str) -> Index:
        if not self._is_ready:
            with typed():
                if not self.client.collection_exists(MARKS):
                    make(self.client, MARKS, 1)
            self._is_ready = True
        return QdrantIndex(self.client, "m" + hashlib.sha256(key.encode()).hexdigest()[:40])


class QdrantIndex(Index):
    """A collection in cosine space, whose points hold their edit's id.

    Args:
        client: Qdrant's.
        collection: Its name.
    """

    name = QdrantStore.name
    shared = True

    def __init__(self, client: QdrantClient, collection: str) -> None:
        self._client = client
        self._collection = collection
        self.level()

    def level(self) -> int:
        with typed():
            found = self._client.retrieve(MARKS, [_point(self._collection)])
            payload = (found[0].payload if found else None) or {}
            is_there = self._client.collection_exists(self._collection)
        self.seq = int(payload.get("seq", 0)) if is_there else 0
        self._dimension: int | None = payload.get("dimension") if is_there else None
        return self.seq

    def put(self, ids: Sequence[str], vectors: Vectors) -> None:
        if not len(ids):
            return
        if self._dimension is None:
            with typed():
                if not self._client.collection_exists(self._collection):
                    make(self._client, self._collection, vectors.shape[1])
            self._dimension = vectors.shape[1]
        check_dimension(self._dimension, vectors.shape[1])
        for start in range(0, len(ids), BATCH):
            some = list(ids[start : start + BATCH])
            points = models.Batch(
                ids=[_point(one) for one in some],
                vectors=vectors[start : start + BATCH].tolist(),
                payloads=[{"id": one} for one in some],
            )
            with typed():
                self._client.upsert(self._collection, points, wait=True)

    def remove(self, ids: Sequence[str]) -> None:
        if len(ids) and self._dimension is not None:
            chosen = models.PointIdsList(points=[_point(one) for one in ids])
            with typed():
                self._client.delete(self._collection, chosen, wait=True)

    def search(self, vector: Vectors, k: int) -> list[tuple[str, float]]:
        return [(point.payload["id"], float(point.score)) for point in self._nearest(vector, k, whole=False)]

    def search_whole(self, vector: Vectors, k: int) -> list[tuple[str, float, Vectors]]:
        """As `search`, each with its own vector, in one query."""
        found = self._nearest(vector, k, whole=True)
        return [(one.payload["id"], float(one.score), np.asarray(one.vector, dtype=np.float32)) for one in found]

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        if not len(ids) or self._dimension is None:
            return {}
        with typed():
            found = self._client.retrieve(self._collection, [_point(one) for one in ids], with_vectors=True)
        return {(one.payload or {})["id"]: np.asarray(one.vector, dtype=np.float32) for one in found}

    def clear(self) -> None:
        with typed():
            self._client.delete_collection(self._collection)
        self._dimension = None
        self.mark(0)

    def __len__(self) -> int:
        if self._dimension is None:
            return 0
        with typed():
            return int(self._client.count(self._collection, exact=True).count)

    def mark(self, seq: int) -> None:
        mark = models.PointStruct(
            id=_point(self._collection), vector=[1.0], payload={"seq": seq, "dimension": self._dimension}
        )
        with typed():
            self._client.upsert(MARKS, [mark], wait=True)
        self.seq = seq

    def _nearest(self, vector: Vectors, k: int, *, whole: bool) -> list[Any]:
        if k < 1 or self._dimension is None:
            return []
        check_dimension(self._dimension, len(vector))
        with typed():
            found = self._client.query_points(self._collection, query=vector.tolist(), limit=k, with_vectors=whole)
        return list(found.points)


def make(client: QdrantClient, name: str, dimension: int) -> None:
    """A new collection in cosine space."""
    client.create_collection(name, vectors_config=models.VectorParams(size=dimension, distance=models.Distance.COSINE))


@contextmanager
def typed() -> Iterator[None]:
    """Raise whatever Qdrant raises as an error of an index."""
    try:
        yield
    except ResponseHandlingException as error:
        raise IndexUnreachable(
            f"Qdrant cannot be reached: {one_line(str(error), 200)}.", do="see whether its server runs"
        ) from error
    except Exception as error:  # its local mode raises bare exceptions
        reason = one_line(str(error), 300) or type(error).__name__
        raise IndexUnusable(f"Qdrant failed: {reason.rstrip('.')}.", do="see the error") from error


def _point(name: str) -> str:
    """The id of a point, which is a UUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))
