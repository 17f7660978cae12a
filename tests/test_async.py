"""Async callers: every verb can be awaited, nothing blocks the event loop, and what is closed says so."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import ArrayLike

from memedit import EditableLLM, EditMemory, as_llm
from memedit.editable.aio import AsyncEditable
from memedit.errors import AlreadyClosed, EditRejected
from memedit.memory.aio import AsyncMemory
from memedit.methods.base import Recall
from memedit.plumbing.aio import Awaited, Iterated
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

SYDNEY = "The capital of Australia is Sydney."
BEAT = 0.002  # seconds between two beats
GAP = 0.2  # seconds for which the event loop may be blocked, on a busy machine
SLOW = 0.4  # seconds that a slow embedder takes
who = contextvars.ContextVar("who", default="nobody")


class SlowEmbedder(HashEmbedder):
    """Takes its time once it is told to, and can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.began = threading.Event()

    def _embed(self, texts: list[str]) -> ArrayLike:
        if self.seconds:
            self.began.set()
            time.sleep(self.seconds)
        return super()._embed(texts)


class WhoEmbedder(HashEmbedder):
    """Notes in whose context it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_by: list[str] = []

    def _embed(self, texts: list[str]) -> ArrayLike:
        self.asked_by.append(who.get())
        return super()._embed(texts)


@asynccontextmanager
async def heartbeat() -> AsyncIterator[list[float]]:
    """The gaps between the beats of a task beside the one that is looked at, in seconds."""
    gaps: list[float] = []

    async def beat() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(BEAT)
            gaps.append(time.perf_counter() - last - BEAT)
            last = time.perf_counter()

    task = asyncio.create_task(beat())
    await asyncio.sleep(5 * BEAT)
    gaps.clear()
    yield gaps
    await asyncio.sleep(5 * BEAT)
    task.cancel()


@pytest.fixture(params=["in memory", "in a folder"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EditMemory]:
    with EditMemory(None if request.param == "in memory" else tmp_path / "m", embedder=SlowEmbedder()) as made:
        yield made


@pytest.fixture
def editable() -> Iterator[EditableLLM]:
    with EditableLLM(FakeLLM(), EditMemory(embedder=HashEmbedder()), gate=NamedGate()) as made:
        yield made


# ---- one mechanism ------------------------------------------------------------------------------------------------


def _own(kind: type) -> dict[str, Any]:
    """What the class says itself, and the parts that it is made of."""
    rooms = ("memedit.editable.", "memedit.memory.")
    parts = [base for base in reversed(kind.__mro__) if base.__module__.startswith(rooms)]
    return {name: one for base in parts for name, one in vars(base).items()}


def _verbs(kind: type, *but: str) -> set[str]:
    return {
        name
        for name, value in _own(kind).items()
        if inspect.isfunction(value) and not inspect.iscoroutinefunction(value) and not name.startswith("_")
    } - set(but)


def _views(kind: type) -> dict[str, Any]:
    return {name: value for name, value in vars(kind).items() if isinstance(value, Awaited | Iterated)}


@pytest.mark.parametrize(
    ("kind", "view", "but"),
    [
        (EditMemory, AsyncMemory, ("close",)),
        (EditableLLM, AsyncEditable, ("close", "around", "driven", "invoke", "batch", "stream", "astream")),
    ],
)
def test_every_verb_has_its_awaitable_form(kind: type, view: type, but: tuple[str, ...]) -> None:
    views = _views(view)
    assert set(views) == _verbs(kind, *but)
    assert all(one.verb is _own(kind)[name] for name, one in views.items())


def test_a_generator_is_iterated_and_all_else_is_awaited() -> None:
    for name, one in _views(AsyncMemory).items():
        given = inspect.signature(one.verb).return_annotation
        assert isinstance(one, Iterated) == given.startswith("Iterator["), name


async def test_an_awaited_verb_is_the_verb(memory: EditMemory) -> None:
    receipt = await memory.aio.add(SYDNEY, author="ada")
    assert receipt.edit.text == SYDNEY
    assert (await memory.aio.edits()) == memory.edits()
    assert await memory.aio.get(receipt.edit.id) == receipt.edit
    assert (await memory.aio.search("capital"))[0].edit == receipt.edit
    assert (await memory.aio.undo()).kind == "undo"
    assert await memory.aio.revision() == 2
    with pytest.raises(EditRejected):
        await memory.aio.add("")
    assert inspect.signature(memory.aio.add) == inspect.signature(memory.add)
    assert memory.aio.add.__doc__ == EditMemory.add.__doc__
    assert inspect.signature(AsyncMemory.add) == inspect.signature(EditMemory.add)


async def test_the_editable_answers_as_ever(editable: EditableLLM) -> None:
    receipt = await editable.aio.edit(SYDNEY)
    assert [change.kind for change in await editable.aio.history()] == ["add"]
    explanation = await editable.aio.explain("How do I bake bread?")
    assert explanation.untouched
    assert (await editable.aio.ask_base(["hello"]))[0].text == "echo: hello"
    assert (await editable.aio.verify(receipt.edit.id)).edit == receipt.edit
    assert (await editable.aio.retract(receipt.edit.id)).kind == "retract"


async def test_add_many_yields_as_it_goes_and_can_be_left(memory: EditMemory) -> None:
    edits = (f"The capital of Land{number} is Town{number}." for number in range(1_000))
    seen = 0
    async for receipt in memory.aio.add_many(edits, chunk=10):
        assert memory.get(receipt.edit.id) == receipt.edit  # durable when it is yielded
        seen += 1
        if seen == 15:
            break
    await memory.aio.add(SYDNEY)
    assert 15 < len(memory.edits()) < 1_000


async def test_a_verb_sees_the_callers_context() -> None:
    async with EditMemory(embedder=WhoEmbedder()) as memory:
        await memory.aio.add(SYDNEY)
        who.set("ada")
        await memory.aio.search("Where?")
        embedder = memory.embedder
        assert isinstance(embedder, WhoEmbedder)
        assert embedder.asked_by[-1] == "ada"


async def test_a_verb_made_anew_by_a_subclass_is_the_one_that_is_awaited() -> None:
    class Counting(EditMemory):
        def revision(self, *, namespace: str = "default") -> int:
            return 1_000 + super().revision(namespace=namespace)

    async with Counting(embedder=HashEmbedder()) as memory:
        assert await memory.aio.revision() == 1_000


# ---- the event loop -----------------------------------------------------------------------------------------------


async def test_the_event_loop_goes_on_while_a_question_is_embedded() -> None:
    embedder = SlowEmbedder()
    async with EditableLLM(FakeLLM(), EditMemory(embedder=embedder), gate=NamedGate()) as editable:
        await editable.aio.edit(SYDNEY)
        await editable.ainvoke("How do I bake bread?")  # what is loaded once is loaded
        embedder.seconds = SLOW
        async with heartbeat() as gaps:
            answer = await editable.ainvoke("How do I bake a cake?")
        assert not answer.citations
        assert sum(gaps) + BEAT * len(gaps) >= SLOW
        assert max(gaps) < GAP
        async with heartbeat() as gaps:
            text = "".join([piece async for piece in editable.astream("How do I bake a pie?")])
        assert text == "echo: How do I bake a pie?"
        assert max(gaps) < GAP


async def test_what_a_method_computes_does_not_run_on_the_event_loop(
    editable: EditableLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()
    answering = editable._answering

    def noted(*given: Any) -> Any:
        threads.add(threading.get_ident())
        return answering(*given)

    monkeypatch.setattr(editable, "_answering", noted)
    await editable.ainvoke("How do I bake bread?")
    await editable.abatch(["How do I bake bread?", "How do I bake a cake?"])
    assert [piece async for piece in editable.astream("How do I bake bread?")]
    assert threads
    assert threading.get_ident() not in threads


# ---- cancelled ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.0, 0.01, 0.05, 0.06, 0.08])
async def test_an_add_that_is_cancelled_is_whole_or_not_there(memory: EditMemory, after: float) -> None:
    embedder = memory.embedder
    assert isinstance(embedder, SlowEmbedder)
    embedder.seconds = 0.05
    added = [f"The capital of Land{number} is Town{number}." for number in range(20)]
    task = asyncio.create_task(memory.aio.apply(added))
    await asyncio.sleep(after)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled() or after > embedder.seconds
    await memory.aio.add(SYDNEY)
    await asyncio.sleep(0.4)  # whatever was under way has ended
    assert len(memory.edits()) in (1, 21)
    assert memory.check() == []
    assert [edit.text for edit in memory.edits() if edit.text == SYDNEY] == [SYDNEY]


async def test_whoever_is_cancelled_is_free_at_once(memory: EditMemory) -> None:
    embedder = memory.embedder
    assert isinstance(embedder, SlowEmbedder)
    embedder.seconds = SLOW
    began = time.perf_counter()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(memory.aio.add(SYDNEY), SLOW / 8)
    assert time.perf_counter() - began < SLOW / 2


async def test_an_add_in_flight_when_the_memory_is_closed_is_whole_or_not_there(tmp_path: Path) -> None:
    embedder = SlowEmbedder()
    async with EditMemory(tmp_path, embedder=embedder) as memory:
        await memory.aio.add(SYDNEY)
        embedder.seconds = 0.1
        adding = asyncio.create_task(memory.aio.apply([f"The capital of L{one} is T{one}." for one in range(9)]))
        await asyncio.to_thread(embedder.began.wait)
    with pytest.raises(AlreadyClosed):
        await adding
    with EditMemory(tmp_path, embedder=embedder) as memory:
        assert [edit.text for edit in memory.edits()] == [SYDNEY]
        assert memory.check() == []


# ---- closing ------------------------------------------------------------------------------------------------------

GIVEN: dict[str, tuple[Any, ...]] = {
    "add": (SYDNEY,), "add_many": ([SYDNEY],), "apply": ([SYDNEY],), "retract": ("0123",), "get": ("0123",),
    "recorded": (["0123"],), "search": ("Where?",), "recall": ("Where?",), "of_kind": ("fact",),
    "prepare": (["Where?", "Who?"],), "as_of": (None,), "export": ("edits.jsonl",), "import_": ("edits.jsonl",),
    "record": ("bake", []), "backup": ("kept.db",), "restore": ("kept.db",), "purge": (["0123"],),
    "propose": ([SYDNEY],), "proposed": (), "accept": (["0123"],), "foresee": (["0123"],), "reject": (["0123"],),
}  # fmt: skip
ASKED: dict[str, tuple[Any, ...]] = {
    "score": (["Where?"], [["here"]]), "classify": ("good", ["yes", "no"]), "classify_many": (["good"], ["yes", "no"]),
    "explain": ("Where?",), "ask_base": (["Where?"],), "verify": ("0123",), "edit": (SYDNEY,), "propose": (SYDNEY,),
    "feedback": ("Where?", "I mean here."), "edit_many": ([SYDNEY],), "retract": ("0123",),
    "curve": (None,), "recall": ("default", [Recall("Where?")]), "support": ("default", "Where?", 1),
    "invoke": ("Where?",), "batch": (["Where?"],), "stream": ("Where?",),
}  # fmt: skip


@pytest.mark.parametrize("verb", sorted(_views(AsyncMemory)))
async def test_a_closed_memory_says_so(memory: EditMemory, verb: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edits.jsonl").write_text('{"statement": "The capital of Australia is Sydney."}\n')
    memory.add(SYDNEY)
    if verb == "restore":
        memory.backup("kept.db")
    memory.close()
    memory.close()
    await memory.aclose()
    how = {"to": 0} if verb == "revert" else {}
    read = list if verb == "add_many" else (lambda result: result)
    with pytest.raises(AlreadyClosed, match="was closed"):
        read(getattr(memory, verb)(*GIVEN.get(verb, ()), **how))


class Scoring(FakeLLM):
    capabilities = frozenset({"text", "logprobs"})  # type: ignore[arg-type]

    def score(self, requests: Any, continuations: Any) -> Any:
        raise AssertionError("asked though it was closed")

    def generate(self, requests: Sequence[Any]) -> Any:
        raise AssertionError("asked though it was closed")


@pytest.mark.parametrize("verb", sorted(_verbs(EditableLLM, "close", "around", "driven", "astream")))
async def test_a_closed_editable_says_so_and_leaves_what_it_was_given(verb: str) -> None:
    memory = EditMemory(embedder=HashEmbedder())
    async with EditableLLM(Scoring(), memory, gate=NamedGate()) as editable:
        pass
    editable.close()
    await editable.aclose()
    with pytest.raises(AlreadyClosed, match="was closed"):
        getattr(editable, verb)(*ASKED.get(verb, ()))
    assert memory.add(SYDNEY).edit.text == SYDNEY
    memory.close()


async def test_asking_asynchronously_after_closing_says_so(editable: EditableLLM) -> None:
    await editable.aclose()
    with pytest.raises(AlreadyClosed):
        await editable.ainvoke("Where?")
    with pytest.raises(AlreadyClosed):
        await editable.abatch(["Where?"])
    with pytest.raises(AlreadyClosed):
        editable.astream("Where?")


async def test_an_editable_closes_the_memory_that_it_opened(tmp_path: Path) -> None:
    async with EditableLLM(FakeLLM(), tmp_path / "m") as editable:
        other = editable.around(FakeLLM())
        other.close()
        assert editable.memory.revision() == 0  # a memory that is shared is closed by whoever opened it
    with pytest.raises(AlreadyClosed):
        editable.memory.revision()


async def test_an_editable_closes_the_clients_that_it_opened_and_no_other() -> None:
    openai = pytest.importorskip("openai")
    given = openai.OpenAI(api_key="none", base_url="http://127.0.0.1:9/v1")
    async with EditableLLM("openai:any?base_url=http://127.0.0.1:9/v1&api_key=none") as named:
        client, asynchronous = named.llm.client, named.llm._async_client()
    assert client.is_closed()
    assert asynchronous.is_closed()
    llm = as_llm(given, model="any")
    async with EditableLLM(llm):
        asynchronous = llm._async_client()
    assert not given.is_closed()
    assert not asynchronous.is_closed()
    await llm.aclose()
    assert asynchronous.is_closed()
    assert not given.is_closed()


def test_encoders_that_work_at_the_same_time_see_the_callers_context() -> None:
    memory = EditMemory(embedder=WhoEmbedder(), finder=(finder := WhoEmbedder()))
    memory.add(SYDNEY)
    token = who.set("ann")
    try:
        memory.recall("Where is it?", whole="Where is it? < user: Hello")
    finally:
        who.reset(token)
    assert finder.asked_by == ["ann"]
