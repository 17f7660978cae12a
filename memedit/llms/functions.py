"""Plain functions as language models."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from memedit.errors import RequestRejected, UnsupportedModel
from memedit.llms.port import LLM
from memedit.llms.replies import as_reply, join
from memedit.messages import Reply, Request
from memedit.plumbing.threads import aclosed_after, in_thread, run_sync

Takes = Literal["text", "messages"]
PROMPTS = ("prompt", "text", "messages", "input", "question", "query")
"""Names under which a function that takes only keywords is given what is asked."""
POLL = 0.005  # seconds


class FunctionLLM(LLM):
    """A plain function, sync or async, from text or from chat messages to text, or to pieces of text.

    It sees the context variables of whoever asks. Options are given to it where it takes keywords; one that takes none
    is asked without.

    Args:
        function: The function. It is given text when its first parameter is annotated `str`, a list of chat messages
            when it is annotated as a list or sequence, and otherwise the form the caller used. One that takes only
            keywords is given it by name (`PROMPTS`).
        takes: `text` or `messages`, to say so instead.
        name: Shown in traces.
        concurrency: Calls that may be under way at a time, from all threads and tasks; 1 for a function that cannot be
            called twice at once. A stream then comes when the call has ended. Any number when left out.

    Raises:
        UnsupportedModel: It takes only keywords, and none of them is what is asked.
    """

    def __init__(
        self, function: Callable[..., Any], *, takes: Takes | None = None, name: str | None = None,
        concurrency: int | None = None,
    ) -> None:  # fmt: skip
        self.name = name or f"function {getattr(function, '__name__', type(function).__name__)}"
        self._function = function
        self._called = _read_signature(function, self.name)
        self._takes = takes or self._called.takes
        self._is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        self._free = None if concurrency is None else threading.BoundedSemaphore(concurrency)

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        return [join(list(self.stream(request))) for request in requests]

    def stream(self, request: Request) -> Iterator[Reply]:
        if self._free is None:
            yield from self._pieces(request)
            return
        with self._free:
            pieces = list(self._pieces(request))
        yield from pieces

    async def agenerate(self, requests: Sequence[Request]) -> list[Reply]:
        async def one(request: Request) -> Reply:
            return join([piece async for piece in self.astream(request)])

        return list(await asyncio.gather(*(one(request) for request in requests)))

    async def astream(self, request: Request) -> AsyncIterator[Reply]:
        if self._free is None:
            async with aclosed_after(self._apieces(request)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        if self._is_async:
            # Waiting in a thread could not be cancelled, and would keep what it waited for.
            while not self._free.acquire(blocking=False):
                await asyncio.sleep(POLL)
            try:
                whole = [piece async for piece in self._apieces(request)]
            finally:
                self._free.release()
        else:
            whole = await asyncio.to_thread(list, self.stream(request))
        for piece in whole:
            yield piece

    def _pieces(self, request: Request) -> Iterator[Reply]:
        result = self._call(request)
        if inspect.isawaitable(result):
            result = run_sync(_awaited(result))
        if isinstance(result, AsyncIterator):
            result = run_sync(_collected(result))
        yield from (as_reply(piece) for piece in _several(result))

    async def _apieces(self, request: Request) -> AsyncIterator[Reply]:
        result = self._call(request) if self._is_async else await asyncio.to_thread(self._call, request)
        if inspect.isawaitable(result):
            result = await result
        pieces = result if isinstance(result, AsyncIterator) else in_thread(lambda: _several(result))
        async with aclosed_after(pieces):
            async for piece in pieces:
                yield as_reply(piece)

    def _call(self, request: Request) -> Any:
        options, takes = self._options(request), self._takes or ("messages" if request.form == "messages" else "text")
        if takes == "text":
            asked: Any = request.text
        else:
            own = request.source if request.untouched and request.form == "messages" else None
            asked = own if isinstance(own, list) else [message.to_openai() for message in request.messages]
        if self._called.keyword is None:
            return self._function(asked, **options)
        return self._function(**{self._called.keyword: asked}, **options)

    def _options(self, request: Request) -> Mapping[str, Any]:
        called = self._called
        if called.any_option or not called.options:
            return request.options if called.any_option else {}
        known = {name: value for name, value in request.options.items() if name in called.options}
        for name in request.options:
            if name not in known and name not in request.own:
                raise RequestRejected(
                    f"The {self.name} takes no option `{name}`.",
                    do=f"use {', '.join(sorted(called.options))}, or give the function **options",
                )
        return known


@dataclass(frozen=True, slots=True)
class Signature:
    """How a function is called.

    Args:
        keyword: Under which name it is given what is asked; None where that stands first.
        takes: In which form, where it says so.
        options: The options that it names.
        any_option: Whether it takes any.
    """

    keyword: str | None = None
    takes: Takes | None = None
    options: frozenset[str] = frozenset()
    any_option: bool = False


def _read_signature(function: Callable[..., Any], name: str) -> Signature:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # written in C, and does not tell
        return Signature()
    kinds = {one.kind for one in parameters.values()}
    named = [one for one in parameters.values() if one.kind is one.KEYWORD_ONLY]
    any_option = inspect.Parameter.VAR_KEYWORD in kinds
    if kinds - {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}:
        first = next(iter(parameters))
        return Signature(None, _form(function, first), frozenset(one.name for one in named), any_option)
    needed = [one.name for one in named if one.default is one.empty]
    asked = needed if len(needed) == 1 else [] if needed else [one.name for one in named if one.name in PROMPTS]
    if len(asked) != 1:
        raise UnsupportedModel(
            f"The {name} takes only keywords ({', '.join(parameters) or 'none'}), and none is plainly what is asked.",
            do=f"name one of them {', '.join(PROMPTS[:3])}, the others with defaults, or wrap `lambda text: f(x=text)`",
        )
    keyword = asked[0]
    takes = _form(function, keyword) or ("messages" if keyword == "messages" else None)
    return Signature(keyword, takes, frozenset(one.name for one in named if one.name != keyword), any_option)


def _form(function: Callable[..., Any], parameter: str) -> Takes | None:
    """Text or messages, by the annotation of a parameter."""
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        annotation = get_type_hints(target).get(parameter)
    except (TypeError, ValueError, NameError):
        return None
    if annotation is None:
        return None
    if annotation is str:
        return "text"
    origin = getattr(annotation, "__origin__", annotation)
    return "messages" if isinstance(origin, type) and issubclass(origin, Iterable) else None


def _several(result: Any) -> Iterable[Any]:
    return result if isinstance(result, (Iterator, list)) else [result]


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


async def _collected(values: AsyncIterator[Any]) -> list[Any]:
    return [value async for value in values]
