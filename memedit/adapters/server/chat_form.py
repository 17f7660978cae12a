"""Calls of every API in the one form that a local model reads: chat completions', with tools and their results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from memedit.adapters.wire.codec import Body, Codec
from memedit.adapters.wire.completions import Completions
from memedit.adapters.wire.messages import Messages
from memedit.adapters.wire.responses import Responses
from memedit.errors import RequestRejected
from memedit.messages import Message, Request, as_request

IDLE = (
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "cache_control",
)  # fmt: skip
"""Fields that change nothing of an answer, which clients send to everybody."""
SAME = {
    "n": 1, "best_of": 1, "presence_penalty": 0, "frequency_penalty": 0, "logprobs": False, "suffix": "",
    "parallel_tool_calls": True, "truncation": "disabled", "background": False, "thinking": {"type": "disabled"},
    "text": {"format": {"type": "text"}}, "response_format": {"type": "text"},
}  # fmt: skip
"""Fields that ask for what is so anyway, as long as they have this value."""
FORMS = ("response_format", "text_format", "output_format", "output_config")
EMPTY: tuple[Any, ...] = (None, [], {})
THOUGHTS = ("thinking", "redacted_thinking", "reasoning")
"""What another model thought before it answered, which a model does not read again."""
TEXTS = ("text", "input_text", "output_text")


def chat_form(codec: Codec, body: Body) -> Request:
    """What a body asks, its messages, tools and options as chat completions have them, and nothing else of it.

    Raises:
        RequestRejected: It holds no conversation, or what a local model cannot be asked.
    """
    request = codec.read(body)
    options = {
        name: value
        for name, value in request.options.items()
        if name not in IDLE and value not in EMPTY and not (name in SAME and value == SAME[name])
    }
    for name in codec.limits:
        if name in options:
            options["max_tokens"] = options.pop(name)
    if isinstance(codec, Completions):
        options.pop("echo", None)  # the codec does that
    elif isinstance(codec, Messages):
        request, options = as_request([*_turns(body)]), _of_messages(options)
    elif isinstance(codec, Responses):
        request = as_request(_joined(_items(body)))
    if form := next((name for name in FORMS if name in options), None):
        raise RequestRejected(f"A local model is held to no form of its answer, as `{form}` asks.", do="leave it out")
    if "n" in options:
        raise RequestRejected("A local model behind a server gives one answer.", do="leave out `n`, and ask again")
    if "tools" in options:
        if not isinstance(options["tools"], list):
            raise RequestRejected("`tools` is no list.", do="see the API")
        options["tools"] = [_tool(tool) for tool in options["tools"]]
    return replace(request, options=options)


# ---- Anthropic's messages -------------------------------------------------------------------------------------------


def _of_messages(options: dict[str, Any]) -> dict[str, Any]:
    """Options of Anthropic's under the names of chat completions."""
    if "stop_sequences" in options:
        options["stop"] = options.pop("stop_sequences")
    if options.get("tool_choice") in ({"type": "auto"}, {"type": "none"}):
        options["tool_choice"] = options["tool_choice"]["type"]
    return options


def _turns(body: Body) -> Iterator[dict[str, Any]]:
    if body.get("system"):
        yield {"role": "system", "content": _plain(body["system"])}
    if body["messages"][-1].get("role") == "assistant":
        raise RequestRejected("A local model begins an answer itself.", do="let the last message be the user's")
    for said in body["messages"]:
        content = said.get("content")
        told, calls, results = content, [], []
        if isinstance(content, list):
            blocks = [{"type": "text", "text": block} if isinstance(block, str) else block for block in content]
            told = [block for block in blocks if block.get("type") not in ("tool_result", "tool_use", *THOUGHTS)]
            calls = [_used(block) for block in blocks if block.get("type") == "tool_use"]
            results = [_result(block) for block in blocks if block.get("type") == "tool_result"]
        yield from results
        if told or calls:
            called = {"tool_calls": calls} if calls else {}
            yield {"role": said.get("role"), "content": _plain(told) or "", **called}


def _used(block: Mapping[str, Any]) -> dict[str, Any]:
    return _call(block.get("id"), block.get("name"), json.dumps(block.get("input"), ensure_ascii=False))


def _result(block: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": _plain(block.get("content")) or ""}


# ---- OpenAI's responses ---------------------------------------------------------------------------------------------


def _items(body: Body) -> Iterator[dict[str, Any]]:
    if body.get("instructions"):
        yield {"role": "system", "content": body["instructions"]}
    asked = body["input"]
    for item in [{"role": "user", "content": asked}] if isinstance(asked, str) else asked:
        kind = item.get("type", "message")
        if kind == "message":
            yield {"role": item.get("role"), "content": _plain(item.get("content"))}
        elif kind == "function_call":
            call = _call(item.get("call_id"), item.get("name"), item.get("arguments"))
            yield {"role": "assistant", "content": "", "tool_calls": [call]}
        elif kind == "function_call_output":
            yield {"role": "tool", "tool_call_id": item.get("call_id"), "content": _plain(item.get("output"))}
        elif kind not in THOUGHTS:
            raise RequestRejected(f"A local model reads no item of type `{kind:.40}`.", do="leave it out")


def _joined(said: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages, what an assistant said and called in one turn as one."""
    made: list[dict[str, Any]] = []
    for one in said:
        if "tool_calls" in one and made and made[-1]["role"] == "assistant":
            made[-1]["tool_calls"] = [*made[-1].get("tool_calls", ()), *one["tool_calls"]]
        else:
            made.append(one)
    return made


# ---- what they share ------------------------------------------------------------------------------------------------


def _plain(content: Any) -> Any:
    """Parts as one text, where they are texts alone; else as they are, for the model to say that it reads none."""
    parts = content if isinstance(content, list) else []
    if not parts or not all(isinstance(part, Mapping) and part.get("type") in TEXTS for part in parts):
        return content
    return Message("user", parts).text


def _call(id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _tool(tool: Any) -> Any:
    """A tool as chat completions name it.

    Raises:
        RequestRejected: It is one that the API's own servers run.
    """
    if not isinstance(tool, Mapping):
        raise RequestRejected("A tool is no object.", do="see the API")
    if "function" in tool:
        return tool
    if tool.get("type", "custom") not in ("function", "custom") or ("input_schema" in tool) == ("parameters" in tool):
        raise RequestRejected(
            f"A local model calls functions alone, and a tool is of type `{tool.get('type')!s:.40}`.",
            do="leave it out, or ask a server that has it",
        )
    told = {name: tool[name] for name in ("name", "description") if name in tool}
    return {"type": "function", "function": told | {"parameters": tool.get("input_schema", tool.get("parameters"))}}
