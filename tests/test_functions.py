"""Plain functions as models: what they see, how they are called, how many at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from memedit import Answer, EditableLLM, EditMemory
from memedit.errors import RequestRejected, UnsupportedModel
from memedit.llms import as_llm
from memedit.messages import Reply, as_request
from memedit.methods.base import Generate, Method, Ready, Run, Steps, Task
from memedit.testing import HashEmbedder, NamedGate

CALLER: ContextVar[str] = ContextVar("caller", default="nobody")


def plain(text: str) -> str:
    return CALLER.get()


def pieces(text: str) -> Iterator[str]:
    token = CALLER.set(f"{CALLER.get()}!")  # in one context, or its reset fails
    yield CALLER.get()
    yield " again"
    CALLER.reset(token)


async def later(text: str) -> str:
    await asyncio.sleep(0)
    return CALLER.get()


async def pieces_later(text: str) -> AsyncIterator[str]:
    yield CALLER.get()


FUNCTIONS = {plain: "ann", pieces: "ann! again", later: "ann", pieces_later: "ann"}


def editable(model: Any, **how: Any) -> EditableLLM:
    return EditableLLM(model, EditMemory(embedder=HashEmbedder()), gate=NamedGate(), **how)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
async def test_a_function_sees_the_context_variables_of_whoever_asks(function: Any) -> None:
    CALLER.set("ann")
    llm, said = editable(function), FUNCTIONS[function]
    assert (await llm.ainvoke("Hi")).text == said
    assert [answer.text for answer in await llm.abatch(["Hi", "Ho"])] == [said, said]
    assert "".join([piece async for piece in llm.astream("Hi")]) == said
    assert llm.invoke("Hi").text == said  # from inside a running loop
    assert "".join(llm.stream("Hi")) == said


async def test_tasks_keep_their_contexts_apart() -> None:
    async def ask(name: str) -> str:
        CALLER.set(name)
        return (await llm.ainvoke("Hi")).text

    llm = editable(plain)
    assert await asyncio.gather(ask("ann"), ask("bob")) == ["ann", "bob"]


# ---- keywords -------------------------------------------------------------------------------------------------------


def prompt_alone(*, prompt: str) -> str:
    return f"got {prompt}"


def with_options(*, prompt: str = "", temperature: float = 0.0) -> str:
    return f"got {prompt} at {temperature}"


def messages_alone(*, messages: list[dict[str, Any]], **options: Any) -> str:
    return f"got {messages[0]['content']} {options}".replace(" {}", "")


@pytest.mark.parametrize("function", [prompt_alone, messages_alone])
def test_what_is_asked_is_given_by_name(function: Any) -> None:
    assert editable(function).invoke("Hi").text == "got Hi"


def test_options_are_given_by_name_or_refused_by_name() -> None:
    assert editable(with_options).invoke("Hi", temperature=0.5).text == "got Hi at 0.5"
    assert editable(messages_alone).invoke("Hi", max_tokens=3).text == "got Hi {'max_tokens': 3}"
    with pytest.raises(RequestRejected, match=r"no option `top_p`\.\n.*use temperature"):
        editable(with_options).invoke("Hi", top_p=0.5)
    # What memedit asks for itself it can do without.
    assert as_llm(with_options).generate([as_request("Hi").limited(3)])[0].text == "got Hi at 0.0"


@pytest.mark.parametrize(
    "function", [lambda *, a, b: "", lambda *, temperature=1.0: "", lambda **options: "", lambda: ""]
)
def test_keywords_that_do_not_say_what_is_asked_are_refused(function: Any) -> None:
    with pytest.raises(UnsupportedModel, match="takes only keywords"):
        as_llm(function)


# ---- one at a time --------------------------------------------------------------------------------------------------


class Busy:
    """Counts how many calls were under way at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self.now -= 1


