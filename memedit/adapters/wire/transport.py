"""HTTP transports that apply an edit memory to the calls of an API, whoever makes them: a client, a proxy."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx2

from memedit.adapters.wire.chat import ChatCompletions
from memedit.adapters.wire.codec import Codec, Stamp, encoded
from memedit.adapters.wire.completions import Completions
from memedit.adapters.wire.messages import Messages
from memedit.adapters.wire.parameters import Parameters
from memedit.adapters.wire.passing import kept_back
from memedit.adapters.wire.responses import Responses
from memedit.adapters.wire.upstream import AsyncUpstream, Call, NoAnswer, Received, Upstream
from memedit.answers import Answer
from memedit.editable import EditableLLM
from memedit.edits import AnyEdit
from memedit.errors import RequestRejected
from memedit.llms import LLM
from memedit.messages import Reply, Request

CODECS: tuple[Codec, ...] = (ChatCompletions(), Responses(), Messages(), Completions())
"""The first whose path fits: that of completions ends those of chat completions, too."""
Around = Callable[[LLM], EditableLLM]
"""Puts the memory around the server, as it is asked by one call."""

EDITS, IN_DOUBT, REVISION = "x-memedit-edits", "x-memedit-in-doubt", "x-memedit-revision"
LENGTHS = ("content-encoding", "content-length", "transfer-encoding")
"""Headers that say how a body came, and nothing of one that was read."""


class EditTransport(httpx2.BaseTransport):
    """Sends requests through a client, those that ask a model with the memory applied.

    A call that no edit is in scope of is sent as the very bytes that came, and every response is handed on unread, with
    the applied edits in its headers: `x-memedit-edits` (ids; absent when there are none), `x-memedit-in-doubt` (shown
    as such that may not apply) and `x-memedit-revision`.

    Args:
        client: Sends what is left to be sent; what it raises passes through. It is closed with the transport.
        around: Puts the memory around the server.
    """

    def __init__(self, client: httpx2.Client, around: Around) -> None:
        self._client = client
        self._around = around
        self._parameters = _parameters()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        codec = codec_for(request)
        if codec is None or (call := read_call(codec, request, request.read())) is None:
            return kept_back(request, codec, self._around(Nobody())) or handed_on(
                self._client.send(request, stream=True, follow_redirects=False)
            )
        upstream = Upstream(call, self._parameters[codec.path], self._client)
        answers = self._around(upstream).stream(call.request)
        try:
            for _ in answers.replies():
                pass  # the answer holds them
        except NoAnswer as instead:
            return handed_on(instead.response)
        assert answers.answer is not None
        return response_to(call, answers.answer)

    def close(self) -> None:
        self._client.close()


class AsyncEditTransport(httpx2.AsyncBaseTransport):
    """As `EditTransport`, through an asynchronous client."""

    def __init__(self, client: httpx2.AsyncClient, around: Around) -> None:
        self._client = client
        self._around = around
        self._parameters = _parameters()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        codec = codec_for(request)
        if codec is None or (call := read_call(codec, request, await request.aread())) is None:
            return kept_back(request, codec, self._around(Nobody())) or handed_on(
                await self._client.send(request, stream=True, follow_redirects=False)
            )
        upstream = AsyncUpstream(call, self._parameters[codec.path], self._client)
        answers = self._around(upstream).astream(call.request)
        try:
            async for _ in answers.areplies():
                pass  # the answer holds them
        except NoAnswer as instead:
            return handed_on(instead.response)
        assert answers.answer is not None
        return response_to(call, answers.answer)

    async def aclose(self) -> None:
        await self._client.aclose()


def with_memory(client: httpx2.Client | httpx2.AsyncClient, around: Around) -> httpx2.Client | httpx2.AsyncClient:
    """A client of the same kind that sends through this one, with the memory applied. Closing it closes both.

    Authentication, hooks, proxies and limits stay this one's. What a client puts into the requests it makes is as of
    this one.
    """
    kind: Any = httpx2.Client if isinstance(client, httpx2.Client) else httpx2.AsyncClient
    transport: Any = EditTransport if isinstance(client, httpx2.Client) else AsyncEditTransport
    return kind(  # type: ignore[no-any-return]
        transport=transport(client, around),
        trust_env=False,
        base_url=client.base_url,
        params=client.params,
        headers=client.headers,
        cookies=client.cookies,
        timeout=client.timeout,
        follow_redirects=client.follow_redirects,
        max_redirects=client.max_redirects,
    )


def codec_for(request: httpx2.Request) -> Codec | None:
    """The codec of a request that asks a model; None for any other."""
    if request.method != "POST":
        return None
    return next((codec for codec in CODECS if request.url.path.endswith(codec.path)), None)


def read_call(codec: Codec, request: httpx2.Request, content: bytes) -> Call | None:
    """The call that a request makes; None where it holds no conversation: what to say of it is the server's matter."""
    with suppress(ValueError, RecursionError, RequestRejected):
        body = json.loads(content)
        if isinstance(body, dict):
            return Call(codec, body, codec.read(body), request)
    return None


