"""Models behind OpenAI's chat completions API: OpenAI's own, or any compatible server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from memedit.embedders.openai import new_client, sibling
from memedit.errors import MissingExtra, ProviderError, RequestRejected, UnsupportedModel
from memedit.llms import LLM, Kind
from memedit.messages import Reply, Request

try:
    from openai import AsyncOpenAI, OpenAI
except ModuleNotFoundError as missing:
    raise MissingExtra("openai", package="openai") from missing


class OpenAILLM(LLM):
    """The chat completions of a client, whose retries and time-outs hold. Options are passed on as they are.

    A list of chat messages that no method changed is sent as the caller's own.

    Args:
        client: Sync or async; either serves both kinds of call.
        model: As the server names it; a `model` among a call's options goes before it.
        other: The client of the other kind. When left out it is made from the settings of `client` once it is needed;
            give it for Azure, for a key that is a function, and for a custom `http_client` (which is sync or async
            itself, and would be left out).
        name: Shown in traces.
        kind: `base` for a model that continues text.
        concurrency: Calls made at a time for a batch.
    """

    def __init__(
        self, client: OpenAI | AsyncOpenAI, *, model: str, other: OpenAI | AsyncOpenAI | None = None,
        name: str | None = None, kind: Kind = "chat", concurrency: int = 8,
    ) -> None:  # fmt: skip
        self.client = client
        self.model = model
        self.name = name or f"openai:{model}"
        self.kind = kind
        self._concurrency = concurrency
        given = (client, other)
        self._sync = next((one for one in given if isinstance(one, OpenAI)), None)
        self._async = next((one for one in given if isinstance(one, AsyncOpenAI)), None)
        # A pooled connection lives in the event loop it was opened in, so each loop has its own made client.
        self._made: dict[asyncio.AbstractEventLoop, AsyncOpenAI] = {}

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        client = self._sync_client()

        def one(request: Request) -> Reply:
            return _reply(client.chat.completions.create(**self._body(request)))

        if len(requests) == 1:
            return [one(requests[0])]
        with ThreadPoolExecutor(min(self._concurrency, len(requests) or 1)) as pool:
            return list(pool.map(one, requests))

    def stream(self, request: Request) -> Iterator[Reply]:
        body = self._body(request) | {"stream": True}
        with self._sync_client().chat.completions.create(**body) as chunks:
            for chunk in chunks:
                yield _piece(chunk)

    async def agenerate(self, requests: Sequence[Request]) -> list[Reply]:
        client, free = self._async_client(), asyncio.Semaphore(self._concurrency)

        async def one(request: Request) -> Reply:
            async with free:
                return _reply(await client.chat.completions.create(**self._body(request)))

        tasks = [asyncio.create_task(one(request)) for request in requests]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()  # where one failed, the others are not waited for

    async def astream(self, request: Request) -> AsyncIterator[Reply]:
        body = self._body(request) | {"stream": True}
        async with await self._async_client().chat.completions.create(**body) as chunks:
            async for chunk in chunks:
                yield _piece(chunk)

    def _body(self, request: Request) -> dict[str, Any]:
        if request.options.get("stream"):
            raise RequestRejected("`stream` is no option of a call.", do="call .stream(…) or .astream(…)")
        return {"model": self.model, "messages": _messages(request), **request.options}

    def _sync_client(self) -> OpenAI:
        if self._sync is None:
            self._sync = sibling(self.client)
        return self._sync

    def _async_client(self) -> AsyncOpenAI:
        if self._async is not None:
            return self._async
        loop = asyncio.get_running_loop()
        if (made := self._made.get(loop)) is None:
            made = sibling(self.client)
            open_ones = {other: kept for other, kept in self._made.items() if not other.is_closed()}
            self._made = {**open_ones, loop: made}
        return made


def load(
    name: str, *, base_url: str | None = None, api_key: str | None = None, kind: Kind = "chat", concurrency: int = 8,
    **client_options: Any,
) -> OpenAILLM:  # fmt: skip
    """`openai:MODEL`, on OpenAI's API or, with `base_url=`, on any compatible server.

    Args:
        name: As the server names the model.
        base_url: Else `OPENAI_BASE_URL`, else OpenAI's API.
        api_key: Else `OPENAI_API_KEY`. A server on this machine needs none.
        kind: `base` for a model that continues text.
        concurrency: Calls made at a time for a batch.
        client_options: Passed to `OpenAI` (timeout, max_retries, default_headers, …).

    Raises:
        ProviderError: There is no key.
    """
    return wrap(new_client(base_url, api_key, **client_options), model=name, kind=kind, concurrency=concurrency)


def wrap(client: Any, *, model: str = "", **options: Any) -> OpenAILLM:
    """An `OpenAI` or `AsyncOpenAI` client with `model=`.

    Args:
        client: The client.
        model: As the server names it.
        options: Passed to `OpenAILLM` (other, name, kind, concurrency).

    Raises:
        UnsupportedModel: It is neither, or `model=` is missing.
    """
    if not isinstance(client, (OpenAI, AsyncOpenAI)):
        raise UnsupportedModel(f"A {type(client).__name__} is no OpenAI client.", do="pass OpenAI(…) or AsyncOpenAI(…)")
    if not model:
        raise UnsupportedModel("An OpenAI client alone names no model.", do="pass model=, or use 'openai:MODEL'")
    return OpenAILLM(client, model=model, **options)


def _messages(request: Request) -> list[Any]:
    own = request.source
    if isinstance(own, list) and all(isinstance(item, dict) for item in own):
        return own
    return [message.to_openai() for message in request.messages]


def _reply(completion: Any) -> Reply:
    choice = next(iter(getattr(completion, "choices", None) or ()), None)
    message = getattr(choice, "message", None)
    if choice is None or message is None:
        raise ProviderError(
            f"The server answered with no choices: {completion!r:.200}",
            do="check that base_url is the address of a chat completions API (mostly it ends in /v1)",
        )
    return Reply(
        message.content or "",
        tuple(call.to_dict() for call in message.tool_calls or ()),
        choice.finish_reason,
        _usage(completion),
        completion,
    )


def _piece(chunk: Any) -> Reply:
    # The last chunk may hold usage only, and with n > 1 the text is the first choice's.
    choice = next((choice for choice in chunk.choices or () if not choice.index), None)
    if choice is None or choice.delta is None:
        return Reply("", usage=_usage(chunk), raw=chunk)
    calls = tuple(call.to_dict() for call in choice.delta.tool_calls or ())
    return Reply(choice.delta.content or "", calls, choice.finish_reason, _usage(chunk), chunk)


def _usage(body: Any) -> dict[str, int]:
    usage = getattr(body, "usage", None)
    return {"input": usage.prompt_tokens, "output": usage.completion_tokens} if usage else {}
