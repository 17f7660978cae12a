"""Managing edits over HTTP, under `/memedit/`: what a key's namespace holds, and nothing of any other."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from memedit.adapters.server.faults import Fault, as_object
from memedit.adapters.server.keys import Key, Role
from memedit.editable import EditableLLM
from memedit.edits import Fact
from memedit.llms import LLM
from memedit.memory import EditMemory
from memedit.memory.conflicts import OnConflict
from memedit.messages import Reply
from memedit.messages import Request as Asked
from memedit.text import same_key

MOST = 1_000  # edits of a page


class Unasked(LLM):
    """Stands for the upstream in an explanation, where no model is asked."""

    name = "upstream"
    kind = "chat"

    def generate(self, requests: Any) -> list[Reply]:
        raise AssertionError("an explanation asks no model")


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that can be done.

    Args:
        method: Of HTTP.
        path: Below `/memedit`.
        role: That a key needs.
        summary: For the description of the API.
        run: Does it: memory, key, query and body → JSON value.
        takes: JSON schema of the body; None where there is none.
    """

    method: str
    path: str
    role: Role
    summary: str
    run: Callable[[Manager, Key, Mapping[str, str], Any], Any]
    takes: Mapping[str, Any] | None = None


class Manager:
    """The verbs, on one memory.

    Args:
        memory: Whose edits.
        around: Puts the memory of a namespace around a model.
    """

    def __init__(self, memory: EditMemory, around: Callable[[str], Callable[[LLM], EditableLLM]]) -> None:
        self.memory = memory
        self.around = around

    def edits(self, key: Key, query: Mapping[str, str], body: Any) -> Any:
        found = self.memory.edits(namespace=key.namespace)
        if wanted := same_key(query.get("q", "")):
            found = [edit for edit in found if wanted in same_key(edit.text) or edit.id.startswith(query["q"])]
        start, most = _number(query, "offset", 0), min(_number(query, "limit", 100), MOST)
        page = [edit.to_dict() for edit in found[::-1][start : start + most]]
        return {"total": len(found), "revision": self.memory.revision(namespace=key.namespace), "edits": page}

    def add(self, key: Key, query: Mapping[str, str], body: Any) -> Any:
        given = body if isinstance(body, list) else [body]
        edits = [one if isinstance(one, str) else {**as_object(one), "namespace": key.namespace} for one in given]
        on_conflict: Any = query.get("on_conflict", "supersede")
        if on_conflict not in get_args(OnConflict):
            raise Fault(400, f"on_conflict is {on_conflict!a:.40}.", f"give one of {', '.join(get_args(OnConflict))}")
        receipts = self.memory.add_many(
            edits, namespace=key.namespace, author=key.name or None, on_conflict=on_conflict
        )
        return [receipt.to_dict() for receipt in receipts]

    def retract(self, key: Key, query: Mapping[str, str], body: Any) -> Any:
        ids = as_object(body).get("ids")
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids) or not ids:
            raise Fault(400, "`ids` is no list of ids.", 'send {"ids": ["…"]}')
        return self.memory.retract(ids, namespace=key.namespace, author=key.name or None).to_dict()

    def undo(self, key: Key, query: Mapping[str, str], body: Any) -> Any:
        return self.memory.undo(namespace=key.namespace, author=key.name or None).to_dict()

    def history(self, key: Key, query: Mapping[str, str], body: Any) -> Any:
        changes = self.memory.history(query.get("edit"), namespace=key.namespace)
        ids = {event.edit_id for change in changes for event in change.events}
        texts = {one: edit.text for one, edit in self.memory.recorded(ids, namespace=key.namespace).items()}
        return {"changes": [change.to_dict() for change in changes], "texts": texts}

    def explain(self, key: Key, query: Mapping[str, str], body: Any) -> Any:
        asked = as_object(body).get("input")
        if not isinstance(asked, str | list):
            raise Fault(400, "`input` is neither a text nor a list of messages.", 'send {"input": "…"}')
        found = self.around(key.namespace)(Unasked()).explain(asked)
        sent: Asked | None = found.request
        turns = [{"role": role, "content": text} for role, text in sent.turns] if sent else None
        return {**found.trace.to_dict(), "query": found.looked_up.query, "untouched": found.untouched, "request": turns}

    def export(self, key: Key, query: Mapping[str, str], body: Any) -> Any:
        form = query.get("format", "jsonl")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"edits.{form}"
            self.memory.export(path, namespace=key.namespace)
            return Response(path.read_bytes(), media_type="application/yaml" if form == "yaml" else "application/jsonl")

    def import_(self, key: Key, query: Mapping[str, str], body: bytes) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"edits.{query.get('format', 'jsonl')}"
            path.write_bytes(body)
            receipts = self.memory.import_(path, namespace=key.namespace, author=key.name or None)
            return [receipt.to_dict() for receipt in receipts]


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    given = query.get(name, str(default))
    if not given.isdecimal() or len(given) > 9:
        raise Fault(400, f"`{name}` is no number.", f"give ?{name}={default}")
    return int(given)


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


