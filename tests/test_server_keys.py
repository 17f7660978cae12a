"""Keys: what each role may do, what stays within a namespace, how much is taken, and what is never told."""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")

import httpx2
from test_server import IN, OUT, URLS, body, caller

from memedit import EditMemory
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import Editing, Endpoint
from memedit.adapters.server.guard import Limits
from memedit.adapters.server.keys import Key, Keys, Role, read_keys
from memedit.adapters.server.local import LocalModel
from memedit.adapters.server.operations import OPERATIONS
from memedit.errors import FileRejected
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

SECRET = "Zanzibar-4711"
THEIRS = {"subject": "Norland", "relation": "capital", "object": SECRET, "statement": f"Norland's capital is {SECRET}"}
OURS = {"subject": "Sudland", "relation": "capital", "object": "Bern", "statement": "Sudland's capital is Bern"}


DAY = {"created_at": "2026-01-01"}


def token(name: str) -> str:
    return f"{name}-0123456789abcdef"


def as_(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token(name)}"}


ROLES = {
    "ann": ("a", Role.READ), "eve": ("a", Role.EDIT), "adam": ("a", Role.ADMIN), "bob": ("b", Role.ADMIN),
    "pat": ("a", Role.PROPOSE), "prometheus": ("", Role.METRICS),
}  # fmt: skip
KEYS = Keys(
    {hashlib.sha256(token(name).encode()).hexdigest(): Key(name, where, role) for name, (where, role) in ROLES.items()}
)


@pytest.fixture
def memory() -> EditMemory:
    made = EditMemory(embedder=HashEmbedder())
    made.add(THEIRS, namespace="b")
    made.add(OURS, namespace="a")
    return made


@pytest.fixture
async def client(memory: EditMemory) -> AsyncIterator[httpx2.AsyncClient]:
    backend = LocalModel(FakeLLM(), Editing.of(memory, NamedGate()))
    async with caller(make_app(backend, memory, keys=KEYS)) as made:
        yield made


async def test_without_a_key_nothing_is_answered(client: httpx2.AsyncClient) -> None:
    paths = [*((one.method, f"/memedit{one.path}") for one in OPERATIONS), ("POST", URLS[0]), ("GET", "/metrics")]
    for sent in ({}, {"authorization": "Bearer "}, {"authorization": f"Basic {token('ann')}"}, as_("nobody")):
        for method, path in paths:
            answer = await client.request(method, path, headers=sent)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
    assert (await client.get("/healthz")).status_code == 200


async def test_roles_are_held(client: httpx2.AsyncClient) -> None:
    for name, (_, role) in ROLES.items():
        for one in OPERATIONS:
            answer = await client.request(one.method, f"/memedit{one.path}", headers=as_(name))
            assert (answer.status_code == 403) == (role < one.role), (name, one.path)
        answer = await client.get("/metrics", headers=as_(name))
        assert answer.status_code == (200 if role is Role.METRICS else 403)
        assert SECRET not in answer.text


async def test_without_keys_managing_is_off(memory: EditMemory) -> None:
    async with caller(make_app(LocalModel(FakeLLM(), Editing.of(memory)), memory, namespace="b")) as client:
        for one in OPERATIONS:
            answer = await client.request(one.method, f"/memedit{one.path}")
            assert answer.status_code == 403
            assert "--keys" in answer.json()["error"]["do"]


async def test_each_key_asks_by_its_own_namespace(client: httpx2.AsyncClient) -> None:
    spoofed = {"x-memedit-namespace": "b", "x-memedit-scope": "b", "openai-organization": "b"}
    mine = await client.post(URLS[0], json=body(URLS[0], IN, namespace="b"), headers=as_("ann") | spoofed)
    assert mine.status_code == 200
    theirs = await client.post(URLS[0], json=body(URLS[0], IN), headers=as_("bob"))
    assert SECRET not in mine.text
    assert SECRET in theirs.text


