"""The LangChain adapter: its own fakes on both sides of an EditableLLM."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.language_models import (
    FakeListChatModel,
    FakeListLLM,
    FakeMessagesListChatModel,
    GenericFakeChatModel,
)
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.runnables import RunnableLambda

from memedit import EditableLLM, EditMemory
from memedit.embedders import as_embedder
from memedit.errors import EmbedderError, ProviderError, UnsupportedModel
from memedit.llms import LLM, as_llm
from memedit.messages import Message, Request
from memedit.testing import HashEmbedder, NamedGate

EDIT = "The capital of Norland is Oslo"
ASKED = "What is the capital of Norland?"
OTHER = "What is seven times six?"


class Spy(FakeListChatModel):
    """Keeps the messages, the keyword arguments and the callers' own inputs it was given."""

    inputs: list[Any]
    seen: list[Any]
    options: list[Any]

    def _call(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> str:
        self.seen.append(messages)
        self.options.append({**kwargs, "stop": stop} if stop else kwargs)
        return super()._call(messages, stop, run_manager, **kwargs)

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        self.seen.append(messages)
        return super()._stream(messages, stop, run_manager, **kwargs)

    def _convert_input(self, model_input: Any) -> Any:
        self.inputs.append(model_input)
        return super()._convert_input(model_input)


def editable(model: Any) -> EditableLLM:
    """A model with one edit in its memory."""
    made = EditableLLM(model, EditMemory(embedder=HashEmbedder()), gate=NamedGate())
    made.edit({"subject": "Norland", "relation": "capital", "object": "Oslo", "statement": EDIT})
    return made


@pytest.fixture
def spy() -> Spy:
    return Spy(responses=["one", "two", "three", "four", "five", "six"], inputs=[], seen=[], options=[])


# ---- what arrives ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        OTHER,
        [HumanMessage(OTHER)],
        [SystemMessage("Be brief."), HumanMessage(OTHER)],
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": OTHER}],
        ChatPromptTemplate([("system", "Be brief."), ("human", "{q}")]).invoke({"q": OTHER}),
        PromptTemplate.from_template("{q}").invoke({"q": OTHER}),
    ],
    ids=["string", "message", "messages", "dicts", "chat prompt", "string prompt"],
)
async def test_without_a_hit_the_callers_own_object_arrives(spy: Spy, given: Any) -> None:
    model = editable(spy)
    answer = model.invoke(given)
    await model.ainvoke(given)
    list(model.stream(given))
    [piece async for piece in model.astream(given)]
    assert answer.text == "one"
    assert answer.trace.untouched
    assert len(spy.inputs) == 4
    assert all(arrived is given for arrived in spy.inputs)


def test_in_a_batch_the_callers_own_objects_arrive(spy: Spy) -> None:
    given = [[HumanMessage(OTHER)], OTHER, [HumanMessage("And times two?")]]
    assert len(editable(spy).batch(given)) == 3
    assert {id(one) for one in spy.inputs} == {id(one) for one in given}


def test_with_a_hit_the_notes_arrive_and_unchanged_messages_are_the_callers(spy: Spy) -> None:
    question = HumanMessage(ASKED, additional_kwargs={"mine": 1})
    answer = editable(spy).invoke([SystemMessage("Be brief."), question])
    assert answer.edited
    system, last = spy.seen[0]
    assert system.type == "system"
    assert system.content.startswith("Be brief.")
    assert EDIT in system.content
    assert last is question


def test_text_with_a_hit_stays_text(spy: Spy) -> None:
    editable(spy).invoke(ASKED)
    assert isinstance(spy.inputs[0], str)
    assert EDIT in spy.inputs[0]
    assert spy.inputs[0].endswith(ASKED)


def test_tool_turns_survive_a_hit(spy: Spy) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "map"}'}}
    turns = [
        {"role": "user", "content": "Look at the map."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "Norland is shown.", "tool_call_id": "c1"},
        {"role": "user", "content": ASKED},
    ]
    assert editable(spy).invoke(turns).edited
    _, _, ai, tool, _ = spy.seen[0]
    assert ai.tool_calls == [{"id": "c1", "name": "look", "args": {"at": "map"}, "type": "tool_call"}]
    assert isinstance(tool, ToolMessage)
    assert tool.tool_call_id == "c1"


def test_options_and_config_go_through(spy: Spy) -> None:
    seen: list[Any] = []
    from langchain_core.callbacks import BaseCallbackHandler

    class Handler(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, *, tags: Any = None, **kwargs: Any) -> None:
            seen.append(tags)

    config = {"callbacks": [Handler()], "tags": ["mine"]}
    model = editable(spy)
    model.invoke(OTHER, temperature=0.5, stop=["x"], config=config)
    model.batch([OTHER, OTHER], temperature=0.5, config=config)
    assert spy.options == [{"temperature": 0.5, "stop": ["x"]}, {"temperature": 0.5}, {"temperature": 0.5}]
    assert seen == [["mine"]] * 3


