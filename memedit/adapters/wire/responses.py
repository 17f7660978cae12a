"""The codec of `POST /responses`.

What memedit tells the model goes into `instructions`, which holds for one call only, and never into the conversation
that the server keeps (`previous_response_id`, `conversation`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from memedit.adapters.wire.codec import Body, Codec, Stamp, event, no_answer
from memedit.errors import RequestRejected
from memedit.messages import Message, Reply, as_request

DETAILS = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
ECHOED = ("instructions", "metadata", "temperature", "top_p", "previous_response_id")
ENDS = {"incomplete": "response.incomplete", "failed": "response.failed"}


class Responses(Codec):
    """OpenAI's responses."""

    path = "/responses"
    said = ("instructions", "input")
    limits = ("max_output_tokens",)
    stops = None
    shapes = {"text": dict}  # noqa: RUF012 — as the class declares it

    def implied(self, body: Body) -> dict[str, Any]:
        wanted = _format(body)
        return {"text_format": wanted} if wanted else {}

    def conversation(self, body: Body) -> list[Message]:
        told, asked = body.get("instructions"), body.get("input")
        items = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
        if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
            raise RequestRejected("A response needs `input`.", do="give a text or a list of items")
        first = list(as_request([{"role": "system", "content": told}]).messages) if isinstance(told, str) else []
        return [*first, *map(_message, items)]

    def fields(self, body: Body, messages: Sequence[Message]) -> dict[str, Any]:
        told, items = None, list(messages)
        if items[0].role == "system" and "type" not in items[0].extra:
            told, items = items[0].content, items[1:]
        asked = body.get("input")
        if isinstance(asked, str) and [item.content for item in items] == [asked]:
            return {"instructions": told, "input": asked} if told is not None else {"input": asked}
        return ({} if told is None else {"instructions": told}) | {"input": [item.to_openai() for item in items]}

    def reply(self, answer: Body) -> Reply:
        output = answer.get("output")
        if not isinstance(output, list):
            raise no_answer("output", answer)
        parts = [part for item in output for part in item.get("content") or () if item.get("type") == "message"]
        calls = tuple(_call(item) for item in output if item.get("type") == "function_call")
        usage = answer.get("usage")
        return Reply(
            "".join(part.get("text") or part.get("refusal") or "" for part in parts),
            calls,
            "tool_calls" if calls else "length" if answer.get("status") == "incomplete" else "stop",
            {"input": usage["input_tokens"], "output": usage["output_tokens"]} if usage else {},
        )

    def answer(self, body: Body, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        said: dict[str, Any] = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        if _format(body):  # see `ChatCompletions.answer`
            said = {"type": "refusal", "refusal": reply.text}
        output: list[dict[str, Any]] = [
            {
                "type": "function_call", "id": f"fc_{stamp.id}{place}", "status": "completed", "call_id": call["id"],
                **call["function"],
            }
            for place, call in enumerate(reply.tool_calls)
        ]  # fmt: skip
        if reply.text or not output:
            message = {"type": "message", "id": f"msg_{stamp.id}", "status": "completed", "role": "assistant"}
            output.insert(0, message | {"content": [said]})
        read, written = stamp.usage.get("input", 0), stamp.usage.get("output", 0)
        return {
            "id": f"resp_{stamp.id}",
            "object": "response",
            "created_at": stamp.created,
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "model": body.get("model"),
            "output": output,
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            **{name: body.get(name) for name in ECHOED},
            "usage": {"input_tokens": read, "output_tokens": written, "total_tokens": read + written, **DETAILS},
        }

    def events(self, body: Body, answer: Body) -> Iterator[bytes]:
        for number, (name, data) in enumerate(self.told(answer)):
            yield event({"type": name, "sequence_number": number, **data}, name)

    @staticmethod
    def told(answer: Body) -> list[tuple[str, Body]]:
        """The events of a whole answer: the name of each, and what it says."""
        begun = {**answer, "status": "in_progress", "output": [], "usage": None}
        told: list[tuple[str, Body]] = [
            ("response.created", {"response": begun}),
            ("response.in_progress", {"response": begun}),
        ]
        for place, item in enumerate(answer["output"]):
            told += _item_events(item, {"output_index": place, "item_id": item.get("id")})
        return [*told, (ENDS.get(answer.get("status", ""), "response.completed"), {"response": answer})]


def _message(item: dict[str, Any]) -> Message:
    """An item of the input; the `type` in its extra tells it from what memedit adds."""
    kind = item.get("type", "message")
    if not isinstance(kind, str):
        raise RequestRejected("An item's `type` is no str.", do="see the API")
    if kind == "message":
        message = as_request([item]).messages[0]
        return Message(message.role, message.content, {"type": kind, **message.extra}, item)
    if kind.endswith("_output"):
        output = item.get("output")
        return Message("tool", output if isinstance(output, str) else None, item, item)
    return Message("assistant", None, {"type": kind, **item}, item)


def _format(body: Body) -> dict[str, Any] | None:
    """The form that the answer is to have; None for text."""
    wanted = (body.get("text") or {}).get("format")
    return wanted if isinstance(wanted, dict) and wanted.get("type", "text") != "text" else None


def _call(item: Body) -> dict[str, Any]:
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    return {"id": item.get("call_id"), "type": "function", "function": function}


def _item_events(item: Body, at: Body) -> list[tuple[str, Body]]:
    """The events by which an item of the output becomes known."""
    placed = {"output_index": at["output_index"]}
    told: list[tuple[str, Body]] = []
    begun: Body = item
    if item.get("type") == "message":
        begun = {**item, "status": "in_progress", "content": []}
        for index, part in enumerate(item["content"]):
            told += _part_events(part, {**at, "content_index": index})
    elif item.get("type") == "function_call":
        begun = {**item, "status": "in_progress", "arguments": ""}
        whole = {"name": item.get("name"), "arguments": item["arguments"]}
        told = [
            ("response.function_call_arguments.delta", {**at, "delta": item["arguments"]}),
            ("response.function_call_arguments.done", {**at, **whole}),
        ]
    added = ("response.output_item.added", {**placed, "item": begun})
    return [added, *told, ("response.output_item.done", {**placed, "item": item})]


def _part_events(part: Body, at: Body) -> list[tuple[str, Body]]:
    kind, name = part["type"], "refusal" if part["type"] == "refusal" else "text"
    if not isinstance(part.get(name), str):
        return [
            ("response.content_part.added", {**at, "part": part}),
            ("response.content_part.done", {**at, "part": part}),
        ]
    logprobs = {} if kind == "refusal" else {"logprobs": part.get("logprobs") or []}
    return [
        ("response.content_part.added", {**at, "part": {**part, name: ""}}),
        (f"response.{kind}.delta", {**at, "delta": part[name], **logprobs}),
        (f"response.{kind}.done", {**at, name: part[name], **logprobs}),
        ("response.content_part.done", {**at, "part": part}),
    ]
