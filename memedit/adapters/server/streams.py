"""Answers of a local model as server-sent events, written while they are made."""

from __future__ import annotations

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, ClassVar

from memedit.adapters.wire.chat import ChatCompletions
from memedit.adapters.wire.codec import Codec, Stamp, event
from memedit.adapters.wire.responses import Responses
from memedit.adapters.wire.upstream import Call
from memedit.llms import join
from memedit.messages import Reply
from memedit.threads import aclosed_after

Event = tuple[str | None, Mapping[str, Any]]
BEGUN = 2  # events of a response before its output


class Written(ABC):
    """One answer, written in the events of an API.

    Args:
        call: That is answered.
        stamp: By which the answer is known.
    """

    codec: ClassVar[type[Codec]]
    last: ClassVar[bytes] = b""
    """What stands behind all events."""

    def __init__(self, call: Call, stamp: Stamp) -> None:
        self.call, self.stamp = call, stamp

    def whole(self, reply: Reply) -> dict[str, Any]:
        """The answer in one."""
        stamp = Stamp(self.stamp.id, self.stamp.created, reply.usage)
        return self.call.codec.answer(self.call.body, reply, stamp)

    @abstractmethod
    def opening(self) -> Iterator[Event]:
        """What comes before the text."""

    @abstractmethod
    def piece(self, text: str) -> Iterator[Event]:
        """A piece of the text."""

    @abstractmethod
    def closing(self, reply: Reply) -> Iterator[Event]:
        """What comes behind the text of the whole reply."""


class WrittenChat(Written):
    """Chunks of a chat completion."""

    codec = ChatCompletions
    last = event("[DONE]")

    def opening(self) -> Iterator[Event]:
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})

    def piece(self, text: str) -> Iterator[Event]:
        yield self._chunk({"content": text})

    def closing(self, reply: Reply) -> Iterator[Event]:
        if reply.tool_calls:
            yield self._chunk({"tool_calls": [{"index": place, **call} for place, call in enumerate(reply.tool_calls)]})
        answer = self.whole(reply)
        yield self._chunk({}, answer["choices"][0]["finish_reason"])
        if (self.call.body.get("stream_options") or {}).get("include_usage"):
            yield None, self._head() | {"choices": [], "usage": answer["usage"]}

    def _chunk(self, delta: Mapping[str, Any], reason: str | None = None) -> Event:
        return None, self._head() | {
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
        }

    def _head(self) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.stamp.id}", "object": "chat.completion.chunk", "created": self.stamp.created,
            "model": self.call.body.get("model"),
        }  # fmt: skip


class WrittenResponse(Written):
    """Events of a response: those that the codec tells of a whole one, its text in as many pieces as come."""

    codec = Responses

    def __init__(self, call: Call, stamp: Stamp) -> None:
        super().__init__(call, stamp)
        self._spoke = False

    def opening(self) -> Iterator[Event]:
        yield from self._told(Reply(""))[:BEGUN]

    def piece(self, text: str) -> Iterator[Event]:
        told = self._told(Reply(""))
        place = _text(told)
        if not self._spoke:
            yield from told[BEGUN:place]
        self._spoke = True
        name, data = told[place]
        yield name, {**data, "delta": text}

    def closing(self, reply: Reply) -> Iterator[Event]:
        told = self._told(reply)
        yield from told[_text(told) + 1 if self._spoke else BEGUN :]

    def _told(self, reply: Reply) -> Sequence[Event]:
        return Responses.told(self.whole(reply))


def _text(told: Sequence[Event]) -> int:
    """Where among the events the text stands."""
    return next(place for place, (name, _) in enumerate(told) if name == "response.output_text.delta")


async def streamed(call: Call, first: Reply, rest: AsyncIterator[Reply]) -> AsyncIterator[bytes]:
    """The answer to a call as events, the text as it comes."""
    kind = next(kind for kind in (WrittenChat, WrittenResponse) if isinstance(call.codec, kind.codec))
    written = kind(call, Stamp(uuid.uuid4().hex, int(time.time()), {}))
    pieces, numbers = [first], count()

    def said(events: Iterator[Event]) -> Iterator[bytes]:
        for name, data in events:
            yield event({"type": name, "sequence_number": next(numbers), **data} if name else data, name)

    for opened in said(written.opening()):
        yield opened
    for text in said(written.piece(first.text)) if first.text else ():
        yield text
    async with aclosed_after(rest):
        async for piece in rest:
            pieces.append(piece)
            for text in said(written.piece(piece.text)) if piece.text else ():
                yield text
    for closed in said(written.closing(join(pieces))):
        yield closed
    if written.last:
        yield written.last
