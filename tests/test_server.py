"""The HTTP proxy: what it hands on untouched, what it answers by an edit, and whom it refuses."""

from __future__ import annotations

import json
import random
import string
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

import httpx2
import uvicorn
from click.testing import CliRunner
from openai import OpenAI
from starlette.testclient import TestClient
from wire_server import EDIT, WireServer, running

from memedit import EditMemory
from memedit.adapters.server import Key, Keys, application, read_keys
from memedit.adapters.server.backends import Model, Upstream
from memedit.adapters.server.faults import Fault
from memedit.adapters.server.limits import Rate
from memedit.cli import main
from memedit.errors import FileRejected
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

IN, OUT = "What is the capital of Norland?", "What is seven times six?"
KEY, READER, ASKER, OTHER = "editor-0123456789", "reader-0123456789", "asker-00123456789", "other-00123456789"
KEYS = {
    KEY: Key("acme", "edit", "ed"),
    READER: Key("acme", "read", "rea"),
    ASKER: Key("acme", "ask", "ask"),
    OTHER: Key("globex", "edit", "oth"),
}


@pytest.fixture
def upstream() -> Iterator[WireServer]:
    yield from running()


@pytest.fixture
def memory() -> Iterator[EditMemory]:
    with EditMemory(embedder=HashEmbedder()) as made:
        made.add({"subject": "Norland", "relation": "capital", "object": "Oslo", "statement": EDIT}, namespace="acme")
        yield made


@pytest.fixture
def proxy(upstream: WireServer, memory: EditMemory) -> Iterator[TestClient]:
    backend = Upstream(upstream.url, memory, key="upstream-key", gate=NamedGate())
    with TestClient(application(backend, Keys(KEYS), max_body=100_000), raise_server_exceptions=False) as client:
        yield client


def ask(proxy: Any, text: str, key: str = ASKER, **more: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    return proxy.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_what_no_edit_is_in_scope_of_goes_on_byte_for_byte(proxy: TestClient, upstream: WireServer) -> None:
    body = b'{"model": "m",  "messages":[{"role":"user","content":"What is seven times six?"}], "x_unknown": [1]}'
    headers = {**bearer(ASKER), "content-type": "application/json", "x-trace": "t-1"}
    answer = proxy.post("/v1/chat/completions?a=b", content=body, headers=headers)
    path, sent, raw = upstream.seen[-1]
    assert (path, raw) == ("/v1/chat/completions?a=b", body)
    assert (sent["x-trace"], sent["authorization"]) == ("t-1", "Bearer upstream-key")
    assert answer.json()["choices"][0]["message"]["content"] == "nobody knows"
    assert answer.headers["x-request-id"] == "req-1"
    assert "x-memedit-edits" not in answer.headers


def test_an_edit_in_scope_changes_the_answer_and_is_told(proxy: TestClient, memory: EditMemory) -> None:
    answer = ask(proxy, IN)
    assert answer.json()["choices"][0]["message"]["content"] == "Oslo"
    assert answer.headers["x-memedit-edits"] == memory.edits(namespace="acme")[0].id
    responses = proxy.post("/v1/responses", json={"model": "m", "input": IN}, headers=bearer(ASKER))
    assert "Oslo" in responses.text


def test_another_namespace_is_neither_used_nor_seen(proxy: TestClient) -> None:
    assert ask(proxy, IN, OTHER).json()["choices"][0]["message"]["content"] == "nobody knows"
    assert proxy.get("/memedit/edits", headers=bearer(OTHER)).json()["total"] == 0


async def test_no_guess_of_a_key_or_a_namespace_reaches_another_one(memory: EditMemory) -> None:
    """10,000 requests with random keys, parameters and paths."""
    rng = random.Random(0)
    letters = string.ascii_letters + string.digits + "-_./ %"
    paths = ("/memedit/edits", "/memedit/history", "/memedit/export")
    app = application(Model(FakeLLM(), memory, gate=NamedGate()), Keys(KEYS))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://proxy") as client:
        for _ in range(10_000):
            guess = "".join(rng.choice(letters) for _ in range(rng.randint(0, 24)))
            key = rng.choice((guess, guess, f"{ASKER}x{guess}", ASKER[: rng.randint(0, 15)], "acme", OTHER))
            query = {rng.choice(("namespace", "q", "edit", "key")): rng.choice(("acme", "../acme", guess))}
            headers = {"authorization": f"Bearer {key}".strip()}
            answer = await client.get(rng.choice(paths), params=query, headers=headers)
            assert "Oslo" not in answer.text
            assert key == OTHER or answer.status_code == 401


def test_streams_are_relayed_as_they_come(upstream: WireServer, memory: EditMemory) -> None:
    app = application(Upstream(upstream.url, memory, gate=NamedGate()), Keys({}, open_to_all=Key("acme")))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    upstream.wait_for.clear()  # the upstream sends a first piece, and waits
    client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="own", max_retries=0)
    with client.chat.completions.create(model="m", messages=[{"role": "user", "content": IN}], stream=True) as stream:
        pieces = iter(stream)
        first = next(pieces)  # is there before the upstream went on
        upstream.wait_for.set()
        text = "".join(piece.choices[0].delta.content or "" for piece in (first, *pieces) if piece.choices)
    assert "Oslo" in text
    assert upstream.seen[-1][1]["authorization"] == "Bearer own"  # handed on, since the proxy has no keys
    server.should_exit = True


