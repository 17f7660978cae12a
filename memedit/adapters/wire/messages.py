"""The codec of Anthropic's `POST /messages`.

What memedit tells the model goes into the top-level `system`: behind its text, or as one more block. Blocks that
memedit does not know (images, documents, thinking with its signature, tool calls) go on as the JSON they came as.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from memedit.adapters.wire.codec import Body, Codec, Stamp, event, no_answer
from memedit.errors import RequestRejected
from memedit.messages import Message, Reply, Request, as_request

SPOKEN = {"in": "messages"}
"""The extra of what stands in `messages`, where `system` is a role, too."""
HELD = {"in": "the next message"}
"""The extra of tool results that stand in one message with what the user says; it is written with that."""
ENDS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
REASONS = {end: reason for reason, end in ENDS.items()} | {"stop_sequence": "stop"}
CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")
INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
SPENT = (*INPUT, "output_tokens", "output_tokens_details", "server_tool_use")
"""What of the usage stands in the last event, as far as it is known."""


class Messages(Codec):
    """Anthropic's messages."""

    path = "/messages"
    said = ("system", "messages")
    limits = ("max_tokens",)
    stops = None  # `stop_sequences` may not be blank, and memedit's is the end of a line
    shapes = {"output_config": dict, "output_format": dict}  # noqa: RUF012 — as the class declares it
    id_header = "request-id"

    def write(self, body: Body, request: Request, options: Body, *, streamed: bool) -> dict[str, Any]:
        longest = body.get("max_tokens")
        if options.get("max_tokens", longest) != longest:  # memedit's own limit, within which there is no room to think
            options = {name: value for name, value in options.items() if name != "thinking"}
        needed = {} if longest is None else {"max_tokens": longest}
        return super().write(body, request, needed | dict(options), streamed=streamed)

    def conversation(self, body: Body) -> list[Message]:
        told, said = body.get("system"), body.get("messages")
        if not isinstance(said, list) or not said or not all(isinstance(one, dict) for one in said):
            raise RequestRejected("A message needs `messages`.", do="give a list of them")
        first = [] if told is None else as_request([{"role": "system", "content": told}]).messages
        return [*first, *(message for one in said for message in _read(one))]

    def fields(self, body: Body, messages: Sequence[Message]) -> dict[str, Any]:
        first = messages[0]
        told = {"system": first.content} if first.role == "system" and first.extra != SPOKEN else {}
        said = [one for one in messages[len(told) :] if one.extra != HELD]
        return told | {"messages": [one.source or {"role": one.role, "content": one.content} for one in said]}

    def reply(self, answer: Body) -> Reply:
        content, usage = answer.get("content"), answer.get("usage") or {}
        if answer.get("type") != "message" or not isinstance(content, list):
            raise no_answer("content", answer)
        read = {"input": sum(usage.get(name) or 0 for name in INPUT), "output": usage.get("output_tokens", 0)}
        reason = answer.get("stop_reason")
        return Reply(
            "".join(block.get("text") or "" for block in content if block.get("type") == "text"),
            tuple(_call(block) for block in content if block.get("type") == "tool_use"),
            REASONS.get(str(reason), reason),
            read if usage else {},
        )

    def answer(self, body: Body, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        calls = [_block(call) for call in reply.tool_calls]
        reason = ENDS.get(reply.finish_reason or "stop", "end_turn")
        told: dict[str, Any] = {"stop_details": None}
        content = [*([{"type": "text", "text": reply.text}] if reply.text or not calls else []), *calls]
        if _wants_json(body) and not calls:  # see `ChatCompletions.answer`
            content, reason = [], "refusal"
            told = {"stop_details": {"type": "refusal", "category": None, "explanation": reply.text}}
        usage = {"input_tokens": stamp.usage.get("input", 0), "output_tokens": stamp.usage.get("output", 0)}
        return {
            "id": f"msg_{stamp.id}",
            "type": "message",
            "role": "assistant",
            "model": body.get("model"),
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            **told,
            "usage": {**dict.fromkeys(INPUT, 0), **usage},
        }

    def events(self, body: Body, answer: Body) -> Iterator[bytes]:
        for name, data in self.told(answer):
            yield event({"type": name, **data}, name)

    @staticmethod
    def told(answer: Body) -> list[tuple[str, Body]]:
        """The events of a whole answer: the name of each, and what it says."""
        usage = answer.get("usage") or {}
        ends = {name: answer[name] for name in ("stop_reason", "stop_sequence", "stop_details") if name in answer}
        begun = {**answer, "content": [], **dict.fromkeys(ends), "usage": {**usage, "output_tokens": 0}}
        told: list[tuple[str, Body]] = [("message_start", {"message": begun})]
        for index, block in enumerate(answer["content"]):
            first, deltas = _pieces(block)
            told.append(("content_block_start", {"index": index, "content_block": first}))
            told += [("content_block_delta", {"index": index, "delta": delta}) for delta in deltas]
            told.append(("content_block_stop", {"index": index}))
        ends |= {"container": answer["container"]} if "container" in answer else {}
        last = {"delta": ends, "usage": {name: usage[name] for name in SPENT if usage.get(name) is not None}}
        managed = {name: answer[name] for name in ("context_management",) if name in answer}
        return [*told, ("message_delta", last | managed), ("message_stop", {})]

    def error(self, message: str, kind: str) -> dict[str, Any]:
        return {"type": "error", **super().error(message, kind)}


def _read(item: Mapping[str, Any]) -> Iterator[Message]:
    """The messages of one: what tools gave back is no word of the user's, though it stands in the user's turn."""
    message = replace(as_request([item]).messages[0], extra=SPOKEN)
    given = [] if isinstance(message.content, str) else [_told(block) for block in message.content or ()]
    told = "\n".join(filter(None, given))
    if not told:
        yield message
    elif message.role == "user" and not message.text:
        yield replace(message, role="tool", content=told)
    else:
        yield Message("tool", told, HELD)
        yield message


def _told(block: Any) -> str:
    """What a block tells that nobody in the conversation says: the text of tool results, documents, search results."""
    if not isinstance(block, Mapping) or block.get("type") in ("text", "thinking", *CALLS):
        return ""
    content = block.get("source") if isinstance(block.get("source"), Mapping) else block
    assert isinstance(content, Mapping)
    texts = [content.get("data") if content.get("type") == "text" else None, content.get("content")]
    for part in content["content"] if isinstance(content.get("content"), list) else ():
        texts.append(part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else _told(part))
    return "\n".join(text for text in texts if isinstance(text, str) and text)


def _call(block: Body) -> dict[str, Any]:
    function = {"name": block.get("name"), "arguments": json.dumps(block.get("input"), ensure_ascii=False)}
    return {"id": block.get("id"), "type": "function", "function": function}


def _block(call: Body) -> dict[str, Any]:
    function = call["function"]
    return {"type": "tool_use", "id": call["id"], "name": function["name"], "input": json.loads(function["arguments"])}


def _wants_json(body: Body) -> bool:
    return bool((body.get("output_config") or {}).get("format") or body.get("output_format"))


def _pieces(block: Body) -> tuple[Body, list[Body]]:
    """A block as it begins, and what is added to it piece by piece."""
    kind = block.get("type")
    if kind == "text":
        cited = block.get("citations") or []
        first = {**block, "text": ""} | ({"citations": []} if cited else {})
        deltas = [{"type": "text_delta", "text": block.get("text")}] if block.get("text") else []
        return first, [*deltas, *({"type": "citations_delta", "citation": one} for one in cited)]
    if kind == "thinking":
        thought = [{"type": "thinking_delta", "thinking": block["thinking"]}] if block.get("thinking") else []
        signed = {"type": "signature_delta", "signature": block.get("signature", "")}
        return {**block, "thinking": "", "signature": ""}, [*thought, signed]
    if kind in CALLS:
        given = json.dumps(block.get("input"), ensure_ascii=False)
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": given}]
    return block, []
