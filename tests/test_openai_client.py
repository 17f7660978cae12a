"""Every call style of OpenAI's client keeps its type and its bytes, and goes by the memory: against a real server."""

from __future__ import annotations

import gc
import inspect
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("openai")

import httpx2
import openai
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI
from openai.types.chat import ChatCompletion
from pydantic import BaseModel
from wire_server import EDIT, WireServer, running

from memedit import EditMemory
from memedit.adapters.openai import editable
from memedit.errors import CapabilityMissing, UnsupportedModel
from memedit.testing import HashEmbedder, NamedGate

IN, OUT = "What is the capital of Norland?", "What is seven times six?"
PARAMETERS = {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False,
}  # fmt: skip
TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": PARAMETERS, "strict": True}}
FLAT_TOOL: Any = {"type": "function", "name": "look", "parameters": PARAMETERS, "strict": True}
SCHEMA: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": PARAMETERS, "strict": True}}
IMAGE = "data:image/png;base64,iVBORw0KGgo="


class Place(BaseModel):
    city: str


@pytest.fixture
def server() -> Iterator[WireServer]:
    yield from running()


@pytest.fixture
def memory() -> EditMemory:
    made = EditMemory(embedder=HashEmbedder())
    made.add({"subject": "Norland", "relation": "capital", "object": "Oslo", "statement": EDIT})
    return made


KINDS = {"sync": OpenAI, "async": AsyncOpenAI, "azure": AzureOpenAI, "async azure": AsyncAzureOpenAI}


def bare(kind: str, server: WireServer, **options: Any) -> Any:
    """A client of this kind, whose calls go to the server."""
    options = {"api_key": "k", "max_retries": 2, **options}
    if "azure" in kind:
        return KINDS[kind](azure_endpoint=server.url.removesuffix("/v1"), api_version="2026-01-01", **options)
    return KINDS[kind](base_url=server.url, **options)


# ---- one way to call clients of both kinds --------------------------------------------------------------------------


