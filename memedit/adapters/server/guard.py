"""What stands before every request: whose it is, how many of them, and how large."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from memedit.adapters.server.faults import Refused, fault
from memedit.adapters.server.keys import Key, Keys, Role

HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z_.-]+)(:[0-9]+)?")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
JSON_TYPES = ("application/json", "text/json")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the server takes.

    Args:
        body: Bytes of a request.
        body_seconds: In which a request has to be here.
        rate: Requests a minute of each key; None for any number.
    """

    body: int = 20 * 2**20
    body_seconds: float = 30.0
    rate: int | None = None


@dataclass
class Guard:
    """Lets requests in.

    Args:
        keys: None where no key is asked for.
        namespace: Whose edits a request without keys goes by.
        limits: How much it takes.
        clock: Seconds, for the rates.
    """

    keys: Keys | None
    namespace: str
    limits: Limits
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict, repr=False)

    def admitted(self, request: Request, least: Role) -> Key:
        """Whose request it is.

        Raises:
            Refused: It is nobody's, or that key may not do this, or it came too often.
        """
        key = Key("local", self.namespace, Role.READ)
        if self.keys is None and _is_of_another_page(request):
            raise Refused(403, "A page on the web may not ask this server.", do="start it with --keys FILE")
        if self.keys is not None:
            bare = request.headers.get("x-api-key", "")  # as Anthropic's API has it
            found = self.keys.of(request.headers.get("authorization", f"Bearer {bare}"))
            if found is None:
                raise Refused(
                    401, "No valid key came with the request.", do="send `Authorization: Bearer KEY`",
                    headers={"www-authenticate": "Bearer"},
                )  # fmt: skip
            key = found
        self._count(key)
        apart = self.keys is not None and (key.role is Role.METRICS) != (least is Role.METRICS)
        if key.role < least or apart:
            raise Refused(
                403, f"This needs a key of the role `{least.name.lower()}`; this one's is `{key.role.name.lower()}`."
            )
        return key

    def managing(self, request: Request, least: Role) -> Key:
        """As `admitted`, of what manages edits: nobody's, where the server has no keys."""
        if self.keys is None:
            raise Refused(403, "Managing edits is off, because the server has no keys.", do="start it with --keys FILE")
        return self.admitted(request, least)

    async def body(self, request: Request) -> bytes:
        """The body, read to its end.

        Raises:
            Refused: It is too large, or too slow.
        """
        most = self.limits.body
        too_large = Refused(413, f"The body is larger than {most:,} bytes.", headers={"connection": "close"})
        told = request.headers.get("content-length", "")
        if told.isdecimal() and int(told) > most:
            raise too_large
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                async for piece in request.stream():
                    size += len(piece)
                    if size > most:
                        raise too_large
                    pieces.append(piece)
        except TimeoutError:
            raise Refused(408, "The body did not come in time.", headers={"connection": "close"}) from None
        except ClientDisconnect:
            raise Refused(400, "The connection was closed before the body had come.") from None
        return b"".join(pieces)

    def _count(self, key: Key) -> None:
        """One request more: a bucket of a minute's requests, which fills again evenly."""
        rate = key.rate or self.limits.rate
        if rate is None:
            return
        now = self.clock()
        left, then = self._buckets.get(key.name, (float(rate), now))
        left = min(float(rate), left + (now - then) * rate / 60)
        self._buckets[key.name] = (max(left - 1, 0) if left >= 1 else left, now)
        if left < 1:
            wait = str(math.ceil((1 - left) * 60 / rate))
            raise Refused(429, f"More than {rate} requests a minute.", do="wait", headers={"retry-after": wait})


class ThisMachine:
    """An application that answers to names of this machine alone: under another, a page on the web could reach it.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and (named := Headers(scope=scope).get("host")) is not None:
            host = urlsplit(f"//{named}").hostname if HOST.fullmatch(named) else None
            if host not in LOOPBACK:
                refused = Refused(
                    400, "Without keys, this server answers to `localhost` alone.",
                    do="ask it by that name, or start it with --keys FILE",
                )  # fmt: skip
                await fault(refused)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def json_object(request: Request, body: bytes) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        Refused: It is none, or says that it is something else.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in JSON_TYPES:
        raise Refused(415, f"The content type is {kind[:60]!r}, not application/json.")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refused(415, "The body is compressed.", do="send it as it is")
    try:
        value = json.loads(body.decode())
    except (ValueError, RecursionError):  # what the former says may quote the body
        raise Refused(400, "The body is not JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise Refused(400, "The body is no JSON object.")
    return value


def _is_of_another_page(request: Request) -> bool:
    """Whether a browser sent it for a page that is not of this server."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    other = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
    return other or request.headers.get("sec-fetch-site") == "cross-site"
