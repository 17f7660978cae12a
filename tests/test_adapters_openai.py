"""The OpenAI adapter and embedder, against a real HTTP server on this machine."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai")

import openai
from openai import AsyncOpenAI, OpenAI

from memedit import EditableLLM, EditMemory
from memedit.embedders import as_embedder
from memedit.errors import EmbedderError, ProviderError, RequestRejected, UnsupportedModel
from memedit.eval import Settings, evaluate
from memedit.llms import as_llm
from memedit.messages import Message, Request
from memedit.testing import HashEmbedder, NamedGate

EDIT = "The capital of Norland is Oslo"
ASKED = "What is the capital of Norland?"
OTHER = "What is seven times six?"
KEY = "sk-very-secret-1234"
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


class Server(ThreadingHTTPServer):
    """Keeps each request's path, headers and body; answers by `mode`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.mode = "plain"
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.failures = 0
        self.go_on = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, *args: Any) -> None:
        """A client that hung up is no news."""

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, _, body in self.seen]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((self.path, dict(self.headers), raw))
        body, mode = json.loads(raw), self.server.mode
        if self.path.endswith("/embeddings"):
            data = [
                {"object": "embedding", "index": place, "embedding": [float(len(text)), 1.0, 0.5]}
                for place, text in enumerate(body["input"])
            ]
            return self.send({"object": "list", "data": data[::-1], "model": body["model"], "usage": USAGE})
        if mode == "429 once" and self.server.failures == 0:
            self.server.failures += 1
            return self.send({"error": {"message": "slow down"}}, 429, {"Retry-After": "0.01"})
        if mode in ("429", "500"):
            return self.send({"error": {"message": "no", "code": "busy"}}, int(mode), {"Retry-After": "0.01"})
        if mode == "no json":
            return self.send(b"{oops")
        if mode == "html":
            return self.send(b"<html>", kind="text/html")
        if mode == "no choices":
            return self.send({"object": "chat.completion", "choices": []})
        return self.sse(body, mode) if body.get("stream") else self.send(self.completion(body, mode))

    def completion(self, body: dict[str, Any], mode: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": f"to {body['messages'][-1]['content']}"}
        if mode == "tools":
            calls = [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "map"}'}}]
            message = {"role": "assistant", "content": None, "tool_calls": calls}
        reason = "tool_calls" if mode == "tools" else "stop"
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return {
            "id": "x", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice],
            "usage": USAGE,
        }  # fmt: skip

    def sse(self, body: dict[str, Any], mode: str) -> None:
        def function(**given: Any) -> dict[str, Any]:
            return {"tool_calls": [{"index": 0, **given}]}

        deltas: list[Any] = [{"role": "assistant", "content": "a "}, {"content": "b "}, {"content": "c"}]
        if mode == "tools":
            deltas = [
                function(id="c1", type="function", function={"name": "look", "arguments": ""}),
                function(function={"arguments": '{"at": '}),
                function(function={"arguments": '"map"}'}),
            ]
        chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        end = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if mode == "tools" else "stop"}
        chunks += [{"choices": [end]}, {"choices": [], "usage": USAGE}]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for place, chunk in enumerate(chunks):
            if mode == "waiting" and place == 1:
                assert self.server.go_on.wait(10)
            if mode == "broken" and place == 2:
                chunk = {"error": {"message": "out of memory"}}
            head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
            self.wfile.write(f"data: {json.dumps(head | chunk)}\n\n".encode())
            self.wfile.flush()
        self.wfile.write(b"data: [DONE]\n\n")

    def send(
        self, body: Any, status: int = 200, headers: dict[str, str] | None = None, kind: str = "application/json"
    ) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(raw)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.go_on.set()
        made.shutdown()


@pytest.fixture(params=["sync client", "async client"])
def client(request: Any, server: Server) -> Any:
    kind = OpenAI if request.param == "sync client" else AsyncOpenAI
    return kind(base_url=server.url, api_key=KEY, max_retries=0)