TEXT, LIST = {"type": "string"}, {"type": "array"}
VERBS: tuple[Verb, ...] = (
    Verb("GET", "/edits", "read", "The edits in force, newest first: ?q=, ?offset=, ?limit=", Manager.edits),
    Verb(
        "POST", "/edits", "edit", "Add edits, one or a list; ?on_conflict=supersede, keep or error", Manager.add,
        {"anyOf": [_object(statement=TEXT), Fact.model_json_schema(), LIST]},
    ),
    Verb("POST", "/retract", "edit", "Take edits out of force", Manager.retract, _object(ids={**LIST, "items": TEXT})),
    Verb("POST", "/undo", "edit", "Take back the last change", Manager.undo),
    Verb("GET", "/history", "read", "What was changed, oldest first; ?edit=ID", Manager.history),
    Verb(
        "POST", "/explain", "read", "What would be looked up, and why; no model is asked", Manager.explain,
        _object(input={"anyOf": [TEXT, LIST]}),
    ),
    Verb("GET", "/export", "read", "The edits as a file; ?format=jsonl or yaml", Manager.export),
    Verb("POST", "/import", "edit", "Add the edits of a file; ?format=jsonl or yaml", Manager.import_, TEXT),
)  # fmt: skip


def routes(
    manager: Manager, allowed: Callable[[Request, Role], Key], body_of: Callable[[Request], Awaitable[bytes]]
) -> list[Route]:
    """The routes of all verbs; `allowed` says who asks, or refuses it."""

    def route(verb: Verb) -> Route:
        async def endpoint(request: Request) -> Response:
            key = allowed(request, verb.role)
            given: Any = await body_of(request) if verb.takes is not None else b""
            if verb.takes is not None and verb.run is not Manager.import_:
                given = parsed(request, given)
            value = await run_in_threadpool(verb.run, manager, key, dict(request.query_params), given)
            return value if isinstance(value, Response) else JSONResponse(value)

        return Route(f"/memedit{verb.path}", endpoint, methods=[verb.method])

    return [*map(route, VERBS), Route("/memedit/openapi.json", lambda request: JSONResponse(described()))]


def parsed(request: Request, body: bytes) -> Any:
    """The JSON of a body.

    Raises:
        Fault: 415 or 400, where it is none.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Fault(415, f"The body is {kind:.60}.", "send content-type: application/json")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Fault(400, "The body is no JSON.", "check it") from error


def described() -> dict[str, Any]:
    """The API of these verbs, as OpenAPI."""
    paths: dict[str, dict[str, Any]] = {}
    for verb in VERBS:
        said: dict[str, Any] = {
            "summary": verb.summary,
            "security": [{"bearer": []}],
            "responses": {"200": {"description": "Done"}, "4XX": {"description": "Refused; the error says what to do"}},
        }
        if verb.takes is not None:
            kind = "text/plain" if verb.run is Manager.import_ else "application/json"
            said["requestBody"] = {"required": True, "content": {kind: {"schema": verb.takes}}}
        paths.setdefault(f"/memedit{verb.path}", {})[verb.method.lower()] = said
    return {
        "openapi": "3.1.0",
        "info": {"title": "memedit", "version": "1", "description": "Edits of a key's namespace."},
        "paths": paths,
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }
