"""Every call style of Anthropic's client keeps its type and its bytes and goes by the memory: on a real server."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("anthropic")

import anthropic
import httpx2
from anthropic import Anthropic, AnthropicFoundry, AsyncAnthropic
from pydantic import BaseModel
from test_doubt import Doubting
from test_openai_client import done, items, opened
from wire_anthropic import SPENT, THOUGHT
from wire_server import EDIT, FACT, WireServer, running

from memedit import EditableLLM, EditMemory, Erasure
from memedit.adapters.anthropic import editable, wrap
from memedit.adapters.wire.codec import STREAMING, Stamp
from memedit.adapters.wire.messages import Messages
from memedit.errors import ProviderError, RequestRejected, UnsupportedModel
from memedit.llms import as_llm
from memedit.messages import Message, Reply
from memedit.testing import HashEmbedder, NamedGate

IN, OUT = "What is the capital of Norland?", "What is seven times six?"
REFUSAL = "That is not given out."
SECRET = Erasure(subject="Norland", relation="capital", object="Oslo", reply=REFUSAL)
SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"name": "look", "description": "Looks.", "input_schema": SCHEMA}
IMAGE: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
KINDS = {"sync": Anthropic, "async": AsyncAnthropic}
BOTH = pytest.mark.parametrize("kind", KINDS)


class Place(BaseModel):
    city: str


@pytest.fixture
def server() -> Iterator[WireServer]:
    yield from running()


def holding(*edits: Any) -> EditMemory:
    memory = EditMemory(embedder=HashEmbedder())
    for edit in edits:
        memory.add(edit)
    return memory


@pytest.fixture
def memory() -> EditMemory:
    return holding(FACT)


def bare(kind: str, server: WireServer, **options: Any) -> Any:
    return KINDS[kind](base_url=server.url.removesuffix("/v1"), api_key="k", **options)


def asked(question: str) -> Any:
    return {"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": question}]}


# ---- the table ------------------------------------------------------------------------------------------------------

Style = Callable[[Any, str], Awaitable[Any]]
STYLES: dict[str, Style] = {}


def style(make: Style) -> Style:
    STYLES[make.__name__] = make
    return make


@style
async def create(client: Any, question: str) -> Any:
    made = await done(
        client.messages.create(**asked(question), metadata={"user_id": "u"}, extra_body={"temperature": 0.25})
    )
    return type(made), made.content[0].text, made.usage.output_tokens, made.stop_reason


@style
async def with_system_text(client: Any, question: str) -> Any:
    made = await done(client.messages.create(**asked(question), system="Be brief.", stop_sequences=["END"]))
    return made.content[0].text


@style
async def with_system_blocks(client: Any, question: str) -> Any:
    block = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
    return (await done(client.messages.create(**asked(question), system=[block]))).content[0].text


@style
async def an_image_and_a_document(client: Any, question: str) -> Any:
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "ö"}, "title": "T"}
    content = [IMAGE, document, {"type": "text", "text": question}]
    made = await done(client.messages.create(**asked(question) | {"messages": [{"role": "user", "content": content}]}))
    return made.content[0].text


@style
async def a_tool_call(client: Any, question: str) -> Any:
    made = await done(client.messages.create(**asked(question), tools=[TOOL], tool_choice={"type": "any"}))
    assert made.stop_reason == "tool_use"
    return made.content[1].input


@style
async def after_a_tool_call(client: Any, question: str) -> Any:
    call = {"type": "tool_use", "id": "c0", "name": "look", "input": {"city": "X"}}
    result = {"type": "tool_result", "tool_use_id": "c0", "content": [{"type": "text", "text": "ö 42"}]}
    turns = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": [THOUGHT, {"type": "text", "text": "I look."}, call]},
        {"role": "user", "content": [result]},
    ]
    made = await done(client.messages.create(**asked(question) | {"messages": turns}, tools=[TOOL]))
    return made.content[1].input


@style
async def thinking(client: Any, question: str) -> Any:
    wanted = {"type": "enabled", "budget_tokens": 32}
    made = await done(client.messages.create(**asked(question), thinking=wanted))
    return made.content[0].to_dict(), made.content[1].text


@style
async def create_streamed(client: Any, question: str) -> Any:
    events = await items(await done(client.messages.create(**asked(question), tools=[TOOL], stream=True)))
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    return "".join(getattr(delta, "text", "") or getattr(delta, "partial_json", "") for delta in deltas)


@style
async def stream(client: Any, question: str) -> Any:
    wanted = {"type": "enabled", "budget_tokens": 32}
    async with opened(client.messages.stream(**asked(question), tools=[TOOL], thinking=wanted)) as events:
        await items(events)
        made = await done(events.get_final_message())
    return [block.to_dict() for block in made.content], made.stop_reason, made.usage.output_tokens


@style
async def text_stream(client: Any, question: str) -> Any:
    async with opened(client.messages.stream(**asked(question))) as events:
        return "".join(await items(events.text_stream))


@style
async def parse(client: Any, question: str) -> Any:
    made = await done(client.messages.parse(**asked(question), output_format=Place))
    assert isinstance(made.parsed_output, Place)
    return made.parsed_output.city


@style
async def with_raw_response(client: Any, question: str) -> Any:
    raw = await done(client.messages.with_raw_response.create(**asked(question)))
    return raw.status_code, (await done(raw.parse())).content[0].text


@style
async def with_streaming_response(client: Any, question: str) -> Any:
    async with opened(client.messages.with_streaming_response.create(**asked(question))) as response:
        return json.loads(await done(response.read()))["content"][0]["text"]


@style
async def with_options(client: Any, question: str) -> Any:
    other = client.with_options(timeout=9, max_retries=0, default_headers={"x-mine": "1"})
    return (await done(other.messages.create(**asked(question)))).content[0].text


@style
async def beta(client: Any, question: str) -> Any:
    made = await done(client.beta.messages.create(**asked(question), betas=["some-2026-01-01"]))
    return made.content[0].text


def test_the_table_is_long() -> None:
    assert len(STYLES) >= 14


@BOTH
@pytest.mark.parametrize("name", STYLES)
async def test_out_of_scope_the_same_bytes_go_and_the_same_comes_back(
    server: WireServer, memory: EditMemory, name: str, kind: str
) -> None:
    plain = await STYLES[name](bare(kind, server), OUT)
    client = editable(bare(kind, server), memory, gate=NamedGate())
    assert type(client) is KINDS[kind]
    assert await STYLES[name](client, OUT) == plain
    assert "nobody knows" in str(plain)
    (path, headers, body), ours = server.seen
    assert ours == (path, headers, body)


@BOTH
@pytest.mark.parametrize("name", STYLES)
async def test_in_scope_only_the_system_differs(server: WireServer, memory: EditMemory, name: str, kind: str) -> None:
    await STYLES[name](bare(kind, server), IN)
    told = await STYLES[name](editable(bare(kind, server), memory, gate=NamedGate()), IN)
    assert "Oslo" in str(told)
    plain, ours = server.bodies
    was, now = plain.pop("system", ""), ours.pop("system")
    assert ours == plain
    assert json.dumps(now, ensure_ascii=False).count(EDIT) == 1
    assert now[: len(was)] == was  # a cached beginning stays the beginning


@BOTH
@pytest.mark.parametrize("name", STYLES)
async def test_what_is_read_to_its_end_first_comes_back_the_same(server: WireServer, name: str, kind: str) -> None:
    """While an Erasure is in force every answer is checked, and streams are written anew."""
    plain = await STYLES[name](bare(kind, server), OUT)
    assert await STYLES[name](editable(bare(kind, server), holding(SECRET), gate=NamedGate()), OUT) == plain
    sent_plain, sent = server.bodies
    assert sent == {name: value for name, value in sent_plain.items() if name not in STREAMING}


# ---- headers, errors, retries, streams ------------------------------------------------------------------------------


@BOTH
async def test_the_edits_are_told_in_headers_and_undone_at_once(
    server: WireServer, memory: EditMemory, kind: str
) -> None:
    client = editable(bare(kind, server), memory, gate=NamedGate())
    (edit,) = memory.edits()
    raw = await done(client.messages.with_raw_response.create(**asked(IN)))
    assert raw.headers["x-memedit-edits"] == edit.id
    assert raw.headers["request-id"] == (await done(raw.parse()))._request_id == "req-1"
    memory.undo()
    assert "nobody knows" in str(await create(client, IN))
    assert {headers["authorization"] for _, headers, _ in server.seen} == {"Bearer k"}


@BOTH
@pytest.mark.parametrize("question", [IN, OUT])
async def test_errors_retries_and_request_ids_are_intact(
    server: WireServer, memory: EditMemory, kind: str, question: str
) -> None:
    client = editable(bare(kind, server), memory, gate=NamedGate())
    server.fails_once(429, {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}})
    await create(client, question)
    first, second = (body for _, _, body in server.seen)
    assert first == second
    assert [headers["x-stainless-retry-count"] for _, headers, _ in server.seen] == ["0", "1"]
    server.fails_once(404, {"type": "error", "error": {"type": "not_found_error", "message": "no such model"}})
    with pytest.raises(anthropic.NotFoundError, match="no such model") as error:
        await done(client.messages.create(**asked(question), stream=True))
    assert error.value.request_id == "req-3"


@BOTH
@pytest.mark.parametrize("question", [IN, OUT])
async def test_a_stream_is_not_held_back_and_closes_early(
    server: WireServer, memory: EditMemory, kind: str, question: str
) -> None:
    server.wait_for.clear()  # what follows the second piece is sent only once that was read here
    client = editable(bare(kind, server, max_retries=0), memory, gate=NamedGate())
    async with opened(await done(client.messages.create(**asked(question), stream=True))) as events:
        first = await anext(aiter(events)) if kind == "async" else next(iter(events))
        assert first.type == "message_start"
    server.wait_for.set()
    assert server.hung_up.wait(10)
    assert await create(client, OUT)  # the connection pool is sound


@BOTH
async def test_tokens_are_counted_as_the_caller_asks(server: WireServer, kind: str) -> None:
    client = editable(bare(kind, server), holding(FACT, SECRET), gate=NamedGate())
    given = {name: value for name, value in asked(IN).items() if name != "max_tokens"}
    assert (await done(client.messages.count_tokens(**given))).input_tokens == 7
    assert server.bodies == [given]


# ---- answers of memedit's own ---------------------------------------------------------------------------------------


@BOTH
async def test_a_refusal_is_a_whole_answer_in_every_form(server: WireServer, kind: str) -> None:
    client = editable(bare(kind, server), holding(SECRET), gate=NamedGate())
    made = await done(client.messages.create(**asked(IN)))
    assert ([block.text for block in made.content], made.stop_reason) == ([REFUSAL], "end_turn")
    assert (made.usage.output_tokens, made._request_id[:4]) == (0, "req_")
    async with opened(client.messages.stream(**asked(IN), tools=[TOOL])) as events:
        assert "".join(await items(events.text_stream)) == REFUSAL
    made = await done(client.messages.parse(**asked(IN), output_format=Place))
    assert (made.parsed_output, made.stop_reason, made.stop_details.explanation) == (None, "refusal", REFUSAL)
    async with opened(client.messages.stream(**asked(IN), output_format=Place)) as events:
        await items(events)
        assert (await done(events.get_final_message())).stop_reason == "refusal"
    assert server.seen == []


@BOTH
@pytest.mark.parametrize("block", [
    {"type": "text", "text": "The capital of Norland: Oslo."},
    {"type": "thinking", "thinking": "Norland's capital is Oslo", "signature": "s"},
    {"type": "tool_use", "id": "c", "name": "look", "input": {"capital of Norland": "Oslo"}},
], ids=lambda block: block["type"])  # fmt: skip
async def test_an_answer_that_tells_what_is_erased_is_replaced(server: WireServer, kind: str, block: Any) -> None:
    client = editable(bare(kind, server), holding(SECRET), gate=NamedGate())
    whole = {"id": "x", "type": "message", "role": "assistant", "model": "m", "usage": SPENT, "stop_reason": "end_turn"}
    server.fails_once(200, whole | {"content": [block]})
    made = await done(client.messages.create(**asked("A riddle, please.")))
    assert [one.to_dict() for one in made.content] == [{"type": "text", "text": REFUSAL}]


@BOTH
async def test_what_cannot_be_read_or_is_not_is_refused_where_something_is_erased(
    server: WireServer, memory: EditMemory, kind: str
) -> None:
    client = editable(bare(kind, server), memory, gate=NamedGate())
    batch = {"custom_id": "1", "params": asked(IN)}
    ended = {
        "id": "b", "type": "message_batch", "processing_status": "ended", "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-02T00:00:00Z", "request_counts": {},
    }  # fmt: skip
    server.fails_once(200, ended)
    assert (await done(client.messages.batches.create(requests=[batch]))).id == "b"
    memory.add({"kind": "erasure", "object": "4711", "subject": "Acme safe", "relation": "code"})
    seen = len(server.seen)
    with pytest.raises(anthropic.PermissionDeniedError, match="`messages/batches` is not read by memedit") as error:
        await done(client.messages.batches.create(requests=[batch]))
    assert error.value.type == "memedit_refused"
    with pytest.raises(anthropic.BadRequestError, match="an Erasure is in force"):
        await done(client.post("/v1/messages", body={"model": "m", "messages": [3]}, cast_to=object))
    assert len(server.seen) == seen
    assert (await done(client.models.list())).data[0].id == "m"


@BOTH
async def test_a_question_of_its_own_has_the_length_that_the_api_asks_for(server: WireServer, kind: str) -> None:
    client = editable(bare(kind, server), holding(FACT), gate=Doubting(), doubt="ask")
    await done(client.messages.create(**asked(IN), tools=[TOOL], thinking={"type": "enabled", "budget_tokens": 32}))
    own, last = server.bodies
    assert set(own) == {"model", "max_tokens", "system", "messages"}
    assert last["tools"] == [TOOL]


# ---- the codec ------------------------------------------------------------------------------------------------------


def test_tool_results_are_no_word_of_the_users() -> None:
    result = {"type": "tool_result", "tool_use_id": "c", "content": "Norland has 7 towns"}
    turns = [
        {"role": "user", "content": [result, {"type": "text", "text": OUT}]},
        {"role": "user", "content": [result]},
        {"role": "system", "content": "Be brief now."},
    ]
    body = {"model": "m", "max_tokens": 9, "messages": turns, "system": "S"}
    request = Messages().read(body)
    assert request.turns == (
        ("system", "S"), ("tool", "Norland has 7 towns"), ("user", OUT), ("tool", "Norland has 7 towns"),
        ("system", "Be brief now."),
    )  # fmt: skip
    assert Messages().write(body, request, {}, streamed=True) == body
    told = request.with_messages([Message("system", "S\n\nnotes"), *request.messages[1:]])
    assert Messages().write(body, told, {}, streamed=True) == body | {"system": "S\n\nnotes"}


def test_its_own_limit_leaves_no_room_to_think() -> None:
    body = {**asked(OUT), "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000}}
    short = Messages().read(body).limited(5)
    assert Messages().write(body, short, short.options, streamed=False) == asked(OUT) | {"max_tokens": 5}


def test_every_block_goes_into_events_and_comes_back() -> None:
    blocks = [
        {"type": "text", "text": "a", "citations": [{"type": "char_location", "cited_text": "x"}]},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "ö"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "redacted_thinking", "data": "zz"},
    ]
    whole = {**Messages().answer({"model": "m"}, Reply("x"), Stamp("1", 1, {})), "content": blocks}
    told = [json.loads(one.split(b"data: ")[1]) for one in Messages().events({}, whole)]
    began = [one["content_block"] for one in told if one["type"] == "content_block_start"]
    assert began[2:] == blocks[2:]
    deltas = [one["delta"] for one in told if one["type"] == "content_block_delta"]
    assert deltas == [
        {"type": "text_delta", "text": "a"}, {"type": "citations_delta", "citation": blocks[0]["citations"][0]},
        {"type": "input_json_delta", "partial_json": '{"query": "ö"}'},
    ]  # fmt: skip


# ---- what is wrapped, and the other way round -----------------------------------------------------------------------


def test_what_cannot_be_wrapped(server: WireServer, memory: EditMemory) -> None:
    vertex = anthropic.AnthropicVertex(region="r", project_id="p", access_token="t")
    cloud = anthropic.AnthropicAWS(api_key="k", aws_region="us-east-1", workspace_id="w")
    clients: Any = ((vertex, "API of its cloud"), (cloud, "signs each request"), (3, "no Anthropic client"))
    for client, said in clients:
        with pytest.raises(UnsupportedModel, match=said):
            editable(client, memory)
    assert as_llm(vertex, model="m").name == "anthropic:m"  # the other way round its own calls are made
    with pytest.raises(UnsupportedModel, match="no Anthropic client"):
        wrap(3, model="m")


def test_foundry_is_supported(server: WireServer, memory: EditMemory) -> None:
    client = AnthropicFoundry(api_key="k", base_url=server.url.removesuffix("/v1"))
    ours = editable(client, memory, gate=NamedGate())
    assert type(ours) is AnthropicFoundry
    assert ours.messages.create(**asked(IN)).content[0].text == "Oslo"


@BOTH
async def test_an_edited_client_keeps_its_connections(server: WireServer, memory: EditMemory, kind: str) -> None:
    given = bare(kind, server)
    async with opened(editable(given, memory, gate=NamedGate())):
        pass
    assert given.is_closed()


@BOTH
async def test_a_client_is_a_model(server: WireServer, memory: EditMemory, kind: str) -> None:
    other = {} if kind == "sync" else {"other": bare("sync", server)}
    model = EditableLLM(as_llm(bare(kind, server), model="m", options={"top_k": 5}, **other), memory, gate=NamedGate())
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": IN}]
    for answer in (model.invoke(turns), await model.ainvoke(turns)):
        assert (answer.text, answer.reply.usage) == ("Oslo", {"input": 7, "output": 3})
    assert [piece async for piece in model.astream(OUT)] == ["nobody", " knows"]
    assert list(model.stream(OUT)) == ["nobody", " knows"]
    assert [answer.text for answer in await model.abatch([OUT, IN])] == ["nobody knows", "Oslo"]
    assert server.bodies[0]["system"].startswith("Be brief.")
    assert all(body["top_k"] == 5 and body["max_tokens"] == 1024 for body in server.bodies)


def test_openais_form_of_tools_and_turns_is_written_in_anthropics(server: WireServer) -> None:
    model = EditableLLM(as_llm("anthropic:m", base_url=server.url.removesuffix("/v1")), holding(), gate=NamedGate())
    call = {"id": "c0", "type": "function", "function": {"name": "look", "arguments": '{"city": "X"}'}}
    turns = [
        {"role": "user", "content": OUT}, {"role": "assistant", "content": "I look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c0", "content": "42"},
    ]  # fmt: skip
    tool = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA}}
    stream = model.stream(turns, tools=[tool], stop=["END"], max_tokens=9, temperature=0.5)
    list(stream)
    assert stream.answer is not None
    whole = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"city": "nobody knows"}'}}
    for reply in (stream.answer.reply, model.invoke(turns, tools=[tool], stop=["END"], max_tokens=9).reply):
        assert (reply.tool_calls, reply.finish_reason, reply.text) == ((whole,), "tool_calls", "nobody knows")
    assert server.bodies[0]["temperature"] == 0.5  # which this SDK no longer knows
    sent, use = server.bodies[1], {"type": "tool_use", "id": "c0", "name": "look", "input": {"city": "X"}}
    assert (sent["tools"], sent["stop_sequences"], sent["max_tokens"]) == ([TOOL], ["END"], 9)
    assert sent["messages"][1:] == [
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}, use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c0", "content": "42"}]},
    ]  # fmt: skip
    with pytest.raises(RequestRejected, match="stream"):
        model.invoke(OUT, stream=True)
    server.fails_once(200, {"object": "else"})
    with pytest.raises(ProviderError, match="answered with no"):
        model.invoke(OUT)


async def test_a_model_without_a_key_or_a_name(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    with pytest.raises(ProviderError, match="ANTHROPIC_API_KEY"):
        as_llm("anthropic:m", base_url="http://elsewhere.example")
    with pytest.raises(UnsupportedModel, match="model="):
        as_llm(bare("sync", server))
    with pytest.raises(ProviderError, match="other="):
        as_llm(bare("async", server), model="m").generate([])
    made = as_llm("anthropic:m", base_url="http://127.0.0.1:9", max_retries=0)
    with pytest.raises(anthropic.APIConnectionError):
        await EditableLLM(made, holding(), gate=NamedGate()).ainvoke(OUT)
    made.close()


def test_a_client_of_httpx_is_refused(memory: EditMemory) -> None:
    given = Anthropic(api_key="k", http_client=httpx2.Client())
    given._client = object()  # type: ignore[assignment]
    with pytest.raises(UnsupportedModel, match="httpx2"):
        editable(given, memory)
