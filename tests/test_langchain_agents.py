"""Agents of `create_agent` with an edit memory: middleware, tools and retriever, against scripted models."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

pytest.importorskip("langchain.agents")

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_provider import ASKED, EDIT, FACT, OTHER, Provider, editable
from langgraph.runtime import get_runtime
from pydantic import BaseModel, ValidationError

import memedit.adapters.langchain
from memedit import EditMemory, Erasure
from memedit.adapters.langchain import EditableChatModel, EditMiddleware, EditRetriever, memory_tools
from memedit.errors import MissingExtra, RequestRejected
from memedit.methods.base import Final, Generate, Steps, Task, method
from memedit.testing import HashEmbedder, NamedGate


@tool
def weather(place: str) -> str:
    """Tell the weather of a place."""
    return f"Sunny in {place}"


def agent_script(messages: Sequence[BaseMessage], options: dict[str, Any]) -> AIMessage:
    """Asks for the weather of the place that it believes in, then says all it saw."""
    seen = " / ".join(message.text for message in messages)
    if isinstance(messages[-1], ToolMessage):
        return AIMessage(f"Done: {seen}")
    place = "Oslo" if EDIT in seen else "Norhaven"
    return AIMessage("", tool_calls=[{"id": "c1", "name": "weather", "args": {"place": place}}])


def memory(*facts: Any) -> EditMemory:
    made = EditMemory(embedder=HashEmbedder())
    for fact in facts or (FACT,):
        made.add(fact)
    return made


def middleware(given: EditMemory | None = None, **settings: Any) -> EditMiddleware:
    return EditMiddleware(given or memory(), gate=NamedGate(), **settings)


async def asked(agent: Any, text: str, way: str = "invoke", **how: Any) -> dict[str, Any]:
    given = {"messages": [HumanMessage(text)]}
    return agent.invoke(given, **how) if way == "invoke" else await agent.ainvoke(given, **how)


# ---- the middleware -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("door", ["middleware", "model"])
async def test_an_agent_with_a_tool(way: str, door: str) -> None:
    inner = Provider(script=agent_script)
    model, layers = (inner, [middleware()]) if door == "middleware" else (EditableChatModel(editable(inner)), [])
    agent = create_agent(model, [weather], system_prompt="Be brief.", middleware=layers)
    state = await asked(agent, "What is the weather in the capital of Norland?", way)
    _, call, result, last = state["messages"]
    assert call.tool_calls[0]["args"] == {"place": "Oslo"}
    assert result.content == "Sunny in Oslo"
    for message in (call, last):
        assert message.response_metadata["memedit"]["edits"][0]["probability"] == 1.0
    assert all(options["tools"][0]["function"]["name"] == "weather" for _, _, options in inner.calls)
    first = inner.calls[0][1]
    assert isinstance(first[0], SystemMessage)
    assert first[0].text.startswith("Be brief.")
    assert all(EDIT not in str(message.content) for message in state["messages"][:-1])  # the state holds no edit


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_out_of_scope_the_agents_request_is_its_own(way: str) -> None:
    seen: list[ModelRequest[Any]] = []

    class Outer(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            seen.append(request)
            return handler(request)

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            seen.append(request)
            return await handler(request)

    class Inner(Outer):
        pass

    inner, bare = Provider(script=agent_script), Provider(script=agent_script)
    state = await asked(create_agent(inner, [weather], middleware=[Outer(), middleware(), Inner()]), OTHER, way)
    plain = await asked(create_agent(bare, [weather]), OTHER, way)
    assert all(one is other for one, other in zip(seen[::2], seen[1::2], strict=True))
    assert [options for _, _, options in inner.calls] == [options for _, _, options in bare.calls]
    assert [one.content for one in state["messages"]] == [one.content for one in plain["messages"]]
    assert "memedit" not in state["messages"][-1].response_metadata


class Place(BaseModel):
    """A place."""

    name: str


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_structured_output_stays_the_agents(way: str) -> None:
    inner = Provider(
        script=lambda messages, options: AIMessage(
            "",
            tool_calls=[
                {"id": "c1", "name": "Place", "args": {"name": "Oslo" if EDIT in str(messages) else "Norhaven"}}
            ],
        )
    )
    agent = create_agent(inner, [weather], middleware=[middleware()], response_format=ToolStrategy(Place))
    assert (await asked(agent, ASKED, way))["structured_response"] == Place(name="Oslo")
    assert (await asked(agent, OTHER, way))["structured_response"] == Place(name="Norhaven")
    names = [[one["function"]["name"] for one in options["tools"]] for _, _, options in inner.calls]
    assert names == [["weather", "Place"]] * 2


async def test_an_agent_streams() -> None:
    agent = create_agent(Provider(script=agent_script), [weather], middleware=[middleware()])
    pieces = [
        message.content
        async for message, _ in agent.astream({"messages": [HumanMessage(ASKED)]}, stream_mode="messages")
        if message.content
    ]
    assert len(pieces) > 5
    assert pieces[:2] == ["Sunny in Oslo", "Done: "]


@method("twice_agent", paper="a test")
def twice() -> Any:
    """Ask once on the way."""

    def run(task: Task) -> Steps:
        yield Generate(task.request)
        return Final(task.request, task.hits.edits)

    return run


async def test_what_is_erased_and_what_is_asked_on_the_way_is_not_streamed() -> None:
    inner = Provider(script=lambda messages, options: AIMessage("The code is XK-4471-B, keep it safe"))
    kept = memory(Erasure(subject="the vault", relation="code", object="XK-4471-B"))
    agent = create_agent(inner, [], middleware=[middleware(kept)])
    given = {"messages": [HumanMessage("And the code?")]}
    seen = [str(piece) async for piece in agent.astream(given, stream_mode="messages")]
    assert inner.calls
    assert "4471" not in " ".join(seen)
    two = create_agent(Provider(script=agent_script), [weather], middleware=[middleware(method=twice())])
    pieces = [piece.text async for piece, _ in two.astream({"messages": [HumanMessage(ASKED)]}, stream_mode="messages")]
    assert "".join(pieces).count("Done") == 1


async def test_errors_pass_through_the_middleware() -> None:
    class Down(Exception):
        pass

    def fail(messages: Any, options: Any) -> AIMessage:
        raise Down("503")

    agent = create_agent(Provider(script=fail), [], middleware=[middleware()])
    for way in ("invoke", "ainvoke"):
        with pytest.raises(Down, match="503"):
            await asked(agent, ASKED, way)


async def test_edits_of_the_company_and_of_the_user() -> None:
    company, user = memory(), memory({**FACT, "subject": "Sudland", "statement": "The capital of Sudland is Bergen"})
    layers = [middleware(company, name="company"), middleware(user, name="user")]
    inner = Provider(script=lambda messages, options: AIMessage(messages[0].text))
    said = (await asked(create_agent(inner, [], middleware=layers), f"{ASKED} And of Sudland?"))["messages"][-1].text
    assert EDIT in said
    assert "Bergen" in said


class Context(BaseModel):
    user: str


async def test_the_namespace_of_the_one_who_asks() -> None:
    kept = memory()
    kept.add({**FACT, "object": "Bergen", "statement": "The capital of Norland is Bergen"}, namespace="ann")
    agent = create_agent(
        Provider(script=lambda messages, options: AIMessage(str(messages[0].content))),
        memory_tools(kept, namespace=_user),
        middleware=[middleware(kept, namespace=_user)],
        context_schema=Context,
    )
    for way in ("invoke", "ainvoke"):
        ann = await asked(agent, ASKED, way, context=Context(user="ann"))
        bob = await asked(agent, ASKED, way, context=Context(user="bob"))
        assert "Bergen" in ann["messages"][-1].content
        assert bob["messages"][-1].content == ASKED


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_the_tools_keep_what_is_the_users(way: str) -> None:
    kept = EditMemory(embedder=HashEmbedder())
    inner = Provider(script=calling(("correct", lambda _: {"statement": f"{EDIT}."})))
    agent = create_agent(inner, memory_tools(kept, namespace=_user), context_schema=Context)
    await asked(agent, "It is Oslo.", way, context=Context(user="ann"))
    assert kept.namespaces() == ["ann"]


def _user() -> str:
    return get_runtime(Context).context.user


# ---- the tools ------------------------------------------------------------------------------------------------------


def calling(*calls: tuple[str, Callable[[Sequence[BaseMessage]], dict[str, Any]]]) -> Any:
    """A script that makes these calls one after another, then says what came back."""

    def script(messages: Sequence[BaseMessage], options: dict[str, Any]) -> AIMessage:
        done = [message for message in messages if isinstance(message, ToolMessage)]
        if len(done) == len(calls):
            return AIMessage(" | ".join(message.text for message in done))
        name, arguments = calls[len(done)]
        call = {"id": f"c{len(done)}", "name": name, "args": arguments(messages)}
        return AIMessage("", tool_calls=[call])

    return script


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_an_agent_keeps_finds_and_takes_back_a_correction(way: str) -> None:
    kept = EditMemory(embedder=HashEmbedder())
    inner = Provider(
        script=calling(
            ("correct", lambda _: {"statement": "The capital of Norland is Oslo."}),
            ("recall", lambda _: {"message": "the capital of Norland"}),
            ("retract", lambda messages: {"edit_id": re.findall(r"- (\w+):", messages[-1].text)[0]}),
            ("recall", lambda _: {"message": "the capital of Norland"}),
        )
    )
    agent = create_agent(inner, memory_tools(kept, namespace="ann"))
    last = (await asked(agent, "No, it is Oslo.", way))["messages"][-1].text.split(" | ")
    (first, _) = kept.history(namespace="ann")
    (edit_id,) = first.came
    kept_as, found, taken_back, nothing = last
    assert kept_as == f"Kept as {edit_id}."
    assert f"- {edit_id}: The capital of Norland is Oslo. (probability" in found
    assert taken_back.endswith(
        f"Taken back:\n<corrections>\n- {edit_id}: The capital of Norland is Oslo.\n</corrections>"
    )
    assert nothing == "Nothing is kept about that."
    assert first.author == "agent"
    assert kept.edits(namespace="ann") == []
    assert kept.namespaces() == ["ann"]


async def test_a_correction_holds_in_the_next_conversation() -> None:
    kept = EditMemory(embedder=HashEmbedder())
    layers = [EditMiddleware(kept, gate="embedding")]
    script = calling(("correct", lambda _: {"statement": f"{EDIT}."}))
    await asked(create_agent(Provider(script=script), memory_tools(kept), middleware=layers), "No, it is Oslo.")
    seen = Provider()
    await asked(create_agent(seen, [], middleware=layers), EDIT)
    assert EDIT in seen.calls[0][1][0].text


def test_what_the_memory_refuses_comes_back_as_the_tools_error() -> None:
    correct, recall, retract = memory_tools(EditMemory(embedder=HashEmbedder()))
    assert [one.name for one in (correct, recall, retract)] == ["correct", "recall", "retract"]
    assert "user" in correct.description
    assert list(correct.args) == ["statement"]
    said = retract.invoke({"type": "tool_call", "id": "c1", "name": "retract", "args": {"edit_id": "beef"}})
    assert said.status == "error"
    assert "beef" in said.content
    assert "→" in correct.invoke({"statement": "  "})


def test_a_correction_says_what_was_known_and_what_it_may_contradict() -> None:
    kept = EditMemory(embedder=HashEmbedder())
    correct, *_ = memory_tools(kept)
    correct.invoke({"statement": "The CEO of Acme is Ann Lee."})
    (old,) = kept.edits()
    assert correct.invoke({"statement": "The CEO of Acme is Ann Lee."}) == f"Known already as {old.id}."
    said = correct.invoke({"statement": "The CEO of Acme is Carol Diaz."})
    assert said.endswith(f"may contradict it:\n<corrections>\n- {old.id}: The CEO of Acme is Ann Lee.\n</corrections>")


@pytest.mark.model
def test_a_correction_takes_the_place_of_an_older_one() -> None:
    kept = EditMemory()
    correct, *_ = memory_tools(kept)
    correct.invoke({"statement": "The CEO of Acme is Ann Lee."})
    (old,) = kept.edits()
    said = correct.invoke({"statement": "The CEO of Acme is Carol Diaz."})
    assert f"It replaces these, which no longer hold:\n<corrections>\n- {old.id}: " in said


def test_no_tool_tells_what_is_erased() -> None:
    kept = memory({"statement": "The code of the vault is XK-4471-B"}, FACT)
    kept.add(Erasure(subject="the vault", relation="code", object="XK-4471-B"))
    _, recall, _ = memory_tools(kept)
    assert "4471" not in recall.invoke({"message": "the code of the vault"})
    assert EDIT in recall.invoke({"message": ASKED})
    found = EditRetriever(kept, gate="embedding").invoke("The code of the vault is XK-4471-B")
    assert "4471" not in str(found)


# ---- the retriever --------------------------------------------------------------------------------------------------


async def test_the_retriever_gives_the_edits_in_scope() -> None:
    kept = memory({**FACT, "source": "the almanac"})
    kept.add({**FACT, "object": "Bergen", "statement": "The capital of Norland is Bergen"}, namespace="ann")
    retriever = EditRetriever(kept, gate=NamedGate())
    (document,) = retriever.invoke(ASKED)
    assert document.page_content == EDIT
    assert document.id == kept.edits()[0].id
    known = {"kind": "fact", "probability": 1.0, "role": "direct", "namespace": "default", "source": "the almanac"}
    assert known.items() <= document.metadata.items()
    assert retriever.invoke(OTHER) == []
    (other,) = await EditRetriever(kept, gate=NamedGate(), namespace=lambda: "ann").ainvoke(ASKED)
    assert other.page_content.endswith("Bergen")


def test_without_langchain_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "memedit.adapters.langchain.middleware")
    monkeypatch.setitem(sys.modules, "langchain.agents.middleware", None)
    with pytest.raises(MissingExtra, match=r"memedit\[langchain\]"):
        _ = memedit.adapters.langchain.EditMiddleware
    with pytest.raises(AttributeError, match="nothing"):
        _ = memedit.adapters.langchain.nothing


def test_a_number_of_documents_is_one() -> None:
    retriever = EditRetriever(memory(), gate=NamedGate())
    assert retriever.invoke(ASKED, k=0) == []
    with pytest.raises(RequestRejected, match="k is -1"):
        retriever.invoke(ASKED, k=-1)
    with pytest.raises(ValidationError, match="k"):
        EditRetriever(memory(), gate=NamedGate(), k=-1)


def test_the_retriever_in_a_chain() -> None:
    prompt = ChatPromptTemplate([("human", "{notes}\n{q}")])
    retriever = EditRetriever(memory(), gate=NamedGate())
    inner = Provider()
    chain = {"notes": (lambda given: given["q"]) | retriever, "q": lambda given: given["q"]} | prompt | inner
    assert EDIT in (chain | StrOutputParser()).invoke({"q": ASKED})


def test_arguments_that_do_not_fit_a_tool_are_said() -> None:
    tools = {one.name: one for one in memory_tools(memory(), gate=NamedGate())}
    for arguments in ({}, {"statement": 5}, {"statement": ["a"]}):
        assert tools["correct"].invoke(arguments) == "`correct` needs the argument `statement`, a text."


def test_what_a_retriever_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="namespce"):  # else it would give another namespace's edits
        EditRetriever(memory(), gate=NamedGate(), namespce="ann")
    with pytest.raises(RequestRejected, match="A dict cannot be looked up"):
        EditRetriever(memory(), gate=NamedGate()).invoke({"query": ASKED})  # type: ignore[arg-type]
