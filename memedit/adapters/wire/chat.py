"""The codec of `POST /chat/completions`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from memedit.adapters.wire.codec import Body, Codec, Stamp, event, no_answer
from memedit.errors import RequestRejected
from memedit.messages import Message, Reply, as_request

MOST = 128  # answers to one request, as OpenAI has it


class ChatCompletions(Codec):
    """OpenAI's chat completions, and those of the servers that speak like it."""

    path = "/chat/completions"
    said = ("messages",)
    limits = ("max_completion_tokens", "max_tokens")
    stops = "stop"
    shapes = {"response_format": dict, "stream_options": dict, "n": int}  # noqa: RUF012 — as the class declares it

    def conversation(self, body: Body) -> list[Message]:
        messages = body.get("messages")
        if not isinstance(messages, list):
            raise RequestRejected("A chat completion needs `messages`.", do="give a list of them")
        if (body.get("n") or 1) > MOST:
            raise RequestRejected(f"`n` is more than {MOST}.", do="ask for fewer answers")
        return list(as_request(messages).messages)

    def fields(self, body: Body, messages: Sequence[Message]) -> dict[str, Any]:
        return {"messages": [message.to_openai() for message in messages]}

    def reply(self, answer: Body) -> Reply:
        choice = next(iter(answer.get("choices") or ()), None)
        if choice is None:
            raise no_answer("choices", answer)
        message = choice["message"]
        return Reply(
            message.get("content") or "",
            tuple(message.get("tool_calls") or ()),
            choice.get("finish_reason"),
            read_usage(answer),
        )

    def answer(self, body: Body, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        # Where the caller wants JSON, text that is none would break its parser; a refusal is what it expects instead.
        refused = (body.get("response_format") or {}).get("type", "text") != "text" and not reply.tool_calls
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if refused or (reply.tool_calls and not reply.text) else reply.text,
            "refusal": reply.text if refused else None,
        }
        if reply.tool_calls:
            message["tool_calls"] = list(reply.tool_calls)
        reason = reply.finish_reason or "stop"
        choice = {"message": message, "logprobs": None, "finish_reason": reason}
        return {
            "id": f"chatcmpl-{stamp.id}",
            "object": "chat.completion",
            "created": stamp.created,
            "model": body.get("model"),
            "choices": [{"index": place, **choice} for place in range(body.get("n") or 1)],
            "usage": write_usage(stamp),
        }

    def events(self, body: Body, answer: Body) -> Iterator[bytes]:
        counted = bool((body.get("stream_options") or {}).get("include_usage"))
        head = {**answer, "object": "chat.completion.chunk"}
        usage = head.pop("usage", None)
        if counted:
            head["usage"] = None
        for choice in answer["choices"]:
            delta = dict(choice["message"])
            if calls := delta.get("tool_calls"):
                delta["tool_calls"] = [{"index": place, **call} for place, call in enumerate(calls)]
            said = {"index": choice["index"], "delta": delta, "logprobs": choice.get("logprobs"), "finish_reason": None}
            end = {"index": choice["index"], "delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}
            yield event({**head, "choices": [said]})
            yield event({**head, "choices": [end]})
        if counted:
            yield event({**head, "choices": [], "usage": usage})
        yield event("[DONE]")


def read_usage(answer: Body) -> dict[str, int]:
    """The tokens that an answer says it took, in memedit's words; none where it says nothing."""
    usage = answer.get("usage")
    return {"input": usage["prompt_tokens"], "output": usage.get("completion_tokens", 0)} if usage else {}


def write_usage(stamp: Stamp) -> dict[str, int]:
    """The same in the words of chat completions, and of completions."""
    read, written = stamp.usage.get("input", 0), stamp.usage.get("output", 0)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
