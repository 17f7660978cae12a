"""EditableChatModel: every call style of LangChain, out of scope as the wrapped model has it, and in scope."""

from __future__ import annotations

import pickle
from collections.abc import Awaitable, Callable
from copy import copy, deepcopy
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.runnables import ConfigurableField, RunnableLambda
from langchain_core.tools import tool
from langchain_provider import ASKED, EDIT, FACT, OTHER, USAGE, Provider, echo, editable
from pydantic import BaseModel, Field

from memedit import EditMemory, Erasure
from memedit.adapters.langchain import EditableChatModel
from memedit.errors import UnsupportedModel
from memedit.messages import Reply
from memedit.methods.base import Final, Generate, Ready, Steps, Task, method
from memedit.testing import HashEmbedder, NamedGate


@tool
def look(place: str) -> str:
    """Look a place up."""
    return place


class City(BaseModel):
    """A city."""

    name: str = Field(description="its name")


class Starts(BaseCallbackHandler):
    """Keeps what began, and the tokens."""

    def __init__(self) -> None:
        self.began: list[Any] = []
        self.tokens: list[Any] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, *, tags: Any = None, **kwargs: Any) -> None:
        self.began.append((serialized["name"], tags))

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.tokens.append(token)


async def _ainvoke(model: Any, asked: Any) -> Any:
    return await model.ainvoke(asked)


async def _astream(model: Any, asked: Any) -> Any:
    return reduce(add, [chunk async for chunk in model.astream(asked)])


async def _abatch(model: Any, asked: Any) -> Any:
    return (await model.abatch([asked, asked]))[1]


async def _astream_events(model: Any, asked: Any) -> Any:
    events = [one async for one in model.astream_events(asked, version="v2")]
    return events[-1]["data"]["output"]


async def _ainvoke_tools(model: Any, asked: Any) -> Any:
    return await model.bind_tools([look]).ainvoke(asked)


async def _astream_tools(model: Any, asked: Any) -> Any:
    return await _astream(model.bind_tools([look]), asked)


STYLES: dict[str, Callable[[Any, Any], Any | Awaitable[Any]]] = {
    "invoke": lambda model, asked: model.invoke(asked),
    "ainvoke": _ainvoke,
    "stream": lambda model, asked: reduce(add, model.stream(asked)),
    "astream": _astream,
    "batch": lambda model, asked: model.batch([asked, asked])[1],
    "abatch": _abatch,
    "batch_as_completed": lambda model, asked: dict(model.batch_as_completed([asked, asked]))[0],
    "generate": lambda model, asked: model.generate([asked]).generations[0][0].message,
    "astream_events": _astream_events,
    "bind_tools": lambda model, asked: model.bind_tools([look], tool_choice="any").invoke(asked),
    "bind_tools, ainvoke": _ainvoke_tools,
    "bind_tools, stream": lambda model, asked: reduce(add, model.bind_tools([look]).stream(asked)),
    "bind_tools, astream": _astream_tools,
    "structured": lambda model, asked: model.with_structured_output(City, include_raw=True).invoke(asked)["raw"],
    "bind(stop)": lambda model, asked: model.bind(stop=["x"]).invoke(asked),
    "options": lambda model, asked: model.invoke(asked, temperature=0.5, seed=3),
    "with_config": lambda model, asked: model.with_config(tags=["mine"]).invoke(asked),
    "with_retry": lambda model, asked: model.with_retry().invoke(asked),
    "with_fallbacks": lambda model, asked: model.with_fallbacks([model]).invoke(asked),
    "in a chain": lambda model, asked: (RunnableLambda(lambda given: given) | model).invoke(asked),
}


def plain(message: AIMessage) -> dict[str, Any]:
    """What a message says, but for the ids of runs."""
    return {name: value for name, value in message if name not in ("id", "type", "chunk_position")}


