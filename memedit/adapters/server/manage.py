"""The management API over HTTP: what stands in path, query and body is read, and the operation is run in a thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from memedit.adapters.server.asked import Asked
from memedit.adapters.server.backend import Backend
from memedit.adapters.server.faults import Refused
from memedit.adapters.server.fires import Fires
from memedit.adapters.server.guard import Guard, json_object
from memedit.adapters.server.openapi import described
from memedit.adapters.server.operations import OPERATIONS, Caller, Operation
from memedit.memory import EditMemory
from memedit.text import one_line

Endpoint = Callable[[Request], Awaitable[Response]]
PRIVATE = {"cache-control": "no-store"}
ALL = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"]


def routes(guard: Guard, memory: EditMemory, backend: Backend, fires: Fires) -> list[Route]:
    """Every operation's route, and the description of all."""

    def endpoint(operation: Operation) -> Endpoint:
        async def answer(request: Request) -> Response:
            key = guard.managing(request, operation.role)
            given = _given(operation, request, await guard.body(request))
            headers = {name: value for name, value in request.headers.items() if name != "authorization"}
            value = await run_in_threadpool(operation.run, Caller(key, memory, backend, fires, headers), given)
            return JSONResponse(value, headers=PRIVATE)

        return answer

    described_once = described()

    async def description(request: Request) -> Response:
        return JSONResponse(described_once)

    found = [Route(f"/memedit{one.path}", endpoint(one), methods=[one.method]) for one in OPERATIONS]
    paths = dict.fromkeys(route.path for route in found)
    otherwise = [
        Route(path, _unlike({one.method for one in OPERATIONS if f"/memedit{one.path}" == path}), methods=ALL)
        for path in paths
    ]
    return [*found, *otherwise, Route("/memedit/openapi.json", description, methods=["GET"])]


def _unlike(methods: set[str]) -> Endpoint:
    """For a path of the API with a method that it has not; else it would be looked for among the page's files."""

    async def answer(request: Request) -> Response:
        raise HTTPException(405, headers={"allow": ", ".join(sorted(methods))})

    return answer


def _given(operation: Operation, request: Request, body: bytes) -> Asked:
    """What an operation is given.

    Raises:
        Refused: It is not what it takes.
    """
    values: dict[str, Any] = {}
    if operation.method == "POST":
        values = json_object(request, body) if body else {}
    elif body:
        raise Refused(400, "This takes no body.")
    else:
        for name, value in request.query_params.multi_items():
            if name in values:
                raise Refused(422, f"`{name:.40}` is given twice.")
            values[name] = value
    if twice := values.keys() & request.path_params.keys():
        raise Refused(422, f"`{min(twice)}` stands in the path already.")
    try:
        return operation.takes.model_validate(values | request.path_params, strict=operation.method == "POST")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = one_line(".".join(str(part) for part in first["loc"]) or "It", 80)
        raise Refused(422, f"{place}: {first['msg']}.", do="see /memedit/openapi.json") from None
