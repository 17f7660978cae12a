"""The stores that tests put indexes into, each the real thing: two servers, and what runs in the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memedit.index import IndexStore

DIMENSION = 16
STORES = ("chroma-server", "pgvector", "qdrant", "langchain", "langchain-qdrant")
SERVERS = ("chroma-server", "pgvector")


def made_store(name: str, fixture: Callable[[str], Any], *, dimension: int = DIMENSION, **how: Any) -> IndexStore:
    """A new store; of a server, on the one that a fixture of this name started."""
    match name:
        case "chroma-server":
            pytest.importorskip("chromadb")
            from memedit.index.chroma import ChromaStore

            return ChromaStore.at(fixture("chroma").url)
        case "pgvector":
            server = fixture("postgres")
            from memedit.index.pgvector import PgVectorStore

            return PgVectorStore(server.url, **how)
        case "qdrant":
            pytest.importorskip("qdrant_client")
            from memedit.index.qdrant import QdrantStore

            return QdrantStore.at(":memory:")
        case "langchain":
            pytest.importorskip("langchain_core")
            from langchain_core.vectorstores import InMemoryVectorStore

            from memedit.index.langchain import LangChainStore

            return LangChainStore(lambda name, embeddings: InMemoryVectorStore(embeddings), dimension=dimension)
        case "langchain-qdrant":
            pytest.importorskip("langchain_qdrant")
            return _langchain_qdrant(dimension)
    raise AssertionError(name)


def _langchain_qdrant(dimension: int) -> IndexStore:
    from langchain_qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient, models

    from memedit.index.langchain import GivenVectors, LangChainStore

    client = QdrantClient(":memory:")

    def make(name: str, embeddings: GivenVectors) -> QdrantVectorStore:
        size = models.VectorParams(size=embeddings.dimension, distance=models.Distance.COSINE)
        client.create_collection(name, vectors_config=size)
        return QdrantVectorStore(client, name, embeddings)

    return LangChainStore(make, dimension=dimension)