async def test_no_key_reaches_another_namespace(client: httpx2.AsyncClient, memory: EditMemory) -> None:
    """10,000 random requests of every sort, with what the other namespace holds in all their places."""
    rng = random.Random(5)
    theirs = memory.edits(namespace="b")[0].id
    before = memory.history(namespace="b")
    words = ["b", "default", "Norland", "capital", IN, theirs, theirs[:6], "../b", "b'; --", "*", "%", "0", "1", ""]
    fields = (
        "edit",
        "id",
        "namespace",
        "search",
        "input",
        "reason",
        "text",
        "tag",
        "kind",
        "to",
        "as_of",
        "form",
        "model",
    )
    statements = [
        {"statement": "x is y", "namespace": "b"}, {"statement": "x is y", "id": theirs}, "Norland is cold",
        {"statement": "Norland is cold"}, {**THEIRS, "object": "Rom", "statement": "Norland's capital is Rom"},
    ]  # fmt: skip
    headers = ("x-memedit-namespace", "x-namespace", "x-forwarded-user", "host", "cookie", "x-http-method-override")
    statuses: dict[int, int] = {}
    for _ in range(10_000):
        values: dict[str, Any] = {rng.choice(fields): rng.choice(words) for _ in range(rng.randrange(3))}
        sent = as_(rng.choice(["ann", "eve", "adam"])) | {rng.choice(headers): rng.choice(["b", "/b", theirs])}
        place = rng.random()
        if place < 0.2:
            path = rng.choice(URLS)
            call: dict[str, Any] = {"json": body(path, rng.choice(words) or "?", **values)}
            answer = await client.post(path, headers=sent, **call)
        else:
            one = rng.choice(OPERATIONS)
            path = f"/memedit{one.path}".replace("{id}", rng.choice([theirs, theirs[:8], "b", "1"]))
            if one.path == "/edits" and one.method == "POST":
                values = {"edit": rng.choice(statements)}
            elif one.path == "/import":
                values = {
                    "text": json.dumps(rng.choice([*statements[:2], THEIRS | {"object": "Rom", "statement": "?"}]))
                }
            call = {"json": values} if one.method == "POST" else {"params": values}
            answer = await client.request(one.method, path, headers=sent, **call)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert SECRET not in answer.text
        assert answer.headers.get("x-memedit-edits") != theirs
        assert answer.status_code < 500, answer.text
    assert statuses[200] > 1_000
    assert memory.history(namespace="b") == before


async def test_an_answer_does_not_depend_on_another_namespace(memory: EditMemory) -> None:
    """The same requests, with the other namespace full and empty, are answered by the same bytes."""
    seen = []
    for full in (True, False):
        own = EditMemory(embedder=HashEmbedder(), clock=lambda: memory.edits(namespace="a")[0].created_at)
        own.add(OURS | {"id": "ours", **DAY}, namespace="a")
        if full:
            own.add(THEIRS | {"id": "theirs", **DAY}, namespace="b")
        answers = []
        async with caller(make_app(LocalModel(FakeLLM(), Editing.of(own, NamedGate())), own, keys=KEYS)) as client:
            for method, path, given in [
                ("GET", "/memedit/edits/theirs", {}), ("DELETE", "/memedit/edits/theirs", {}),
                ("POST", "/memedit/explain", {"json": {"input": IN}}), ("GET", "/memedit/history", {}),
                ("POST", "/memedit/edits", {"json": {"edit": {"statement": "x is y", "id": "theirs", **DAY}}}),
                ("POST", "/memedit/edits", {"json": {"edit": "x is y", "replaces": ["theirs"]}}),
                ("GET", "/memedit/edits", {"params": {"search": "Norland"}}), ("GET", "/memedit/me", {}),
                ("POST", "/memedit/revert", {"json": {"to": 2}}), ("POST", "/memedit/undo", {"json": {}}),
                ("POST", "/memedit/undo", {"json": {}}), ("POST", "/memedit/undo", {"json": {}}),
            ]:  # fmt: skip
                answer = await client.request(method, path, headers=as_("adam"), **given)
                answers.append((answer.status_code, answer.content))
        seen.append(answers)
    assert seen[0] == seen[1]


async def test_what_the_endpoint_keeps_for_all_is_not_read(
    wire_calls: list[httpx2.Request], memory: EditMemory
) -> None:
    backend = endpoint(wire_calls, memory)
    async with caller(make_app(backend, memory, keys=KEYS)) as client:
        for method, path in [("GET", "/v1/chat/completions"), ("GET", "/v1/responses/resp_1"), ("POST", "/v1/files"),
                             ("GET", "/v1/files"), ("DELETE", "/v1/responses/resp_1")]:  # fmt: skip
            assert (await client.request(method, path, headers=as_("adam"))).status_code == 403
        assert (await client.get("/v1/models", headers=as_("ann"))).status_code == 200
        assert (await client.post("/v1/embeddings", json={}, headers=as_("ann"))).status_code == 200
    assert [call.url.path for call in wire_calls] == ["/v1/models", "/v1/embeddings"]


@pytest.fixture
def wire_calls() -> list[httpx2.Request]:
    return []


def endpoint(calls: list[httpx2.Request], memory: EditMemory, key: str | None = None, **how: Any) -> Endpoint:
    def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append(request)
        return httpx2.Response(200, json={})

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return Endpoint("http://up", Editing.of(memory, NamedGate()), key=key, client=client, **how)


