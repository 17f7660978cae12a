"""The face of `/v1/…`, OpenAI's API and Anthropic's: requests go to the backend, responses back as they come."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

import httpx2
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from memedit.adapters.server.backend import Backend
from memedit.adapters.server.faults import Refused
from memedit.adapters.server.guard import Guard, json_object
from memedit.adapters.server.keys import Role
from memedit.adapters.wire.transport import CODECS

ASKS = tuple(codec.path for codec in CODECS)
HOPS = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade",
}  # fmt: skip
"""Headers that are of one connection, and not of what it carries."""
OURS = {"host", "content-length", "accept-encoding", "expect"}
PLAIN = re.compile(r"(/[A-Za-z0-9_.:@~+-]+)+")
KEEPS_NOTHING = re.compile(
    r"POST /(chat/completions|responses|messages|completions|embeddings|moderations|rerank|tokenize|detokenize"
    r"|responses/input_tokens|messages/count_tokens|audio/[a-z]+|images/[a-z]+)|GET /models(/.+)?"
)
"""What leaves nothing with a server that another caller, of another namespace, could read there."""
Result = TypeVar("Result")


class Face:
    """Passes calls on.

    Args:
        guard: Says whose a call is.
        backend: Answers it.
    """

    def __init__(self, guard: Guard, backend: Backend) -> None:
        self._guard = guard
        self._backend = backend
        self._shared = guard.keys is not None and len(guard.keys.namespaces) > 1

    async def answer(self, request: Request) -> Response:
        """The response to a call."""
        key = self._guard.admitted(request, Role.READ)
        path = self._path(request)
        body = await self._guard.body(request)
        if request.method == "POST" and path in ASKS:
            json_object(request, body)
        call = self._backend.request(request.method, path, request.url.query, _headers(request), body)
        answer = await while_there(request, self._backend.respond(call, key.namespace))
        return relayed(answer)

    def _path(self, request: Request) -> str:
        """The path behind `/v1`, in the one form that it has.

        Raises:
            Refused: It has another form, or asks for what the callers of other namespaces left with the server.
        """
        raw: str = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0].removeprefix("/v1")
        if not PLAIN.fullmatch(raw) or any(part in (".", "..") for part in raw.split("/")):
            raise Refused(404, "There is no such path.")
        if self._shared and not KEEPS_NOTHING.fullmatch(f"{request.method} {raw}"):
            raise Refused(
                403, "This would read or change what the model's server keeps for all namespaces together.",
                do="ask the model's server itself",
            )  # fmt: skip
        return raw


def relayed(answer: httpx2.Response) -> Response:
    """A response as it comes, in the pieces in which it comes; closed at its end, and when the caller is gone."""
    named = {name.strip().lower() for name in answer.headers.get("connection", "").split(",")}
    headers = [
        (name.lower(), value)
        for name, value in answer.headers.raw
        if (plain := name.decode("latin-1").lower()) not in HOPS and plain not in named
    ]
    sent = StreamingResponse(_pieces(answer), answer.status_code)
    sent.raw_headers = headers
    return sent


async def _pieces(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        if answer.is_stream_consumed:
            yield answer.content
        else:
            async for piece in answer.aiter_raw():
                yield piece
    finally:
        await answer.aclose()


async def while_there(request: Request, work: Awaitable[Result]) -> Result:
    """The result of some work, which is given up when the caller is gone.

    Raises:
        Refused: The caller is gone.
    """
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise Refused(499, "The caller is gone.")
    finally:
        doing.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    message: dict[str, Any] = {}
    while message.get("type") != "http.disconnect":
        message = dict(await request.receive())


def _headers(request: Request) -> list[tuple[str, str]]:
    """A caller's headers as they go on: without those of the connection, and asking for what can be read here."""
    named = {name.strip().lower() for name in request.headers.get("connection", "").split(",")}
    left_out = HOPS | OURS | named
    kept = [(name, value) for name, value in request.headers.items() if name not in left_out]
    zipped = "gzip" in request.headers.get("accept-encoding", "")
    return [*kept, ("accept-encoding", "gzip" if zipped else "identity")]
