"""The server behind a call, as the model that an `EditableLLM` is put around for that call."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

from memedit.adapters._stops import cut, stops_of
from memedit.adapters.wire.codec import Codec, encoded
from memedit.adapters.wire.parameters import Parameters
from memedit.errors import ProviderError
from memedit.llms import LLM
from memedit.messages import Reply, Request

LENGTHS = ("content-length", "transfer-encoding")
"""Headers that say nothing of another body."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request on the wire that asks a model for an answer.

    Args:
        codec: Of its API.
        body: Its JSON.
        request: What it asks.
        sent: The request itself.
    """

    codec: Codec
    body: Mapping[str, Any]
    request: Request
    sent: httpx2.Request


@dataclass(frozen=True, slots=True)
class Received:
    """A whole answer of the server's.

    Args:
        answer: Its JSON.
        response: It itself, read to its end.
    """

    answer: Mapping[str, Any]
    response: httpx2.Response = field(repr=False)


class NoAnswer(Exception):
    """The server answered a call of memedit's own with an error, or with something that is no answer.

    Args:
        response: Goes to the caller as it is.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        super().__init__(response.status_code)


class _Upstream(LLM):
    name = "upstream"

    def __init__(self, call: Call, parameters: Parameters) -> None:
        self._call = call
        self._parameters = parameters
        self.kind = call.codec.kind
        self.name = self._model

    def _body(self, request: Request, *, streamed: bool) -> dict[str, Any]:
        options = self._parameters.fitted(self._model, request.options, request.own)
        return self._call.codec.write(self._call.body, request, options, streamed=streamed)

    def _last(self, request: Request) -> httpx2.Request:
        """The call whose answer the caller gets: its own, as long as no method changed it."""
        return self._call.sent if request.untouched else self._carrying(self._body(request, streamed=True))

    def _own(self, body: Mapping[str, Any]) -> httpx2.Request:
        """A call of memedit's own, which the server is not to take for the caller's, sent again."""
        return self._carrying(body, without=("idempotency-key",))

    def _carrying(self, body: Mapping[str, Any], *, without: Sequence[str] = ()) -> httpx2.Request:
        """The caller's request with another body."""
        sent = self._call.sent
        left_out = (*LENGTHS, *without)
        headers = [(name, value) for name, value in sent.headers.multi_items() if name not in left_out]
        return httpx2.Request(sent.method, sent.url, headers=headers, content=encoded(body), extensions=sent.extensions)

    def _is_worth_again(self, body: Mapping[str, Any], request: Request, response: httpx2.Response) -> bool:
        return response.is_error and self._parameters.learn(
            self._model, body, request.options, request.own, response.status_code, response.text
        )

    def _reply(self, body: Mapping[str, Any], request: Request, response: httpx2.Response) -> Reply:
        if response.is_error:
            raise NoAnswer(response)
        try:
            answer = json.loads(response.content)
            reply = self._call.codec.reply(answer)
        except (ValueError, KeyError, TypeError, AttributeError, ProviderError) as error:
            raise NoAnswer(response) from error
        self._parameters.notice(self._model, body, request.own, reply)
        text = cut(reply.text, stops_of(request.options.get("stop")))[0] if "stop" in request.own else reply.text
        return replace(reply, text=text, raw=Received(answer, response))

    @property
    def _model(self) -> str:
        return str(self._call.body.get("model"))


class Upstream(_Upstream):
    """The server as a model, asked through a client.

    `generate` reads whole replies; the one piece of `stream` is the response, not read yet, at `raw`.

    Args:
        call: Whose headers, address and unknown fields every call carries.
        parameters: What is known of the server.
        client: Sends; its retries, authentication and time-outs hold.
    """

    def __init__(self, call: Call, parameters: Parameters, client: httpx2.Client) -> None:
        super().__init__(call, parameters)
        self._client = client

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._whole(request) for request in requests]

    def stream(self, request: Request) -> Iterator[Reply]:
        yield Reply("", raw=self._client.send(self._last(request), stream=True, follow_redirects=False))

    def _whole(self, request: Request) -> Reply:
        while True:
            body = self._body(request, streamed=False)
            response = self._client.send(self._own(body), follow_redirects=False)
            if not self._is_worth_again(body, request, response):
                return self._reply(body, request, response)


class AsyncUpstream(_Upstream):
    """As `Upstream`, through an asynchronous client."""

    def __init__(self, call: Call, parameters: Parameters, client: httpx2.AsyncClient) -> None:
        super().__init__(call, parameters)
        self._client = client

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        raise TypeError("an asynchronous client is asked by agenerate")

    async def agenerate(self, requests: Sequence[Request]) -> list[Reply]:
        return [await self._whole(request) for request in requests]

    async def astream(self, request: Request) -> AsyncIterator[Reply]:
        yield Reply("", raw=await self._client.send(self._last(request), stream=True, follow_redirects=False))

    async def _whole(self, request: Request) -> Reply:
        while True:
            body = self._body(request, streamed=False)
            response = await self._client.send(self._own(body), follow_redirects=False)
            if not self._is_worth_again(body, request, response):
                return self._reply(body, request, response)