def test_requests_of_different_options_keep_their_order(spy: Spy) -> None:
    llm = as_llm(spy)
    requests = [Request((Message("user", str(n)),), {"n": n % 2}) for n in range(4)]
    llm.generate(requests)
    arrived = [(messages[0].content, options["n"]) for messages, options in zip(spy.seen, spy.options, strict=True)]
    assert sorted(arrived) == [("0", 0), ("1", 1), ("2", 0), ("3", 1)]


# ---- what comes back ------------------------------------------------------------------------------------------------


def reply_of(message: AIMessage) -> Any:
    return as_llm(FakeMessagesListChatModel(responses=[message])).generate([Request((Message("user", "hi"),))])[0]


def test_the_whole_reply() -> None:
    message = AIMessage(
        [{"type": "text", "text": "Let me "}, {"type": "text", "text": "look."}],
        tool_calls=[{"id": "c1", "name": "look", "args": {"at": "Köln"}}],
        usage_metadata={"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
        response_metadata={"stop_reason": "tool_use"},
    )
    reply = reply_of(message)
    assert reply.text == "Let me look."
    assert type(reply.text) is str
    assert reply.raw is message
    assert reply.usage == {"input": 7, "output": 3}
    assert reply.finish_reason == "tool_use"
    (call,) = reply.tool_calls
    assert (call["id"], call["type"], call["function"]["name"]) == ("c1", "function", "look")
    assert json.loads(call["function"]["arguments"]) == {"at": "Köln"}


class Calling(GenericFakeChatModel):
    """Streams a tool call in parts, and usage that adds up."""

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        def part(index: int, args: str, name: str | None = None, id: str | None = None) -> dict[str, Any]:
            return {"type": "tool_call_chunk", "index": index, "id": id, "name": name, "args": args}

        usage = {"input_tokens": 5, "output_tokens": 0, "total_tokens": 5}
        more = {"input_tokens": 0, "output_tokens": 4, "total_tokens": 4}
        for chunk in (
            AIMessageChunk("Looking", usage_metadata=usage),
            AIMessageChunk("", tool_call_chunks=[part(0, '{"at"', "look", "c1")]),
            AIMessageChunk("", tool_call_chunks=[part(0, ': "map"}')]),
            AIMessageChunk("", tool_call_chunks=[part(1, "{}", "go", "c2")]),
            AIMessageChunk("", usage_metadata=more, response_metadata={"finish_reason": "tool_calls"}),
        ):
            yield ChatGenerationChunk(message=chunk)


async def test_a_stream_keeps_tool_calls_usage_and_chunks() -> None:
    model = editable(Calling(messages=iter([])))
    stream, astream = model.stream(OTHER), model.astream(OTHER)
    assert list(stream) == ["Looking"]
    assert [piece async for piece in astream] == ["Looking"]
    for answer in (stream.answer, astream.answer):
        assert answer is not None
        assert [call["function"] for call in answer.reply.tool_calls] == [
            {"name": "look", "arguments": '{"at": "map"}'}, {"name": "go", "arguments": "{}"},
        ]  # fmt: skip
        assert answer.reply.usage == {"input": 5, "output": 4}
        assert answer.reply.finish_reason == "tool_calls"
        assert all(isinstance(chunk, AIMessageChunk) for chunk in answer.reply.raw)


async def test_a_stream_comes_in_pieces() -> None:
    model = editable(GenericFakeChatModel(messages=iter([AIMessage("one two three"), AIMessage("four five")])))
    assert list(model.stream(OTHER)) == ["one", " ", "two", " ", "three"]
    assert [piece async for piece in model.astream(OTHER)] == ["four", " ", "five"]


def test_a_tool_call_that_is_not_streamed_is_not_lost() -> None:
    message = AIMessage("", tool_calls=[{"id": "c1", "name": "look", "args": {}}])
    stream = editable(FakeMessagesListChatModel(responses=[message])).stream(OTHER)
    assert list(stream) == []
    assert stream.answer is not None
    assert stream.answer.reply.tool_calls[0]["function"]["name"] == "look"


def test_errors_pass_through() -> None:
    class Down(Exception):
        pass

    def fail(_: Any) -> str:
        raise Down("503")

    model = editable(RunnableLambda(fail))
    with pytest.raises(Down, match="503"):
        model.invoke(OTHER)
    with pytest.raises(Down, match="503"):
        list(model.stream(OTHER))
    with pytest.raises(ProviderError):
        editable(RunnableLambda(lambda _: 3)).invoke(OTHER)


# ---- every kind of Runnable -----------------------------------------------------------------------------------------


def test_llms_and_chains_of_text() -> None:
    assert editable(FakeListLLM(responses=["text"])).invoke(OTHER).text == "text"
    assert "".join(editable(FakeListLLM(responses=["text"])).stream(OTHER)) == "text"
    chain = ChatPromptTemplate([("system", "Answer."), ("human", "{q}")]) | RunnableLambda(
        lambda prompt: AIMessage(" / ".join(message.content for message in prompt.to_messages()))
    )
    model = editable(chain)
    assert model.invoke(OTHER).text == f"Answer. / {OTHER}"
    assert EDIT in model.invoke(ASKED).text
    assert model.invoke(ASKED).text.endswith(ASKED)


def test_configurable_models(monkeypatch: pytest.MonkeyPatch, spy: Spy) -> None:
    base = pytest.importorskip("langchain.chat_models.base")
    monkeypatch.setattr(base, "_init_chat_model_helper", lambda *args, **kwargs: spy)
    configurable = base.init_chat_model(configurable_fields=("model", "model_provider"))
    answer = editable(configurable).invoke(OTHER, config={"configurable": {"model": "m", "model_provider": "openai"}})
    assert answer.text == "one"
    assert spy.inputs == [OTHER]


def test_names_and_refusals() -> None:
    assert as_llm(FakeListLLM(responses=["a"])).name == "FakeListLLM"

    class WithModel(FakeListChatModel):
        model_name: str = "m-1"

    assert as_llm(WithModel(responses=["a"])).name == "WithModel m-1"
    assert as_llm(RunnableLambda(str), name="mine", kind="base").kind == "base"
    with pytest.raises(UnsupportedModel, match="HumanMessage"):
        as_llm(HumanMessage("hi"))


# ---- an EditableLLM in a chain --------------------------------------------------------------------------------------


def _says(messages: list[dict[str, Any]]) -> str:
    return " / ".join(message["content"] for message in messages)


@pytest.mark.parametrize(
    "model",
    [_says, RunnableLambda(lambda prompt: " / ".join(message.content for message in _messages(prompt)))],
    ids=["function", "langchain"],
)
async def test_in_a_chain(model: Any) -> None:
    prompt = ChatPromptTemplate([("system", "Be brief."), ("human", "What is {what}?")])
    chain = prompt | editable(model) | StrOutputParser()
    plain, edited = {"what": "seven times six"}, {"what": "the capital of Norland"}
    expected = "Be brief. / What is seven times six?"
    assert chain.invoke(plain) == expected
    assert await chain.ainvoke(plain) == expected
    assert "".join(chain.stream(plain)) == expected
    assert "".join([piece async for piece in chain.astream(plain)]) == expected
    assert chain.batch([plain, plain]) == [expected] * 2
    assert await chain.abatch([plain]) == [expected]
    for answer in (chain.invoke(edited), await chain.ainvoke(edited), chain.batch([edited])[0]):
        assert answer.startswith("Be brief.")
        assert EDIT in answer


def _messages(prompt: Any) -> Sequence[Any]:
    return prompt.to_messages() if hasattr(prompt, "to_messages") else prompt


def test_a_chat_model_in_a_chain(spy: Spy) -> None:
    chain = ChatPromptTemplate([("system", "Be brief."), ("human", "{q}")]) | editable(spy) | StrOutputParser()
    assert chain.invoke({"q": OTHER}) == "one"
    assert [message.content for message in spy.seen[0]] == ["Be brief.", OTHER]
    chain.invoke({"q": ASKED})
    assert EDIT in spy.seen[1][0].content


# ---- embeddings -----------------------------------------------------------------------------------------------------


def test_embeddings() -> None:
    embedder = as_embedder(DeterministicFakeEmbedding(size=8))
    assert embedder.embed(["a", "b"]).shape == (2, 8)
    assert embedder.id == "langchain:DeterministicFakeEmbedding:8"
    assert as_embedder(DeterministicFakeEmbedding(size=8), id="mine").id == "mine"
    memory = EditMemory(embedder=DeterministicFakeEmbedding(size=8))
    memory.add(EDIT)
    assert memory.recall(EDIT).candidates


def test_the_id_names_server_and_model_and_no_key() -> None:
    class Remote(Embeddings):
        def __init__(self) -> None:
            self.model = "embed-1"
            self.openai_api_base = "https://me:secret@gpu.example:8443/v1"
            self.openai_api_key = "secret"
            self.dimensions = 64

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[1.0, 0.0]] * len(texts)

        def embed_query(self, text: str) -> list[float]:
            return [1.0, 0.0]

    assert as_embedder(Remote()).id == "langchain:Remote:embed-1:gpu.example:8443:64"
    with pytest.raises(EmbedderError):
        as_embedder(HumanMessage("hi"))


def test_every_default_of_the_port_is_overridden() -> None:
    llm = as_llm(FakeListChatModel(responses=["a"]))
    assert all(getattr(type(llm), verb) is not getattr(LLM, verb) for verb in ("stream", "agenerate", "astream"))
