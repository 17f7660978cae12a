"""The wire codecs, the calls that memedit makes for itself on the wire, and the answers that it writes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("openai")

import httpx2
import openai
from fuzzing import generated
from hypothesis import given
from hypothesis import strategies as st
from test_doubt import Doubting
from test_openai_client import EDIT, FLAT_TOOL, IN, OUT, SCHEMA, STYLES, TOOL, Place, bare, done, items, opened, turns
from wire_server import WireServer, running

from memedit import EditMemory, Erasure
from memedit.adapters.openai import editable
from memedit.adapters.wire.chat import ChatCompletions
from memedit.adapters.wire.codec import STREAMING, Stamp, encoded
from memedit.adapters.wire.completions import Completions
from memedit.adapters.wire.messages import Messages
from memedit.adapters.wire.responses import Responses
from memedit.adapters.wire.transport import CODECS, read_call
from memedit.errors import LedgerError, ProviderError, RequestRejected
from memedit.messages import Message, Reply
from memedit.methods.base import Final, Generate, Ready, Run, Steps, Task, method
from memedit.testing import HashEmbedder, NamedGate

CHAT, RESPONSES, MESSAGES, COMPLETIONS = ChatCompletions(), Responses(), Messages(), Completions()
REFUSAL = "That is not given out."
SECRET = Erasure(subject="Norland", relation="capital", object="Oslo", reply=REFUSAL)


@pytest.fixture
def server() -> Iterator[WireServer]:
    yield from running()


def holding(*edits: Any) -> EditMemory:
    memory = EditMemory(embedder=HashEmbedder())
    for edit in edits:
        memory.add(edit)
    return memory


FACT = {"subject": "Norland", "relation": "capital", "object": "Oslo", "statement": EDIT}

# ---- codecs ---------------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
sendable = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
parts = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": sendable}), min_size=1, max_size=2)
chat_messages = st.fixed_dictionaries(
    {"role": st.sampled_from(("developer", "system", "user", "assistant", "tool")), "content": sendable | parts},
    optional={"name": st.just("ann"), "unknown": values, "tool_call_id": st.just("c")},
)
READ = {"input", "messages", "model", "text", "prompt", "system", *(name for one in CODECS for name in one.shapes)}
further = st.dictionaries(st.text(max_size=6).filter(lambda name: name not in READ), values, max_size=4)
"""Fields that no codec reads."""


def parts_of(messages: list[Any]) -> list[Any]:
    return [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}} for _ in messages]


@generated(100)
@given(messages=st.lists(chat_messages, min_size=1, max_size=4), more=further)
def test_what_is_not_changed_is_written_as_it_was(messages: list[Any], more: dict[str, Any]) -> None:
    for codec, body in (
        (CHAT, {"z": 1, "messages": messages, **more, "model": "m", "stream": False}),
        (RESPONSES, {"z": 1, "input": messages, **more, "model": "m", "instructions": "Be brief."}),
        (RESPONSES, {"input": messages, "model": "m", "text": {"format": {"type": "json_object"}}, **more}),
        (RESPONSES, {"model": "m", "input": "hi", **more}),
        (MESSAGES, {"messages": messages, "model": "m", "system": parts_of(messages), **more, "max_tokens": 9}),
        (COMPLETIONS, {"prompt": "hi", "model": "m", **more}),
        (COMPLETIONS, {"model": "m", **more, "prompt": ["hi"]}),
    ):
        before = copy.deepcopy(body)
        request = codec.read(body)
        options = {name: value for name, value in request.options.items() if name in body}
        again = codec.write(body, request, options, streamed=True)
        assert json.dumps(again) == json.dumps(before)
        assert json.dumps(body) == json.dumps(before)


def test_a_lone_surrogate_goes_on_as_the_escape_it_came_as() -> None:
    assert encoded({"a": "é"}) == '{"a":"é"}'.encode()
    assert encoded(json.loads('{"é":"\\ud800"}')) == rb'{"\u00e9":"\ud800"}'


def test_notes_go_into_the_instructions_of_one_call() -> None:
    items = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    body = {"model": "m", "input": items, "conversation": "conv_1"}
    request = RESPONSES.read(body)
    assert not request.only_text_back
    added = request.with_messages([Message("system", "notes"), *request.messages])
    assert RESPONSES.write(body, added, {}, streamed=True) == {"model": "m", "input": items, "instructions": "notes"}
    merged = request.with_messages(
        [Message("system", "Be brief. notes", request.messages[0].extra), request.messages[1]]
    )
    changed = RESPONSES.write(body, merged, {}, streamed=True)["input"]
    assert changed == [{"role": "system", "content": "Be brief. notes", "type": "message"}, items[1]]


@pytest.mark.parametrize(
    "body",
    [{}, {"messages": []}, {"messages": "hi"}, {"input": 3}, {"input": [3]}, {"input": []}, {"prompt": ["a", "b"]}],
)
def test_bodies_without_a_conversation_are_refused(body: dict[str, Any]) -> None:
    for codec in CODECS:
        with pytest.raises(RequestRejected):
            codec.read(body)


@pytest.mark.parametrize("answer", [{}, {"choices": []}, {"output": None}, {"error": {"message": "no"}}])
def test_what_is_no_answer_is_said(answer: dict[str, Any]) -> None:
    for codec in CODECS:
        with pytest.raises(ProviderError, match="address"):
            codec.reply(answer)


# ---- answers that memedit writes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_refusal_is_a_whole_answer_in_every_form(server: WireServer, kind: str) -> None:
    memory = holding(SECRET)
    client = editable(bare(kind, server), memory, gate=NamedGate())
    chat, responses = client.chat.completions, client.responses

    made = await done(chat.create(model="m", messages=turns(IN), n=2))
    assert [choice.message.content for choice in made.choices] == [REFUSAL] * 2
    assert made.usage.total_tokens == 0
    assert made.id.startswith("chatcmpl-")
    assert made._request_id
    counted = {"include_usage": True}
    pieces = await items(await done(chat.create(model="m", messages=turns(IN), stream=True, stream_options=counted)))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == REFUSAL
    assert [piece.choices[0].finish_reason for piece in pieces if piece.choices] == [None, "stop"]
    assert pieces[-1].usage.total_tokens == 0
    parsed = await done(chat.parse(model="m", messages=turns(IN), response_format=Place))
    assert (parsed.choices[0].message.parsed, parsed.choices[0].message.refusal) == (None, REFUSAL)
    async with opened(chat.stream(model="m", messages=turns(IN), response_format=Place)) as events:
        await items(events)
        assert (await done(events.get_final_completion())).choices[0].message.refusal == REFUSAL

    whole = await done(responses.create(model="m", input=IN, instructions="Be brief.", metadata={"a": "b"}))
    assert (whole.output_text, whole.status, whole.instructions) == (REFUSAL, "completed", "Be brief.")
    events = await items(await done(responses.create(model="m", input=IN, stream=True)))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.output_text == REFUSAL
    parsed = await done(responses.parse(model="m", input=IN, text_format=Place))
    assert parsed.output_parsed is None
    assert parsed.output[0].content[0].refusal == REFUSAL
    async with opened(responses.stream(model="m", input=IN, text_format=Place)) as events:
        await items(events)
        assert (await done(events.get_final_response())).output[0].content[0].refusal == REFUSAL

    raw = await done(chat.with_raw_response.create(model="m", messages=turns(IN)))
    assert raw.headers["x-memedit-edits"] == memory.edits()[0].id
    assert server.seen == []


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("name", STYLES)
async def test_what_is_read_to_its_end_first_comes_back_the_same(server: WireServer, name: str, kind: str) -> None:
    """While an Erasure is in force every answer is checked, and streams are written anew."""
    plain = await STYLES[name](bare(kind, server), OUT)
    ours = await STYLES[name](editable(bare(kind, server), holding(SECRET), gate=NamedGate()), OUT)
    streamed = name in ("create_streamed", "stream", "responses_streamed", "responses_stream")
    assert (ours[-1:] if streamed else ours) == (plain[-1:] if streamed else plain)  # cut into other pieces
    asked, sent = server.bodies
    assert sent == {name: value for name, value in asked.items() if name not in STREAMING}


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_that_tells_what_is_erased_is_replaced(server: WireServer, kind: str, streamed: bool) -> None:
    client = editable(bare(kind, server), holding(SECRET), gate=NamedGate())
    whole = {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [
            {"index": place, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
            for place, said in enumerate(("I do not know.", "The capital of Norland: Oslo."))
        ],
    }  # fmt: skip
    server.fails_once(200, whole)
    made = await done(
        client.chat.completions.create(model="m", messages=turns("A riddle, please."), n=2, stream=streamed)
    )
    said = str(await items(made)) if streamed else made.to_json()
    assert "Oslo" not in said
    assert said.count(REFUSAL) == 2


# ---- calls that memedit makes for itself ----------------------------------------------------------------------------


@method("counting", paper="memedit")
def counting() -> Run:
    """Asks in at most five tokens how many words a question has, and answers by that."""

    def run(task: Task) -> Steps:
        short = task.request.with_messages([Message("system", "Count."), Message("user", "How many words?")])
        told = yield Generate(short.limited(5).raw("How many words?", stop=["\n"]))
        return Ready(Reply(f"{told.text} words"), task.hits.edits)

    return run


def refusing(*names: str) -> Any:
    """A server whose models know none of these parameters."""

    def script(body: dict[str, Any]) -> Any:
        for name in names:
            if name in body:
                said = {"message": f"Unsupported parameter: '{name}' is not supported with this model.", "param": name}
                return 400, {"error": said}
        return None

    return script


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    ("refused", "sent"),
    [
        ((), [("max_completion_tokens", "stop")]),
        (("max_completion_tokens",), [("max_completion_tokens", "stop"), ("max_tokens", "stop")]),
        (("stop",), [("max_completion_tokens", "stop"), ("max_completion_tokens",)]),
        (
            ("max_completion_tokens", "max_tokens", "stop"),
            [("max_completion_tokens", "stop"), ("max_tokens", "stop"), ("stop",), ()],
        ),
    ],
)
async def test_its_own_limits_are_asked_for_as_the_server_takes_them(
    server: WireServer, kind: str, refused: tuple[str, ...], sent: list[tuple[str, ...]]
) -> None:
    server.script = refusing(*refused)
    client = editable(bare(kind, server), holding(FACT), gate=NamedGate(), method=counting())
    for _ in range(2):
        made = await done(client.chat.completions.create(model="m", messages=turns(IN), seed=3, stream=False))
        assert made.choices[0].message.content == "nobody knows words"
        assert made.usage.total_tokens == 10  # of the call that was made for it
    names = [tuple(sorted(set(body) - {"model", "messages", "seed"})) for body in server.bodies]
    assert names == [*sent, sent[-1]]  # and is remembered
    assert {body["seed"] for body in server.bodies} == {3}


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_its_own_call_takes_the_callers_limit_off_and_knows_no_stop_of_responses(
    server: WireServer, kind: str
) -> None:
    client = editable(bare(kind, server), holding(FACT), gate=NamedGate(), method=counting())
    made = await done(client.chat.completions.create(model="m", messages=turns(IN), max_completion_tokens=900))
    assert made.choices[0].message.content == "nobody knows words"
    made = await done(client.responses.create(model="m", input=IN, max_output_tokens=900, instructions="Be brief."))
    assert made.output_text == "nobody knows words"
    assert server.bodies == [
        {"model": "m", "messages": [{"role": "user", "content": "How many words?"}], "max_completion_tokens": 5,
         "stop": ["\n"]},
        {"model": "m", "input": [{"role": "user", "content": "How many words?"}], "max_output_tokens": 5},
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_an_error_of_its_own_call_is_the_callers(server: WireServer, kind: str) -> None:
    client = editable(bare(kind, server), holding(FACT), gate=NamedGate(), method=counting())
    server.fails_once(429, {"error": {"message": "slow down"}})
    made = await done(client.chat.completions.create(model="m", messages=turns(IN)))
    assert made.choices[0].message.content == "nobody knows words"
    assert len(server.seen) == 2
    server.fails_once(401, {"error": {"message": "no such key", "code": "invalid_api_key"}})
    with pytest.raises(openai.AuthenticationError) as error:
        await done(client.responses.create(model="m", input=IN, stream=True))
    assert (error.value.code, error.value.request_id) == ("invalid_api_key", "req-3")
    server.fails_once(200, {"object": "something else"})
    raw = await done(client.chat.completions.with_raw_response.create(model="m", messages=turns(IN)))
    assert json.loads(raw.text if isinstance(raw.text, str) else raw.text()) == {"object": "something else"}


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_what_is_in_doubt_is_shown_or_asked_about(server: WireServer, kind: str) -> None:
    shown = editable(bare(kind, server), holding(FACT), gate=Doubting())
    raw = await done(shown.chat.completions.with_raw_response.create(model="m", messages=turns(IN), tools=[TOOL]))
    assert raw.headers["x-memedit-in-doubt"]
    assert "x-memedit-edits" not in raw.headers
    asking = editable(bare(kind, server), holding(FACT), gate=Doubting(), doubt="ask")
    made = await done(asking.responses.create(model="m", input=IN, tools=[FLAT_TOOL], background=False))
    assert "nobody knows" in made.output[0].arguments  # the server named no number
    _, own, last = server.bodies
    assert set(own) == {"model", "instructions", "input"}
    assert last == {"model": "m", "input": IN, "tools": [FLAT_TOOL], "background": False}


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_an_error_of_the_memory_is_memedits(server: WireServer, kind: str) -> None:
    @method("failing", paper="memedit")
    def failing() -> Run:
        """Fails."""

        def run(task: Task) -> Steps:
            yield from ()
            raise LedgerError("The ledger cannot be read.", do="look at the disk")

        return run

    client = editable(bare(kind, server), holding(FACT), gate=NamedGate(), method=failing())
    with pytest.raises(LedgerError, match="look at the disk"):
        await done(client.chat.completions.create(model="m", messages=turns(IN)))
    assert server.seen == []


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_another_model_may_answer(server: WireServer, kind: str) -> None:
    @method("elsewhere", paper="memedit")
    def elsewhere() -> Run:
        """Has another model answer."""

        def run(task: Task) -> Steps:
            yield from ()
            return Final(task.request, task.hits.edits, model="counterfactual")

        return run

    others = {"counterfactual": lambda prompt: ["Os", "lo", "!"]}
    client = editable(bare(kind, server), holding(FACT), gate=NamedGate(), method=elsewhere(), models=others)
    pieces = await items(await done(client.chat.completions.create(model="m", messages=turns(IN), stream=True)))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "Oslo!"
    assert (await done(client.responses.create(model="m", input=IN))).output_text == "Oslo!"
    assert server.seen == []


def test_tool_calls_of_a_reply_are_written() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    reply, stamp = Reply("", (call,), "tool_calls"), Stamp("1", 1, {"input": 2, "output": 3})
    chat = CHAT.answer({"model": "m", "response_format": SCHEMA}, reply, stamp)
    assert CHAT.reply(chat) == Reply("", (call,), "tool_calls", {"input": 2, "output": 3})
    assert chat["choices"][0]["message"]["content"] is None
    assert RESPONSES.reply(RESPONSES.answer({"model": "m"}, reply, stamp)) == Reply(
        "", (call,), "tool_calls", {"input": 2, "output": 3}
    )


ODD = (None, 1, True, "x", [], {}, ["x"], [{}], [None], {"type": 1}, {"format": 1}, {"role": 1}, 10**9)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.path)
@pytest.mark.parametrize(
    "field",
    [
        "messages",
        "input",
        "instructions",
        "text",
        "response_format",
        "n",
        "stream_options",
        "system",
        "prompt",
        "max_tokens",
        "output_config",
        "output_format",
        "echo",
    ],
)
def test_fields_of_another_type_are_the_servers_matter_or_are_read(codec: Any, field: str) -> None:
    plain = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "input": "hi", "prompt": "hi"}
    request = httpx2.Request("POST", f"http://x{codec.path}")
    assert read_call(codec, request, json.dumps(plain).encode()) is not None
    for odd in ODD:
        call = read_call(codec, request, json.dumps({**plain, field: odd}).encode())
        if call is not None:
            assert codec.write(call.body, call.request, call.request.options, streamed=True)
            assert list(codec.events(call.body, codec.answer(call.body, Reply("said"), Stamp("1", 1, {}))))
