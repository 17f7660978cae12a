"""What a codec of one API does: its JSON bodies into Requests and back, and whole answers as JSON or as events."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, ClassVar

from memedit.errors import ProviderError, RequestRejected
from memedit.llms import Kind
from memedit.messages import Message, Reply, Request

Body = Mapping[str, Any]
STREAMING = ("stream", "stream_options")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What an answer that memedit writes itself is known by.

    Args:
        id: Without the prefix that the API gives it.
        created: Seconds since 1970.
        usage: Tokens (`input`, `output`) of the calls that were made for it.
    """

    id: str
    created: int
    usage: Mapping[str, int]


class Codec(ABC):
    """One API that takes a conversation as JSON and answers as JSON, or as server-sent events."""

    path: ClassVar[str]
    """How the path of its calls ends."""
    said: ClassVar[tuple[str, ...]]
    """The fields that hold the conversation."""
    kept: ClassVar[tuple[str, ...]] = ("model",)
    """Fields that every call needs, also one that memedit makes for itself."""
    limits: ClassVar[tuple[str, ...]]
    """What it calls the greatest length of an answer, the name that is tried first in front."""
    stops: ClassVar[str | None]
    """What it calls the texts at which an answer ends; None where it knows none."""
    shapes: ClassVar[Mapping[str, type]] = {}
    """What else of a body is read here, and what each is where it is given."""
    kind: ClassVar[Kind] = "chat"
    """Of the models that it asks."""
    id_header: ClassVar[str] = "x-request-id"
    """The header by which an answer is known."""

    def read(self, body: Body) -> Request:
        """The request of a body; every field beside the conversation becomes an option.

        Raises:
            RequestRejected: It holds no conversation, or a field that is read here is of another type.
        """
        for name, kind in self.shapes.items():
            if not isinstance(body.get(name), (kind, NoneType)):
                raise RequestRejected(f"`{name}` is no {kind.__name__}.", do="see the API")
        apart = (*self.said, *self.kept, *STREAMING)
        options = {name: value for name, value in body.items() if name not in apart}
        return Request(tuple(self.conversation(body)), options | self.implied(body), source=body)

    def write(self, body: Body, request: Request, options: Body, *, streamed: bool) -> dict[str, Any]:
        """The body again, for a request that a method made of it: fields in their order, unknown ones as they are.

        Args:
            body: The caller's.
            request: Whose conversation it is to hold.
            options: Which options, under the API's own names.
            streamed: Whether the answer may be streamed, if the caller asked for that.
        """
        fields = self.fields(body, request.messages)
        kept = (*self.kept, *(STREAMING if streamed else ()))
        written = {name: value for name, value in body.items() if name in kept} | fields
        written |= {name: value for name, value in options.items() if name not in self.implied(body)}
        return dict(sorted(written.items(), key=_order(body)))

    def implied(self, body: Body) -> dict[str, Any]:
        """Options in memedit's words that the body says otherwise."""
        return {}

    @abstractmethod
    def conversation(self, body: Body) -> list[Message]:
        """The messages of a body, each with the JSON it was read from as its source."""

    @abstractmethod
    def fields(self, body: Body, messages: Sequence[Message]) -> dict[str, Any]:
        """The fields that hold these messages; a message that was not changed is the JSON it was read from."""

    @abstractmethod
    def reply(self, answer: Body) -> Reply:
        """The reply of a whole answer.

        Raises:
            ProviderError: It is none.
        """

    def following(self, body: Body, reply: Reply, asked: Request | None) -> Reply:
        """A reply as it stands behind what the caller asked: replies begin with their first word.

        asked: What it answers; None where no model was asked.
        """
        return reply

    @abstractmethod
    def answer(self, body: Body, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        """A reply as the whole answer to a body."""

    @abstractmethod
    def events(self, body: Body, answer: Body) -> Iterator[bytes]:
        """A whole answer as server-sent events."""

    def error(self, message: str, kind: str) -> dict[str, Any]:
        """The body of an error of this type."""
        return {"error": {"message": message, "type": kind, "code": None}}


def encoded(value: Any) -> bytes:
    """JSON as the clients of these APIs write it; a lone surrogate, which has no UTF-8, as the escape it came as."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def event(data: Body | str, name: str | None = None) -> bytes:
    """One server-sent event."""
    said = data.encode() if isinstance(data, str) else encoded(data)
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + said + b"\n\n"


def no_answer(api: str, answer: Any) -> ProviderError:
    """The error of a body that is no answer."""
    return ProviderError(
        f"The server answered with no {api}: {answer!r:.200}", do="check that the address is that of such an API"
    )


def _order(body: Body) -> Any:
    """Fields as they stood in the caller's body, then those that were added."""
    places = {name: place for place, name in enumerate(body)}
    return lambda item: places.get(item[0], len(places))