def editable(source: Any, **options: Any) -> EditableLLM:
    """A model with one edit in its memory."""
    made = EditableLLM(as_llm(source, **options), EditMemory(embedder=HashEmbedder()), gate=NamedGate())
    made.edit({"subject": "Norland", "relation": "capital", "object": "Oslo", "statement": EDIT})
    return made


# ---- what arrives ---------------------------------------------------------------------------------------------------

TURNS = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": OTHER}], "name": "ann"},
    {
        "role": "assistant", "content": None,
        "tool_calls": [{"id": "c0", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
    },
    {"role": "tool", "content": "ö 42", "tool_call_id": "c0"},
]  # fmt: skip
OPTIONS: dict[str, Any] = {
    "temperature": 0.25, "tools": [TOOL], "tool_choice": "auto", "seed": 3, "extra_body": {"top_k": 5},
}  # fmt: skip


@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["bare", "options"])
async def test_without_a_hit_the_same_bytes_are_sent(server: Server, client: Any, options: dict[str, Any]) -> None:
    bare = OpenAI(base_url=server.url, api_key=KEY)
    bare.chat.completions.create(model="m-1", messages=TURNS, **options)
    list(bare.chat.completions.create(model="m-1", messages=TURNS, stream=True, **options))
    model = editable(client, model="m-1")
    answer = model.invoke(TURNS, **options)
    assert answer.trace.untouched
    list(model.stream(TURNS, **options))
    await model.ainvoke(TURNS, **options)
    [piece async for piece in model.astream(TURNS, **options)]
    model.batch([TURNS], **options)
    plain, streamed, *ours = server.bodies
    assert ours == [plain, streamed, plain, streamed, plain]
    assert {path for path, _, _ in server.seen} == {"/v1/chat/completions"}
    assert {headers["authorization"] for _, headers, _ in server.seen} == {f"Bearer {KEY}"}


def test_the_callers_own_list_is_handed_to_the_client(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    client = OpenAI(base_url=server.url, api_key=KEY)
    create, given = client.chat.completions.create, []
    monkeypatch.setattr(
        client.chat.completions, "create", lambda **body: given.append(body["messages"]) or create(**body)
    )
    editable(client, model="m").invoke(TURNS)
    assert given[0] is TURNS


def test_with_a_hit_the_notes_are_sent_and_the_options_kept(server: Server, client: Any) -> None:
    turns = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": ASKED, "name": "ann"}]
    assert editable(client, model="m").invoke(turns, **OPTIONS).edited
    body = json.loads(server.bodies[0])
    assert [message["role"] for message in body["messages"]] == ["developer", "user"]
    assert EDIT in body["messages"][0]["content"]
    assert body["messages"][1] == turns[1]
    assert (body["tools"], body["top_k"], body["temperature"]) == ([TOOL], 5, 0.25)
    assert turns[0]["content"] == "Be brief."


def test_text_and_raw_text_become_one_user_message(server: Server) -> None:
    llm = as_llm("openai:m", base_url=server.url)
    request = Request((Message("user", "hi"),), form="text", source="hi")
    llm.generate([request, request.raw("Q: 1\nA:", stop=["\n"])])
    sent = sorted((json.loads(body) for body in server.bodies), key=len)
    assert [body["messages"] for body in sent] == [
        [{"role": "user", "content": "hi"}], [{"role": "user", "content": "Q: 1\nA:"}],
    ]  # fmt: skip
    assert sent[1]["stop"] == ["\n"]


def test_a_run_of_a_benchmark_spreads_over_the_server(server: Server, tmp_path: Path) -> None:
    records = Path(__file__).parent / "data/counterfact_20.jsonl"
    settings = Settings(benchmark="counterfact", data=(str(records),), limit=1)
    options = {"base_url": server.url, "concurrency": 4, "max_retries": 0}
    run = evaluate(settings, "openai:m", ["in_context"], tmp_path, llm_options=options, embedder=HashEmbedder())
    assert run.complete
    assert {row.tokens_in is None for row in run.rows["unedited"]} == {False}
    assert len(server.seen) >= len(run.asked)  # every probe of the unedited model, and those in scope again


def test_langchain_messages_can_be_asked_of_a_client(server: Server, client: Any) -> None:
    messages = pytest.importorskip("langchain_core.messages")
    editable(client, model="m").invoke([messages.SystemMessage("Be brief."), messages.HumanMessage(OTHER)])
    assert json.loads(server.bodies[0])["messages"] == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": OTHER},
    ]  # fmt: skip