async def said(style: Callable[[Any, Any], Any], model: Any, asked: Any) -> AIMessage:
    answer = style(model, asked)
    return await answer if isinstance(answer, Awaitable) else answer


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
async def test_out_of_scope_it_is_the_wrapped_model(style: Any) -> None:
    asked = [SystemMessage("Be brief."), HumanMessage(OTHER, additional_kwargs={"mine": 1})]
    inner, bare = Provider(), Provider()
    assert plain(await said(style, EditableChatModel(editable(inner)), asked)) == plain(await said(style, bare, asked))
    assert inner.calls
    assert [(way, options) for way, _, options in inner.calls] == [(way, options) for way, _, options in bare.calls]
    assert all(one is other for _, messages, _ in inner.calls for one, other in zip(messages, asked, strict=True))


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
async def test_in_scope_the_edit_is_shown_and_named(style: Any) -> None:
    question = HumanMessage(ASKED)
    inner, bare = Provider(), Provider()
    edited = editable(inner)
    answer = await said(style, EditableChatModel(edited), [SystemMessage("Be brief."), question])
    base = await said(style, bare, [SystemMessage("Be brief."), question])
    assert [(way, options) for way, _, options in inner.calls] == [(way, options) for way, _, options in bare.calls]
    for _, (system, last), _ in inner.calls:
        assert system.content.startswith("Be brief.")
        assert EDIT in system.content
        assert last is question
    (edit,) = edited.memory.edits()
    note = answer.response_metadata["memedit"]
    assert note == {"namespace": "default", "revision": 1, "edits": [{"id": edit.id, "probability": 1.0}]}
    rest = {name: value for name, value in answer.response_metadata.items() if name != "memedit"}
    assert rest == base.response_metadata
    assert answer.usage_metadata == base.usage_metadata == USAGE
    assert [call["name"] for call in answer.tool_calls] == [call["name"] for call in base.tool_calls]


def test_a_system_message_of_parts_keeps_them_in_front() -> None:
    part = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
    model = EditableChatModel(editable(Provider()))
    model.invoke([SystemMessage([part]), HumanMessage(ASKED)])
    ((_, (system, _), _),) = model.inner.calls
    assert system.content[0] == part
    assert EDIT in system.content[1]["text"]


# ---- streams --------------------------------------------------------------------------------------------------------


def test_chunks_pass_as_they_come() -> None:
    model = EditableChatModel(editable(Provider()))
    assert [chunk.content for chunk in model.stream(OTHER)] == [chunk.content for chunk in Provider().stream(OTHER)]
    bound, bare = model.bind_tools([look]), Provider().bind_tools([look])
    pieces = [chunk.tool_call_chunks for chunk in bound.stream(OTHER)]
    assert pieces == [chunk.tool_call_chunks for chunk in bare.stream(OTHER)]
    assert sum(map(bool, pieces)) == 2
    *_, last = model.stream(ASKED)
    assert last.content == ""
    assert last.response_metadata["memedit"]["edits"]


def test_a_stream_is_not_read_ahead() -> None:
    inner = Provider()
    stream = EditableChatModel(editable(inner)).stream(ASKED)
    assert not inner.calls
    assert isinstance(next(stream), AIMessageChunk)
    stream.close()
    assert len(inner.calls) == 1


async def test_a_model_that_cannot_stream_gives_one_message() -> None:
    class Whole(Provider):
        _stream = BaseChatModel._stream
        _astream = BaseChatModel._astream

    model = EditableChatModel(editable(Whole()))
    for asked in (OTHER, ASKED):
        (only,) = model.stream(asked)
        assert only.usage_metadata == USAGE
        assert len([piece async for piece in model.astream(asked)]) == 1
    stream = model.stream_events(ASKED, version="v3")
    assert EDIT in str(stream.output.content)
    assert [way for way, _, _ in model.inner.calls] == ["generate", "agenerate"] * 2 + ["generate"]


def test_streaming_can_be_switched_off() -> None:
    model = EditableChatModel(editable(Provider(disable_streaming="tool_calling")))
    assert len(list(model.bind_tools([look]).stream(OTHER))) == 1
    assert len(list(model.stream(OTHER))) > 1


# ---- callbacks, caches, errors --------------------------------------------------------------------------------------


def test_callbacks_see_one_run_of_the_wrapped_model() -> None:
    handler = Starts()
    model = EditableChatModel(editable(Provider(tags=["own"])))
    for asked in (OTHER, ASKED):
        model.invoke(asked, config={"callbacks": [handler], "tags": ["mine"]})
    assert [name for name, _ in handler.began] == ["Provider"] * 2
    assert [sorted(tags) for _, tags in handler.began] == [["mine", "own"]] * 2
    list(model.stream(ASKED, config={"callbacks": [handler]}))
    assert "".join(handler.tokens).endswith(ASKED)


def test_usage_is_counted() -> None:
    with get_usage_metadata_callback() as counted:
        EditableChatModel(editable(Provider())).invoke(ASKED)
    assert counted.usage_metadata["scripted-1"]["total_tokens"] == 10


