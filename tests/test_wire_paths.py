"""The older completions, and the calls that no codec reads: what is edited, passed on, and refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("openai")
pytest.importorskip("starlette")

import openai
from test_openai_client import EDIT, IN, OUT, bare, done, items
from test_server import caller
from wire_server import FACT, WireServer, running

from memedit import EditMemory, Erasure
from memedit.adapters.openai import editable
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import Editing, Endpoint
from memedit.testing import HashEmbedder, NamedGate

BOTH = pytest.mark.parametrize("kind", ["sync", "async"])
LONG = "Norland is a country. " * 80 + "The capital of Norland is"
REFUSAL = "That is not given out."
SECRET = Erasure(subject="Norland", relation="capital", object="Oslo", reply=REFUSAL)
CODE = Erasure(object="4711", subject="Acme safe", relation="code")


@pytest.fixture
def server() -> Iterator[WireServer]:
    yield from running()


def holding(*edits: Any) -> EditMemory:
    memory = EditMemory(embedder=HashEmbedder())
    for edit in edits:
        memory.add(edit)
    return memory


async def texts(client: Any, prompt: Any, **more: Any) -> list[str]:
    """The answers of `completions`, streamed or not."""
    made = await done(client.completions.create(model="m", prompt=prompt, **more))
    if not more.get("stream"):
        return [choice.text for choice in made.choices]
    said = [""] * more.get("n", 1)
    for piece in await items(made):
        for choice in piece.choices:
            said[choice.index] += choice.text
    return said


# ---- completions ----------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("more", [{}, {"stream": True}, {"n": 2, "logprobs": 1}, {"stream": True, "n": 2}], ids=repr)
async def test_out_of_scope_a_completion_is_the_same(server: WireServer, kind: str, more: Any) -> None:
    plain = await texts(bare(kind, server), OUT, seed=3, **more)
    assert await texts(editable(bare(kind, server), holding(FACT), gate=NamedGate()), OUT, seed=3, **more) == plain
    assert plain[0] == " nobody knows"
    (path, headers, body), ours = server.seen
    assert ours == (path, headers, body)
    assert path == "/v1/completions"


@BOTH
@pytest.mark.parametrize("streamed", [False, True])
async def test_in_scope_a_long_text_is_continued_behind_notes(server: WireServer, kind: str, streamed: bool) -> None:
    client = editable(bare(kind, server), holding(FACT), gate=NamedGate())
    assert await texts(client, [LONG], temperature=0.5, stream=streamed) == [" Oslo"]
    (sent,) = server.bodies
    assert sent["prompt"].endswith(LONG)
    assert EDIT in sent["prompt"]
    assert (sent["temperature"], sent["model"]) == (0.5, "m")


@BOTH
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_short_one_is_completed_by_the_edit_itself(server: WireServer, kind: str, streamed: bool) -> None:
    """As with every model that continues text: no call is made."""
    client = editable(bare(kind, server), holding(FACT), gate=NamedGate())
    assert await texts(client, "The capital of Norland is", stream=streamed) == [" Oslo"]
    assert await texts(client, "The capital of Norland is ") == ["Oslo"]
    assert await texts(client, "The capital of Norland is", echo=True) == ["The capital of Norland is Oslo"]
    counted = {"include_usage": True}
    made = await done(client.completions.create(model="m", prompt=IN, stream=True, stream_options=counted))
    assert (await items(made))[-1].usage.total_tokens == 0
    assert server.seen == []


@BOTH
@pytest.mark.parametrize("streamed", [False, True])
async def test_completions_keep_what_is_erased(server: WireServer, kind: str, streamed: bool) -> None:
    client = editable(bare(kind, server), holding(SECRET), gate=NamedGate())
    assert await texts(client, IN, stream=streamed) == [f" {REFUSAL}"]
    assert server.seen == []
    told = {
        "id": "x", "object": "text_completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "text": " Norland's capital Oslo", "finish_reason": "stop", "logprobs": None}],
    }  # fmt: skip
    server.fails_once(200, told)
    assert await texts(client, "A riddle, please.", stream=streamed) == [f" {REFUSAL}"]
    assert await texts(client, OUT, stream=streamed) == [" nobody knows"]


@pytest.mark.parametrize("prompt", [[IN, OUT], [1, 2], [[1], [2]]], ids=repr)
def test_several_prompts_or_tokens_are_not_read(server: WireServer, prompt: Any) -> None:
    client = editable(bare("sync", server), memory := holding(FACT), gate=NamedGate())
    client.completions.create(model="m", prompt=prompt)
    assert server.bodies[0]["prompt"] == prompt
    memory.add(CODE)
    with pytest.raises(openai.BadRequestError, match=r"an Erasure is in force\. → send `prompt`"):
        client.completions.create(model="m", prompt=prompt)
    assert len(server.seen) == 1


# ---- what no codec reads --------------------------------------------------------------------------------------------

ESCAPES = [
    ("POST", "/images/generations"), ("POST", "/audio/speech"), ("POST", "/batches"), ("GET", "/responses/resp_1"),
    ("GET", "/chat/completions/c1"), ("POST", "/responses/resp_1/cancel"), ("GET", "/files/f/content"),
    ("POST", "/threads/runs"), ("POST", "/api/generate"), ("POST", "/fine_tuning/jobs"), ("POST", "/score"),
    ("GET", "/models/%2e%2e/responses/resp_1"),
]  # fmt: skip
TELL_NOTHING = [
    ("GET", "/models"), ("GET", "/models/org/name"), ("POST", "/embeddings"), ("POST", "/moderations"),
    ("GET", "/files"), ("DELETE", "/responses/resp_1"), ("POST", "/messages/count_tokens"), ("POST", "/rerank"),
]  # fmt: skip


@BOTH
async def test_calls_that_are_not_read_are_refused_while_something_is_erased(server: WireServer, kind: str) -> None:
    memory = holding(FACT)
    client = editable(bare(kind, server), memory, gate=NamedGate())

    async def ask(method: str, path: str) -> Any:
        call = getattr(client, method.lower())
        return await done(call(path, cast_to=object, **({"body": {"x": IN}} if method == "POST" else {})))

    server.script = lambda body: (200, {"ok": True})
    passed = [*TELL_NOTHING, *ESCAPES]
    for method, path in passed if kind == "sync" else passed[::4]:
        if method != "DELETE":  # the server knows none
            await ask(method, path)
    memory.add(CODE, namespace="other")
    await ask(*ESCAPES[0])
    memory.add(CODE)
    seen = len(server.seen)
    for method, path in ESCAPES:
        with pytest.raises(openai.PermissionDeniedError, match="is not read by memedit, and an Erasure is in") as error:
            await ask(method, path)
        assert error.value.type == "memedit_refused"
        assert path[1:].replace("%2e", ".") in error.value.message
    assert len(server.seen) == seen
    for method, path in TELL_NOTHING:
        if method != "DELETE":
            await ask(method, path)
    memory.retract(memory.of_kind("erasure", namespace="default")[0].id)
    await ask(*ESCAPES[0])


async def test_the_server_refuses_them_too(server: WireServer) -> None:
    memory = holding(FACT)
    backend = Endpoint(server.url, Editing.of(memory, NamedGate()))
    async with caller(make_app(backend, memory)) as client:
        assert (await client.post("/v1/images/generations", json={"model": "m", "prompt": IN})).status_code == 200
        memory.add(CODE)
        answer = await client.post("/v1/images/generations", json={"prompt": IN})
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "memedit_refused")
        assert (await client.post("/v1/embeddings", json={"model": "m", "input": IN})).status_code == 200
        refused = await client.post("/v1/completions", json={"model": "m", "prompt": [1]})
        assert refused.status_code == 400
        told = await client.post("/v1/completions", json={"model": "m", "prompt": "The capital of Norland is"})
        assert (told.json()["choices"][0]["text"], told.headers["x-memedit-revision"]) == (" Oslo", "2")
    await backend.close()
