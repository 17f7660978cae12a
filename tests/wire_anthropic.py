"""What the server of `wire_server` answers on Anthropic's paths, and on OpenAI's older one."""

from __future__ import annotations

import json
from typing import Any

SPENT = {"input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 2, "output_tokens": 3}
THOUGHT = {"type": "thinking", "thinking": "let me see", "signature": "c2ln"}


def message(body: dict[str, Any], said: str) -> dict[str, Any]:
    blocks: list[Any] = [{"type": "text", "text": said, "citations": None}]
    if (body.get("output_config") or {}).get("format"):
        blocks = [{"type": "text", "text": json.dumps({"city": said}), "citations": None}]
    if body.get("tools"):
        blocks.append({"type": "tool_use", "id": "c1", "name": "look", "input": {"city": said}})
    if body.get("thinking"):
        blocks.insert(0, THOUGHT)
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": blocks,
        "stop_reason": "tool_use" if body.get("tools") else "end_turn", "stop_sequence": None, "usage": SPENT,
    }  # fmt: skip


def message_events(whole: dict[str, Any]) -> list[bytes]:
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**SPENT, "output_tokens": 1}}
    told: list[tuple[str, Any]] = [("message_start", {"message": begun}), ("ping", {})]
    for index, block in enumerate(whole["content"]):
        deltas: list[Any] = []
        first = dict(block)
        if block["type"] == "text":
            first["text"], half = "", len(block["text"]) // 2
            deltas = [{"type": "text_delta", "text": text} for text in (block["text"][:half], block["text"][half:])]
        elif block["type"] == "tool_use":
            first["input"] = {}
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        else:
            first |= {"thinking": "", "signature": ""}
            deltas = [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        told.append(("content_block_start", {"index": index, "content_block": first}))
        told += [("content_block_delta", {"index": index, "delta": delta}) for delta in deltas]
        told.append(("content_block_stop", {"index": index}))
    ends = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    told += [("message_delta", {"delta": ends, "usage": {"output_tokens": 3}}), ("message_stop", {})]
    return [f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode() for name, data in told]


def text_completion(body: dict[str, Any], said: str) -> dict[str, Any]:
    choice = {"text": f" {said}", "logprobs": None, "finish_reason": "stop"}
    return {
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": body["model"],
        "choices": [{"index": place, **choice} for place in range(body.get("n") or 1)],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }  # fmt: skip


def text_chunks(whole: dict[str, Any]) -> list[bytes]:
    pieces = [
        {**whole, "usage": None, "choices": [{**choice, "text": text, "finish_reason": reason}]}
        for choice in whole["choices"]
        for text, reason in ((choice["text"][:3], None), (choice["text"][3:], "stop"))
    ]
    return [*(f"data: {json.dumps(piece)}\n\n".encode() for piece in pieces), b"data: [DONE]\n\n"]
