"""The face of `/v1/…`, OpenAI's API and Anthropic's: requests go to the backend, responses back as they come."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager

import httpx2
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from memedit.adapters.server.backend import Backend
from memedit.adapters.server.faults import Refused
from memedit.adapters.server.fires import Fires
from memedit.adapters.server.guard import Guard, json_object
from memedit.adapters.server.keys import Role
from memedit.adapters.wire.transport import CODECS, EDITS, REVISION

ASKS = tuple(codec.path for codec in CODECS)
HOPS = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade",
}  # fmt: skip
"""Headers that are of one connection, and not of what it carries."""
OURS = {"host", "content-length", "accept-encoding", "expect"}
OWN = {"date"}
"""What this server says itself in every response."""
PLAIN = re.compile(r"(/[A-Za-z0-9_.:@~+-]+)+")
KEEPS_NOTHING = re.compile(
    r"POST /(chat/completions|responses|messages|completions|embeddings|moderations|rerank|tokenize|detokenize"
    r"|responses/input_tokens|messages/count_tokens|audio/[a-z]+|images/[a-z]+)|GET /models(/.+)?"
)
"""What leaves nothing with a server that another caller, of another namespace, could read there."""


class Face:
    """Passes calls on.

    Args:
        guard: Says whose a call is.
        backend: Answers it.
        fires: Counts what was applied.
    """

    def __init__(self, guard: Guard, backend: Backend, fires: Fires) -> None:
        self._guard = guard
        self._backend = backend
        self._fires = fires
        self._shared = guard.keys is not None and len(guard.keys.namespaces) > 1

    async def answer(self, request: Request) -> Relayed:
        """The response to a call."""
        key = self._guard.admitted(request, Role.READ)
        path = self._path(request)
        body = await self._guard.body(request)
        if request.method == "POST" and path in ASKS:
            json_object(request, body)
        call = self._backend.request(request.method, path, request.url.query, _headers(request), body)
        return Relayed(self._counted(call, key.namespace))

    async def _counted(self, call: httpx2.Request, namespace: str) -> httpx2.Response:
        answer = await self._backend.respond(call, namespace)
        if REVISION in answer.headers:  # it was looked up what applies
            applied = answer.headers.get(EDITS, "")
            self._fires.note(namespace, applied.split(",") if applied else ())
        return answer

    def _path(self, request: Request) -> str:
        """The path behind `/v1`, in the one form that it has.

        Raises:
            Refused: It has another form, or asks for what the callers of other namespaces left with the server.
        """
        raw: str = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0].removeprefix("/v1")
        if not PLAIN.fullmatch(raw) or any(part in (".", "..") for part in raw.split("/")):
            slash = raw.endswith("/") and PLAIN.fullmatch(raw[:-1])
            raise Refused(404, "There is no such path.", do="leave out the slash at its end" if slash else None)
        if self._shared and not KEEPS_NOTHING.fullmatch(f"{request.method} {raw}"):
            raise Refused(
                403, "This would read or change what the model's server keeps for all namespaces together.",
                do="ask the model's server itself",
            )  # fmt: skip
        return raw


class CallerGone(Refused):
    """Nobody waits for the answer any more."""


class Relayed:
    """A response as it comes, in the pieces in which it comes; given up when the caller is gone.

    One task listens for that from beginning to end, and the answer is made in the server's own: Starlette's
    `StreamingResponse` opens a task group for each, which takes longer than all else that is done here.

    Args:
        answer: Gives the response.
    """

    def __init__(self, answer: Awaitable[httpx2.Response]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it.

        Raises:
            CallerGone: The caller was gone before it began.
        """
        begun = False
        try:
            async with while_there(receive):
                answer = await self._answer
                try:
                    head, pieces = _kept(answer), _pieces(answer)
                    if scope["http_version"] == "1.0" and "content-length" not in answer.headers:
                        whole = b"".join([piece async for piece in pieces])  # such a caller reads no chunks
                        head, pieces = [*head, (b"content-length", b"%d" % len(whole))], _at_once(whole)
                    begun = True
                    await send({"type": "http.response.start", "status": answer.status_code, "headers": head})
                    async for piece in pieces:
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                finally:
                    await answer.aclose()
        except CallerGone:
            if not begun:
                raise
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _pieces(answer: httpx2.Response) -> AsyncIterator[bytes]:
    if answer.is_stream_consumed:
        yield answer.content
    else:
        async for piece in answer.aiter_raw():
            yield piece


async def _at_once(content: bytes) -> AsyncIterator[bytes]:
    yield content


@asynccontextmanager
async def while_there(receive: Receive) -> AsyncIterator[None]:
    """What is done inside is given up when the caller is gone.

    Raises:
        CallerGone: The caller is gone.
    """
    try:
        async with asyncio.timeout(None) as waiting:

            def left(listening: asyncio.Task[None]) -> None:
                if not listening.cancelled():
                    waiting.reschedule(0)

            listening = asyncio.ensure_future(_gone(receive))
            listening.add_done_callback(left)
            try:
                yield
            finally:
                listening.cancel()
    except TimeoutError:
        if not waiting.expired():
            raise
        raise CallerGone(499, "The caller is gone.") from None


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _kept(answer: httpx2.Response) -> list[tuple[bytes, bytes]]:
    """A response's headers as they go on: without those of the connection."""
    named = _named(answer.headers)
    return [
        (name.lower(), value)
        for name, value in answer.headers.raw
        if (plain := name.decode("latin-1").lower()) not in HOPS | OWN and plain not in named
    ]


def _headers(request: Request) -> list[tuple[str, str]]:
    """A caller's headers as they go on: without those of the connection, and asking for what can be read here."""
    left_out = HOPS | OURS | _named(request.headers)
    kept = [(name, value) for name, value in request.headers.items() if name not in left_out]
    zipped = "gzip" in request.headers.get("accept-encoding", "")
    return [*kept, ("accept-encoding", "gzip" if zipped else "identity")]


def _named(headers: Mapping[str, str]) -> set[str]:
    """The headers that are said to be of the connection."""
    return {name.strip().lower() for name in headers.get("connection", "").split(",")}
