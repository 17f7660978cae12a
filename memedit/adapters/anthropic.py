"""Models behind Anthropic's messages API; and `editable`, for clients that keep their class and gain an edit memory."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from memedit.adapters._stops import cut, stops_of
from memedit.adapters.wire.messages import REASONS, Messages
from memedit.errors import MissingExtra, ProviderError, RequestRejected, UnsupportedModel
from memedit.llms import LLM
from memedit.messages import Message, Reply, Request

try:
    from anthropic import Anthropic
    from anthropic._base_client import AsyncAPIClient, SyncAPIClient
    from anthropic.resources.messages import Messages as Calls

    from memedit.adapters._anthropic_client import editable as editable
except ModuleNotFoundError as missing:
    raise MissingExtra("anthropic", package="anthropic") from missing

MAX_TOKENS = 1024
"""Of an answer, where the call names no limit: the API asks for one."""
HERE = ("localhost", "127.0.0.1", "::1")
CODEC = Messages()
KNOWN = frozenset(inspect.signature(Calls.create).parameters)
"""What the SDK calls by name; it sends the rest as `extra_body`."""


class AnthropicLLM(LLM):
    """The messages of a client, whose retries and time-outs hold. Options are passed on as they are.

    Messages may be in Anthropic's form or in OpenAI's: system messages become `system`, calls and results of tools
    blocks, and tools are written in Anthropic's form. A list in Anthropic's own form is sent as it is.

    Args:
        client: Sync or async, also of Bedrock, Vertex and other clouds. A sync one serves async calls in threads.
        model: As the server names it; a `model` among a call's options goes before it.
        other: The client of the other kind: the sync one that serves synchronous calls beside an async `client`.
        name: Shown in traces.
        concurrency: Calls made at a time for a batch.
        options: Sent with every call, before what the call or memedit itself says; None leaves a parameter out.
    """

    def __init__(
        self, client: SyncAPIClient | AsyncAPIClient, *, model: str,
        other: SyncAPIClient | AsyncAPIClient | None = None, name: str | None = None, concurrency: int = 8,
        options: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.client = client
        self.model = model
        self.name = name or f"anthropic:{model}"
        self._always = dict(options or {})
        self._concurrency = concurrency
        given = (client, other)  # the clients of clouds share no class that has `messages`
        self._sync: Any = next((one for one in given if isinstance(one, SyncAPIClient)), None)
        self._async: Any = next((one for one in given if isinstance(one, AsyncAPIClient)), None)
        self._own: list[Anthropic] = []  # what was opened here, and so is closed here

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        client = self._sync_client()

        def one(request: Request) -> Reply:
            return _reply(request, client.messages.create(**self._body(request)))

        if len(requests) == 1:
            return [one(requests[0])]
        with ThreadPoolExecutor(min(self._concurrency, len(requests) or 1)) as pool:
            return list(pool.map(one, requests))

    def stream(self, request: Request) -> Iterator[Reply]:
        with self._sync_client().messages.create(**self._body(request), stream=True) as events:
            for event in events:
                yield _piece(event)

    async def agenerate(self, requests: Sequence[Request]) -> list[Reply]:
        client = self._async
        if client is None:
            return await super().agenerate(requests)
        free = asyncio.Semaphore(self._concurrency)

        async def one(request: Request) -> Reply:
            async with free:
                return _reply(request, await client.messages.create(**self._body(request)))

        tasks = [asyncio.create_task(one(request)) for request in requests]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()  # where one failed, the others are not waited for

    async def astream(self, request: Request) -> AsyncIterator[Reply]:
        if self._async is None:
            async for piece in super().astream(request):
                yield piece
            return
        async with await self._async.messages.create(**self._body(request), stream=True) as events:
            async for event in events:
                yield _piece(event)

    def close(self) -> None:
        while self._own:
            self._own.pop().close()

    def _sync_client(self) -> Any:
        if self._sync is None:
            raise ProviderError(
                f"This {type(self.client).__name__} serves async calls only.", do="pass the sync client too, as other="
            )
        return self._sync

    def _body(self, request: Request) -> dict[str, Any]:
        options = {name: value for name, value in request.options.items() if name not in self._always}
        options |= {name: value for name, value in self._always.items() if value is not None}
        if options.get("stream"):
            raise RequestRejected("`stream` is no option of a call.", do="call .stream(…) or .astream(…)")
        stops = stops_of(options.pop("stop", None))
        if stops and "stop" not in request.own:  # memedit's own may be blank, which the API takes for no text
            options["stop_sequences"] = list(stops)
        if "max_tokens" in request.own:
            options.pop("thinking", None)  # within memedit's own limit there is no room for it
        if "tools" in options:
            options["tools"] = [_tool(tool) for tool in options["tools"]]
        told = [message for message in request.messages if message.role in ("system", "developer")]
        said = [_spoken(message) for message in request.messages if message not in told]
        system = {"system": _system(told)} if told else {}
        further = {name: options.pop(name) for name in [*options] if name not in KNOWN}
        options |= {"extra_body": {**further, **options.get("extra_body", {})}} if further else {}
        return {"model": self.model, "max_tokens": MAX_TOKENS, **system, "messages": said, **options}


def load(
    name: str, *, base_url: str | None = None, api_key: str | None = None, concurrency: int = 8,
    options: Mapping[str, Any] | None = None, timeout: float | None = None, max_retries: int | None = None,
) -> AnthropicLLM:  # fmt: skip
    """`anthropic:MODEL`, on Anthropic's API or, with `base_url=`, on another server that speaks it.

    Args:
        name: As the server names the model.
        base_url: Without `/v1`; else `ANTHROPIC_BASE_URL`, else Anthropic's API.
        api_key: Else `ANTHROPIC_API_KEY`, or what else the SDK finds. A server on this machine needs none.
        concurrency: Calls made at a time for a batch.
        options: As `AnthropicLLM` takes them.
        timeout: Seconds, where the SDK's do not do.
        max_retries: Where the SDK's do not do.

    Raises:
        ProviderError: There is no key.
    """
    more = {"timeout": timeout, "max_retries": max_retries}
    settings: dict[str, Any] = {key: value for key, value in more.items() if value is not None}
    client = Anthropic(api_key=api_key, base_url=base_url, **settings)
    if not (client.api_key or client.auth_token or client.credentials):
        if urlsplit(str(client.base_url)).hostname not in HERE:
            raise ProviderError("There is no key for Anthropic's API.", do="set ANTHROPIC_API_KEY, or pass api_key=")
        client.api_key = "none-needed"
    made = wrap(client, model=name, concurrency=concurrency, options=options)
    made._own.append(client)
    return made


def wrap(
    client: Any, *, model: str = "", other: Any = None, name: str | None = None, concurrency: int = 8,
    options: Mapping[str, Any] | None = None,
) -> AnthropicLLM:  # fmt: skip
    """A client of Anthropic's SDK with `model=`, which names it; the rest is as for `AnthropicLLM`.

    Raises:
        UnsupportedModel: It is none, or `model=` is missing.
    """
    if not isinstance(client, (SyncAPIClient, AsyncAPIClient)):
        raise UnsupportedModel(
            f"A {type(client).__name__} is no Anthropic client.", do="pass Anthropic(…) or AsyncAnthropic(…)"
        )
    if not model:
        raise UnsupportedModel("An Anthropic client alone names no model.", do="pass model=, or use 'anthropic:MODEL'")
    return AnthropicLLM(client, model=model, other=other, name=name, concurrency=concurrency, options=options)


def _system(told: Sequence[Message]) -> Any:
    """What a `system` says that holds these messages."""
    if all(isinstance(message.content, str) for message in told):
        return "\n\n".join(message.content for message in told)
    blocks: list[Any] = []
    for message in told:
        text = isinstance(message.content, str)
        blocks += [{"type": "text", "text": message.content}] if text else message.content or ()
    return blocks


def _spoken(message: Message) -> Any:
    """A message in Anthropic's form."""
    if message.role == "tool":
        result = {"type": "tool_result", "tool_use_id": message.extra.get("tool_call_id"), "content": message.content}
        return {"role": "user", "content": [result]}
    if calls := message.extra.get("tool_calls"):
        said = [{"type": "text", "text": message.text}] if message.text else []
        return {"role": "assistant", "content": [*said, *map(_use, calls)]}
    if isinstance(message.source, dict) and not message.extra:
        return message.source
    return {"role": message.role, "content": message.content}


