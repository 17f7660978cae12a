"""The codec of `POST /completions`: a text that is continued, with no conversation around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from memedit.adapters.wire.chat import MOST, read_usage, write_usage
from memedit.adapters.wire.codec import Body, Codec, Stamp, event, no_answer
from memedit.errors import RequestRejected
from memedit.messages import Message, Reply, Request, as_request

CLOSING = ".,;:!?)]}%’”'\""
"""What stands at once behind a word."""


class Completions(Codec):
    """OpenAI's completions, which came before chat, and those of the servers that still have them."""

    path = "/completions"
    said = ("prompt",)
    limits = ("max_tokens",)
    stops = "stop"
    shapes = {"stream_options": dict, "n": int, "echo": bool}  # noqa: RUF012 — as the class declares it
    kind = "base"

    def read(self, body: Body) -> Request:
        return replace(super().read(body), form="raw")

    def conversation(self, body: Body) -> list[Message]:
        prompt = body.get("prompt")
        if isinstance(prompt, list) and len(prompt) == 1:
            prompt = prompt[0]
        if (body.get("n") or 1) > MOST:
            raise RequestRejected(f"`n` is more than {MOST}.", do="ask for fewer answers")
        if not isinstance(prompt, str):
            raise RequestRejected("`prompt` is not one text.", do="ask for one completion at a time")
        return list(as_request(prompt).messages)

    def fields(self, body: Body, messages: Sequence[Message]) -> dict[str, Any]:
        if list(messages) == self.conversation(body):
            return {"prompt": body["prompt"]}
        text = Request(tuple(messages)).text
        return {"prompt": text if len(messages) == 1 else f"{text}\nAssistant:"}

    def reply(self, answer: Body) -> Reply:
        choice = next(iter(answer.get("choices") or ()), None)
        if choice is None or "text" not in choice:
            raise no_answer("choices", answer)
        return Reply(choice["text"] or "", (), choice.get("finish_reason"), read_usage(answer))

    def following(self, body: Body, reply: Reply, asked: Request | None) -> Reply:
        prompt, text = self.conversation(body)[0].text, reply.text
        if reply.lead is not None and asked is not None and asked.text.endswith(prompt):
            return replace(
                reply, text=reply.lead + text
            )  # written on from where the caller's text ends, if in mid-word
        apart = bool(text and prompt) and not prompt[-1].isspace() and not text[0].isspace() and text[0] not in CLOSING
        return replace(reply, text=f" {text}") if apart else reply

    def answer(self, body: Body, reply: Reply, stamp: Stamp) -> dict[str, Any]:
        text = (self.conversation(body)[0].text if body.get("echo") else "") + reply.text
        choice = {"text": text, "logprobs": None, "finish_reason": reply.finish_reason or "stop"}
        return {
            "id": f"cmpl-{stamp.id}",
            "object": "text_completion",
            "created": stamp.created,
            "model": body.get("model"),
            "choices": [{"index": place, **choice} for place in range(body.get("n") or 1)],
            "usage": write_usage(stamp),
        }

    def events(self, body: Body, answer: Body) -> Iterator[bytes]:
        counted = bool((body.get("stream_options") or {}).get("include_usage"))
        head = {name: value for name, value in answer.items() if name != "usage"}
        for choice in answer["choices"]:
            yield event({**head, "choices": [choice]})
        if counted:
            yield event({**head, "choices": [], "usage": answer.get("usage")})
        yield event("[DONE]")