def test_notes_stand_in_the_system_message_or_before_a_plain_string(server: Server, client: Any) -> None:
    """As the table of methods in the README says."""
    model = editable(client, model="m")
    model.invoke(ASKED)
    model.invoke([{"role": "user", "content": ASKED}])
    model.invoke([{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASKED}])
    plain, turns, told = (json.loads(body)["messages"] for body in server.bodies)
    assert [message["role"] for message in plain] == ["user"]
    assert EDIT in plain[0]["content"].removesuffix(f"\n\n{ASKED}") != plain[0]["content"]
    for messages in (turns, told):
        assert messages[-1] == {"role": "user", "content": ASKED}
        assert [message["role"] for message in messages] == ["system", "user"]
        assert EDIT in messages[0]["content"]
    assert told[0]["content"].startswith("Be brief.")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda client: as_llm("openai:m", api_key="k", tempo=1), "OpenAI's client takes no option `tempo`"),
        (lambda client: as_llm("openai:m?tempo=1", api_key="k"), "OpenAI's client takes no option `tempo`"),
        (lambda client: as_llm(client, model="m", tempo=1), "OpenAI` takes no option `tempo`"),
        (lambda client: as_llm(lambda text: text, tempo=1), "takes no option `tempo`"),
        (lambda client: as_embedder("openai:e", tempo=1), "`openai:e` takes no option `tempo`"),
        (lambda client: as_embedder(client, model="e", tempo=1), "OpenAI` takes no option `tempo`"),
    ],
)
def test_options_that_nobody_knows_are_refused_by_name(client: Any, make: Any, said: str) -> None:
    with pytest.raises((UnsupportedModel, EmbedderError), match=said) as refused:
        make(client)
    assert refused.value.do.startswith("use ")


# ---- what comes back ------------------------------------------------------------------------------------------------


async def test_replies(server: Server, client: Any) -> None:
    model = editable(client, model="m")
    for answer in (model.invoke(OTHER), await model.ainvoke(OTHER)):
        assert answer.text == f"to {OTHER}"
        assert answer.reply.finish_reason == "stop"
        assert answer.reply.usage == {"input": 7, "output": 3}
        assert answer.reply.raw.choices[0].message.content == answer.text
    asked = [f"{number}?" for number in range(20)]
    assert [answer.text for answer in model.batch(asked)] == [f"to {one}" for one in asked]
    assert [answer.text for answer in await model.abatch(asked)] == [f"to {one}" for one in asked]


async def test_tool_calls_plain_and_streamed(server: Server, client: Any) -> None:
    server.mode = "tools"
    model = editable(client, model="m")
    stream, astream = model.stream(OTHER, tools=[TOOL]), model.astream(OTHER, tools=[TOOL])
    assert list(stream) == []
    pieces = [piece async for piece in astream.areplies()]
    assert pieces[1].raw.choices[0].delta.tool_calls[0].function.arguments == '{"at": '
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "map"}'}}
    for answer in (model.invoke(OTHER, tools=[TOOL]), stream.answer, astream.answer):
        assert answer is not None
        assert answer.reply.tool_calls == (call,)
        assert answer.reply.finish_reason == "tool_calls"
        assert answer.reply.usage == {"input": 7, "output": 3}