class Nobody(LLM):
    """A model that is never asked."""

    name = "nobody"

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        raise AssertionError("nobody is asked")


def response_to(call: Call, answer: Answer) -> httpx2.Response:
    """The response that carries an answer: the server's own, or one that is written as the server would."""
    raw = answer.reply.raw
    if isinstance(raw, httpx2.Response):
        return handed_on(raw, _told(answer))
    if isinstance(raw, Received):
        whole, given = raw.answer, raw.response.headers.multi_items()
    else:
        calls = answer.trace.calls
        reply = call.codec.following(call.body, answer.reply, calls[-1].request if calls else None)
        whole = call.codec.answer(call.body, reply, Stamp(uuid.uuid4().hex, int(time.time()), _usage(answer)))
        given = [(call.codec.id_header, f"req_{uuid.uuid4().hex}")]
    headers = [(name, value) for name, value in given if name not in (*LENGTHS, "content-type")]
    streamed = bool(call.body.get("stream"))
    headers += [*_told(answer).items(), ("content-type", "text/event-stream" if streamed else "application/json")]
    content = b"".join(call.codec.events(call.body, whole)) if streamed else encoded(whole)
    return httpx2.Response(200, headers=headers, content=content)


def handed_on(response: httpx2.Response, further: Mapping[str, str] | None = None) -> httpx2.Response:
    """A server's response as a transport gives it, with further headers, and not read if it was not yet."""
    headers = [*response.headers.raw, *((name.encode(), value.encode()) for name, value in (further or {}).items())]
    if response.is_stream_consumed:
        kept = [(name, value) for name, value in headers if name.decode().lower() not in LENGTHS]
        return httpx2.Response(
            response.status_code, headers=kept, content=response.content, extensions=response.extensions
        )
    return httpx2.Response(
        response.status_code, headers=headers, stream=response.stream, extensions=response.extensions
    )


def told(revision: int, citations: Iterable[AnyEdit], in_doubt: Iterable[AnyEdit]) -> dict[str, str]:
    """The headers that tell what was applied."""
    ids = {EDITS: _ids(citations), IN_DOUBT: _ids(in_doubt)}
    return {REVISION: str(revision)} | {name: said for name, said in ids.items() if said}


def _told(answer: Answer) -> dict[str, str]:
    return told(answer.revision, answer.citations, answer.trace.in_doubt)


def _ids(edits: Iterable[AnyEdit]) -> str:
    return ",".join(dict.fromkeys(edit.id for edit in edits))


def _usage(answer: Answer) -> dict[str, int]:
    """Tokens of the calls that were made for an answer."""
    calls = answer.trace.calls
    return {name: sum(call.usage.get(name, 0) for call in calls) for name in ("input", "output")}


def _parameters() -> dict[str, Parameters]:
    return {codec.path: Parameters(codec.limits, codec.stops) for codec in CODECS}