async def done(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def items(stream: Any) -> list[Any]:
    return [one async for one in stream] if hasattr(stream, "__aiter__") else list(stream)


@asynccontextmanager
async def opened(manager: Any) -> Any:
    if hasattr(manager, "__aenter__"):
        async with manager as inside:
            yield inside
    else:
        with manager as inside:
            yield inside


def turns(question: str) -> Any:
    return [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": question, "name": "ann"}]


# ---- the table ------------------------------------------------------------------------------------------------------

Style = Callable[[Any, str], Awaitable[Any]]
STYLES: dict[str, Style] = {}


def style(make: Style) -> Style:
    STYLES[make.__name__] = make
    return make


@style
async def create(client: Any, question: str) -> Any:
    made = await done(client.chat.completions.create(model="m", messages=turns(question), temperature=0.25, seed=3))
    return type(made), made.choices[0].message.content, made.usage.total_tokens


@style
async def create_streamed(client: Any, question: str) -> Any:
    asked = client.chat.completions.create(
        model="m", messages=turns(question), stream=True, stream_options={"include_usage": True}
    )
    pieces = await items(await done(asked))
    text = [piece.choices[0].delta.content for piece in pieces if piece.choices]
    return text, "".join(filter(None, text)), pieces[-1].usage.total_tokens


@style
async def several_answers(client: Any, question: str) -> Any:
    made = await done(client.chat.completions.create(model="m", messages=turns(question), n=3, logit_bias={"7": -1}))
    return [choice.message.content for choice in made.choices]


@style
async def a_tool_call(client: Any, question: str) -> Any:
    made = await done(client.chat.completions.create(model="m", messages=turns(question), tools=[TOOL]))
    assert made.choices[0].finish_reason == "tool_calls"
    return made.choices[0].message.tool_calls[0].function.arguments


@style
async def after_a_tool_call(client: Any, question: str) -> Any:
    function = {"name": "look", "arguments": "{ }"}
    messages = [
        *turns(question), {"role": "assistant", "tool_calls": [{"id": "c0", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c0", "content": "ö 42"},
    ]  # fmt: skip
    made = await done(client.chat.completions.create(model="m", messages=messages, extra_body={"top_k": 5}))
    return made.choices[0].message.content


@style
async def a_tool_call_streamed(client: Any, question: str) -> Any:
    asked = client.chat.completions.create(model="m", messages=turns(question), tools=[TOOL], stream=True)
    deltas = [piece.choices[0].delta.tool_calls for piece in await items(await done(asked))]
    return "".join(delta[0].function.arguments for delta in deltas if delta)


@style
async def a_response_format(client: Any, question: str) -> Any:
    made = await done(client.chat.completions.create(model="m", messages=turns(question), response_format=SCHEMA))
    return json.loads(made.choices[0].message.content)["city"]


@style
async def an_image(client: Any, question: str) -> Any:
    parts = [{"type": "text", "text": question}, {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}}]
    made = await done(client.chat.completions.create(model="m", messages=[{"role": "user", "content": parts}]))
    return made.choices[0].message.content


@style
async def parse(client: Any, question: str) -> Any:
    made = await done(client.chat.completions.parse(model="m", messages=turns(question), response_format=Place))
    assert isinstance(made.choices[0].message.parsed, Place)
    return made.choices[0].message.parsed.city


@style
async def stream(client: Any, question: str) -> Any:
    asked = client.chat.completions.stream(model="m", messages=turns(question), response_format=Place)
    async with opened(asked) as events:
        kinds = [event.type for event in await items(events)]
        made = await done(events.get_final_completion())
    return kinds, made.choices[0].message.parsed.city


@style
async def with_raw_response(client: Any, question: str) -> Any:
    raw = await done(client.chat.completions.with_raw_response.create(model="m", messages=turns(question)))
    return raw.status_code, raw.parse().choices[0].message.content


@style
async def with_streaming_response(client: Any, question: str) -> Any:
    asked = client.chat.completions.with_streaming_response.create(model="m", messages=turns(question))
    async with opened(asked) as response:
        return json.loads(await done(response.read()))["choices"][0]["message"]["content"]


@style
async def with_options(client: Any, question: str) -> Any:
    other = client.with_options(timeout=9, max_retries=0, default_headers={"x-mine": "1"})
    made = await done(other.chat.completions.create(model="m", messages=turns(question)))
    return made.choices[0].message.content


@style
async def a_plain_post(client: Any, question: str) -> Any:
    asked = client.post("/chat/completions", cast_to=ChatCompletion, body={"model": "m", "messages": turns(question)})
    return (await done(asked)).choices[0].message.content


@style
async def responses(client: Any, question: str) -> Any:
    made = await done(client.responses.create(model="m", input=question))
    return made.output_text, made.usage.total_tokens


@style
async def responses_of_items(client: Any, question: str) -> Any:
    parts = [{"type": "input_text", "text": question}, {"type": "input_image", "image_url": IMAGE, "detail": "low"}]
    given = [
        {"type": "function_call", "call_id": "c0", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c0", "output": "42"},
        {"role": "user", "content": parts},
    ]
    made = await done(client.responses.create(model="m", input=given, instructions="Be brief.", store=False))
    return made.output_text


@style
async def responses_behind_another(client: Any, question: str) -> Any:
    made = await done(client.responses.create(model="m", input=question, previous_response_id="resp_0"))
    return made.output_text


@style
async def responses_streamed(client: Any, question: str) -> Any:
    events = await items(await done(client.responses.create(model="m", input=question, stream=True)))
    assert events[-1].response.output_text == "".join(event.delta for event in events if event.type.endswith("delta"))
    return [event.type for event in events], events[-1].response.output_text


@style
async def responses_with_a_tool(client: Any, question: str) -> Any:
    made = await done(client.responses.create(model="m", input=question, tools=[FLAT_TOOL], tool_choice="required"))
    return made.output[0].arguments


@style
async def responses_parse(client: Any, question: str) -> Any:
    made = await done(client.responses.parse(model="m", input=question, text_format=Place))
    assert isinstance(made.output_parsed, Place)
    return made.output_parsed.city


@style
async def responses_stream(client: Any, question: str) -> Any:
    async with opened(client.responses.stream(model="m", input=question, text_format=Place)) as events:
        kinds = [event.type for event in await items(events)]
        made = await done(events.get_final_response())
    return kinds, made.output_parsed.city


@style
async def responses_with_raw_response(client: Any, question: str) -> Any:
    raw = await done(client.responses.with_raw_response.create(model="m", input=question))
    return raw.status_code, raw.parse().output_text


def test_the_table_is_long() -> None:
    assert len(STYLES) >= 14


@pytest.mark.parametrize("kind", ["sync", "async"])
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


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("name", STYLES)
async def test_in_scope_only_the_conversation_differs(
    server: WireServer, memory: EditMemory, name: str, kind: str
) -> None:
    await STYLES[name](bare(kind, server), IN)
    told = await STYLES[name](editable(bare(kind, server), memory, gate=NamedGate()), IN)
    assert "Oslo" in str(told)
    plain, ours = server.bodies
    assert json.dumps(ours, ensure_ascii=False).count(EDIT) == 1
    if "input" in plain:
        assert EDIT in ours.pop("instructions")  # which holds for one call, and is not kept by the server
        plain.pop("instructions", None)
        assert ours == plain
        return
    was, now = plain.pop("messages"), ours.pop("messages")
    assert ours == plain
    assert now[-1] == was[-1]
    assert EDIT in now[0]["content"]
    assert now[0]["role"] == ("system" if name == "an_image" else "developer")


# ---- headers, errors, retries, streams ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_the_edits_are_told_in_headers(server: WireServer, memory: EditMemory, kind: str) -> None:
    client = editable(bare(kind, server), memory, gate=NamedGate())
    assert type(client) is KINDS[kind]
    told = []
    for question in (IN, OUT):
        raw = await done(client.chat.completions.with_raw_response.create(model="m", messages=turns(question)))
        told.append({name: raw.headers.get(f"x-memedit-{name}") for name in ("edits", "revision")})
        assert raw.headers["x-request-id"] == raw.parse()._request_id
    (edit,) = memory.edits()
    assert told == [{"edits": edit.id, "revision": "1"}, {"edits": None, "revision": "1"}]
    assert {headers.get("api-key", headers.get("authorization")) for _, headers, _ in server.seen} <= {"k", "Bearer k"}


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_correction_holds_at_once_and_is_undone_at_once(
    server: WireServer, memory: EditMemory, kind: str
) -> None:
    client = editable(bare(kind, server), memory, gate=NamedGate())
    assert "Oslo" in str(await create(client, IN))
    memory.undo()
    assert "nobody knows" in str(await create(client, IN))
    memory.add(EDIT, namespace="other")
    assert "nobody knows" in str(await create(client, IN))


@pytest.mark.parametrize("question", [IN, OUT])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_retries_are_the_clients(server: WireServer, memory: EditMemory, kind: str, question: str) -> None:
    server.fails_once(429, {"error": {"message": "slow down"}})
    told = await create(editable(bare(kind, server), memory, gate=NamedGate()), question)
    assert ("Oslo" if question is IN else "nobody knows") in str(told)
    first, second = (body for _, _, body in server.seen)
    assert first == second
    assert [headers["x-stainless-retry-count"] for _, headers, _ in server.seen] == ["0", "1"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("question", [IN, OUT])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_errors_and_request_ids_are_intact(
    server: WireServer, memory: EditMemory, kind: str, question: str, streamed: bool
) -> None:
    server.fails_once(404, {"error": {"message": "no such model", "code": "model_not_found", "param": "model"}})
    client = editable(bare(kind, server), memory, gate=NamedGate())
    with pytest.raises(openai.NotFoundError, match="no such model") as error:
        await done(client.chat.completions.create(model="m", messages=turns(question), stream=streamed))
    assert (error.value.code, error.value.param, error.value.request_id) == ("model_not_found", "model", "req-1")


@pytest.mark.parametrize("question", [IN, OUT])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_stream_is_not_held_back_and_closes_early(
    server: WireServer, memory: EditMemory, kind: str, question: str
) -> None:
    server.wait_for.clear()  # what follows the second piece is sent only once that was read here
    client = editable(bare(kind, server, max_retries=0), memory, gate=NamedGate())
    asked = await done(client.responses.create(model="m", input=question, stream=True))
    async with opened(asked) as events:
        first = await anext(aiter(events)) if kind == "async" else next(iter(events))
        assert first.type == "response.created"
    server.wait_for.set()
    assert server.hung_up.wait(10)
    assert await create(client, OUT)  # the connection pool is sound


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_time_outs_hold(server: WireServer, memory: EditMemory, kind: str) -> None:
    server.wait_for.clear()
    client = editable(bare(kind, server, max_retries=0, timeout=0.3), memory, gate=NamedGate())
    with pytest.raises(openai.APITimeoutError):
        await items(await done(client.chat.completions.create(model="m", messages=turns(IN), stream=True)))
    here = client.with_options(base_url="http://127.0.0.1:9/v1")
    with pytest.raises(openai.APIConnectionError):
        await done(here.chat.completions.create(model="m", messages=turns(IN)))


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_other_calls_pass_and_what_is_no_conversation_is_the_servers_to_refuse(
    server: WireServer, memory: EditMemory, kind: str
) -> None:
    client = editable(bare(kind, server), memory, gate=NamedGate())
    assert (await done(client.models.list())).data[0].id == "m"
    assert (await done(client.files.create(file=b"a" * 4096, purpose="evals"))).bytes > 4096
    server.fails_once(400, {"error": {"message": "messages is empty"}})
    with pytest.raises(openai.BadRequestError, match="messages is empty"):
        await done(client.chat.completions.create(model="m", messages=[]))
    assert [path for path, _, _ in server.seen] == ["/v1/models", "/v1/files", "/v1/chat/completions"]


# ---- what is wrapped ------------------------------------------------------------------------------------------------


async def test_the_clients_own_settings_stay(server: WireServer, memory: EditMemory) -> None:
    hooked: list[bytes] = []
    inner = httpx2.Client(
        event_hooks={"request": [lambda request: hooked.append(request.content)]}, headers={"x-inner": "1"},
        auth=("ann", "pw"), cookies={"a": "b"}, params={"w": "3"},
    )  # fmt: skip
    client = OpenAI(
        base_url=server.url, api_key="k", http_client=inner, organization="org", default_query={"v": "2"},
        default_headers={"x-mine": "1"}, max_retries=5, timeout=7,
    )  # fmt: skip
    plain = await create(client, OUT)
    ours = editable(client, memory, gate=NamedGate())
    assert await create(ours, OUT) == plain
    assert server.seen[0] == server.seen[1]
    assert (ours.max_retries, ours.timeout, ours.organization, str(ours.base_url)) == (5, 7, "org", f"{server.url}/")
    assert "Oslo" in str(await create(ours, IN))
    path, headers, body = server.seen[2]
    assert path == "/v1/chat/completions?w=3&v=2"
    assert [headers[name] for name in ("x-mine", "x-inner", "cookie", "openai-organization")] == [
        "1", "1", "a=b", "org",
    ]  # fmt: skip
    assert headers["authorization"].startswith("Basic ")
    assert hooked[2] == body


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_the_clients_live_and_end_together(server: WireServer, memory: EditMemory, kind: str) -> None:
    given = bare(kind, server)
    editable(given, memory, gate=NamedGate())
    gc.collect()
    assert await create(given, OUT)  # letting go of ours does not close the caller's
    client = editable(given, memory, gate=NamedGate())
    async with opened(client):
        pass
    assert given.is_closed()
    client = editable(bare(kind, server), memory, gate=NamedGate())
    gc.collect()
    assert await create(client, OUT)  # nor does letting go of the caller's close ours


def test_what_cannot_be_wrapped(server: WireServer, memory: EditMemory) -> None:
    httpx = pytest.importorskip("httpx")
    old = OpenAI(base_url=server.url, api_key="k", http_client=httpx.Client())
    with pytest.raises(UnsupportedModel, match="httpx2"):
        editable(old, memory)
    with pytest.raises(UnsupportedModel, match="Completions"):
        editable(old.chat.completions, memory)  # type: ignore[type-var]
    with pytest.raises(CapabilityMissing, match="context_aware"):
        editable(bare("sync", server), memory, method="context_aware")


@pytest.mark.parametrize(
    "body",
    [
        {"model": "m", "messages": [1, {"role": "user", "content": "the code?"}]},
        {"model": "m", "messages": [{"role": "user", "content": {"a": "the code?"}}]},
        {"model": "m"},
    ],
)
def test_what_cannot_be_read_is_refused_where_something_is_erased(
    server: WireServer, memory: EditMemory, body: dict[str, Any]
) -> None:
    client = editable(bare("sync", server), memory, gate=NamedGate())
    client.post("/chat/completions", body=body, cast_to=object)  # the server's matter
    memory.add({"kind": "erasure", "object": "4711", "subject": "Acme safe", "relation": "code"})
    seen = len(server.seen)
    with pytest.raises(openai.BadRequestError, match="an Erasure is in force"):
        client.post("/chat/completions", body=body, cast_to=object)
    assert len(server.seen) == seen
