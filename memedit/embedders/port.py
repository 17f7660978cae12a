"""The Embedder port: texts to unit vectors."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memedit.errors import EmbedderError

Vectors = NDArray[np.float32]


class Embedder(ABC):
    """Gives texts vectors whose dot product is their similarity.

    Subclasses give `id` and `_embed`.
    """

    id: str
    """Names model and version: vectors of different ids are never compared. Stored beside every vector."""

    @property
    def space(self) -> str:
        """Id of the embedder in whose vector space these vectors lie; its own, unless they are nearly those of another.

        What was learned from that embedder's vectors (a gate's head) serves these, too. Stored vectors keep apart by
        `id` all the same.
        """
        return self.id

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of length 1, float32.

        Shapes:
            result (len(texts), dimension); (0, 0) for no texts.

        Raises:
            EmbedderError: The result has another shape than expected, or holds NaN or infinity.
        """
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        vectors = np.asarray(self._embed(list(texts)), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or vectors.shape[1] == 0:
            raise EmbedderError(
                f"Embedder `{self.id}` gave an array of shape {vectors.shape} for {len(texts)} texts.",
                do="return one vector of the same dimension for each text",
            )
        if not np.isfinite(vectors).all():
            raise EmbedderError(f"Embedder `{self.id}` gave NaN or infinity.", do="check the model and its input")
        unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return unit

    async def aembed(self, texts: Sequence[str]) -> Vectors:
        """As `embed`, off the event loop."""
        return await asyncio.to_thread(self.embed, texts)

    @abstractmethod
    def _embed(self, texts: list[str]) -> ArrayLike:
        """Vectors of any length, one a text."""


class FunctionEmbedder(Embedder):
    """A plain function from a list of texts to a list of vectors.

    Args:
        function: The function.
        id: Its identity; change it whenever the vectors change. Its qualified name when left out.
    """

    def __init__(self, function: Callable[[list[str]], ArrayLike], *, id: str | None = None) -> None:
        self._function = function
        self.id = id or f"function:{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', 'unnamed')}"

    def _embed(self, texts: list[str]) -> ArrayLike:
        return self._function(texts)


class QueryCache:
    """The vectors of the last queries, by embedder and text; safe to share between threads.

    Args:
        size: How many are kept; 0 keeps none.
    """

    def __init__(self, size: int = 4_096) -> None:
        self._size = size
        self._kept: OrderedDict[tuple[str, str], Vectors] = OrderedDict()
        self._lock = threading.Lock()

    def embed(self, embedder: Embedder, texts: Sequence[str]) -> Vectors:
        """As `embedder.embed`, asking it only for texts it was not asked for lately."""
        known = {text: vector for text in texts if (vector := self._get((embedder.id, text))) is not None}
        if missing := [text for text in dict.fromkeys(texts) if text not in known]:
            known |= dict(zip(missing, embedder.embed(missing), strict=True))
            self._keep(embedder.id, {text: known[text] for text in missing})
        return np.stack([known[text] for text in texts])

    def _get(self, key: tuple[str, str]) -> Vectors | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, embedder_id: str, vectors: dict[str, Vectors]) -> None:
        with self._lock:
            for text, vector in vectors.items():
                self._kept[embedder_id, text] = vector
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)


def dots(matrix: Vectors, other: Vectors) -> Vectors:
    """Dot products of the rows of `matrix` with a vector, or with the rows of another matrix.

    Not by BLAS: after a product its threads go on spinning, where the embedder's then find no core free. On two cores
    that made every embedding call twice as slow, which costs more than one thread loses here.

    Shapes:
        matrix (n, d); other (d,) or (m, d); result (n,) or (n, m).
    """
    products: Vectors = np.einsum("nd,d->n" if other.ndim == 1 else "nd,md->nm", matrix, other)
    return products


def text_hash(text: str) -> str:
    """The key of a text's vector: 32 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