async def test_a_stream_arrives_in_pieces(server: Server, client: Any) -> None:
    server.mode = "waiting"  # the server sends its second piece only once the first was read here
    model = editable(client, model="m")
    stream = iter(model.stream(OTHER))
    assert next(stream) == "a "
    server.go_on.set()
    assert list(stream) == ["b ", "c"]
    server.go_on.clear()
    pieces = []
    async for piece in model.astream(OTHER):
        pieces.append(piece)
        server.go_on.set()
    assert pieces == ["a ", "b ", "c"]


# ---- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "error"), [("429", "RateLimitError"), ("500", "InternalServerError"), ("no json", None)]
)
async def test_errors_are_the_clients_own(server: Server, client: Any, mode: str, error: str | None) -> None:
    server.mode = mode
    with pytest.raises(Exception) as bare:  # noqa: PT011
        OpenAI(base_url=server.url, api_key=KEY, max_retries=0).chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}]
        )
    assert error is None or bare.type.__name__ == error
    model = editable(client, model="m")
    with pytest.raises(bare.type):
        model.invoke(OTHER)
    with pytest.raises(bare.type):
        await model.ainvoke(OTHER)
    if error:
        with pytest.raises(bare.type) as streamed:
            list(model.stream(OTHER))
        assert streamed.value.code == "busy"
        with pytest.raises(bare.type):
            [piece async for piece in model.astream(OTHER)]
    with pytest.raises(bare.type):
        model.batch([OTHER, OTHER])


def test_a_stream_that_breaks_off_raises_the_clients_error(server: Server) -> None:
    server.mode = "broken"
    stream = iter(editable("openai:m", base_url=server.url).stream(OTHER))
    assert [next(stream), next(stream)] == ["a ", "b "]
    with pytest.raises(openai.APIError, match="out of memory"):
        next(stream)


@pytest.mark.parametrize("retries", [0, 2])
def test_the_clients_retries_and_no_more(server: Server, retries: int) -> None:
    server.mode = "500"
    with pytest.raises(openai.InternalServerError):
        editable("openai:m", base_url=server.url, max_retries=retries).invoke(OTHER)
    assert len(server.seen) == 1 + retries


def test_retry_after_is_kept_to(server: Server) -> None:
    server.mode = "429 once"
    assert editable("openai:m", base_url=server.url).invoke(OTHER).text == f"to {OTHER}"
    assert len(set(server.bodies)) == 1
    assert len(server.seen) == 2


@pytest.mark.parametrize("mode", ["html", "no choices"])
def test_an_answer_that_is_none_is_said(server: Server, client: Any, mode: str) -> None:
    server.mode = mode
    with pytest.raises(ProviderError, match="base_url"):
        editable(client, model="m").invoke(OTHER)


def test_nobody_listens() -> None:
    with pytest.raises(openai.APIConnectionError):
        editable("openai:m", base_url="http://127.0.0.1:9/v1", max_retries=0).invoke(OTHER)


def test_what_cannot_be_wrapped(server: Server, client: Any) -> None:
    with pytest.raises(UnsupportedModel, match="model="):
        as_llm(client)
    with pytest.raises(UnsupportedModel, match="model="):
        as_llm("openai:", base_url=server.url)
    with pytest.raises(UnsupportedModel, match="Completions"):
        as_llm(client.chat.completions, model="m")
    with pytest.raises(RequestRejected, match="stream"):
        editable(client, model="m").invoke(OTHER, stream=True)


# ---- clients and keys -----------------------------------------------------------------------------------------------


async def test_settings_are_shared_with_the_made_client(server: Server) -> None:
    given = OpenAI(
        base_url=server.url, api_key=KEY, organization="org", max_retries=0, timeout=0.25,
        default_headers={"x-mine": "1"}, default_query={"v": "2"},
    )  # fmt: skip
    model = editable(given, model="m")
    await model.ainvoke(OTHER)
    path, headers, _ = server.seen[0]
    assert path == "/v1/chat/completions?v=2"
    assert (headers["x-mine"], headers["openai-organization"]) == ("1", "org")
    server.mode = "waiting"
    began = time.perf_counter()
    with pytest.raises(openai.APITimeoutError):
        [piece async for piece in model.astream(OTHER)]
    assert time.perf_counter() - began < 5


