"""The vectors of texts: those the ledger keeps, and those the embedder has to make."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence

from numpy.typing import ArrayLike

from memedit.embedders import Embedder, QueryCache, Vectors
from memedit.errors import EmbedderError, MemeditError
from memedit.memory.ledger import Ledger
from memedit.memory.ledger_reading import Reader
from memedit.text import one_line, storable

logger = logging.getLogger(__name__)


class CheckedEmbedder(Embedder):
    """An embedder whose faults are `EmbedderError`, and whose dimension is that of its vectors in the ledger.

    Without this check one bad call would leave vectors of two dimensions under one id, which cannot be compared.
    """

    def __init__(self, inner: Embedder, ledger: Ledger) -> None:
        self.inner = inner
        self.id = inner.id
        self._ledger = ledger
        self._dimension: int | None = None

    @property
    def space(self) -> str:
        return self.inner.space

    def embed(self, texts: Sequence[str]) -> Vectors:
        try:
            vectors = self.inner.embed([storable(text) for text in texts])
        except MemeditError:
            raise
        except Exception as error:  # it is foreign code, and may raise anything
            reason = one_line(str(error)) or type(error).__name__
            raise EmbedderError(
                f"Embedder `{self.id}` failed: {reason.rstrip('.')}.", do="see the error above; nothing was changed"
            ) from error
        if len(texts):
            self._check(vectors.shape[1])
        return vectors

    def _embed(self, texts: list[str]) -> ArrayLike:
        return self.embed(texts)

    def _check(self, dimension: int) -> None:
        if dimension == self._dimension:
            return
        with self._ledger.reading() as reader:
            self._dimension = reader.dimension(self.id)
        if self._dimension not in (None, dimension):
            raise EmbedderError(
                f"Embedder `{self.id}` gave vectors of dimension {dimension}; the stored ones have {self._dimension}.",
                do="give the changed embedder another id, or make all vectors anew: rebuild_index(embed=True)",
            )


class TextVectors:
    """Vectors by the hash of their text.

    Args:
        ledger: Keeps them.
        embedder: Gives the embedder; called only when one is needed.
        finder: Gives what embeds whole conversations.
        query_cache: How many vectors of queries are kept.
    """

    def __init__(
        self, ledger: Ledger, embedder: Callable[[], Embedder], finder: Callable[[], Embedder], query_cache: int
    ) -> None:
        self._ledger = ledger
        self._given = embedder
        self._finder = finder
        self._size = query_cache
        self.forget()

    def forget(self) -> None:
        """Forget what is known of the embedder and its vectors, because they changed."""
        self._checked: CheckedEmbedder | None = None
        self._queries = QueryCache(self._size)

    @property
    def embedder(self) -> Embedder:
        """The embedder, checked."""
        checked, given = self._checked, self._given()
        if checked is None or checked.inner is not given:
            checked = self._checked = CheckedEmbedder(given, self._ledger)
        return checked

    def of_queries(self, queries: Sequence[str]) -> Vectors:
        """The vectors (len(queries), dimension); lately asked queries are not embedded again."""
        return self._queries.embed(self.embedder, [storable(query) for query in queries])

    @property
    def finds_by_itself(self) -> bool:
        """Whether the embedder is the finder, too."""
        return self._finder() is self._given()

    def of_messages(self, wholes: Sequence[str]) -> Vectors:
        """The vectors (len(wholes), dimension) of whole conversations, by the finder."""
        if self.finds_by_itself:
            return self.of_queries(wholes)
        return self._queries.embed(self._finder(), [storable(whole) for whole in wholes])

    def lacking(self, texts: Mapping[str, str]) -> dict[str, Vectors]:
        """The vectors that the ledger lacks, made now and not stored. texts: hash to text."""
        known = self.known(texts)
        return self._embed({key: text for key, text in texts.items() if key not in known})

    def of(
        self, hashes: Collection[str], texts: Callable[[Reader, list[str]], Mapping[str, str]]
    ) -> dict[str, Vectors]:
        """The vectors of these texts; those that the ledger lacks are made and stored there.

        Args:
            hashes: Of the texts.
            texts: Gives the texts of those that are lacking, by hash, but for what was purged.
        """
        known = self.known(hashes)
        if lacking := [key for key in hashes if key not in known]:
            logger.info("embedding %d texts with %s", len(lacking), self.embedder.id)
            with self._ledger.reading() as reader:
                found = texts(reader, lacking)
            made = self._embed(found)
            with self._ledger.writing() as writer:
                there = texts(writer, lacking)  # nothing is stored of what was purged while it was embedded
                writer.put_vectors(self.embedder.id, {key: one for key, one in made.items() if key in there})
            known |= made
        return known

    def known(self, hashes: Collection[str]) -> dict[str, Vectors]:
        """Those of these vectors that the ledger has."""
        if not hashes:
            return {}
        with self._ledger.reading() as reader:
            return reader.vectors(self.embedder.id, hashes)

    def _embed(self, texts: Mapping[str, str]) -> dict[str, Vectors]:
        return dict(zip(texts, self.embedder.embed(list(texts.values())), strict=True))