def test_a_cache_holds_until_the_next_edit_of_the_namespace() -> None:
    cache, inner = InMemoryCache(), Provider()
    edited = editable(inner)
    model = EditableChatModel(edited, cache=cache)
    first = model.invoke(ASKED)
    assert model.invoke(ASKED).content == first.content
    assert model.invoke(ASKED).response_metadata["memedit"] == first.response_metadata["memedit"]
    assert len(inner.calls) == 1
    edited.edit("Something else entirely", namespace="another")
    model.invoke(ASKED)
    assert len(inner.calls) == 1
    edited.undo()
    assert EDIT not in model.invoke(ASKED).content
    assert len(inner.calls) == 2
    model.invoke(ASKED, namespace="another")
    assert len(inner.calls) == 3
    EditableChatModel(editable(inner), cache=cache).invoke(ASKED)  # another memory
    assert len(inner.calls) == 4


def test_the_memory_stands_in_the_identifying_parameters(tmp_path: Path) -> None:
    model = EditableChatModel(
        Provider(temperature=0.5), EditMemory(tmp_path, embedder=HashEmbedder()), gate=NamedGate(), namespace="me"
    )
    params = model._identifying_params
    assert (params["model_name"], params["temperature"]) == ("scripted-1", 0.5)
    assert params["memedit"]["namespace"] == "me"
    assert params["memedit"]["memory"] == str(tmp_path)
    assert params["memedit"]["revision"] == 0
    model.editable.edit(EDIT)
    assert model._identifying_params["memedit"]["revision"] == 1


def test_errors_pass_through_and_are_retried() -> None:
    class Down(Exception):
        pass

    tries: list[int] = []

    def fail(messages: Any, options: Any) -> AIMessage:
        tries.append(1)
        raise Down("503")

    model = EditableChatModel(editable(Provider(script=fail)))
    for asked in (OTHER, ASKED):
        with pytest.raises(Down, match=r"^503$"):
            model.invoke(asked)
        with pytest.raises(Down, match=r"^503$"):
            list(model.stream(asked))
    tries.clear()
    with pytest.raises(Down):
        model.with_retry(wait_exponential_jitter=False).invoke(ASKED)
    assert len(tries) == 3
    assert EDIT in model.with_fallbacks([EditableChatModel(editable(Provider()))]).invoke(ASKED).content
    assert [type(one) for one in model.batch([ASKED, OTHER], return_exceptions=True)] == [Down, Down]


# ---- tools and structured output ------------------------------------------------------------------------------------


def test_structured_output_is_the_providers_own() -> None:
    class Native(Provider):
        def with_structured_output(self, schema: Any, **options: Any) -> Any:
            return self.bind(response_format=schema) | RunnableLambda(lambda message: schema(name=message.content))

    inner = Native()
    model = EditableChatModel(editable(inner))
    assert EDIT in model.with_structured_output(City).invoke(ASKED).name
    assert inner.calls[0][2] == {"response_format": City}
    assert model.with_structured_output(City).invoke(OTHER) == City(name=OTHER)
    assert EditableChatModel(editable(Provider())).with_structured_output(City).invoke(ASKED) == City(name="Oslo")


def test_what_hides_the_model_is_refused() -> None:
    class Hidden(Provider):
        def with_structured_output(self, schema: Any, **options: Any) -> Any:
            return RunnableLambda(lambda asked: self.invoke(asked))

    with pytest.raises(UnsupportedModel, match="hide the model"):
        EditableChatModel(editable(Hidden())).with_structured_output(City)


def test_a_model_that_a_provider_copies_is_edited_too() -> None:
    class Copying(Provider):
        def bind_tools(self, tools: Any, **options: Any) -> Any:
            return self.model_copy(update={"temperature": 0.0}).bind(tools=[])

    bound = EditableChatModel(editable(Copying())).bind_tools([look])
    assert bound.bound.temperature == 0.0
    assert "memedit" in bound.invoke(ASKED).response_metadata


# ---- methods that ask more than once --------------------------------------------------------------------------------


@method("twice", paper="a test")
def twice() -> Any:
    """Ask once on the way."""

    def run(task: Task) -> Steps:
        yield Generate(task.request)
        return Final(task.request, task.hits.edits)

    return run


@method("told", paper="a test")
def told() -> Any:
    """Answer without the model."""

    def run(task: Task) -> Steps:
        return Ready(Reply("Oslo"), task.hits.edits)
        yield

    return run