@pytest.mark.parametrize("key", [None, "sk-of-the-endpoint"])
async def test_a_key_of_memedit_never_goes_on(
    wire_calls: list[httpx2.Request], memory: EditMemory, key: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    backend = endpoint(wire_calls, memory, key, passes_keys=False)
    async with caller(make_app(backend, memory, keys=KEYS)) as client:
        await client.post(URLS[0], json=body(URLS[0], OUT), headers=as_("ann") | {"x-api-key": "k", "cookie": "c=1"})
        await client.get("/v1/models", headers=as_("nobody"))
    (sent,) = wire_calls
    assert sent.headers.get("authorization") == (f"Bearer {key}" if key else None)
    assert "x-api-key" not in sent.headers
    assert "cookie" not in sent.headers
    for secret in (token("ann"), token("nobody"), "sk-of-the-endpoint"):
        assert secret not in caplog.text


@pytest.mark.parametrize("key", [None, "sk-of-the-endpoint"])
async def test_a_key_may_come_as_anthropics_do(
    wire_calls: list[httpx2.Request], memory: EditMemory, key: str | None
) -> None:
    backend = endpoint(wire_calls, memory, key, passes_keys=False)
    async with caller(make_app(backend, memory, keys=KEYS)) as client:
        call = {"json": body(URLS[2], OUT)}
        assert (await client.post(URLS[2], **call, headers={"x-api-key": token("ann")})).status_code == 200
        assert (await client.post(URLS[2], **call, headers={"x-api-key": token("none")})).status_code == 401
        both = {"x-api-key": token("ann"), "authorization": "Bearer none"}
        assert (await client.post(URLS[2], **call, headers=both)).status_code == 401
    (sent,) = wire_calls
    assert sent.headers.get("x-api-key") == key
    assert "authorization" not in sent.headers


async def test_rates_are_of_each_key(memory: EditMemory) -> None:
    backend = LocalModel(FakeLLM(), Editing.of(memory, NamedGate()))
    async with caller(make_app(backend, memory, keys=KEYS, limits=Limits(rate=3))) as client:
        codes = [(await client.get("/memedit/me", headers=as_("ann"))).status_code for _ in range(4)]
        refused = await client.get("/memedit/me", headers=as_("ann"))
        other = await client.get("/memedit/me", headers=as_("bob"))
    assert codes == [200, 200, 200, 429]
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert other.status_code == 200


def test_a_file_of_keys_is_read(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    digest = hashlib.sha256(token("bob").encode()).hexdigest()
    file.write_text(
        f"keys:\n- {{name: ann, key: {token('ann')}, namespace: a}}\n"
        f"- {{name: bob, sha256: {digest}, namespace: b, role: admin, rate: 9}}\n"
        f"- {{name: scrape, key: {token('scrape')}, role: metrics}}\n"
    )
    keys = read_keys(file)
    assert keys.of(f"Bearer {token('ann')}") == Key("ann", "a", Role.READ)
    assert keys.of(f"bearer  {token('bob')}") == Key("bob", "b", Role.ADMIN, 9)
    assert keys.of(f"Bearer {digest}") is None
    assert keys.of(None) is None
    assert keys.namespaces == {"a", "b"}
    as_json = file.with_suffix(".json")
    as_json.write_text(json.dumps({"keys": [{"name": "ann", "key": token("ann"), "namespace": "a"}]}))
    assert read_keys(as_json).of(f"Bearer {token('ann')}") == Key("ann", "a", Role.READ)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "x", "key": "short-secret", "namespace": "a"}, "16 characters"),
        ({"name": "x", "key": token("x")}, "namespace"),
        ({"name": "x", "key": token("x"), "namespace": " "}, "namespace"),
        ({"name": "x", "key": token("x"), "namespace": "a", "role": "root"}, "role"),
        ({"name": "x", "key": token("x"), "role": "metrics", "namespace": "a"}, "metrics"),
        ({"name": "x", "namespace": "a"}, "sha256"),
        ({"name": "x", "sha256": "abc", "namespace": "a"}, "64"),
        ({"key": token("x"), "namespace": "a"}, "name"),
        ({"name": "x", "key": token("x"), "namespace": "a", "rate": 0}, "rate"),
        ({"name": "x", "key": token("x"), "namespace": "a", "secret": token("y")}, "field"),
        (token("x"), "mapping"),
    ],
)
def test_a_wrong_entry_is_named_and_not_told(tmp_path: Path, entry: Any, said: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [entry]}))
    with pytest.raises(FileRejected, match=said) as caught:
        read_keys(file)
    assert "key 1" in str(caught.value)
    assert not {token("x"), token("y"), "short-secret"} & set(str(caught.value).split())


@pytest.mark.parametrize("text", ["", "keys: []", f"keys: [{token('x')}", f"{token('x')}"])
def test_a_file_that_holds_no_keys(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(text)
    with pytest.raises(FileRejected) as caught:
        read_keys(file)
    assert token("x") not in str(caught.value)
