"""The application: who asks, how much, and where it goes."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from memedit.adapters.server import manage
from memedit.adapters.server.backends import Backend
from memedit.adapters.server.faults import Fault, on_any, on_fault, on_memedit_error
from memedit.adapters.server.keys import Key, Keys, Role
from memedit.adapters.server.limits import Rate, body_of
from memedit.adapters.server.metrics import Metrics
from memedit.adapters.wire.transport import EDITS
from memedit.errors import MemeditError

MAX_BODY = 10 * 2**20
HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade host "
    "content-length".split()
)
"""Headers of one connection, which are not handed on."""
METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH"]


def application(
    backend: Backend, keys: Keys, *, max_body: int = MAX_BODY, per_minute: float | None = None
) -> Starlette:
    """The proxy as an ASGI application.

    Args:
        backend: What answers.
        keys: Who may ask.
        max_body: Bytes of a request's body at most.
        per_minute: Calls a minute of one key, or of one address where there are no keys; None for any number.
    """
    rate, metrics = Rate(per_minute), Metrics()

    def allowed(request: Request, role: Role) -> Key:
        key = keys.owner(request.headers.get("authorization", ""))
        if key is None:
            raise Fault(401, "No known key.", "send authorization: Bearer KEY", headers={"www-authenticate": "Bearer"})
        if not key.may(role):
            raise Fault(403, f"This key may not do that; it needs the role `{role}`.", "use another key")
        rate.take(key.name if keys.guarded else _address(request))
        return key

    async def relay(request: Request) -> Response:
        start = perf_counter()
        key = allowed(request, "ask")
        content = await body_of(request, max_body)
        headers = [pair for pair in request.headers.raw if pair[0].decode("latin-1").lower() not in HOP_BY_HOP]
        if keys.guarded:  # our key is none of the upstream's
            headers = [pair for pair in headers if pair[0].lower() != b"authorization"]
        url = backend.url(request.url.path, request.url.query)
        sent = httpx2.Request(request.method, url, headers=headers, content=content)
        answer = await backend.answer(sent, key.namespace)
        metrics.count(_route(request), answer.status_code, perf_counter() - start, edited=EDITS in answer.headers)
        return _relayed(answer)

    async def ready(request: Request) -> Response:
        await run_in_threadpool(backend.memory.namespaces)
        return JSONResponse({"ready": True})

    async def scraped(request: Request) -> Response:
        return Response(metrics.page(), media_type="text/plain; version=0.0.4")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await backend.aclose()

    async def body(request: Request) -> bytes:
        return await body_of(request, max_body)

    handlers: Any = {Fault: on_fault, MemeditError: on_memedit_error, Exception: on_any}
    return Starlette(
        routes=[
            Route("/healthz", lambda request: JSONResponse({"alive": True})),
            Route("/readyz", ready),
            Route("/metrics", scraped),
            *manage.routes(manage.Manager(backend.memory, backend.around), allowed, body),
            Route("/v1/{rest:path}", relay, methods=METHODS),
        ],
        exception_handlers=handlers,
        lifespan=lifespan,
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _relayed(answer: httpx2.Response) -> Response:
    """A response as it comes, not held back: its bytes are those of the upstream."""
    headers = [pair for pair in answer.headers.raw if pair[0].decode("latin-1").lower() not in HOP_BY_HOP]
    response: Response
    if answer.is_stream_consumed:
        response = Response(answer.content, answer.status_code)
        headers.append((b"content-length", str(len(answer.content)).encode()))
    else:
        response = StreamingResponse(answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose))
    response.raw_headers = [(name.lower(), value) for name, value in headers]
    return response


def _route(request: Request) -> str:
    """The path as it is counted: a known one, or `other`, so that nobody's typing makes new counters."""
    known = ("/v1/chat/completions", "/v1/responses", "/v1/models", "/v1/embeddings")
    return request.url.path if request.url.path in known else "other"


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