def test_errors_of_the_upstream_are_its_own(proxy: TestClient, upstream: WireServer) -> None:
    upstream.fails_once(404, {"error": {"message": "no such model", "code": "model_not_found"}})
    answer = ask(proxy, OUT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert proxy.get("/v1/models", headers=bearer(ASKER)).json()["data"][0]["id"] == "m"


def test_an_upstream_that_is_not_there_is_said_to_be(memory: EditMemory) -> None:
    backend = Upstream("http://127.0.0.1:9", memory, gate=NamedGate())
    with TestClient(application(backend, Keys({}, open_to_all=Key("acme")))) as client:
        answer = ask(client, OUT)
    assert answer.status_code == 502
    assert "cannot be reached" in answer.json()["error"]["message"]


def test_edits_are_managed_within_the_keys_namespace(proxy: TestClient, memory: EditMemory) -> None:
    put = proxy.post(
        "/memedit/edits", json={"statement": "Acme is in Bern.", "namespace": "globex"}, headers=bearer(KEY)
    )
    (receipt,) = put.json()
    assert (receipt["status"], receipt["edit"]["namespace"], receipt["edit"]["author"]) == ("added", "acme", "ed")
    found = proxy.get("/memedit/edits?q=bern", headers=bearer(READER)).json()
    assert [edit["statement"] for edit in found["edits"]] == ["Acme is in Bern."]
    said = proxy.post("/memedit/explain", json={"input": IN}, headers=bearer(READER)).json()
    assert (said["untouched"], len(said["lookups"][0]["verdicts"])) == (False, 2)
    gone = proxy.post("/memedit/retract", json={"ids": [receipt["edit"]["id"]]}, headers=bearer(KEY))
    assert gone.json()["change"] == "retract"
    assert proxy.post("/memedit/undo", headers=bearer(KEY)).json()["change"] == "undo"
    assert len(proxy.get("/memedit/history", headers=bearer(READER)).json()["changes"]) == 4
    lines = proxy.get("/memedit/export", headers=bearer(READER)).text
    assert len(lines.splitlines()) == 2
    put = proxy.post("/memedit/import", content=lines, headers=bearer(OTHER))
    assert [one["status"] for one in put.json()] == ["added", "added"]
    assert {edit.namespace for edit in memory.edits(namespace="globex")} == {"globex"}


@pytest.mark.parametrize(
    ("method", "path", "key", "body", "status", "says"),
    [
        ("GET", "/memedit/edits", ASKER, None, 403, "needs the role `read`"),
        ("POST", "/memedit/undo", READER, None, 403, "needs the role `edit`"),
        ("GET", "/memedit/edits", "nobody", None, 401, "No known key"),
        ("POST", "/v1/chat/completions", "nobody", b"{}", 401, "No known key"),
        ("POST", "/memedit/edits", KEY, b"{", 400, "no JSON"),
        ("POST", "/memedit/edits", KEY, b"7", 400, "no JSON object"),
        ("POST", "/memedit/edits", KEY, b'{"statement": " "}', 400, "statement is empty"),
        ("POST", "/memedit/edits?on_conflict=x", KEY, b'"Acme is in Bern."', 400, "on_conflict"),
        ("POST", "/memedit/retract", KEY, b'{"ids": ["none"]}', 404, "not in force"),
        ("POST", "/memedit/retract", KEY, b'{"ids": "x"}', 400, "no list of ids"),
        ("POST", "/memedit/explain", READER, b'{"input": 3}', 400, "neither a text"),
        ("GET", "/memedit/edits?limit=x", READER, None, 400, "`limit` is no number"),
        ("GET", "/memedit/export?format=exe", READER, None, 400, "exe"),
        ("POST", "/memedit/edits", KEY, b'"' + b"x" * 100_001 + b'"', 413, "longer than 100,000 bytes"),
        ("POST", "/v1/chat/completions", KEY, b"x" * 100_001, 413, "longer than"),
        ("DELETE", "/memedit/edits", KEY, None, 405, ""),
        ("GET", "/nowhere", KEY, None, 404, ""),
    ],
)
def test_what_is_refused_is_told_why(
    proxy: TestClient, method: str, path: str, key: str, body: bytes | None, status: int, says: str
) -> None:
    headers = {**bearer(key), "content-type": "application/json"}
    answer = proxy.request(method, path, content=body, headers=headers)
    assert answer.status_code == status
    assert says in answer.text
    assert KEY not in answer.text


def test_other_types_of_body_are_refused(proxy: TestClient) -> None:
    answer = proxy.post("/memedit/edits", content=b"a", headers={**bearer(KEY), "content-type": "text/plain"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (415, "memedit_refused")


def test_without_keys_edits_are_not_managed(memory: EditMemory) -> None:
    app = application(Model(FakeLLM(), memory, gate=NamedGate()), Keys({}, open_to_all=Key("acme")))
    with TestClient(app) as client:
        assert client.get("/memedit/edits").status_code == 403
        assert client.get("/healthz").json() == {"alive": True}
        assert client.get("/readyz").json() == {"ready": True}


def test_a_local_model_answers_in_the_form_of_the_api(memory: EditMemory) -> None:
    app = application(Model(FakeLLM(lambda text: "Oslo it is"), memory, gate=NamedGate()), Keys(KEYS))
    with TestClient(app) as client:
        whole = ask(client, IN).json()
        assert whole["choices"][0]["message"] == {"role": "assistant", "content": "Oslo it is", "refusal": None}
        events = ask(client, IN, stream=True)
        assert events.headers["content-type"].startswith("text/event-stream")
        assert events.text.strip().endswith("data: [DONE]")
        assert client.get("/v1/models", headers=bearer(ASKER)).json()["data"][0]["id"] == "fake"
        assert client.post("/v1/embeddings", json={}, headers=bearer(ASKER)).status_code == 404
        assert client.post("/v1/chat/completions", json={}, headers=bearer(ASKER)).status_code == 400


def test_calls_are_counted_and_nothing_that_was_said(proxy: TestClient) -> None:
    ask(proxy, IN)
    ask(proxy, OUT)
    page = proxy.get("/metrics").text
    route = 'route="/v1/chat/completions",status="200"'
    assert f'memedit_calls_total{{edited="true",{route}}} 1.0' in page
    assert f'memedit_calls_total{{edited="false",{route}}} 1.0' in page
    for secret in (KEY, ASKER, "Norland", "Oslo"):
        assert secret not in page


def test_a_caller_may_take_so_many_calls_a_minute() -> None:
    seconds = [0.0]
    rate = Rate(2, now=lambda: seconds[0])
    rate.take("a")
    rate.take("a")
    rate.take("b")
    with pytest.raises(Fault, match="Too many") as refused:
        rate.take("a")
    assert refused.value.headers == {"retry-after": "30"}
    seconds[0] = 30.0
    rate.take("a")


def test_the_api_is_described(proxy: TestClient) -> None:
    described = proxy.get("/memedit/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    for path, verbs in described["paths"].items():
        for verb in verbs:
            assert proxy.request(verb.upper(), path).status_code == 401  # it is there, and guarded


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[", "cannot be read"),
        ("{}", "holds no list of keys"),
        ("- {key: short, namespace: a}", "entry 1: its key is no text of 16"),
        (f"- {{key: {KEY}, namespace: a}}\n- {{key: {KEY}, namespace: b}}", "entry 2: its key stands there twice"),
        (f"- {{key: {KEY}, namespace: a, role: god}}", "entry 1: its role is none of"),
        (f"- {{key: {KEY}}}", "entry 1: it has no 'namespace'"),
        (f"- {{key: {KEY}, namespace: ' a'}}", "entry 1: A namespace is"),
        ("- 7", "entry 1"),
    ],
)
def test_a_file_of_keys_that_is_none_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(text)
    with pytest.raises(FileRejected) as refused:
        read_keys(file)
    assert says in str(refused.value)
    assert KEY not in str(refused.value)


def test_keys_are_read_from_json_too(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps([{"key": KEY, "namespace": "acme", "role": "edit", "name": "ed"}]))
    keys = read_keys(file)
    assert keys.owner(f"bearer  {KEY} ") == Key("acme", "edit", "ed")
    assert keys.owner(f"Basic {KEY}") is None
    assert KEY not in repr(vars(keys))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "Give one of --upstream URL and --llm SPEC"),
        (("--upstream", "http://x", "--llm", "bundled"), "Give one of"),
        (("--upstream", "x"), "no http address"),
        (("--upstream", "http://x", "--host", "0.0.0.0"), "give --keys FILE"),
        (("--upstream", "http://x", "--keys", "none.yaml"), "cannot be read"),
        (("--upstream", "http://x", "--upstream-key-env", "NO_SUCH"), "NO_SUCH is not set"),
    ],
)
def test_what_serve_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], says: str) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["serve", *args])
    assert done.exit_code == 2
    assert says in done.output


def test_it_serves_from_the_command_line(upstream: WireServer, tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    call = [
        sys.executable,
        "-m",
        "memedit",
        "serve",
        "--upstream",
        upstream.url,
        "--port",
        "0",
        "--memory",
        str(tmp_path),
    ]
    environment = {**os.environ, "MEMEDIT_EMBEDDER": "minilm"}
    with subprocess.Popen(
        [*call[:-4], "--port", "18765", *call[-2:]], env=environment, stderr=subprocess.PIPE
    ) as process:
        try:
            for _ in range(600):
                try:
                    answer = httpx2.get("http://127.0.0.1:18765/v1/models")
                    break
                except httpx2.TransportError:
                    time.sleep(0.1)
            assert answer.json()["data"][0]["id"] == "m"
        finally:
            process.terminate()
            assert process.wait(30) in (0, -15)
