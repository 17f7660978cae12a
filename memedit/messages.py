"""Requests and replies, and the one codec between memedit and the forms of chat that callers use.

Plain strings, OpenAI chat messages, LangChain messages and prompt values become one `Request`. A message that was not
changed goes back as the very object that came in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from memedit.errors import RequestRejected

ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "function": "tool"}
ASKS_MORE = (
    "tools", "tool_choice", "functions", "response_format", "text_format", "logprobs", "audio",
    "format", "output_format", "output_config", "response_schema", "response_json_schema", "response_mime_type",
    "previous_response_id", "conversation", "prompt",
)  # fmt: skip
"""Options by which OpenAI, and then Ollama, Anthropic and Google are asked for more than plain text; the last ones
name a conversation that the server keeps."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Args:
        role: `system`, `developer`, `user`, `assistant` or `tool`.
        content: Text, or a list of parts in OpenAI's form (text, images, …).
        extra: Everything else of an OpenAI message: name, tool_calls, tool_call_id, …
        source: The object this message was read from; sent again as it is.
    """

    role: str
    content: Any
    extra: Mapping[str, Any] = field(default_factory=dict)
    source: Any = field(default=None, repr=False, compare=False)

    @property
    def text(self) -> str:
        """All text of the content, joined by newlines."""
        if isinstance(self.content, str):
            return self.content
        parts = self.content or ()
        texts = (part if isinstance(part, str) else part.get("text") for part in parts)
        return "\n".join(text for text in texts if isinstance(text, str))

    def to_openai(self) -> dict[str, Any]:
        """The message as an OpenAI chat message."""
        if isinstance(self.source, dict):
            return self.source
        return {"role": self.role, "content": self.content, **self.extra}


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a model.

    Args:
        messages: The conversation, oldest first.
        options: What the caller passed besides (temperature, tools, stop, …).
        form: `text` when the caller gave one plain string: then a function of one text gets one, too; else `messages`.
            `raw` is a text that is to be continued as it is, without a chat template.
        source: The caller's own input while the request is untouched; None once a method changed it.
        own: Names of the options that memedit set itself, and can do without where a server refuses them.
    """

    messages: tuple[Message, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    form: Literal["text", "messages", "raw"] = "messages"
    source: Any = field(default=None, repr=False, compare=False)
    own: frozenset[str] = frozenset()

    @property
    def text(self) -> str:
        """A plain request's text, or the conversation as a transcript."""
        if len(self.messages) == 1 and (self.form != "messages" or self.messages[0].role == "user"):
            return self.messages[0].text
        return "\n".join(f"{message.role.capitalize()}: {message.text}" for message in self.messages)

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """(role, text) of each message, oldest first."""
        return tuple((message.role, message.text) for message in self.messages)

    @property
    def untouched(self) -> bool:
        """Whether this is still exactly what the caller gave."""
        return self.source is not None

    @property
    def only_text_back(self) -> bool:
        """Whether the caller wants plain text, so that a method may also reword the request.

        With tools, a response format, images or several answers asked for, or behind a conversation that the server
        keeps, methods may only add context.
        """
        if any(self.options.get(name) for name in ASKS_MORE) or self.options.get("n", 1) != 1:
            return False
        return all(
            message.role in ("system", "developer", "user", "assistant")
            and isinstance(message.content, str)
            and not message.extra.get("tool_calls")
            for message in self.messages
        )

    def raw(self, text: str, *, stop: Sequence[str] = ()) -> Request:
        """A text to be continued as it is, ending before any of `stop`."""
        options = {**self.options, "stop": [*_as_list(self.options.get("stop")), *stop]} if stop else self.options
        return Request((Message("user", text),), options, "raw", own=self.own | {"stop"} if stop else self.own)

    def limited(self, tokens: int) -> Request:
        """The same request, for a reply of so many tokens at most: memedit's own limit, in place of the caller's."""
        return Request(self.messages, {**self.options, "max_tokens": tokens}, self.form, own=self.own | {"max_tokens"})

    def with_messages(self, messages: Sequence[Message]) -> Request:
        """The same request with other messages."""
        return Request(tuple(messages), self.options, "text" if self.form == "text" else "messages", own=self.own)


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's whole reply.

    Args:
        text: The text of the answer.
        tool_calls: Calls the model wants made, in OpenAI's form; in a piece of a stream its deltas, with `index`.
        finish_reason: Why it stopped (`stop`, `length`, `tool_calls`, …), where the provider says.
        usage: Tokens (`input`, `output`), where the provider says.
        raw: The provider's own object.
        lead: Of a text that a model wrote on: the blanks between what it read and `text`; None of any other.
    """

    text: str
    tool_calls: tuple[Any, ...] = ()
    finish_reason: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    raw: Any = field(default=None, repr=False, compare=False)
    lead: str | None = field(default=None, compare=False)


def as_request(value: Any, options: Mapping[str, Any] | None = None) -> Request:
    """Read what a caller asks: a string, chat messages (OpenAI's or LangChain's), a LangChain prompt value, a Request.

    Raises:
        RequestRejected: It is none of these.
    """
    options = dict(options or {})
    if isinstance(value, Request):
        return replace(value, options={**value.options, **options}) if options else value
    if isinstance(value, str):
        return Request((Message("user", _sendable(value)),), options, "text", source=value)
    items = value.to_messages() if hasattr(value, "to_messages") else value
    if hasattr(items, "content") and hasattr(items, "type"):  # a single LangChain message
        items = [items]
    if isinstance(items, Sequence) and items and not isinstance(items, (bytes, bytearray)):
        return Request(tuple(_message(item) for item in items), options, "messages", source=value)
    raise RequestRejected(
        f"{_what(value)} cannot be asked of a model.",
        do="give a string, chat messages such as [{'role': 'user', 'content': '…'}], or a LangChain prompt value",
    )


def behind(system: str | None, input: Any) -> Any:
    """What is asked, a string or a list of messages, behind a system message where there is one."""
    if system is None:
        return input
    said = [{"role": "user", "content": input}] if isinstance(input, str) else input
    return [{"role": "system", "content": system}, *said]


def _message(item: Any) -> Message:
    if isinstance(item, Message):
        return item
    if isinstance(item, str):
        return Message("user", _sendable(item), source=None)
    if isinstance(item, tuple) and len(item) == 2 and all(isinstance(part, str) for part in item):
        return Message(str(ROLES.get(item[0], item[0])), _sendable(item[1]))
    if isinstance(item, Mapping):
        role: Any = item.get("role")
        if not isinstance(role, str):
            raise RequestRejected(f"A chat message needs a role: {item!r:.200}.", do="add 'role': 'user' or another")
        _check_content(item.get("content"))
        extra = {key: value for key, value in item.items() if key not in ("role", "content")}
        return Message(role, item.get("content"), extra, source=item)
    if hasattr(item, "content") and hasattr(item, "type"):
        _check_content(item.content)
        return Message(ROLES.get(item.type, getattr(item, "role", item.type)), item.content, _extra(item), source=item)
    raise RequestRejected(
        f"{_what(item)} is no chat message.", do="give {'role': 'user', 'content': '…'} or a LangChain message"
    )


def _extra(item: Any) -> dict[str, Any]:
    """What an OpenAI message holds besides role and content, read off a LangChain message."""
    extra: dict[str, Any] = {}
    if calls := openai_tool_calls(item):
        extra["tool_calls"] = calls
    if call_id := getattr(item, "tool_call_id", None):
        extra["tool_call_id"] = call_id
    if name := getattr(item, "name", None):
        extra["name"] = name
    return extra


def openai_tool_calls(message: Any) -> list[dict[str, Any]]:
    """The tool calls of a LangChain message in OpenAI's form."""
    return [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
        }
        for call in getattr(message, "tool_calls", None) or ()
    ]


def _check_content(content: Any) -> None:
    fine = (
        content is None
        or isinstance(content, str)
        or (isinstance(content, Sequence) and all(isinstance(part, (str, Mapping)) for part in content))
    )
    if not fine:
        raise RequestRejected(f"{_what(content)} is no content of a chat message.", do="give text or a list of parts")
    if isinstance(content, str):
        _sendable(content)


def _sendable(text: str) -> str:
    """The text, if it can be sent at all: a lone surrogate has no UTF-8 form."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestRejected(
            f"The text holds a lone surrogate at position {error.start}.", do="decode the input again as UTF-8"
        ) from None
    return text


def _what(value: Any) -> str:
    return "An empty list" if isinstance(value, (list, tuple)) and not value else f"`{type(value).__name__}`"


def _as_list(stop: Any) -> list[str]:
    return [] if stop is None else [stop] if isinstance(stop, str) else list(stop)
