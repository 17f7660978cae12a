"""Any LangChain `VectorStore` as an index. It proposes ids; cosines are of the vectors that it gives back with them."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from memedit.embedders.port import Vectors
from memedit.errors import IndexUnreachable, IndexUnusable, MissingExtra
from memedit.index.port import Index, IndexStore
from memedit.text import one_line

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore
except ModuleNotFoundError as missing:
    raise MissingExtra("langchain", package="langchain-core") from missing

BATCH = 500
MARK = "memedit"  # what the document says that keeps how far the index is
Make = Callable[[str, "GivenVectors"], VectorStore]


class GivenVectors(Embeddings):
    """Stands where a `VectorStore` wants its embeddings: of the texts that are being put it knows the vectors.

    Attributes:
        dimension: Of every vector.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.known: dict[str, Vectors] = {}

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        nothing = np.eye(1, self.dimension, dtype=np.float32)[0]  # for a store that tries its embeddings out
        return [self.known.get(text, nothing).tolist() for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class LangChainStore(IndexStore):
    """A `VectorStore` for each index.

    Args:
        make: From a name (letters and digits) and embeddings to a store, which finds by cosine and has `get_by_ids`,
            `delete` and `similarity_search_by_vector`. Of a name it is called once a process.
        dimension: Of the embedder's vectors.
    """

    name = "langchain"

    def __init__(self, make: Make, *, dimension: int) -> None:
        self._make = make
        self._dimension = dimension
        self._made: dict[str, tuple[VectorStore, GivenVectors]] = {}

    def index(self, key: str) -> Index:
        name = "m" + hashlib.sha256(key.encode()).hexdigest()[:40]
        if name not in self._made:
            given = GivenVectors(self._dimension)
            with _typed():
                self._made[name] = self._make(name, given), given
        return LangChainIndex(*self._made[name])


class LangChainIndex(Index):
    """Documents that say an edit's id, and hold its vector.

    Args:
        store: Keeps them.
        given: Its embeddings.
    """

    name = LangChainStore.name
    shared = True

    def __init__(self, store: VectorStore, given: GivenVectors) -> None:
        self._store = store
        self._given = given
        self.level()

    def level(self) -> int:
        with _typed():
            found = self._store.get_by_ids([_uuid(MARK)])
        told = found[0].metadata if found else {}
        self.seq, self._count = int(told.get("seq", 0)), int(told.get("count", 0))
        return self.seq

    def put(self, ids: Sequence[str], vectors: Vectors) -> None:
        if len(ids):
            self._check(vectors.shape[1])
        for start in range(0, len(ids), BATCH):
            some = dict(zip(ids[start : start + BATCH], vectors[start : start + BATCH], strict=True))
            self.remove(list(some))
            self._add([Document(one, id=_uuid(one), metadata={"vector": _text(some[one])}) for one in some], some)
            self._count += len(some)

    def remove(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), BATCH):
            with _typed():
                found = self._store.get_by_ids([_uuid(one) for one in ids[start : start + BATCH]])
                if there := [_uuid(one.page_content) for one in found]:
                    self._store.delete(there)
            self._count -= len(there)

    def search(self, vector: Vectors, k: int) -> list[tuple[str, float]]:
        return [(edit_id, cosine) for edit_id, cosine, _ in self.search_whole(vector, k)]

    def search_whole(self, vector: Vectors, k: int) -> list[tuple[str, float, Vectors]]:
        if k < 1 or not self._count:
            return []
        self._check(len(vector))
        vectors = {one.page_content: _vector(one) for one in self._nearest(vector, k + 1)}
        found = [(edit_id, float(own @ vector), own) for edit_id, own in vectors.items()]
        return sorted(found, key=lambda one: -one[1])[:k]

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        if not len(ids):
            return {}
        with _typed():
            return {one.page_content: _vector(one) for one in self._store.get_by_ids([_uuid(one) for one in ids])}

    def clear(self) -> None:
        some = np.eye(1, self._given.dimension, dtype=np.float32)[0]
        while found := self._nearest(some, BATCH):
            with _typed():
                self._store.delete([_uuid(one.page_content) for one in found])
        self._count = 0
        self.mark(0)

    def __len__(self) -> int:
        return self._count

    def mark(self, seq: int) -> None:
        with _typed():
            if self._store.get_by_ids([_uuid(MARK)]):
                self._store.delete([_uuid(MARK)])
        self._add([Document(MARK, id=_uuid(MARK), metadata={"seq": seq, "count": self._count})], {})
        self.seq = seq

    def _add(self, documents: list[Document], vectors: dict[str, Vectors]) -> None:
        self._given.known = vectors
        with _typed():
            self._store.add_documents(documents, ids=[str(one.id) for one in documents])

    def _nearest(self, vector: Vectors, k: int) -> list[Document]:
        with _typed():
            found = self._store.similarity_search_by_vector(vector.tolist(), k)
        return [one for one in found if one.page_content != MARK]

    def _check(self, dimension: int) -> None:
        if dimension != self._given.dimension:
            raise IndexUnusable(
                f"The store is for vectors of dimension {self._given.dimension}, and was given one of {dimension}.",
                do="give LangChainStore the dimension of the embedder",
            )


@contextmanager
def _typed() -> Iterator[None]:
    """Raise whatever the store raises as an error of an index."""
    try:
        yield
    except NotImplementedError as error:
        raise IndexUnusable(
            f"The store lacks a method: {one_line(str(error), 200)}.", do="take one with get_by_ids and delete"
        ) from error
    except Exception as error:  # it is foreign code, and may raise anything
        reason = one_line(str(error), 300) or type(error).__name__
        kind = IndexUnreachable if _is_away(error) else IndexUnusable
        raise kind(f"The vector store failed: {reason.rstrip('.')}.", do="see the error") from error


def _is_away(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, (ConnectionError, TimeoutError)) or "Connect" in type(error).__name__:
            return True
        error = error.__cause__ or error.__context__
    return False


def _uuid(edit_id: str) -> str:
    """The id of a document. Some stores take no other than UUIDs."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, edit_id))


def _text(vector: Vectors) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()


def _vector(document: Document) -> Vectors:
    return np.frombuffer(base64.b64decode(document.metadata["vector"]), dtype="<f4")