@pytest.mark.parametrize("kind", ["sync", "pieces", "async"])
@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (None, 4)])
async def test_a_sequential_function_is_called_one_at_a_time(kind: str, concurrency: int | None, most: int) -> None:
    busy = Busy()

    def sync(text: str) -> str:
        with busy:
            time.sleep(0.1)
        return text

    def in_pieces(text: str) -> Iterator[str]:
        with busy:
            yield text
            time.sleep(0.1)

    async def asynchronous(text: str) -> str:
        with busy:
            await asyncio.sleep(0.1)
        return text

    function = {"sync": sync, "pieces": in_pieces, "async": asynchronous}[kind]
    llm = editable(as_llm(function, concurrency=concurrency))
    asked = ["a", "b", "c", "d"]
    if concurrency:
        threads = [threading.Thread(target=llm.invoke, args=("Hi",)) for _ in range(2)]
        for thread in threads:
            thread.start()
    assert [answer.text for answer in await llm.abatch(asked)] == asked
    assert "".join([piece async for piece in llm.astream("e")]) == "e"
    assert busy.most == most
    if concurrency:
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert busy.most == 1


async def test_a_cancelled_call_keeps_no_turn() -> None:
    async def slow(text: str) -> str:
        await asyncio.sleep(30 if text == "slow" else 0)
        return text

    llm = as_llm(slow, concurrency=1)
    tasks = [asyncio.create_task(llm.agenerate([as_request("slow")])) for _ in range(2)]
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    assert (await asyncio.wait_for(llm.agenerate([as_request("Hi")]), 5))[0].text == "Hi"


# ---- batches that fail in part --------------------------------------------------------------------------------------


def fails_at_b(text: str) -> Reply:
    if text == "b":
        raise OSError("down")
    return Reply(f"said {text}", usage={"input": len(text), "output": 2})


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_batch_keeps_exceptions_in_their_places(asynchronous: bool) -> None:
    llm, asked = editable(fails_at_b), ["a", "b", 17, "c"]
    answers: list[Any] = (
        await llm.abatch(asked, return_exceptions=True) if asynchronous else llm.batch(asked, return_exceptions=True)
    )
    assert [str(answers[place]) for place in (0, 3)] == ["said a", "said c"]
    assert isinstance(answers[1], OSError)
    assert isinstance(answers[2], RequestRejected)
    assert all(len(answers[place].trace.calls) == 1 for place in (0, 3))
    with pytest.raises((OSError, RequestRejected)):
        _ = await llm.abatch(["a", "b"]) if asynchronous else llm.batch(["a", "b"])
    with pytest.raises(RequestRejected):
        llm.batch(["a", 17])


def test_what_a_method_raises_is_kept_too() -> None:
    def run(task: Task) -> Steps:
        if "b" in task.request.text:
            raise ValueError("not that")
        reply = yield Generate(task.request)
        return Ready(reply, ())

    llm = editable(fails_at_b, method=_always(run))
    answers: list[Any] = llm.batch(["a", "b"], return_exceptions=True)
    assert (str(answers[0]), str(answers[1])) == ("said a", "not that")


def test_an_interrupt_is_never_kept() -> None:
    def interrupted(text: str) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        editable(interrupted).batch(["a"], return_exceptions=True)


# ---- usage ----------------------------------------------------------------------------------------------------------


def test_the_trace_sums_the_tokens_of_all_calls() -> None:
    def run(task: Task) -> Steps:
        yield Generate(task.request)
        reply = yield Generate(task.request)
        return Ready(reply, ())

    answer: Answer = editable(fails_at_b, method=_always(run)).invoke("hello")
    assert answer.reply.usage == {"input": 5, "output": 2}
    assert answer.trace.usage == answer.trace.to_dict()["usage"] == {"input": 10, "output": 4}
    assert [call["usage"] for call in answer.trace.to_dict()["calls"]] == [{"input": 5, "output": 2}] * 2
    assert editable(plain).invoke("Hi").trace.usage == {}


def _always(run: Run) -> Method:
    return Method("twice", run, paper="", always=True)
