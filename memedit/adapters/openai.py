"""Models behind OpenAI's chat completions API: OpenAI's own, or any compatible server; and `editable`, for clients that
keep their class and gain an edit memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from memedit.adapters._stops import cut, stops_of
from memedit.adapters.wire.parameters import CHAT_LIMITS, Parameters
from memedit.embedders.openai import new_client, sibling
from memedit.errors import MissingExtra, ProviderError, RequestRejected, UnsupportedModel
from memedit.llms import LLM, Kind
from memedit.messages import Reply, Request

try:
    from openai import APIStatusError, AsyncOpenAI, OpenAI

    from memedit.adapters._openai_client import editable as editable
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
        options: Sent with every call, before what the call or memedit itself says; None leaves a parameter out. A
            reasoning model may need `{"max_completion_tokens": 2000}`, because it thinks within that limit.

    `max_tokens` is what memedit calls the limit on every kind of model. It is sent as `max_completion_tokens` where
    memedit set it, as it is where the caller did, and under the other name where the server takes only that one, which
    is remembered for the model.
    """

    def __init__(
        self, client: OpenAI | AsyncOpenAI, *, model: str, other: OpenAI | AsyncOpenAI | None = None,
        name: str | None = None, kind: Kind = "chat", concurrency: int = 8, options: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.client = client
        self._always = dict(options or {})
        self._parameters = Parameters()
        self.model = model
        self.name = name or f"openai:{model}"
        self.kind = kind
        self._concurrency = concurrency
        given = (client, other)
        self._sync = next((one for one in given if isinstance(one, OpenAI)), None)
        self._async = next((one for one in given if isinstance(one, AsyncOpenAI)), None)
        # A pooled connection lives in the event loop it was opened in, so each loop has its own made client.
        self._made: dict[asyncio.AbstractEventLoop, AsyncOpenAI] = {}
        self._own: list[OpenAI] = []  # what was opened here, and so is closed here

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        client = self._sync_client()

        def one(request: Request) -> Reply:
            return self._reply(request, self._create(client, request))

        if len(requests) == 1:
            return [one(requests[0])]
        with ThreadPoolExecutor(min(self._concurrency, len(requests) or 1)) as pool:
            return list(pool.map(one, requests))

    def stream(self, request: Request) -> Iterator[Reply]:
        with self._create(self._sync_client(), request, stream=True) as chunks:
            for chunk in chunks:
                yield _piece(chunk)

    async def agenerate(self, requests: Sequence[Request]) -> list[Reply]:
        client, free = self._async_client(), asyncio.Semaphore(self._concurrency)

        async def one(request: Request) -> Reply:
            async with free:
                return self._reply(request, await self._acreate(client, request))

        tasks = [asyncio.create_task(one(request)) for request in requests]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()  # where one failed, the others are not waited for

    def close(self) -> None:
        while self._own:
            self._own.pop().close()

    async def aclose(self) -> None:
        if made := self._made.pop(asyncio.get_running_loop(), None):
            await made.close()
        await super().aclose()

    async def astream(self, request: Request) -> AsyncIterator[Reply]:
        async with await self._acreate(self._async_client(), request, stream=True) as chunks:
            async for chunk in chunks:
                yield _piece(chunk)

    def _create(self, client: OpenAI, request: Request, **how: Any) -> Any:
        while True:
            body = self._body(request) | how
            try:
                return client.chat.completions.create(**body)
            except APIStatusError as error:
                if not self._is_worth_again(body, request, error):
                    raise

    async def _acreate(self, client: AsyncOpenAI, request: Request, **how: Any) -> Any:
        while True:
            body = self._body(request) | how
            try:
                return await client.chat.completions.create(**body)
            except APIStatusError as error:
                if not self._is_worth_again(body, request, error):
                    raise

    def _body(self, request: Request) -> dict[str, Any]:
        options, own = self._options(request)
        if options.get("stream"):
            raise RequestRejected("`stream` is no option of a call.", do="call .stream(…) or .astream(…)")
        fitted = self._parameters.fitted(options.get("model", self.model), options, own)
        return {"model": self.model, "messages": _messages(request), **fitted}

    def _options(self, request: Request) -> tuple[dict[str, Any], frozenset[str]]:
        """The options of a call, and which of them are memedit's own."""
        over = {*self._always, *(CHAT_LIMITS if any(name in self._always for name in CHAT_LIMITS) else ())}
        options = {name: value for name, value in request.options.items() if name not in over}
        options |= {name: value for name, value in self._always.items() if value is not None}
        return options, request.own - over

    def _is_worth_again(self, body: Mapping[str, Any], request: Request, error: APIStatusError) -> bool:
        options, own = self._options(request)
        return self._parameters.learn(body["model"], body, options, own, error.status_code, error.response.text)

    def _reply(self, request: Request, completion: Any) -> Reply:
        reply = _reply(completion)
        self._parameters.notice(self.model, self._body(request), request.own, reply)
        return (
            replace(reply, text=cut(reply.text, stops_of(request.options.get("stop")))[0])
            if "stop" in request.own
            else reply
        )

    def _sync_client(self) -> OpenAI:
        if self._sync is None:
            self._sync = sibling(self.client)
            self._own.append(self._sync)
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
    options: Mapping[str, Any] | None = None, **client_options: Any,
) -> OpenAILLM:  # fmt: skip
    """`openai:MODEL`, on OpenAI's API or, with `base_url=`, on any compatible server.

    Args:
        name: As the server names the model.
        base_url: Else `OPENAI_BASE_URL`, else OpenAI's API.
        api_key: Else `OPENAI_API_KEY`. A server on this machine needs none.
        kind: `base` for a model that continues text.
        concurrency: Calls made at a time for a batch.
        options: As `OpenAILLM` takes them.
        client_options: Passed to `OpenAI` (timeout, max_retries, default_headers, …).

    Raises:
        ProviderError: There is no key.
    """
    client = new_client(base_url, api_key, **client_options)
    made = wrap(client, model=name, kind=kind, concurrency=concurrency, options=options)
    made._own.append(client)
    return made


def wrap(
    client: Any, *, model: str = "", other: Any = None, name: str | None = None, kind: Kind = "chat",
    concurrency: int = 8, options: Mapping[str, Any] | None = None,
) -> OpenAILLM:  # fmt: skip
    """An `OpenAI` or `AsyncOpenAI` client with `model=`, which names it; the rest is as for `OpenAILLM`.

    Raises:
        UnsupportedModel: It is neither, or `model=` is missing.
    """
    if not isinstance(client, (OpenAI, AsyncOpenAI)):
        raise UnsupportedModel(f"A {type(client).__name__} is no OpenAI client.", do="pass OpenAI(…) or AsyncOpenAI(…)")
    if not model:
        raise UnsupportedModel("An OpenAI client alone names no model.", do="pass model=, or use 'openai:MODEL'")
    return OpenAILLM(
        client, model=model, other=other, name=name, kind=kind, concurrency=concurrency, options=options
    )  # fmt: skip


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
