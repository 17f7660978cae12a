"""Blocking code for callers that are async, and async code for callers that are not; both see the caller's context."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any, TypeVar

Pieces = TypeVar("Pieces")
Result = TypeVar("Result")
BESIDE = 32  # calls that are made beside their callers at most; further ones wait


async def in_thread(iterate: Callable[[], Iterable[Any]]) -> AsyncIterator[Any]:
    """The items of a blocking iterable, each fetched off the event loop, all in one copy of the caller's context.

    Where they are not read to the end, the iterable is closed once it has given the item that is under way.
    """
    end, context, free = object(), contextvars.copy_context(), threading.Lock()

    def run(function: Callable[..., Any], *given: Any) -> Any:
        with free:
            return context.run(function, *given)

    iterator = iter(await asyncio.to_thread(run, iterate))
    try:
        while (item := await asyncio.to_thread(run, next, iterator, end)) is not end:
            yield item
    finally:
        if close := getattr(iterator, "close", None):
            # Not waited for: whoever cancels is free at once.
            asyncio.get_running_loop().run_in_executor(None, run, close)


def together(first: Callable[[], Result], second: Callable[[], Result], *rest: Callable[[], Result]) -> list[Result]:
    """What blocking calls give that are made at the same time, the first on the caller's own thread; all end first."""
    pool = kept_pool("memedit-beside", BESIDE)
    given = [pool.submit(contextvars.copy_context().run, call) for call in (second, *rest)]
    try:
        return [first(), *(one.result() for one in given)]
    finally:
        wait(given)


def kept_pool(name: str, threads: int) -> ThreadPoolExecutor:
    """The process's pool of this name: on a busy machine to begin a thread takes longer than what is done in it.

    What runs in a pool must not wait for the same pool.
    """
    return _pool(name, threads, os.getpid())  # no thread survives a fork


@cache
def _pool(name: str, threads: int, process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, name)


def run_sync(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine for a caller that is not async, also from inside a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    outcome: list[Any] = []
    context = contextvars.copy_context()

    def run() -> None:
        try:
            outcome.append((context.run(asyncio.run, coroutine), None))
        except BaseException as error:  # handed to the caller's thread
            outcome.append((None, error))

    thread = threading.Thread(target=run, name="memedit-async")
    thread.start()
    thread.join()
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


@contextmanager
def closed_after(pieces: Pieces) -> Iterator[Pieces]:
    """Pieces that are closed when they are left, where they can be: nothing is made that nobody waits for."""
    try:
        yield pieces
    finally:
        if close := getattr(pieces, "close", None):
            close()


@asynccontextmanager
async def aclosed_after(pieces: Pieces) -> AsyncIterator[Pieces]:
    """As `closed_after`, for pieces that come asynchronously."""
    try:
        yield pieces
    finally:
        if close := getattr(pieces, "aclose", None):
            await close()
