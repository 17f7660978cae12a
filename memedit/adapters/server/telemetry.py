"""Spans of a proxy. Where the response goes on unread, the span ends with it, and its end tells the tokens."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
from opentelemetry.trace import TracerProvider, get_tracer

from memedit.adapters.otel import Telling, TracedDriver
from memedit.editable import EditableLLM
from memedit.editable.drive import Job
from memedit.messages import Reply

TAIL = 8_192  # bytes of the end of a response, in which its usage stands
TOKENS = re.compile(rb'"(prompt|input|completion|output)_tokens"\s*:\s*(\d{1,12})')
KINDS = {b"prompt": "input", b"input": "input", b"completion": "output", b"output": "output"}


def proxied(*, provider: TracerProvider | None = None, texts: bool = False) -> Callable[[EditableLLM], EditableLLM]:
    """What makes a model of a proxy tell of its calls; as `memedit.adapters.otel.traced`."""
    tracer = get_tracer("memedit", tracer_provider=provider)
    return lambda editable: editable.driven(
        lambda models, recall, support: ProxyDriver(models, recall, support, tracer, texts)
    )


class ProxyDriver(TracedDriver):
    """As `TracedDriver`, of calls that are answered by a response."""

    def _telling(self, job: Job) -> Telling:
        return Relaying(self, job)


class Relaying(Telling):
    """The span of one call."""

    def note(self, found: Any) -> None:
        if isinstance(found, Reply) and isinstance(found.raw, httpx2.Response) and not found.raw.is_stream_consumed:
            assert isinstance(found.raw.stream, httpx2.AsyncByteStream)  # of an asynchronous client
            found.raw.stream = Tail(found.raw.stream, self._over)
            self.left = True
            self.span.set_attribute("http.response.status_code", found.raw.status_code)
        super().note(found)

    def _over(self, tail: bytes) -> None:
        self.tokens({KINDS[kind]: int(count) for kind, count in TOKENS.findall(tail)})
        self.end()


class Tail(httpx2.AsyncByteStream):
    """A response's pieces as they come, the end of which is told when it is closed.

    Args:
        pieces: The response's.
        over: Is told the last bytes, once.
    """

    def __init__(self, pieces: httpx2.AsyncByteStream, over: Callable[[bytes], None]) -> None:
        self._pieces, self._over, self._kept, self._closed = pieces, over, b"", False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._pieces:
            self._kept = (self._kept + piece)[-TAIL:]
            yield piece

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._over(self._kept)
        await self._pieces.aclose()
