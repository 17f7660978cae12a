"""Embedders on OpenAI's API or a compatible server, and the making of clients."""

from __future__ import annotations

import inspect
import os
from typing import Any
from urllib.parse import urlsplit

from memedit.embedders.port import Embedder
from memedit.errors import EmbedderError, MissingExtra, ProviderError, UnsupportedModel

try:
    from openai import AsyncOpenAI, OpenAI, OpenAIError, omit
except ModuleNotFoundError as missing:
    raise MissingExtra("openai", package="openai") from missing

HERE = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104  (compared with, not listened on)
OPENAI = "api.openai.com"


class OpenAIEmbedder(Embedder):
    """The `/embeddings` of a client.

    Args:
        client: Its retries and time-outs hold.
        model: As the server names it.
        id: Identity beside stored vectors. When left out: the model, the server where it is not OpenAI's, and the
            dimensions asked for.
        dimensions: Of the vectors, where the model lets one choose.
        batch: Texts a call.
    """

    def __init__(
        self, client: OpenAI, *, model: str, id: str | None = None, dimensions: int | None = None, batch: int = 256
    ) -> None:
        self.client = client
        self.id = id or _id(client, model, dimensions)
        self._model = model
        self._dimensions = dimensions
        self._batch = batch

    def _embed(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = []
        for start in range(0, len(texts), self._batch):
            some = texts[start : start + self._batch]
            answer = self.client.embeddings.create(model=self._model, input=some, dimensions=self._dimensions or omit)
            vectors += [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
        return vectors


def load(
    name: str, *, base_url: str | None = None, api_key: str | None = None, id: str | None = None,
    dimensions: int | None = None, batch: int = 256,
) -> OpenAIEmbedder:  # fmt: skip
    """`openai:MODEL`, on OpenAI's API or, with `base_url=`, on any compatible server. See `new_client` for the key."""
    return wrap(new_client(base_url, api_key), model=name, id=id, dimensions=dimensions, batch=batch)


def wrap(
    client: Any, *, model: str = "", id: str | None = None, dimensions: int | None = None, batch: int = 256
) -> OpenAIEmbedder:
    """An `OpenAI` or `AsyncOpenAI` client.

    Raises:
        EmbedderError: It is neither, or `model=` is missing.
    """
    if not isinstance(client, (OpenAI, AsyncOpenAI)):
        raise EmbedderError(f"A {type(client).__name__} is no OpenAI client.", do="pass OpenAI(…) or AsyncOpenAI(…)")
    if not model:
        raise EmbedderError("An OpenAI client alone names no model.", do="pass model=, such as text-embedding-3-small")
    sync = client if isinstance(client, OpenAI) else sibling(client)
    return OpenAIEmbedder(sync, model=model, id=id, dimensions=dimensions, batch=batch)


def new_client(base_url: str | None = None, api_key: str | None = None, **options: Any) -> OpenAI:
    """A client for OpenAI's API, or for `base_url` (else `OPENAI_BASE_URL`).

    The key is `api_key`, else `OPENAI_API_KEY`. A server on this machine needs none.

    Raises:
        ProviderError: There is no key.
        UnsupportedModel: The client takes no such option.
    """
    known = inspect.signature(OpenAI).parameters
    for name in options:
        if name not in known:
            raise UnsupportedModel(f"OpenAI's client takes no option `{name}`.", do=f"use {', '.join(known)}")
    base_url = base_url or os.environ.get("OPENAI_BASE_URL")
    key = api_key or os.environ.get("OPENAI_API_KEY")
    if not key and base_url and urlsplit(base_url).hostname in HERE:
        key = "none-needed"  # the SDK refuses to start without one
    try:
        return OpenAI(api_key=key, base_url=base_url, **options)
    except OpenAIError as error:
        raise ProviderError(
            f"No OpenAI client could be made: {error}",
            do="set OPENAI_API_KEY, or pass api_key= (any text, where the server asks for none)",
        ) from error


def sibling(client: OpenAI | AsyncOpenAI) -> Any:
    """The `AsyncOpenAI` of the same settings as an `OpenAI`, or the other way round.

    A custom `http_client` is not carried over, being sync or async itself.

    Raises:
        ProviderError: The client is of a subclass (Azure, …), or its key is no plain text.
    """
    by_key = client.api_key and not client._api_key_provider and not client.workload_identity
    if type(client) not in (OpenAI, AsyncOpenAI) or not by_key:
        raise ProviderError(
            f"This {type(client).__name__} serves {'sync' if isinstance(client, OpenAI) else 'async'} calls only, and "
            "its settings do not give the other kind.",
            do="wrap the client of the kind you call, or pass the other one too where `other=` is taken",
        )
    other = AsyncOpenAI if isinstance(client, OpenAI) else OpenAI
    return other(
        api_key=client.api_key,
        organization=client.organization,
        project=client.project,
        base_url=client.base_url,
        timeout=client.timeout,
        max_retries=client.max_retries,
        default_headers=client._custom_headers,
        default_query=client._custom_query,
    )


def _id(client: OpenAI, model: str, dimensions: int | None) -> str:
    host = client.base_url.netloc.decode()  # without user and password
    return f"openai:{model}" + (f"@{host}" if host != OPENAI else "") + (f":{dimensions}" if dimensions else "")
