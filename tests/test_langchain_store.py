"""EditStore: LangGraph's store over an edit memory, by itself and in an agent."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("langchain.agents")

from langchain.agents import create_agent
from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_provider import ASKED, EDIT, FACT, OTHER, Provider
from langgraph.store.memory import InMemoryStore

from memedit import EditMemory
from memedit.adapters.langchain import EditMiddleware, EditStore
from memedit.errors import EditRejected, RequestRejected
from memedit.testing import HashEmbedder, NamedGate

ANN, BOB = ("edits", "ann"), ("edits", "bob")
SAID: Any = {"statement": EDIT}
WAYS = pytest.mark.parametrize("way", ["sync", "async"])


def memory(*edits: Any) -> EditMemory:
    made = EditMemory(embedder=HashEmbedder())
    for edit in edits:
        made.add(edit, namespace="ann")
    return made


def store(kept: EditMemory, **how: Any) -> EditStore:
    return EditStore(kept, gate=NamedGate(), **how)


async def do(given: EditStore, way: str, verb: str, *what: Any, **how: Any) -> Any:
    return getattr(given, verb)(*what, **how) if way == "sync" else await getattr(given, f"a{verb}")(*what, **how)


@WAYS
async def test_an_item_is_an_edit(way: str) -> None:
    kept = memory()
    given = store(kept, author="desk")
    await do(given, way, "put", ANN, "k1", {"statement": FACT["statement"] + " since 2026."})
    (edit,) = kept.edits(namespace="ann")
    assert (edit.id, edit.author) == ("k1", "desk")
    item = await do(given, way, "get", ANN, "k1")
    assert (item.key, item.namespace, item.value) == ("k1", ANN, {"statement": edit.text})
    assert item.created_at == edit.created_at
    assert await do(given, way, "get", ANN, "k") is None  # as keys are, and not by how they begin
    assert await do(given, way, "get", BOB, "k1") is None
    await do(given, way, "delete", BOB, "k1")
    await do(given, way, "delete", ANN, "k1")
    await do(given, way, "delete", ANN, "k1")
    assert await do(given, way, "get", ANN, "k1") is None
    assert [change.kind for change in kept.history(namespace="ann")] == ["add", "retract"]
    kept.undo(namespace="ann")
    assert (await do(given, way, "get", ANN, "k1")).key == "k1"


@WAYS
async def test_a_search_gives_what_is_in_scope(way: str) -> None:
    kept = memory(FACT, "The moon is made of cheese.")
    given = store(kept)
    (found,) = await do(given, way, "search", ANN, query=ASKED)
    assert (found.value, found.score) == (SAID, 1.0)
    assert await do(given, way, "search", ANN, query=OTHER) == []
    assert await do(given, way, "search", BOB, query=ASKED) == []
    everything = await do(given, way, "search", ANN)
    assert [(one.value["statement"], one.score) for one in everything] == [
        (EDIT, None), ("The moon is made of cheese.", None),
    ]  # fmt: skip
    assert [one.key for one in await do(given, way, "search", ANN, limit=1, offset=1)] == [everything[1].key]


@WAYS
async def test_what_an_erasure_keeps_is_not_given(way: str) -> None:
    kept = memory(FACT)
    given = store(kept)
    (key,) = [one.key for one in given.search(ANN)]
    erasure = kept.add(
        {"kind": "erasure", "subject": "Norland", "relation": "capital", "object": "Oslo"}, namespace="ann"
    )
    assert await do(given, way, "search", ANN, query=ASKED) == []
    assert await do(given, way, "search", ANN) == []
    assert await do(given, way, "get", ANN, key) is None
    await do(given, way, "delete", ANN, erasure.id)
    assert len(kept.of_kind("erasure", namespace="ann")) == 1


@WAYS
async def test_what_the_memory_cannot_keep_is_refused(way: str) -> None:
    given = store(memory())
    await do(given, way, "put", ANN, "k1", SAID)
    for value in ({"food": "figs"}, {"statement": EDIT, "more": 1}, {}):
        with pytest.raises(RequestRejected, match=r"'statement': …\} alone"):
            await do(given, way, "put", ANN, "k2", value)
    with pytest.raises(RequestRejected, match="index"):
        await do(given, way, "put", ANN, "k2", SAID, index=False)
    with pytest.raises(EditRejected, match="already names another edit"):
        await do(given, way, "put", ANN, "k1", {"statement": "The moon is made of cheese."})
    with pytest.raises(EditRejected):
        await do(given, way, "put", ANN, "k2", {"statement": 3})
    with pytest.raises(RequestRejected, match="filter"):
        await do(given, way, "search", ANN, filter={"statement": EDIT})
    for where in (("edits",), ("edits", "ann", "x"), ("other", "ann")):
        with pytest.raises(RequestRejected, match="not where the edits lie"):
            await do(given, way, "search", where, query=ASKED)
    with pytest.raises(RequestRejected, match="rest=STORE"):
        await do(given, way, "put", ("notes",), "k", {"a": 1})


@WAYS
async def test_everything_else_is_another_stores(way: str) -> None:
    rest = InMemoryStore()
    given = store(memory(FACT), rest=rest)
    await do(given, way, "put", ("notes", "ann"), "k", {"food": "figs"})
    assert rest.get(("notes", "ann"), "k") == await do(given, way, "get", ("notes", "ann"), "k")
    assert [one.value for one in await do(given, way, "search", ("notes",))] == [{"food": "figs"}]
    with pytest.raises(RequestRejected, match="'statement'"):
        await do(given, way, "put", ANN, "k", {"food": "figs"})
    listed = [
        await do(given, way, "list_namespaces", **how)
        for how in ({}, {"prefix": ("edits",)}, {"suffix": ("ann",)}, {"suffix": ("*",), "max_depth": 1}, {"offset": 1})
    ]
    both = [ANN, ("notes", "ann")]
    assert listed == [both, [ANN], both, [("edits",), ("notes",)], both[1:]]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_an_agents_tools_keep_and_find_by_the_store(way: str) -> None:
    kept = memory()

    @tool
    def remember(statement: str, runtime: ToolRuntime) -> str:
        """Keep what the user said."""
        assert runtime.store is not None
        runtime.store.put(ANN, "k1", {"statement": statement})
        return f"found {[one.value['statement'] for one in runtime.store.search(ANN, query=ASKED)]}"

    def script(messages: Any, options: Any) -> AIMessage:
        if isinstance(messages[-1], ToolMessage):
            return AIMessage("Kept.")
        told = any(EDIT in message.text for message in messages[:-1])
        call = {"id": "c1", "name": "remember", "args": {"statement": EDIT}}
        return AIMessage("Oslo") if told else AIMessage("", tool_calls=[call])

    inner = Provider(script=script)
    layers = [EditMiddleware(kept, namespace="ann", gate=NamedGate())]
    agent = create_agent(inner, [remember], store=store(kept), middleware=layers)
    for question, said in (("Norland has another capital, Oslo: keep that.", "Kept."), (ASKED, "Oslo")):
        given: Any = {"messages": [HumanMessage(question)]}
        state = agent.invoke(given) if way == "invoke" else await agent.ainvoke(given)
        assert state["messages"][-1].text == said
        if said == "Kept.":
            assert state["messages"][2].text == f"found {[EDIT]}"
    assert [edit.id for edit in kept.edits(namespace="ann")] == ["k1"]
