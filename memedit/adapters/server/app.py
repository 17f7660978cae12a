"""The application: every route, what stands before them, and how it begins and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from memedit.adapters.server import manage
from memedit.adapters.server.backend import Backend
from memedit.adapters.server.face import Face
from memedit.adapters.server.faults import HANDLERS, Refused
from memedit.adapters.server.fires import Fires
from memedit.adapters.server.guard import Guard, Limits, ThisMachine
from memedit.adapters.server.keys import Keys, Role
from memedit.adapters.server.metrics import Metered
from memedit.memory import EditMemory

PAGE = Path(__file__).parent / "page"
FILES = {name: name for name in ("page.css", "page.js", "shown.js", "forms.js")} | {"": "index.html"}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
SAFE = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def make_app(
    backend: Backend, memory: EditMemory, *, keys: Keys | None = None, namespace: str = "default",
    limits: Limits | None = None,
) -> ASGIApp:  # fmt: skip
    """The server as an ASGI application.

    Without keys it takes requests to names of this machine alone, so that no page on the web reaches it through another
    name, and managing edits is off.

    Args:
        backend: What answers.
        memory: Whose edits are applied, and managed. It is not closed.
        keys: Whose requests are taken; None for everybody's.
        namespace: Whose edits requests go by where there are no keys.
        limits: How much it takes.
    """
    guard, fires = Guard(keys, namespace, limits or Limits()), Fires()

    def warming() -> asyncio.Task[None]:
        return asyncio.create_task(run_in_threadpool(_warm, memory, keys, namespace))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.warm = warming()
        try:
            yield
        finally:
            await asyncio.wait([app.state.warm])
            await backend.close()

    async def ready(request: Request) -> Response:
        warm: asyncio.Task[None] | None = getattr(request.app.state, "warm", None)
        if warm is None or not warm.done():
            return JSONResponse({"status": "starting"}, 503)
        if warm.exception() is not None:
            request.app.state.warm = warming()  # a server behind it may be there by now
            return JSONResponse({"status": "failed", "error": type(warm.exception()).__name__}, 503)
        await run_in_threadpool(memory.revision, namespace=namespace)  # whether the ledger can be read
        if not await backend.reachable():
            return JSONResponse({"status": "the model's server cannot be reached"}, 503)
        return JSONResponse({"status": "ready"})

    async def metrics(request: Request) -> Response:
        guard.admitted(request, Role.METRICS)
        return metered.shown()

    app = Starlette(
        routes=[
            Route("/v1/{path:path}", Face(guard, backend, fires).answer, methods=METHODS),
            *manage.routes(guard, memory, backend, fires),
            Route("/memedit/{name:path}", page if keys is not None else page_off, methods=["GET"]),
            Route("/memedit", lambda request: RedirectResponse("/memedit/"), methods=["GET"]),
            Route("/healthz", healthy, methods=["GET"]),
            Route("/readyz", ready, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
        ],
        middleware=[] if keys is not None else [Middleware(ThisMachine)],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    metered = Metered(app)
    return metered


async def page(request: Request) -> Response:
    """A file of the page."""
    name = FILES.get(request.path_params["name"])
    if name is None:
        raise Refused(404, "There is no such path.", do="see /memedit/openapi.json")
    return FileResponse(PAGE / name, headers=SAFE)


async def page_off(request: Request) -> Response:
    """As `page`, where there are no keys: the page says that editing is off."""
    if request.path_params["name"]:
        return await page(request)
    return FileResponse(PAGE / "off.html", headers=SAFE)


async def healthy(request: Request) -> Response:
    """Whether the server answers at all."""
    return JSONResponse({"status": "ok"})


def _warm(memory: EditMemory, keys: Keys | None, namespace: str) -> None:
    """Load what the first request would wait for."""
    wheres = keys.namespaces if keys is not None else {namespace}
    for where in wheres:
        if memory.revision(namespace=where):
            memory.recall("warm", namespace=where, whole="warm")