async def test_calls_on_the_way_are_counted_and_not_shown() -> None:
    class Telling(Provider):
        """Tells its tokens from `_generate`, as some providers do."""

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any) -> Any:
            if run_manager:
                run_manager.on_llm_new_token("token")
            return super()._generate(messages, stop, run_manager, **options)

    handler, inner = Starts(), Telling()
    model = EditableChatModel(editable(inner, method=twice()))
    answer = model.invoke(ASKED, config={"callbacks": [handler]})
    assert len(inner.calls) == 2
    assert handler.tokens == ["token"]
    assert len(handler.began) == 1
    assert answer.response_metadata["memedit"]["usage"] == {"input": 7, "output": 3}
    assert (await model.ainvoke(ASKED)).response_metadata["memedit"]["usage"] == {"input": 7, "output": 3}


async def test_an_answer_without_the_model() -> None:
    model = EditableChatModel(editable(Provider(), method=told()))
    assert model.invoke(ASKED).content == "Oslo"
    assert (await model.ainvoke(ASKED)).response_metadata["memedit"]["revision"] == 1
    assert "".join(chunk.content for chunk in model.stream(ASKED)) == "Oslo"
    assert "".join([piece.content async for piece in model.astream(ASKED)]) == "Oslo"
    assert not model.inner.calls


def test_what_is_erased_is_not_streamed() -> None:
    inner = Provider(script=lambda messages, options: AIMessage("The code is XK-4471-B, keep it safe"))
    edited = editable(inner)
    edited.edit(Erasure(subject="the vault", relation="code", object="XK-4471-B"))
    handler = Starts()
    model = EditableChatModel(edited)
    streamed = reduce(add, model.stream("And the code?", config={"callbacks": [handler]}))
    assert inner.calls
    assert "4471" not in f"{streamed.content} {handler.tokens} {model.invoke('And the code?')}"
    inner.script = echo
    assert reduce(add, model.bind_tools([look]).stream(OTHER)).tool_calls[0]["name"] == "look"
    assert reduce(add, model.stream(OTHER)).usage_metadata == USAGE


# ---- what it is -----------------------------------------------------------------------------------------------------


def test_it_is_read_as_the_wrapped_model() -> None:
    inner = Provider(temperature=0.3, profile={"max_input_tokens": 5}, name="mine")
    model = EditableChatModel(inner, EditMemory(embedder=HashEmbedder()), gate=NamedGate())
    assert isinstance(model, BaseChatModel)
    assert (model.model_name, model.temperature, model.profile, model.name) == (
        "scripted-1", 0.3, {"max_input_tokens": 5}, "mine",
    )  # fmt: skip
    assert model._get_ls_params(stop=["x"]) == inner._get_ls_params(stop=["x"])
    assert model._llm_type == "scripted"
    with pytest.raises(AttributeError, match="nothing"):
        _ = model.nothing
    assert EditableChatModel(inner, model.editable.memory, name="other").name == "other"


@pytest.mark.parametrize("copied", [copy, deepcopy, lambda model: model.model_copy(deep=True)])
def test_a_copy_has_the_same_memory(copied: Callable[[Any], Any], tmp_path: Path) -> None:
    inner = Provider()
    model = EditableChatModel(inner, tmp_path, gate=NamedGate())
    other = copied(model)
    assert other.editable.memory is model.editable.memory
    model.editable.edit(FACT)
    assert EDIT in other.with_config(tags=["x"]).invoke(ASKED).content
    other.editable.undo()
    assert EDIT not in model.invoke(ASKED).content
    assert len(inner.calls) == 2
    with pytest.raises(TypeError, match="open it again"):
        pickle.dumps(model)


def test_a_deep_copy_does_not_close_what_it_did_not_open(tmp_path: Path) -> None:
    model = EditableChatModel(Provider(), tmp_path, gate=NamedGate())
    deepcopy(model).editable.close()
    model.editable.edit(FACT)
    assert EDIT in model.invoke(ASKED).content


async def test_fields_of_the_wrapped_model_are_configurable() -> None:
    inner = Provider(temperature=0.1)
    model = EditableChatModel(editable(inner)).configurable_fields(temperature=ConfigurableField(id="heat"))
    hot = {"configurable": {"heat": 0.9}}
    assert EDIT in model.invoke(ASKED, config=hot).content
    assert "".join([piece.content async for piece in model.astream(ASKED, config=hot)]).count(EDIT) == 1
    assert EditableChatModel(editable(inner)).configurable_fields(name=ConfigurableField(id="n")).invoke(OTHER).content
