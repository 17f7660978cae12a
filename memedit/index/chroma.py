"""Chroma as an index for large namespaces, in a folder or on a server: a collection a namespace, kind and embedder.

In a folder, Chroma answers with vectors another process has removed, so what it proposes is always checked against the
ledger; each process brings every collection up to the ledger's last event by itself, which also refreshes Chroma's own
reader. On a server (`chroma run`), one process does so for all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from memedit.embedders.port import Vectors
from memedit.errors import IndexUnreachable, IndexUnusable, MissingExtra
from memedit.index.blank import blank_memory
from memedit.index.folder import throw_away
from memedit.index.port import Index, IndexStore

try:
    import chromadb
    import httpx  # with which Chroma asks its servers
    from chromadb.api import ClientAPI
    from chromadb.api.shared_system_client import SharedSystemClient
    from chromadb.config import Settings
    from chromadb.errors import NotFoundError
except ModuleNotFoundError as missing:
    raise MissingExtra("chroma", package="chromadb") from missing

BATCH = 5_000  # Chroma takes 5,461 rows a call


class Collection(Index):
    """A collection in cosine space, without documents, metadata or an embedding function.

    Args:
        client: Chroma's.
        key: Whose vectors: any text; it is encoded to a name Chroma accepts.
    """

    name = "chroma"

    def __init__(self, client: ClientAPI, key: str) -> None:
        self._client = client
        self._collection_name = "m" + hashlib.sha256(key.encode()).hexdigest()[:40]
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
            held = self._collection.count()
            while held:
                found = self._collection.query(query_embeddings=[vector], n_results=min(k, held), include=include)
                before, held = held, self._collection.count() if held < k else held
                if held <= before:  # else others wrote meanwhile, and the farthest was cut off
                    break
            else:
                return [], [], []
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


class ChromaIndex(Collection):
    """A collection in a folder.

    Args:
        folder: Where Chroma keeps its files.
        key: As above.
        anew: Begin empty; files that cannot be used, of other collections too, are thrown away.
    """

    def __init__(self, folder: Path, key: str, *, anew: bool = False) -> None:
        try:
            super().__init__(_client_in(folder), key)
            if anew:
                self.clear()
                self._write_a_little()
        except IndexUnusable:
            if not anew:
                raise
            throw_away(folder)
            super().__init__(_client_in(folder), key)

    def close(self) -> None:
        with suppress(IndexUnusable), _typed():
            self._client.close()

    def _write_a_little(self) -> None:
        """Raise `IndexUnusable` if the files cannot be written: a deleted folder can still be read for a while."""
        self.mark(0)


class SharedCollection(Collection):
    """A collection on a server, which other processes use too."""

    name = "chroma-server"
    shared = True

    def level(self) -> int:
        self._open()
        return self.seq


class ChromaStore(IndexStore):
    """A Chroma server.

    Args:
        client: Chroma's, such as `chromadb.HttpClient(…)`.
    """

    name = SharedCollection.name

    def __init__(self, client: ClientAPI) -> None:
        self._client = client

    @classmethod
    def at(cls, address: str) -> ChromaStore:
        """The server at `http://HOST:PORT`, or `https://…`.

        Raises:
            ValueError: It is no such address.
            IndexUnreachable: It does not answer.
        """
        server = urlsplit(address)
        if server.scheme not in ("http", "https") or not server.hostname:
            raise ValueError("the address of a Chroma server is http://HOST:PORT")
        is_safe = server.scheme == "https"
        with _typed():
            settings = Settings(anonymized_telemetry=False)
            port = server.port or (443 if is_safe else 8000)
            return cls(chromadb.HttpClient(server.hostname, port, ssl=is_safe, settings=settings))

    def index(self, key: str) -> Index:
        return SharedCollection(self._client, key)


AWAY = "see whether it runs; nothing has to be made anew"
REINDEX = "run `memedit reindex`; the ledger holds everything"


@contextmanager
def _typed() -> Iterator[None]:
    """Raise whatever Chroma raises as `IndexUnusable`; what it writes to disk unfilled is blank."""
    try:
        with blank_memory():
            yield
    except IndexUnusable:
        raise
    except BaseException as error:
        # Its native part raises bare exceptions, and panics that are no `Exception`.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if _is_away(error):
            raise IndexUnreachable(f"The Chroma server cannot be reached: {reason.rstrip('.')}.", do=AWAY) from error
        raise IndexUnusable(f"Chroma failed: {reason.rstrip('.')}.", do=REINDEX) from error


def _is_away(error: BaseException) -> bool:
    return isinstance(error, httpx.TransportError) or "Could not connect to a Chroma server" in str(error)


def _client_in(folder: Path) -> ClientAPI:
    with _typed():
        folder.mkdir(parents=True, exist_ok=True)
        return chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))


def forget_client(folder: Path) -> None:
    """Have this process forget the client it shares for the files in a folder."""
    system = SharedSystemClient._identifier_to_system.pop(str(folder), None)
    if system is not None:
        with suppress(IndexUnusable), _typed():
            system.stop()
