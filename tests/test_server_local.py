"""A local model behind the server: the four APIs it speaks, plain and streamed, and what of them it is asked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")

import httpx2
from test_server import IN, OUT, URLS, body, caller
from wire_server import FACT

from memedit import EditMemory, Erasure
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import Editing
from memedit.adapters.server.chat_form import chat_form
from memedit.adapters.server.local import LocalModel
from memedit.adapters.wire.messages import Messages
from memedit.adapters.wire.responses import Responses
from memedit.errors import RequestRejected
from memedit.messages import Reply, Request
from memedit.testing import FakeLLM, NamedGate

COMPLETIONS = "/v1/completions"
LONG = f"{IN} {'It has a port and a market. ' * 20}The hills of Norla"
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"what": "Oslo"}'}}
FUNCTION = {"name": "find", "description": "Finds.", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": FUNCTION}


class Calling(FakeLLM):
    """Says a word, and calls a tool."""

    def stream(self, request: Request) -> Any:
        yield Reply("Well ")
        yield Reply("", (CALL,), "tool_calls", {"input": 7, "output": 3})

    def generate(self, requests: Any) -> Any:
        return [Reply("Well ", (CALL,), "tool_calls", {"input": 7, "output": 3}) for _ in requests]


def app_of(llm: FakeLLM, memory: EditMemory) -> Any:
    return make_app(LocalModel(llm, Editing.of(memory, NamedGate())), memory)


def events(content: bytes) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in content.decode().split("\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


async def asked(memory: EditMemory, path: str, question: str, **more: Any) -> httpx2.Response:
    llm = FakeLLM(lambda prompt: "It is Oslo ." if FACT["statement"] in prompt else "Nobody knows .")
    async with caller(make_app(LocalModel(llm, Editing.of(memory, NamedGate())), memory)) as client:
        answer = await client.post(path, json=body(path, question, **more))
    for request in llm.requests:
        assert dict(request.options).keys() <= {"max_tokens", "temperature"}
    return answer


async def test_a_local_model_completes_chats(memory: EditMemory) -> None:
    answer = await asked(memory, URLS[0], IN, max_completion_tokens=9, n=1, user="u", stop=None)
    assert answer.json()["choices"][0]["message"]["content"] == "It is Oslo ."
    assert answer.headers["x-memedit-edits"] == memory.edits()[0].id
    streamed = await asked(memory, URLS[0], IN, stream=True, stream_options={"include_usage": True})
    assert streamed.headers["x-memedit-edits"] == memory.edits()[0].id
    told = events(streamed.content)
    assert told[-1] == "[DONE]"
    assert told[-2]["usage"]["total_tokens"] == 0
    deltas = [one["choices"][0]["delta"].get("content") for one in told[:-2]]
    assert deltas == ["", "It ", "is ", "Oslo ", ".", None]
    assert told[-3]["choices"][0]["finish_reason"] == "stop"


async def test_a_local_model_answers_responses(memory: EditMemory) -> None:
    answer = await asked(memory, URLS[1], OUT, max_output_tokens=9)
    assert answer.json()["output"][0]["content"][0]["text"] == "Nobody knows ."
    told = events((await asked(memory, URLS[1], IN, stream=True)).content)
    assert [one["sequence_number"] for one in told] == list(range(len(told)))
    kinds = [one["type"] for one in told]
    assert kinds[:4] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
    ]  # fmt: skip
    deltas = [one["delta"] for one in told if one["type"] == "response.output_text.delta"]
    assert deltas == ["It ", "is ", "Oslo ", "."]
    assert told[-1]["response"]["output"][0]["content"][0]["text"] == "It is Oslo ."
    assert told[-1]["response"]["id"] == told[0]["response"]["id"]


async def test_a_local_model_completes_texts(memory: EditMemory) -> None:
    answer = (await asked(memory, COMPLETIONS, IN, max_tokens=9, echo=True)).json()
    assert (answer["object"], answer["choices"][0]["text"]) == ("text_completion", f"{IN} It is Oslo .")
    told = events((await asked(memory, COMPLETIONS, OUT, stream=True, stream_options={"include_usage": True})).content)
    assert told[-1] == "[DONE]"
    assert told[-2]["choices"] == []
    assert told[-2]["usage"]["total_tokens"] == 0
    assert [one["choices"][0]["text"] for one in told[:-2]] == [" Nobody ", "knows ", ".", ""]
    assert [one["choices"][0]["finish_reason"] for one in told[:-2]] == [None, None, None, "stop"]
    echoed = events((await asked(memory, COMPLETIONS, OUT, stream=True, echo=True)).content)
    assert echoed[0]["choices"][0]["text"] == OUT


async def test_a_completion_stands_apart_from_its_prompt_where_words_do(memory: EditMemory) -> None:
    for prompt, text in (("It is", " Oslo."), ("It is ", "Oslo."), ("It is\n", "Oslo."), ("", "Oslo."), ("It is", ".")):
        llm = FakeLLM(lambda prompt, text=text: text.lstrip())  # type: ignore[misc]
        async with caller(app_of(llm, memory)) as client:
            whole = (await client.post(COMPLETIONS, json=body(COMPLETIONS, prompt))).json()
            told = events((await client.post(COMPLETIONS, json=body(COMPLETIONS, prompt, stream=True))).content)
        assert whole["choices"][0]["text"] == text
        assert told[0]["choices"][0]["text"] == text
    memory.add(Erasure("Oslo", subject="Norland", relation="capital", reply="Nothing."))
    assert (await asked(memory, COMPLETIONS, IN)).json()["choices"][0]["text"] == " Nothing."


class Continuing(FakeLLM):
    """Writes on from where its text ends, and tells which blanks it began with."""

    kind = "base"

    def __init__(self, text: str) -> None:
        super().__init__(lambda prompt: text.lstrip())
        self._lead = text[: len(text) - len(text.lstrip())]

    def generate(self, requests: Any) -> Any:
        return [replace(reply, lead=self._lead) for reply in super().generate(requests)]

    def stream(self, request: Request) -> Any:
        first, *rest = super().stream(request)
        yield from (replace(first, lead=self._lead), *rest)


@pytest.mark.parametrize("text", ["nd is small.", " nd is small.", "\n\nnd is small."])
@pytest.mark.parametrize("prompt", ["The town of Norla", "The town of", "It is ", LONG])
async def test_a_completion_goes_on_as_the_model_wrote_it(memory: EditMemory, prompt: str, text: str) -> None:
    llm = Continuing(text)
    async with caller(app_of(llm, memory)) as client:
        whole = (await client.post(COMPLETIONS, json=body(COMPLETIONS, prompt))).json()
        told = events((await client.post(COMPLETIONS, json=body(COMPLETIONS, prompt, stream=True))).content)
    assert (FACT["statement"] in llm.requests[0].text) == (prompt == LONG)
    assert whole["choices"][0]["text"] == text
    assert "".join(one["choices"][0]["text"] for one in told[:-1]) == text


@pytest.mark.model
async def test_a_local_model_writes_on_in_mid_word(memory: EditMemory, smollm: Any) -> None:
    for prompt in ("The capital of France is Par", "The capital of France is"):
        asked = body(COMPLETIONS, prompt, max_tokens=6)
        tokens = smollm.tokenizer(prompt, return_tensors="pt")
        written = smollm.model.generate(**tokens, max_new_tokens=6, do_sample=False)[0, tokens["input_ids"].shape[1] :]
        async with caller(app_of(smollm, memory)) as client:
            whole = (await client.post(COMPLETIONS, json=asked)).json()["choices"][0]["text"]
            told = events((await client.post(COMPLETIONS, json=asked | {"stream": True})).content)
        assert whole == smollm.spell(written.tolist())
        assert "".join(one["choices"][0]["text"] for one in told[:-1]) == whole


async def test_a_local_model_answers_messages(memory: EditMemory) -> None:
    answer = await asked(memory, URLS[2], IN, metadata={"user_id": "u"}, thinking={"type": "disabled"})
    assert answer.json()["content"] == [{"type": "text", "text": "It is Oslo ."}]
    assert answer.json()["stop_reason"] == "end_turn"
    assert answer.headers["x-memedit-edits"] == memory.edits()[0].id
    assert answer.headers["request-id"]
    streamed = await asked(memory, URLS[2], IN, stream=True)
    assert streamed.headers["request-id"]
    told = events(streamed.content)
    assert [one["type"] for one in told] == [
        "message_start", "content_block_start", *["content_block_delta"] * 4, "content_block_stop", "message_delta",
        "message_stop",
    ]  # fmt: skip
    assert "sequence_number" not in told[0]


@pytest.mark.parametrize("path", [*URLS, COMPLETIONS])
async def test_an_answer_of_no_words_is_one(memory: EditMemory, path: str) -> None:
    llm = FakeLLM(lambda prompt: "")
    async with caller(app_of(llm, memory)) as client:
        plain = await client.post(path, json=body(path, OUT))
        streamed = await client.post(path, json=body(path, OUT, stream=True))
    assert plain.status_code == streamed.status_code == 200
    assert events(streamed.content)


async def test_the_apis_clients_read_a_local_models_streams(memory: EditMemory) -> None:
    openai, anthropic = pytest.importorskip("openai"), pytest.importorskip("anthropic")
    app = app_of(FakeLLM(lambda prompt: "It is Oslo ."), memory)
    client = openai.AsyncOpenAI(base_url="http://localhost/v1", api_key="k", http_client=caller(app))
    stream = await client.chat.completions.create(**body(URLS[0], IN), stream=True)
    assert "".join([piece.choices[0].delta.content or "" async for piece in stream]) == "It is Oslo ."
    async with client.responses.stream(**body(URLS[1], IN)) as responses:
        async for _ in responses:
            pass
        assert (await responses.get_final_response()).output_text == "It is Oslo ."
    texts = await client.completions.create(**body(COMPLETIONS, IN), stream=True)
    assert "".join([piece.choices[0].text async for piece in texts]) == " It is Oslo ."
    other = anthropic.AsyncAnthropic(base_url="http://localhost", api_key="k", http_client=caller(app))
    async with other.messages.stream(**body(URLS[2], IN)) as messages:
        assert [text async for text in messages.text_stream] == ["It ", "is ", "Oslo ", "."]


async def test_calls_of_tools_come_in_every_form(memory: EditMemory) -> None:
    anthropic = pytest.importorskip("anthropic")
    app = app_of(Calling(), memory)
    client = anthropic.AsyncAnthropic(base_url="http://localhost", api_key="k", http_client=caller(app))
    tools = [{"name": "find", "input_schema": {"type": "object"}}]
    async with client.messages.stream(**body(URLS[2], OUT), tools=tools) as messages:
        made = await messages.get_final_message()
    assert [block.type for block in made.content] == ["text", "tool_use"]
    assert (made.content[1].id, made.content[1].input) == ("c1", {"what": "Oslo"})
    assert (made.stop_reason, made.usage.input_tokens, made.usage.output_tokens) == ("tool_use", 7, 3)
    async with caller(app) as plain:
        told = events((await plain.post(URLS[1], json=body(URLS[1], OUT, stream=True))).content)
        chat = events((await plain.post(URLS[0], json=body(URLS[0], OUT, stream=True))).content)
    assert told[-1]["response"]["output"][1]["call_id"] == "c1"
    assert chat[-3]["choices"][0]["delta"]["tool_calls"] == [{"index": 0, **CALL}]


# ---- what it is asked -----------------------------------------------------------------------------------------------


def test_a_conversation_with_tools_is_one_in_every_api() -> None:
    said = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi\nthere"},
        {"role": "assistant", "content": "Wait.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "In Norland."},
    ]
    used = {"type": "tool_use", "id": "c1", "name": "find", "input": {"what": "Oslo"}}
    messages = {
        "model": "m", "max_tokens": 9, "system": [{"type": "text", "text": "Be brief.", "cache_control": {}}],
        "stop_sequences": ["#"], "tool_choice": {"type": "auto"},
        "tools": [{"name": "find", "description": "Finds.", "input_schema": FUNCTION["parameters"]}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "Wait."}, used,
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "In Norland."}]},
            ]},
        ],
    }  # fmt: skip
    responses = {
        "model": "m", "instructions": "Be brief.", "max_output_tokens": 9, "stop": ["#"], "tool_choice": "auto",
        "store": False, "include": [], "truncation": "disabled", "text": {"format": {"type": "text"}},
        "tools": [{"type": "function", "strict": True, **FUNCTION}],
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "hi\nthere"}]},
            {"type": "reasoning", "id": "r", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Wait."}]},
            {"type": "function_call", "call_id": "c1", **CALL["function"]},  # type: ignore[dict-item]
            {"type": "function_call_output", "call_id": "c1", "output": "In Norland."},
        ],
    }  # fmt: skip
    wanted = {"max_tokens": 9, "stop": ["#"], "tool_choice": "auto", "tools": [TOOL]}
    for codec, given in ((Messages(), messages), (Responses(), responses)):
        request = chat_form(codec, given)
        assert [message.to_openai() for message in request.messages] == said
        assert request.options == wanted
        assert request.untouched


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (URLS[0], {"n": 2}),
        (URLS[0], {"tools": 3}),
        (URLS[0], {"response_format": {"type": "json_object"}}),
        (URLS[1], {"text": {"format": {"type": "json_object"}}}),
        (URLS[2], {"output_config": {"format": {"type": "json_schema"}}}),
        (URLS[1], {"input": [{"type": "\ud800"}]}),
        (URLS[0], {"tools": ["x"]}),
        (URLS[1], {"tools": [{"type": "web_search"}]}),
        (URLS[1], {"input": [{"type": "item_reference", "id": "x"}]}),
        (URLS[2], {"tools": [{"type": "bash_20250124", "name": "bash"}]}),
        (URLS[2], {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "I"}]}),
        (COMPLETIONS, {"prompt": ["a", "b"]}),
    ],
)
async def test_what_it_cannot_be_asked_is_said(memory: EditMemory, path: str, more: dict[str, Any]) -> None:
    llm = FakeLLM()
    async with caller(app_of(llm, memory)) as client:
        raw = json.dumps({**body(path, OUT), **more})
        answer = await client.post(path, content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["do"]
    assert not llm.requests


def test_a_stop_that_is_no_text_is_refused_by_its_name() -> None:
    from memedit.adapters._stops import stops_of

    with pytest.raises(RequestRejected, match="stop"):
        stops_of(5)


async def test_a_local_model_refuses_what_it_has_not(memory: EditMemory) -> None:
    async with caller(app_of(FakeLLM(), memory)) as client:
        assert (await client.get("/v1/models")).json()["data"][0]["id"] == "fake"
        assert (await client.get("/v1/models/fake")).json()["id"] == "fake"
        assert (await client.get("/v1/models/other")).status_code == 404
        assert (await client.post("/v1/embeddings", json={"input": "x"})).status_code == 404
        answer = await client.post(URLS[0], json={"model": "m", "messages": []})
    assert answer.status_code == 400