def _use(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    given = json.loads(function.get("arguments") or "{}")
    return {"type": "tool_use", "id": call["id"], "name": function["name"], "input": given}


def _tool(tool: Any) -> Any:
    if not isinstance(tool, Mapping) or tool.get("type") != "function":
        return tool
    function = tool["function"]
    told = {name: function[name] for name in ("name", "description") if name in function}
    return {**told, "input_schema": function.get("parameters") or {"type": "object", "properties": {}}}


def _reply(request: Request, made: Any) -> Reply:
    try:
        reply = replace(CODEC.reply(made.to_dict()), raw=made)
    except (AttributeError, TypeError) as error:
        raise ProviderError(
            f"The server answered with no message: {made!r:.200}", do="check that base_url is of such an API"
        ) from error
    text = cut(reply.text, stops_of(request.options.get("stop")))[0] if "stop" in request.own else reply.text
    return replace(reply, text=text)


def _piece(event: Any) -> Reply:
    """What an event adds to a reply."""
    kind = event.type
    if kind == "content_block_start" and event.content_block.type == "tool_use":
        block = event.content_block
        function = {"name": block.name, "arguments": ""}
        call = {"index": event.index, "id": block.id, "type": "function", "function": function}
        return Reply("", (call,), raw=event)
    if kind == "content_block_delta" and event.delta.type == "input_json_delta":
        call = {"index": event.index, "function": {"arguments": event.delta.partial_json}}
        return Reply("", (call,), raw=event)
    if kind == "content_block_delta" and event.delta.type == "text_delta":
        return Reply(event.delta.text, raw=event)
    if kind == "message_start":
        return Reply("", usage={"input": event.message.usage.input_tokens}, raw=event)
    if kind == "message_delta":
        reason = event.delta.stop_reason
        return Reply("", (), REASONS.get(reason, reason), {"output": event.usage.output_tokens}, event)
    return Reply("", raw=event)
