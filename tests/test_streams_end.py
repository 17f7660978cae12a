"""Streams that are closed early, by whomever and however, let the model end; nothing goes on in secret."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from memedit import EditableLLM, EditMemory
from memedit.editable.streaming import AnswerStream
from memedit.llms import as_llm
from memedit.messages import as_request
from memedit.testing import HashEmbedder, NamedGate

if TYPE_CHECKING:
    from memedit.adapters.causal import LocalLLM

AHEAD = 2_000  # tokens, of which a busy core writes some thirty a second
PROMISED = 1.0  # seconds


def _close(stream: AnswerStream) -> None:
    pieces = iter(stream)
    next(pieces)
    stream.close()


def _leave_with(stream: AnswerStream) -> None:
    with stream as pieces:
        for _ in pieces:
            return


def _break(stream: AnswerStream) -> None:
    for _ in stream:
        break


def _raise(stream: AnswerStream) -> None:
    def read() -> None:
        for _ in stream:
            raise KeyError

    with pytest.raises(KeyError):
        read()


def _cancel(stream: AnswerStream) -> None:
    async def read() -> None:
        async for _ in stream:
            started.set()

    async def run() -> None:
        task = asyncio.create_task(read())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = asyncio.Event()
    asyncio.run(run())


def _aclose(stream: AnswerStream) -> None:
    async def run() -> None:
        async with stream:
            async for _ in stream:
                return

    asyncio.run(run())


ENDINGS: list[Callable[[AnswerStream], None]] = [_close, _leave_with, _break, _raise, _cancel, _aclose]


@pytest.fixture
def editable(smollm: LocalLLM) -> EditableLLM:
    return EditableLLM(smollm, EditMemory(embedder=HashEmbedder()), gate=NamedGate())


@pytest.mark.model
@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__.strip("_"))
def test_the_next_request_starts_within_a_second(
    smollm: LocalLLM, editable: EditableLLM, monkeypatch: pytest.MonkeyPatch, end: Callable[[AnswerStream], None]
) -> None:
    # Nothing ends the first text before its time.
    end(editable.stream("Count.", max_tokens=AHEAD, min_new_tokens=AHEAD))
    closed = time.perf_counter()
    started: list[float] = []
    real = smollm.model.generate
    monkeypatch.setattr(smollm.model, "generate", lambda **how: started.append(time.perf_counter()) or real(**how))
    editable.invoke("Hi", max_tokens=1)
    assert started[0] - closed < PROMISED


@pytest.mark.model
def test_a_cancelled_call_ends_too(smollm: LocalLLM, editable: EditableLLM) -> None:
    async def run() -> float:
        task = asyncio.create_task(editable.ainvoke("Count.", max_tokens=AHEAD, min_new_tokens=AHEAD))
        while not smollm.lock.locked():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled = time.perf_counter()
        while smollm.lock.locked():
            await asyncio.sleep(0.01)
        return time.perf_counter() - cancelled

    assert asyncio.run(run()) < PROMISED


@pytest.mark.model
def test_a_call_that_was_cancelled_while_it_waited_never_begins(
    smollm: LocalLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(smollm.model, "generate", lambda **how: asked.append(how))

    async def run() -> None:
        with smollm.lock:
            task = asyncio.create_task(smollm.agenerate([as_request("Hi", {"max_tokens": 2})]))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())  # which waits for its threads
    assert not asked


@pytest.mark.model
def test_a_stream_says_how_it_ended_and_what_it_took(smollm: LocalLLM, editable: EditableLLM) -> None:
    stream = editable.stream("Count from one to a hundred.", max_tokens=5)
    text = "".join(stream)
    assert stream.answer is not None
    whole = editable.invoke("Count from one to a hundred.", max_tokens=5)
    assert text == whole.text
    assert stream.answer.reply.finish_reason == whole.reply.finish_reason == "length"
    assert stream.answer.reply.usage == whole.reply.usage
    assert stream.answer.trace.usage == whole.trace.usage == whole.reply.usage


def test_generators_of_functions_are_closed() -> None:
    ended: list[str] = []

    def pieces(text: str) -> Iterator[str]:
        try:
            yield from iter(lambda: "a", None)
        finally:
            ended.append("sync")

    async def apieces(text: str) -> AsyncIterator[str]:
        try:
            while True:
                yield "a"
        finally:
            ended.append("async")

    async def leave(function: Any) -> None:
        async with aclosing(as_llm(function).astream(as_request("Hi"))) as given:  # type: ignore[type-var]
            async for _ in given:
                break

    for _ in EditableLLM(pieces, EditMemory(embedder=HashEmbedder()), gate=NamedGate()).stream("Hi"):
        break
    asyncio.run(leave(apieces))
    asyncio.run(leave(pieces))
    assert ended == ["sync", "async", "sync"]


def test_a_cancelled_reader_does_not_wait_for_a_slow_function() -> None:
    free, ended = threading.Event(), threading.Event()

    def slow(text: str) -> Iterator[str]:
        try:
            yield "a"
            free.wait(20)
            yield "b"
        finally:
            ended.set()

    async def run() -> float:
        async def read() -> None:
            async for _ in as_llm(slow).astream(as_request("Hi")):
                begun.set()

        begun = asyncio.Event()
        task = asyncio.create_task(read())
        await begun.wait()
        await asyncio.sleep(0.05)
        began = time.perf_counter()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        took = time.perf_counter() - began
        free.set()
        return took

    assert asyncio.run(run()) < PROMISED
    assert ended.wait(5)
