"""What a server does with bodies that are large, slow or no JSON, and when what it needs is not there."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")

import httpx2
from starlette.requests import Request
from test_server import IN, OUT, URLS, body, caller
from test_server_keys import KEYS, SECRET, THEIRS, as_, token
from test_server_stream import listening

from memedit import EditMemory
from memedit.adapters.server import backend as backends
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import Editing, Endpoint
from memedit.adapters.server.faults import Refused
from memedit.adapters.server.guard import Guard, Limits
from memedit.adapters.server.keys import Key, Keys, Role
from memedit.adapters.server.local import LocalModel
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

LIMIT = 2_000
CHANGES = ("/memedit/edits", "/memedit/explain", "/memedit/compare", "/memedit/import", "/memedit/undo")


@pytest.fixture
def memory() -> EditMemory:
    made = EditMemory(embedder=HashEmbedder())
    made.add(THEIRS, namespace="b")
    return made


def app(memory: EditMemory, **how: Any) -> Any:
    return make_app(LocalModel(FakeLLM(), Editing.of(memory, NamedGate())), memory, keys=KEYS, **how)


def filled(size: int) -> bytes:
    """A chat completion of so many bytes."""
    empty = json.dumps(body(URLS[0], "")).encode()
    return json.dumps(body(URLS[0], "x" * (size - len(empty)))).encode()


@pytest.mark.parametrize("told", [True, False])
async def test_a_body_may_be_as_large_as_the_limit_and_no_larger(memory: EditMemory, told: bool) -> None:
    async def pieces(raw: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(raw), 100):
            yield raw[at : at + 100]

    headers = as_("ann") | {"content-type": "application/json"}
    async with caller(app(memory, limits=Limits(body=LIMIT))) as client:
        for size, status in ((LIMIT, 200), (LIMIT + 1, 413)):
            raw = filled(size)
            assert len(raw) == size
            answer = await client.post(URLS[0], content=raw if told else pieces(raw), headers=headers)
            assert answer.status_code == status
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("path", [URLS[0], CHANGES[0]])
def test_a_slow_caller_is_let_go_and_holds_nobody_up(memory: EditMemory, path: str) -> None:
    with listening(app(memory, limits=Limits(body_seconds=0.5))) as (_, url):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as slow:
            head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token('eve')}\r\n"
            slow.sendall(f'{head}content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"a'.encode())
            assert httpx2.get(f"{url}/healthz", timeout=20).status_code == 200
            assert slow.recv(1_000).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400), (b"[1]", "application/json", 400), (b"\xff\xfe", "application/json", 400),
        (b"[" * 1_000, "application/json", 400), (b"null", "application/json", 400), (b'{"a": NaN}', "text/json", 422),
        (b"{}", "text/plain", 415), (b"a=1", "application/x-www-form-urlencoded", 415), (b"{}", "", 415),
        (b" " * (LIMIT + 1), "application/json", 413),
    ],
)  # fmt: skip
async def test_what_is_no_json_changes_nothing(
    memory: EditMemory, path: str, content: bytes, kind: str, status: int
) -> None:
    async with caller(app(memory, limits=Limits(body=LIMIT))) as client:
        headers = as_("adam") | ({"content-type": kind} if kind else {})
        answer = await client.post(path, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]
    assert memory.revision(namespace="a") == 0


def test_a_key_has_a_rate_of_its_own() -> None:
    now = 0.0
    sha = hashlib.sha256(token("ann").encode()).hexdigest()
    keys = Keys({sha: Key("ann", "a", Role.READ, rate=2)})
    guard = Guard(keys, "a", Limits(rate=100), clock=lambda: now)
    request = Request({"type": "http", "headers": [(b"authorization", as_("ann")["authorization"].encode())]})

    def taken() -> bool:
        try:
            return guard.admitted(request, Role.READ).name == "ann"
        except Refused:
            return False

    assert [taken() for _ in range(3)] == [True, True, False]
    now = 29.0
    assert not taken()
    now = 30.0  # a minute's bucket of two has one more
    assert [taken(), taken()] == [True, False]


async def test_no_secret_is_told_whatever_fails(memory: EditMemory, caplog: pytest.LogCaptureFixture) -> None:
    """Keys and edit texts stand in no line of the log, no metric, and no error of another namespace's caller."""
    caplog.set_level(logging.DEBUG)
    key = "sk-of-the-endpoint"

    def fails(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError(f"{request.url} {request.headers['authorization']}")

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(fails))
    backend = Endpoint("http://up.example", Editing.of(memory, NamedGate()), key=key, passes_keys=False, client=client)
    told = ""
    async with caller(make_app(backend, memory, keys=KEYS)) as asking:
        for name in ("ann", "bob", "nobody"):
            asked = [*((url, body(url, IN)) for url in URLS), *((path, {"x": token(name)}) for path in CHANGES)]
            for path, given in asked:
                answer = await asking.post(path, json=given, headers=as_(name))
                assert answer.status_code >= 400
                told += answer.text
            told += (await asking.get(f"/v1/models?key={token(name)}", headers=as_(name))).text
        told += (await asking.get("/metrics", headers=as_("prometheus"))).text
    for secret in (key, "up.example", SECRET, IN, *map(token, ("ann", "bob", "nobody", "prometheus"))):
        assert secret not in told
        assert secret not in "\n".join(one.getMessage() for one in caplog.records if one.name.startswith("memedit"))


def test_it_is_not_ready_while_the_models_server_is_gone(memory: EditMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "KNOWN", 0.0)
    gone = True

    def answer(request: httpx2.Request) -> httpx2.Response:
        if gone:
            raise httpx2.ConnectError("gone")
        return httpx2.Response(401)  # it is there

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    made = make_app(Endpoint("http://up", Editing.of(memory, NamedGate()), client=client), memory)
    with listening(made) as (_, url):
        while (told := httpx2.get(f"{url}/readyz", timeout=20)).json()["status"] == "starting":
            time.sleep(0.01)
        assert told.status_code == 503
        assert told.json()["status"] == "the model's server cannot be reached"
        assert httpx2.get(f"{url}/healthz", timeout=20).status_code == 200
        assert httpx2.post(f"{url}{URLS[0]}", json=body(URLS[0], OUT), timeout=20).status_code == 502
        gone = False
        assert httpx2.get(f"{url}/readyz", timeout=20).status_code == 200


async def test_how_the_models_server_is_asked_for_is_bounded(memory: EditMemory) -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200)

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    backend = Endpoint("http://up", Editing.of(memory, NamedGate()), client=client)
    assert [await backend.reachable() for _ in range(50)] == [True] * 50
    assert len(asked) == 1
