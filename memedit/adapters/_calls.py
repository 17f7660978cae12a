"""Calls of tools in what a local model wrote, where its tokenizer or its chat template says how they are written."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from memedit.messages import Reply

TAGGED = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
"""A call, or a list of calls, as JSON: the form of Hermes, Qwen and SmolLM."""
XML = "<function="
"""In the same tags, but no JSON."""


def are_told(tokenizer: Any) -> bool:
    """Whether it is known how a model of this tokenizer writes calls."""
    template = str(tokenizer.chat_template)
    return _template_of(tokenizer) is not None or ("<tool_call>" in template and XML not in template)


def with_calls(reply: Reply, tools: Sequence[Any], tokenizer: Any, row: Sequence[int], prompt: Sequence[int]) -> Reply:
    """A reply with the calls that stand in its text, in OpenAI's form.

    What is no call stays text: a model may write anything.

    Args:
        reply: As the model wrote it.
        tools: That it may call.
        tokenizer: Of the model.
        row: The tokens of the reply.
        prompt: The tokens before them.
    """
    text, calls = (
        _tagged(reply.text) if _template_of(tokenizer) is None else _told(reply, tools, tokenizer, row, prompt)
    )
    return replace(reply, text=text, tool_calls=calls, finish_reason="tool_calls") if calls else reply


def _told(
    reply: Reply, tools: Sequence[Any], tokenizer: Any, row: Sequence[int], prompt: Sequence[int]
) -> tuple[str, tuple[dict[str, Any], ...]]:
    """The text without its calls, and these, as the tokenizer says."""
    try:
        said = tokenizer.parse_response(
            tokenizer.decode(row), prefix=tokenizer.decode(prompt, skip_special_tokens=False), tools=list(tools)
        )
    except ValueError:  # it does not keep to its own form
        return reply.text, ()
    return str(said.get("content") or ""), _made(call["function"] for call in said.get("tool_calls") or ())


def _template_of(tokenizer: Any) -> Any:
    """How answers are written, where the tokenizer says so (transformers' response templates)."""
    return getattr(tokenizer, "response_template", None)


def _tagged(text: str) -> tuple[str, tuple[dict[str, Any], ...]]:
    found: list[Mapping[str, Any]] = []

    def taken(match: re.Match[str]) -> str:
        try:
            said = json.loads(match[1])
        except ValueError:
            return match[0]
        calls = said if isinstance(said, list) else [said]
        if not all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls):
            return match[0]
        found.extend(calls)
        return ""

    rest = TAGGED.sub(taken, text)
    return (rest.strip(), _made(found)) if found else (text, ())


def _made(calls: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    def made(call: Mapping[str, Any]) -> dict[str, Any]:
        given = call.get("arguments", call.get("parameters")) or {}
        arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        function = {"name": call["name"], "arguments": arguments}
        return {"id": f"call_{uuid.uuid4().hex[:12]}", "type": "function", "function": function}

    return tuple(map(made, calls))
