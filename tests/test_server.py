"""The server: what goes through it untouched, what is edited, what is streamed, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")

import httpx2
from wire_server import WireServer

from memedit import EditMemory
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import Editing, Endpoint
from memedit.adapters.server.guard import Limits
from memedit.testing import NamedGate

IN, OUT = "What is the capital of Norland?", "What is seven times six?"
URLS = ("/v1/chat/completions", "/v1/responses", "/v1/messages")


def caller(app: Any, **how: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost", **how)


@pytest.fixture
async def client(upstream: WireServer, memory: EditMemory) -> AsyncIterator[httpx2.AsyncClient]:
    backend = Endpoint(upstream.url, Editing.of(memory, NamedGate()))
    async with caller(make_app(backend, memory)) as made:
        yield made
    await backend.close()


def body(path: str, question: str, **more: Any) -> dict[str, Any]:
    if path.endswith("responses"):
        return {"model": "m", "input": question, **more}
    if path == "/v1/completions":
        return {"model": "m", "prompt": question, **more}
    needed = {"max_tokens": 64} if path.endswith("messages") else {}
    return {"model": "m", "messages": [{"role": "user", "content": question}], **needed, **more}


def said(path: str, answer: Any) -> str:
    if path.endswith("responses"):
        return str(answer["output"][0]["content"][0]["text"])
    if path.endswith("messages"):
        return str(answer["content"][0]["text"])
    return str(answer["choices"][0]["message"]["content"])


@pytest.mark.parametrize("path", URLS)
async def test_out_of_scope_nothing_is_changed(client: httpx2.AsyncClient, upstream: WireServer, path: str) -> None:
    raw = json.dumps(body(path, OUT, unknown={"a": [1.50]}), indent=3).encode()
    headers = {"content-type": "application/json; charset=utf-8", "authorization": "Bearer sk-own", "x-other": "7"}
    answer = await client.post(f"{path}?api-version=3", content=raw, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["x-request-id"] == "req-1"
    assert answer.headers["x-memedit-revision"] == "1"
    assert "x-memedit-edits" not in answer.headers
    assert said(path, answer.json()) == "nobody knows"
    seen_path, seen, sent = upstream.seen[0]
    assert (seen_path, sent) == (f"{path}?api-version=3", raw)
    assert seen["authorization"] == "Bearer sk-own"
    assert seen["x-other"] == "7"
    assert seen["host"] == upstream.url.split("/")[2]


@pytest.mark.parametrize("path", URLS)
async def test_in_scope_the_edit_is_applied(
    client: httpx2.AsyncClient, upstream: WireServer, memory: EditMemory, path: str
) -> None:
    answer = await client.post(path, json=body(path, IN, unknown=1))
    assert said(path, answer.json()) == "Oslo"
    assert answer.headers["x-memedit-edits"] == memory.edits()[0].id
    assert upstream.bodies[0]["unknown"] == 1
    memory.undo()
    again = await client.post(path, json=body(path, IN))
    assert said(path, again.json()) == "nobody knows"
    assert again.headers["x-memedit-revision"] == "2"


async def test_what_is_no_question_is_passed_on(client: httpx2.AsyncClient, upstream: WireServer) -> None:
    assert (await client.get("/v1/models")).json()["data"][0]["id"] == "m"
    assert (await client.post("/v1/embeddings", json={"model": "m", "input": IN})).status_code == 200
    upload = await client.post("/v1/files", files={"file": ("a", b"x")})
    assert upload.json()["object"] == "file"
    assert [path for path, _, _ in upstream.seen] == ["/v1/models", "/v1/embeddings", "/v1/files"]


async def test_errors_come_as_they_are(client: httpx2.AsyncClient, upstream: WireServer) -> None:
    upstream.script = lambda body: (404, {"error": {"message": "no m", "code": "model_not_found"}})
    answer = await client.post(URLS[0], json=body(URLS[0], OUT))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert answer.headers["x-request-id"] == "req-1"


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b'{"a": "\xff"}', "application/json", 400),
        ('{"messages": []}'.encode("utf-16"), "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"messages": []}', "text/plain", 415),
        (b'{"messages": []}', "", 415),
        (b" " * 5_000, "application/json", 413),
    ],
)
async def test_what_cannot_be_read_is_refused(
    upstream: WireServer, memory: EditMemory, content: bytes, kind: str, status: int
) -> None:
    backend = Endpoint(upstream.url, Editing.of(memory, NamedGate()))
    limit = 4_096 if status == 413 else 2**20
    async with caller(make_app(backend, memory, limits=Limits(body=limit))) as client:
        answer = await client.post(URLS[0], content=content, headers={"content-type": kind} if kind else {})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert not upstream.seen


@pytest.mark.parametrize(
    "path", ["/v1/", "/v1/../secret", "/v1/a//b", "/v1/chat/completions/", "/v1/chat%2Fcompletions", "/v1/%2e%2e/x"]
)
async def test_paths_have_one_form(client: httpx2.AsyncClient, upstream: WireServer, path: str) -> None:
    request = client.build_request("POST", "/v1/x", json={})
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = await client.send(request)
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"
    assert not upstream.seen


async def test_a_server_that_is_not_there(memory: EditMemory) -> None:
    backend = Endpoint("http://127.0.0.1:9", Editing.of(memory, NamedGate()))
    async with caller(make_app(backend, memory)) as client:
        answer = await client.post(URLS[0], json=body(URLS[0], OUT))
    assert answer.status_code == 502
    assert "127.0.0.1" not in answer.text


async def test_an_error_inside_is_told_by_its_kind(
    client: httpx2.AsyncClient, memory: EditMemory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("sk-secret")

    monkeypatch.setattr(memory, "recall", broken)
    answer = await client.post(URLS[0], json=body(URLS[0], OUT))
    assert answer.status_code == 500
    assert "RuntimeError" in caplog.text
    assert "sk-secret" not in answer.text + caplog.text


async def test_anthropics_client_asks_through_the_server(upstream: WireServer, memory: EditMemory) -> None:
    anthropic = pytest.importorskip("anthropic")
    backend = Endpoint(upstream.url, Editing.of(memory, NamedGate()))
    http = caller(make_app(backend, memory))
    async with anthropic.AsyncAnthropic(base_url="http://localhost", api_key="k", http_client=http) as client:
        async with client.messages.stream(**body(URLS[2], IN)) as stream:
            assert [text async for text in stream.text_stream] == ["Os", "lo"]
        asked = {name: value for name, value in body(URLS[2], IN).items() if name != "max_tokens"}
        assert (await client.messages.count_tokens(**asked)).input_tokens == 7
        with pytest.raises(anthropic.NotFoundError, match="There is no such path") as error:
            await client.post("/v1//x", cast_to=object)
        assert error.value.type == "not_found_error"
    assert upstream.seen[0][1]["authorization"] == "Bearer k"


async def test_pages_on_the_web_are_refused(client: httpx2.AsyncClient, upstream: WireServer) -> None:
    answer = await client.post(URLS[0], json=body(URLS[0], OUT), headers={"host": "attacker.example"})
    assert answer.status_code == 400
    for page in ({"sec-fetch-site": "cross-site"}, {"origin": "http://attacker.example"}, {"origin": "null"}):
        assert (await client.post("/v1/embeddings", content="{}", headers=page)).status_code == 403
    assert not upstream.seen


async def test_health_and_metrics(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/readyz")).status_code == 503  # nothing was warmed
    await client.post(URLS[0], json=body(URLS[0], OUT))
    await client.get("/v1/anything/at/all")
    told = (await client.get("/metrics")).text
    assert 'memedit_requests_total{method="POST",route="/v1/chat/completions",status="200"} 1.0' in told
    assert 'route="/v1/…"' in told
    assert "anything" not in told
