"""Chat templates of local models: what a conversation is to such a model, in tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2.exceptions import TemplateError

from memedit.adapters._calls import are_told
from memedit.errors import RequestRejected
from memedit.messages import Message, Request

MARK = "memedit-7391"  # stands in no template


class ChatTemplate:
    """The chat template of a tokenizer.

    Args:
        tokenizer: One that has a template.
        name: Of the model, for errors.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._tokenizer, self._name = tokenizer, name
        self._heeds: dict[str, bool] = {}

    def encode(self, request: Request, tools: Sequence[Any], settings: Mapping[str, Any]) -> list[int]:
        """The tokens of a conversation, in which no text spells a special token.

        A system message goes before the first user message's text where the template has no place for it.

        Args:
            request: The conversation.
            tools: That the model may call, in OpenAI's form.
            settings: Further variables of the template.

        Raises:
            RequestRejected: A message holds more than text, or the template has no place for it or for the tools.
        """
        messages = [self._plain(message) for message in request.messages]
        if messages and messages[0]["role"] == "system" and not self._takes("system"):
            messages = _merged(messages)
        if tools and not self._takes("tools"):
            raise RequestRejected(
                f"The chat template of `{self._name}` says nothing of tools.",
                do="leave out tools=, or take a model that was made for tools",
            )
        if tools and not are_told(self._tokenizer):
            raise RequestRejected(
                f"How `{self._name}` writes calls of tools is not known, so that they could not be read.",
                do="leave out tools=, or give its tokenizer a `response_template`",
            )
        try:
            encoded = self._tokenizer.apply_chat_template(
                messages,
                add_generation_prompt=True,
                tools=list(tools) or None,
                sanitize_control_tokens=True,
                return_dict=True,
                **settings,
            )
        except TemplateError as error:
            raise RequestRejected(
                f"The chat template of `{self._name}` refuses the conversation: {error}",
                do="give messages in the order and roles that it knows: user and assistant in turn, the user first",
            ) from error
        return list(encoded["input_ids"])

    def _takes(self, what: str) -> bool:
        """Whether the template has a place for a system message, or for tools: some drop it without a word."""
        if what not in self._heeds:
            says: list[dict[str, Any]] = [{"role": "user", "content": "x"}]
            given: dict[str, Any] = {}
            if what == "system":
                says.insert(0, {"role": "system", "content": MARK})
            else:
                given["tools"] = [{"type": "function", "function": {"name": MARK, "description": "", "parameters": {}}}]
            try:
                self._heeds[what] = MARK in self._tokenizer.apply_chat_template(says, tokenize=False, **given)
            except TemplateError:
                self._heeds[what] = False
        return self._heeds[what]

    def _plain(self, message: Message) -> dict[str, Any]:
        """A message as templates know it: text, and the arguments of calls as objects."""
        extra = dict(message.extra)
        if calls := extra.get("tool_calls"):
            extra["tool_calls"] = [_read_call(call) for call in calls]
        role = "system" if message.role == "developer" else message.role
        return {"role": role, "content": text_alone(message, self._name), **extra}


def text_alone(message: Message, name: str) -> str:
    """The text of a message.

    Raises:
        RequestRejected: It holds a part that is none, which the model of this name cannot read.
    """
    parts = () if isinstance(message.content, str) else message.content or ()
    kinds = (part.get("type", "text") for part in parts if isinstance(part, Mapping))
    if other := next((kind for kind in kinds if kind not in ("text", "input_text", "output_text")), None):
        raise RequestRejected(
            f"`{name}` reads text alone, and a message holds a part of type `{other}`.",
            do="send text, or wrap a hosted model that takes such parts",
        )
    return message.text


def _merged(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the system message before the first user message's text."""
    said, rest = messages[0]["content"], [dict(message) for message in messages[1:]]
    first = next((message for message in rest if message["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": said}, *rest]
    first["content"] = f"{said}\n\n{first['content']}"
    return rest


def _read_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(call.get("function") or {})
    if isinstance(function.get("arguments"), str):
        try:
            function["arguments"] = json.loads(function["arguments"])
        except ValueError as error:
            raise RequestRejected(
                f"The arguments of a call of `{function.get('name')}` are no JSON: {error}", do="give a JSON object"
            ) from error
    return {**call, "function": function}
