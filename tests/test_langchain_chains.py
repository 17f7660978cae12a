"""An EditableLLM in LangChain's chains: it streams, and keeps the type of what it wraps; and the page of the docs."""

from __future__ import annotations

import re
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import FakeListChatModel, FakeListLLM, FakeStreamingListLLM
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda
from langchain_core.tools import tool
from langchain_provider import ASKED, EDIT, OTHER, Provider, editable

from memedit import EditableLLM, EditMemory
from memedit.adapters.langchain import EditableChatModel, as_step
from memedit.errors import MemeditError, RequestRejected, UnsupportedModel
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

PAGE = (Path(__file__).parent.parent / "docs/langchain.md").read_text(encoding="utf-8")


@tool
def look(place: str) -> str:
    """Look a place up."""
    return place


PROMPT = ChatPromptTemplate([("system", "Be brief."), ("human", "{q}")])


async def test_in_a_chain_it_streams_and_keeps_messages() -> None:
    chain = PROMPT | editable(Provider()) | StrOutputParser()
    assert len(list(chain.stream({"q": ASKED}))) > 5
    assert len([piece async for piece in chain.astream({"q": ASKED})]) > 5
    (both,) = (PROMPT | {"a": editable(Provider()), "b": editable(Provider())}).batch([{"q": ASKED}])
    assert all(isinstance(one, AIMessage) and EDIT in one.content for one in both.values())


def test_in_a_chain_callbacks_see_the_model() -> None:
    began: list[str] = []

    class Handler(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            began.append(serialized["name"])

    (PROMPT | editable(Provider())).invoke({"q": ASKED}, config={"callbacks": [Handler()]})
    assert began == ["Provider"]


async def test_in_a_chain_async_stays_async() -> None:
    inner = Provider()
    await (PROMPT | editable(inner)).ainvoke({"q": ASKED})
    assert [way for way, _, _ in inner.calls] == ["agenerate"]


@pytest.mark.parametrize(
    "build",
    [
        lambda model: model.bind_tools([look]),
        lambda model: model.bind_tools([look]).with_retry(),
        lambda model: model.bind_tools([look]).with_fallbacks([model]),
        lambda model: PROMPT | model.bind_tools([look]),
        lambda model: model.configurable_fields(temperature=ConfigurableField("t")).bind(
            tools=model.bind_tools([look]).kwargs["tools"]
        ),
    ],
    ids=["tools", "retry", "fallbacks", "chain", "configurable"],
)
async def test_what_was_built_around_a_chat_model_keeps_its_tool_calls(build: Any) -> None:
    inner = Provider()
    built = build(inner)
    given = {"q": ASKED} if "prompt" in repr(built).casefold() else ASKED
    chain = RunnableLambda(lambda given: given) | editable(built)
    for answer in (chain.invoke(given), await chain.ainvoke(given), reduce(add, chain.stream(given))):
        assert answer.tool_calls[0]["name"] == "look"
        assert answer.response_metadata["memedit"]["edits"]
    assert len(inner.calls) >= 2


def test_configurable_models_are_made_when_called(monkeypatch: pytest.MonkeyPatch) -> None:
    base = pytest.importorskip("langchain.chat_models.base")
    made: list[Any] = []
    monkeypatch.setattr(base, "_init_chat_model_helper", lambda **given: made.append(given) or Provider())
    model = base.init_chat_model(configurable_fields=("model",)).bind_tools([look])
    chain = PROMPT | editable(model)
    answer = chain.invoke({"q": ASKED}, config={"configurable": {"model": "m"}})
    assert made == [{"model": "m"}]
    assert answer.tool_calls[0]["name"] == "look"
    assert answer.response_metadata["memedit"]["edits"]


async def test_what_gives_text_goes_on_giving_text() -> None:
    text = EditableLLM(FakeLLM(), EditMemory(embedder=HashEmbedder()), gate=NamedGate())
    for model in (text, editable(FakeStreamingListLLM(responses=["echo: it"]))):
        chain = RunnableLambda(lambda given: given) | model
        assert chain.invoke(OTHER).startswith("echo: ")
        assert (await chain.ainvoke(OTHER)).startswith("echo: ")
        assert len(list(chain.stream(OTHER))) > 1
        assert len([piece async for piece in chain.astream(OTHER)]) > 1


def test_as_a_plain_function_it_still_gives_text() -> None:
    assert editable(FakeListChatModel(responses=["one"]))(OTHER) == "one"
    assert isinstance(as_step(editable(Provider())), EditableChatModel)


def test_another_namespace_for_one_call() -> None:
    model = EditableChatModel(editable(Provider()))
    assert EDIT not in model.invoke(ASKED, namespace="other").content
    assert EDIT not in model.bind(namespace="other").invoke(ASKED).content
    assert model.inner.calls[0][2] == {}
    with pytest.raises(MemeditError, match="namespace"):
        model.invoke(ASKED, namespace="")


def test_what_is_no_chat_model_is_refused() -> None:
    for source in (FakeLLM(), FakeListLLM(responses=["a"])):
        with pytest.raises(UnsupportedModel, match="no chat model"):
            EditableChatModel(source)
    with pytest.raises(RequestRejected, match="already"):
        EditableChatModel(editable(Provider()), namespace="other")


@pytest.mark.model
def test_every_block_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("langchain.agents")
    given: dict[str, Any] = {"__name__": "__main__", "chat_model": Provider(script=_answer)}
    for code in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        exec(compile(code, "docs/langchain.md", "exec"), given)
    answers, history, document, stored = capsys.readouterr().out.splitlines()
    assert answers.startswith("Carol Diaz{'namespace': 'acme', 'revision': 1, 'edits': [{'id': '")
    assert history == "[]"
    for told in (document, stored):
        assert told.startswith("The CEO of Tallis Robotics is Carol Diaz")


def _answer(messages: Any, options: Any) -> AIMessage:
    return AIMessage("Carol Diaz" if "Carol Diaz" in str(messages) else "Bob Ray")
