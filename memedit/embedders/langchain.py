"""LangChain `Embeddings` as an embedder."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from memedit.embedders.port import Embedder
from memedit.errors import EmbedderError, MissingExtra

try:
    from langchain_core.embeddings import Embeddings
except ModuleNotFoundError as missing:
    raise MissingExtra("langchain", package="langchain-core") from missing

MODELS = ("model", "model_name", "model_id", "deployment")
SERVERS = ("base_url", "openai_api_base", "azure_endpoint", "endpoint_url")
SIZES = ("dimensions", "size")


class LangChainEmbedder(Embedder):
    """The `embed_documents` of a LangChain `Embeddings`.

    Args:
        embeddings: The object.
        id: Identity beside stored vectors; change it whenever the vectors change. Class, model, server and dimensions,
            as far as the object names them, when left out.
    """

    def __init__(self, embeddings: Embeddings, *, id: str | None = None) -> None:
        self.embeddings = embeddings
        self.id = id or _id(embeddings)

    def _embed(self, texts: list[str]) -> list[list[float]]:
        return self.embeddings.embed_documents(texts)


def wrap(embeddings: Any, *, id: str | None = None) -> LangChainEmbedder:
    """A LangChain `Embeddings`.

    Raises:
        EmbedderError: It is none.
    """
    if not isinstance(embeddings, Embeddings):
        raise EmbedderError(
            f"A {type(embeddings).__name__} is no LangChain `Embeddings`.", do="pass one, or a function"
        )
    return LangChainEmbedder(embeddings, id=id)


def _id(embeddings: Embeddings) -> str:
    fields = vars(embeddings)

    def named(names: tuple[str, ...]) -> Any:
        return next((fields[name] for name in names if isinstance(fields.get(name), (str, int))), None)

    server = urlsplit(str(named(SERVERS) or ""))
    host = f"{server.hostname}:{server.port}" if server.port else server.hostname  # without user and password
    parts = (type(embeddings).__name__, named(MODELS), host, named(SIZES))
    return ":".join(["langchain", *(str(part) for part in parts if part)])