def test_one_object_serves_many_event_loops(server: Server) -> None:
    model = editable(OpenAI(base_url=server.url, api_key=KEY, max_retries=0), model="m")
    for _ in range(3):
        assert asyncio.run(model.ainvoke(OTHER)).text == f"to {OTHER}"
    assert len(vars(model.llm)["_made"]) == 1  # those of closed loops are let go


async def test_after_a_failure_no_further_calls_are_made(server: Server, client: Any) -> None:
    server.mode = "500"
    model = editable(client, model="m", concurrency=2)
    with pytest.raises(openai.InternalServerError):
        model.batch(["hi?"] * 50)
    with pytest.raises(openai.InternalServerError):
        await model.abatch(["hi?"] * 50)
    await asyncio.sleep(0.1)
    assert len(server.seen) < 50


async def test_a_client_that_gives_no_other_kind(server: Server) -> None:
    given = OpenAI(base_url=server.url, api_key=lambda: KEY)
    model = editable(given, model="m")
    assert model.invoke(OTHER).text
    with pytest.raises(ProviderError, match="other="):
        await model.ainvoke(OTHER)
    other = AsyncOpenAI(base_url=server.url, api_key=KEY)
    assert (await editable(given, model="m", other=other).ainvoke(OTHER)).text


def test_keys(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_ADMIN_KEY", raising=False)
    assert as_llm("openai:m", base_url=server.url).name == "openai:m"
    for options in ({}, {"base_url": "https://gpu.example/v1"}):
        with pytest.raises(ProviderError, match="OPENAI_API_KEY"):
            as_llm("openai:m", **options)
        with pytest.raises(ProviderError, match="OPENAI_API_KEY"):
            as_embedder("openai:m", **options)
    model = editable("openai:m", base_url=server.url, api_key=KEY)
    server.mode = "500"
    with pytest.raises(openai.InternalServerError) as error:
        model.invoke(OTHER)
    shown = f"{error.value!r} {model!r} {model.llm!r} {vars(model.llm)} {model.explain(OTHER)}"
    assert KEY not in shown


# ---- embeddings -----------------------------------------------------------------------------------------------------


def test_embeddings(server: Server, client: Any) -> None:
    embedder = as_embedder(client, model="e-1", batch=2, dimensions=3)
    vectors = embedder.embed(["a", "bbb", "ccccc"])
    assert vectors.shape == (3, 3)
    assert list(vectors[:, 0]) == sorted(vectors[:, 0])
    assert [len(json.loads(body)["input"]) for body in server.bodies] == [2, 1]
    assert json.loads(server.bodies[0])["dimensions"] == 3
    host = server.url.split("/")[2]
    assert embedder.id == f"openai:e-1@{host}:3"


def test_embeddings_by_name_and_their_ids(server: Server) -> None:
    embedder = as_embedder("openai:e-1", base_url=server.url)
    assert embedder.embed(["a"]).shape == (1, 3)
    assert "dimensions" not in json.loads(server.bodies[0])
    assert as_embedder("openai:e-1", api_key=KEY).id == "openai:e-1"
    assert as_embedder("openai:e-1", api_key=KEY, base_url="https://a:b@gpu.example/v1").id == "openai:e-1@gpu.example"
    assert as_embedder("openai:e-1", api_key=KEY, id="mine").id == "mine"
    with pytest.raises(EmbedderError, match="model="):
        as_embedder(OpenAI(api_key=KEY))
    with pytest.raises(EmbedderError, match="Completions"):
        as_embedder(OpenAI(api_key=KEY).chat.completions, model="e")
