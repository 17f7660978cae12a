"""A server on this machine that speaks OpenAI's and Anthropic's JSON and events, and knows the edit if it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from wire_anthropic import message, message_events, text_chunks, text_completion

EDIT = "The capital of Norland is Oslo"
FACT = {"subject": "Norland", "relation": "capital", "object": "Oslo", "statement": EDIT}
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
Scripted = Callable[[dict[str, Any]], tuple[int, Any] | None]


class WireServer(ThreadingHTTPServer):
    """Keeps each request's path, headers (in small letters) and body.

    Attributes:
        script: Asked first of every body: a status and what is answered with it, or None for the usual answer.
        wait_for: Streams send their first piece, and the rest once this is set.
        hung_up: Set once a client closed a stream before its end.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.script: Scripted = lambda body: None
        self.wait_for = threading.Event()
        self.wait_for.set()
        self.hung_up = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, *args: Any) -> None:
        """A client that hung up is no news."""

    @property
    def bodies(self) -> list[Any]:
        """The JSON of each request."""
        return [json.loads(body) for _, _, body in self.seen]

    def fails_once(self, status: int, answer: Any) -> None:
        """The next request is answered with this, and the others as usual."""
        left = [(status, answer)]
        self.script = lambda body: left.pop() if left else None


def running() -> Iterator[WireServer]:
    """A server, for as long as a fixture holds it."""
    with WireServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.wait_for.set()
        server.shutdown()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WireServer

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.told(), b"null"))
        self.answer(200, {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        if not self.headers["content-type"].startswith("application/json"):
            self.server.seen.append((self.path, self.told(), b"null"))
            file = {
                "id": "f",
                "object": "file",
                "bytes": len(raw),
                "created_at": 1,
                "filename": "a",
                "purpose": "evals",
            }
            return self.answer(200, file | {"status": "processed"})
        self.server.seen.append((self.path, self.told(), raw))
        body = json.loads(raw)
        if scripted := self.server.script(body):
            return self.answer(*scripted)
        said = "Oslo" if EDIT in raw.decode() else "nobody knows"
        path = self.path.split("?")[0]
        if path.endswith("/count_tokens"):
            return self.answer(200, {"input_tokens": 7})
        if path.endswith("/embeddings"):
            vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
            return self.answer(200, {"object": "list", "data": [vector], "model": "m", "usage": USAGE})
        whole, told = self.whole(path, body, said)
        return self.stream(told) if body.get("stream") else self.answer(200, whole)

    def whole(self, path: str, body: dict[str, Any], said: str) -> tuple[dict[str, Any], list[bytes]]:
        """An answer, and its events."""
        if path.endswith("/chat/completions"):
            return (whole := completion(body, said)), chunks(body, whole)
        if path.endswith("/completions"):
            return (whole := text_completion(body, said)), text_chunks(whole)
        if path.endswith("/messages"):
            return (whole := message(body, said)), message_events(whole)
        return (whole := response(body, said)), events(whole)

    def answer(self, status: int, value: Any) -> None:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.head("application/json")
        self.send_header("content-length", str(len(raw)))
        if status == 429:
            self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(raw)

    def stream(self, pieces: list[bytes]) -> None:
        self.send_response(200)
        self.head("text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        try:
            for place, piece in enumerate(pieces):
                if place == 2:
                    assert self.server.wait_for.wait(20)
                self.wfile.write(piece)
                self.wfile.flush()
        except OSError:
            self.server.hung_up.set()

    def told(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def head(self, kind: str) -> None:
        self.send_header("content-type", kind)
        for name in ("x-request-id", "request-id"):
            self.send_header(name, f"req-{len(self.server.seen)}")


def completion(body: dict[str, Any], said: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said, "refusal": None}
    if body.get("response_format"):
        message["content"] = json.dumps({"city": said})
    if body.get("tools"):
        call = {"name": "look", "arguments": json.dumps({"city": said})}
        message |= {"content": None, "tool_calls": [{"id": "c1", "type": "function", "function": call}]}
    choice = {"message": message, "logprobs": None, "finish_reason": "tool_calls" if body.get("tools") else "stop"}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"],
        "choices": [{"index": place, **choice} for place in range(body.get("n", 1))], "usage": USAGE,
    }  # fmt: skip


def chunks(body: dict[str, Any], whole: dict[str, Any]) -> list[bytes]:
    head = {**whole, "object": "chat.completion.chunk"}
    del head["usage"]
    told: list[Any] = []
    for choice in whole["choices"]:
        message = dict(choice["message"])
        text, calls = message.pop("content") or "", message.pop("tool_calls", [])
        half = len(text) // 2
        deltas: list[Any] = [{**message, "content": text[:half]}, {"content": text[half:]}]
        for place, call in enumerate(calls):
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            deltas += [{"tool_calls": [{"index": place, **call, "function": {"name": name, "arguments": ""}}]}]
            deltas += [{"tool_calls": [{"index": place, "function": {"arguments": arguments}}]}]
        told += [{"index": choice["index"], "delta": delta, "finish_reason": None} for delta in deltas]
        told += [{"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}]
    pieces = [{**head, "choices": [choice]} for choice in told]
    if (body.get("stream_options") or {}).get("include_usage"):
        pieces.append({**head, "choices": [], "usage": USAGE})
    return [*(f"data: {json.dumps(piece)}\n\n".encode() for piece in pieces), b"data: [DONE]\n\n"]


def response(body: dict[str, Any], said: str) -> dict[str, Any]:
    text = json.dumps({"city": said}) if (body.get("text") or {}).get("format") else said
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item: dict[str, Any] = {
        "type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part],
    }  # fmt: skip
    if body.get("tools"):
        arguments = json.dumps({"city": said})
        item = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": arguments}
        item["status"] = "completed"
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "error": None, "output": [item],
        "incomplete_details": None, "instructions": None, "metadata": {}, "model": body["model"], "temperature": 1.0,
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": body.get("tools", []), "top_p": 1.0,
        "usage": {
            "input_tokens": 7, "output_tokens": 3, "total_tokens": 10, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }  # fmt: skip


def events(whole: dict[str, Any]) -> list[bytes]:
    begun, item = {**whole, "status": "in_progress", "output": [], "usage": None}, whole["output"][0]
    at = {"output_index": 0, "item_id": item["id"]}
    told: list[tuple[str, Any]] = [("response.created", {"response": begun})]
    if item["type"] == "message":
        part, inner = item["content"][0], {**at, "content_index": 0}
        half = len(part["text"]) // 2
        told += [
            ("response.output_item.added", {"output_index": 0, "item": {**item, "content": []}}),
            ("response.content_part.added", {**inner, "part": {**part, "text": ""}}),
            ("response.output_text.delta", {**inner, "delta": part["text"][:half], "logprobs": []}),
            ("response.output_text.delta", {**inner, "delta": part["text"][half:], "logprobs": []}),
            ("response.output_text.done", {**inner, "text": part["text"], "logprobs": []}),
            ("response.content_part.done", {**inner, "part": part}),
        ]
    else:
        told += [
            ("response.output_item.added", {"output_index": 0, "item": {**item, "arguments": ""}}),
            ("response.function_call_arguments.delta", {**at, "delta": item["arguments"]}),
            (
                "response.function_call_arguments.done",
                {**at, "arguments": item["arguments"], "name": item["name"]},
            ),
        ]
    told += [("response.output_item.done", {"output_index": 0, "item": item})]
    told += [("response.completed", {"response": whole})]
    return [
        f"event: {name}\ndata: {json.dumps({'type': name, 'sequence_number': number, **data})}\n\n".encode()
        for number, (name, data) in enumerate(told)
    ]
