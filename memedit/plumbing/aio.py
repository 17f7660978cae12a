"""Awaitable forms of blocking verbs, and what is closed: one mechanism, so that no verb is written twice."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from memedit.plumbing.threads import aclosed_after, in_thread

Given = ParamSpec("Given")
Result = TypeVar("Result")
Item = TypeVar("Item")


class Closing(ABC):
    """What is closed when nobody needs it any more, at the end of a `with` or `async with` if not before."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what it opened. Closing twice is fine."""

    async def aclose(self) -> None:
        """As `close`, off the event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.aclose()


class Shared(Closing):
    """What is one thing, however many hold it: a copy of what holds it, also a deep one, holds the same."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, known: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> Any:
        raise TypeError(
            f"`{type(self).__name__}` is open here and cannot be pickled: open it again where it is needed."
        )


class AsyncView:
    """The verbs of an object in their awaitable form; a subclass names them, each by `Awaited` or `Iterated`.

    A verb runs in a thread, in a copy of the caller's context. Whoever is cancelled while waiting for it is free at
    once; the verb itself, once begun, ends as if it had been waited for.

    Args:
        of: The object.
    """

    def __init__(self, of: Any) -> None:
        self.of = of

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.of!r})"


class Awaited(Generic[Given, Result]):
    """A verb to await: takes what the verb of the same name takes, gives what it gives, raises what it raises."""

    def __init__(self, verb: Callable[Concatenate[Any, Given], Result]) -> None:
        self.verb = verb

    def __get__(self, view: AsyncView, kind: type) -> Callable[Given, Coroutine[Any, Any, Result]]:
        verb = _bound(self.verb, view)

        @wraps(verb)
        async def call(*args: Given.args, **options: Given.kwargs) -> Result:
            return await asyncio.to_thread(verb, *args, **options)

        return call


class Iterated(Generic[Given, Item]):
    """A verb to iterate over by `async for`: each item is fetched off the event loop."""

    def __init__(self, verb: Callable[Concatenate[Any, Given], Iterable[Item]]) -> None:
        self.verb = verb

    def __get__(self, view: AsyncView, kind: type) -> Callable[Given, AsyncGenerator[Item, None]]:
        verb = _bound(self.verb, view)

        @wraps(verb)
        async def call(*args: Given.args, **options: Given.kwargs) -> AsyncGenerator[Item, None]:
            async with aclosed_after(in_thread(lambda: verb(*args, **options))) as items:
                async for item in items:
                    yield item

        return call


def _bound(verb: Callable[..., Any], view: AsyncView | None) -> Any:
    """The object's own verb of this name, which a subclass of it may have made anew; on the class, the verb itself."""
    return verb if view is None else getattr(view.of, verb.__name__)
