"""The parameters that memedit sets itself, as a hosted model takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("openai")

import openai
from openai import AsyncOpenAI, OpenAI
from test_wire import FACT, IN, holding, refusing
from wire_server import WireServer, running

from memedit import EditableLLM, Fact
from memedit.adapters.wire.parameters import Parameters
from memedit.gate.asking import AskingGate
from memedit.llms import as_llm
from memedit.messages import Message, Request
from memedit.testing import NamedGate

LIMITED = Request((Message("user", "hi"),), {"seed": 3}).limited(5)
NEWER, OLDER = "max_completion_tokens", "max_tokens"


@pytest.fixture
def server() -> Iterator[WireServer]:
    yield from running()


@pytest.fixture(params=[OpenAI, AsyncOpenAI])
def client(request: Any, server: WireServer) -> Any:
    return request.param(base_url=server.url, api_key="k", max_retries=0)


def limits(server: WireServer) -> list[dict[str, int]]:
    return [{name: body[name] for name in (NEWER, OLDER) if name in body} for body in server.bodies]


async def test_its_own_limit_has_the_newer_name_and_the_callers_its_own(server: WireServer, client: Any) -> None:
    model = as_llm(client, model="m")
    model.generate([LIMITED])
    await model.agenerate([LIMITED])
    llm = EditableLLM(model, holding(FACT), gate=NamedGate())
    for question in (IN, "hi"):
        llm.invoke(question, max_tokens=7)
        llm.invoke(question, max_completion_tokens=7)
        llm.invoke(question)
    assert limits(server) == [{NEWER: 5}, {NEWER: 5}, *[{OLDER: 7}, {NEWER: 7}, {}] * 2]


async def test_the_other_name_is_tried_and_remembered_for_the_model(server: WireServer, client: Any) -> None:
    server.script = lambda body: refusing(OLDER)(body) if body["model"] == "new" else refusing(NEWER)(body)
    model = as_llm(client, model="new")
    llm = EditableLLM(model, holding())
    assert llm.invoke("hi", max_tokens=7).text
    assert (await llm.ainvoke("hi", max_tokens=7)).text
    assert list(llm.stream("hi", max_tokens=7))
    assert [piece async for piece in llm.astream("hi", max_tokens=7)]
    assert limits(server) == [{OLDER: 7}, *[{NEWER: 7}] * 4]
    server.seen.clear()
    old = Request(LIMITED.messages, {**LIMITED.options, "model": "old"}, own=LIMITED.own)
    for _ in range(2):
        assert (await model.agenerate([old]))[0].text
        assert model.generate([LIMITED])[0].text
    assert limits(server) == [{NEWER: 5}, {OLDER: 5}, {NEWER: 5}, {OLDER: 5}, {NEWER: 5}]


def test_a_server_that_passes_the_newer_name_over_is_noticed(server: WireServer, client: Any) -> None:
    model = as_llm(client, model="m")
    short = LIMITED.limited(2)  # the server answers with three
    model.generate([short])
    model.generate([short])
    assert limits(server) == [{NEWER: 2}, {OLDER: 2}]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "max_completion_tokens is too large: 5"),
        (400, "Unsupported parameter: 'seed'"),
        (429, "max_completion_tokens not supported"),
    ],
)
def test_other_errors_are_the_callers(server: WireServer, client: Any, status: int, said: str) -> None:
    server.fails_once(status, {"error": {"message": said}})
    with pytest.raises(openai.APIStatusError, match=said.split(":")[0]):
        as_llm(client, model="m").generate([LIMITED])
    assert len(server.seen) == 1


def test_what_the_caller_set_is_never_left_out(server: WireServer, client: Any) -> None:
    server.script = refusing(NEWER, OLDER, "stop")
    llm = EditableLLM(as_llm(client, model="m"), holding())
    with pytest.raises(openai.BadRequestError, match="max_tokens"):
        llm.invoke("hi", max_tokens=7)
    with pytest.raises(openai.BadRequestError, match="stop"):
        llm.invoke("hi", stop=["."])
    server.seen.clear()
    assert as_llm(client, model="m").generate([LIMITED])[0].text
    assert limits(server) == [{NEWER: 5}, {OLDER: 5}, {}]


def test_a_stop_that_is_left_out_is_kept_to_all_the_same(server: WireServer, client: Any) -> None:
    server.script = refusing("stop")
    asked = Request((Message("user", "hi"),)).raw("hi", stop=[" knows"])
    assert as_llm(client, model="m").generate([asked])[0].text == "nobody"
    assert [set(body) - {"model", "messages"} for body in server.bodies] == [{"stop"}, set()]


def test_options_of_the_model_go_before_all_others(server: WireServer) -> None:
    given = {"max_completion_tokens": 2000, "stop": None, "temperature": 1}
    model = as_llm("openai:m", base_url=server.url, options=given)
    model.generate([LIMITED.raw("hi", stop=["x"])])
    EditableLLM(model, holding()).invoke("hi", temperature=0, max_tokens=3, top_p=0.5)
    sent = [
        {name: value for name, value in body.items() if name not in ("model", "messages")} for body in server.bodies
    ]
    assert sent == [
        {"seed": 3, "max_completion_tokens": 2000, "temperature": 1},
        {"top_p": 0.5, "max_completion_tokens": 2000, "temperature": 1},
    ]


@pytest.mark.parametrize("refused", [(NEWER,), (OLDER,), (OLDER, "stop")])
def test_whatever_memedit_asks_of_a_hosted_model_is_answered(server: WireServer, refused: tuple[str, ...]) -> None:
    server.script = refusing(*refused)
    model = as_llm("openai:m", base_url=server.url, max_retries=0)
    llm = EditableLLM(model, holding(FACT), gate=NamedGate(), doubt="ask")
    (edit,) = llm.memory.edits()
    assert llm.verify(edit).checks
    assert not llm.propose("Marie Dupont, who had studied in Lyon, founded Volta Labs in 1990.").facts
    llm.invoke("What is the currency of the country whose capital is the capital of Norland?")
    mello = EditableLLM(model, holding(FACT), gate=NamedGate(), method="mello")
    assert mello.invoke(IN).text
    gate = AskingGate(model)
    EditableLLM(model, holding(Fact(EDIT_TOO)), gate=gate).invoke(IN)
    assert len(server.seen) > 10


EDIT_TOO = "The capital of Norland is Oslo"


def test_limits_by_another_name() -> None:
    responses = Parameters(("max_output_tokens",), None)
    given = {"max_output_tokens": 900, "max_tokens": 5, "stop": ["x"], "seed": 3}
    assert responses.fitted("m", given, frozenset({"max_tokens", "stop"})) == {"max_output_tokens": 5, "seed": 3}
    assert responses.fitted("m", {"max_output_tokens": 900}, frozenset()) == {"max_output_tokens": 900}
