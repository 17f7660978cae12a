"""Answers of a local model as server-sent events, written while they are made."""

from __future__ import annotations

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from memedit.adapters.wire.codec import Codec, Stamp, event
from memedit.adapters.wire.completions import Completions
from memedit.adapters.wire.messages import Messages
from memedit.adapters.wire.responses import Responses
from memedit.adapters.wire.upstream import Call
from memedit.llms import join
from memedit.messages import Reply
from memedit.plumbing.threads import aclosed_after

DONE = event("[DONE]")
Told = Sequence[tuple[str, Mapping[str, Any]]]


class Written(ABC):
    """One answer, written in the events of an API.

    Args:
        call: That is answered.
        stamp: By which the answer is known.
    """

    def __init__(self, call: Call, stamp: Stamp) -> None:
        self.call, self.stamp = call, stamp

    def whole(self, reply: Reply) -> dict[str, Any]:
        """The answer in one."""
        stamp = Stamp(self.stamp.id, self.stamp.created, reply.usage)
        return self.call.codec.answer(self.call.body, reply, stamp)

    @abstractmethod
    def opening(self) -> Iterator[bytes]:
        """What comes before the text."""

    @abstractmethod
    def piece(self, text: str) -> Iterator[bytes]:
        """A piece of the text."""

    @abstractmethod
    def closing(self, reply: Reply) -> Iterator[bytes]:
        """What comes behind the text of the whole reply."""


class WrittenChat(Written):
    """Chunks of a chat completion."""

    def opening(self) -> Iterator[bytes]:
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})

    def piece(self, text: str) -> Iterator[bytes]:
        yield self._chunk({"content": text})

    def closing(self, reply: Reply) -> Iterator[bytes]:
        if reply.tool_calls:
            yield self._chunk({"tool_calls": [{"index": place, **call} for place, call in enumerate(reply.tool_calls)]})
        answer = self.whole(reply)
        yield self._chunk({}, answer["choices"][0]["finish_reason"])
        yield from _counted(self.call, {**answer, "object": "chat.completion.chunk"})

    def _chunk(self, delta: Mapping[str, Any], reason: str | None = None) -> bytes:
        return event(
            {
                "id": f"chatcmpl-{self.stamp.id}", "object": "chat.completion.chunk", "created": self.stamp.created,
                "model": self.call.body.get("model"),
                "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}],
            }
        )  # fmt: skip


class WrittenCompletion(Written):
    """Pieces of a completion: each is a whole one that holds its part of the text."""

    def opening(self) -> Iterator[bytes]:
        if self.call.body.get("echo"):
            yield self._piece(self.call.request.text)

    def piece(self, text: str) -> Iterator[bytes]:
        yield self._piece(text)

    def closing(self, reply: Reply) -> Iterator[bytes]:
        answer = self.whole(reply)
        yield self._piece("", answer["choices"][0]["finish_reason"])
        yield from _counted(self.call, answer)

    def _piece(self, text: str, reason: str | None = None) -> bytes:
        answer = self.whole(Reply(""))
        del answer["usage"]
        return event(answer | {"choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": reason}]})


class WrittenAsTold(Written):
    """The events that a codec tells of a whole answer, its text in as many pieces as come."""

    begun: ClassVar[int]
    """How many events come before its output."""
    delta: ClassVar[str]
    """The event that holds text."""

    def __init__(self, call: Call, stamp: Stamp) -> None:
        super().__init__(call, stamp)
        self._spoke = False
        self._numbers = 0

    def opening(self) -> Iterator[bytes]:
        return self._events(self._told(Reply(""))[: self.begun])

    def piece(self, text: str) -> Iterator[bytes]:
        told = self._told(Reply(text))
        place = self._text(told)
        first, self._spoke = place if self._spoke else self.begun, True
        return self._events(told[first : place + 1])

    def closing(self, reply: Reply) -> Iterator[bytes]:
        told = self._told(reply)
        return self._events(told[self._text(told) + 1 if self._spoke else self.begun :])

    @abstractmethod
    def _told(self, reply: Reply) -> Told:
        """The events of a whole answer."""

    def _text(self, told: Told) -> int:
        """Where among the events the text stands."""
        return next(place for place, (name, _) in enumerate(told) if name == self.delta)

    def _events(self, told: Told) -> Iterator[bytes]:
        for name, data in told:
            yield self._event(name, data)

    def _event(self, name: str, data: Mapping[str, Any]) -> bytes:
        return event({"type": name, **data}, name)


class WrittenResponse(WrittenAsTold):
    """Events of a response, which are numbered."""

    begun = 2
    delta = "response.output_text.delta"

    def _told(self, reply: Reply) -> Told:
        return Responses.told(self.whole(reply))

    def _event(self, name: str, data: Mapping[str, Any]) -> bytes:
        number, self._numbers = self._numbers, self._numbers + 1
        return event({"type": name, "sequence_number": number, **data}, name)


class WrittenMessage(WrittenAsTold):
    """Events of a message of Anthropic's API."""

    begun = 1
    delta = "content_block_delta"

    def _told(self, reply: Reply) -> Told:
        return Messages.told(self.whole(reply))


KINDS: tuple[tuple[type[Codec], type[Written]], ...] = (
    (Completions, WrittenCompletion),
    (Responses, WrittenResponse),
    (Messages, WrittenMessage),
    (Codec, WrittenChat),
)


async def streamed(call: Call, first: Reply, rest: AsyncIterator[Reply]) -> AsyncIterator[bytes]:
    """The answer to a call as events, the text as it comes."""
    kind = next(written for codec, written in KINDS if isinstance(call.codec, codec))
    written = kind(call, Stamp(uuid.uuid4().hex, int(time.time()), {}))
    pieces = [first]
    for opened in written.opening():
        yield opened
    for text in written.piece(first.text) if first.text else ():
        yield text
    async with aclosed_after(rest):
        async for piece in rest:
            pieces.append(piece)
            for text in written.piece(piece.text) if piece.text else ():
                yield text
    for closed in written.closing(join(pieces)):
        yield closed
    if isinstance(written, (WrittenChat, WrittenCompletion)):
        yield DONE


def _counted(call: Call, answer: Mapping[str, Any]) -> Iterator[bytes]:
    """The tokens of an answer of OpenAI's first APIs, where they were asked for."""
    if (call.body.get("stream_options") or {}).get("include_usage"):
        yield event({**answer, "choices": []})
