"""The server on a real port: streams come piece by piece, and end with whoever ends them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")

import httpx2
import uvicorn
from test_server import IN, OUT, URLS, body
from wire_server import WireServer

from memedit import EditMemory
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import Editing, Endpoint
from memedit.adapters.server.local import LocalModel
from memedit.messages import Reply
from memedit.testing import FakeLLM, NamedGate


@contextmanager
def listening(app: Any) -> Iterator[tuple[uvicorn.Server, str]]:
    how: Any = {"port": 0, "log_level": "error", "server_header": False, "timeout_graceful_shutdown": 5}
    server = uvicorn.Server(uvicorn.Config(app, **how))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def url(upstream: WireServer, memory: EditMemory) -> Iterator[str]:
    backend = Endpoint(upstream.url, Editing.of(memory, NamedGate()))
    with listening(make_app(backend, memory)) as (_, address):
        yield address


@pytest.mark.parametrize("question", [IN, OUT])
@pytest.mark.parametrize("path", URLS)
def test_pieces_come_as_they_are_made(url: str, upstream: WireServer, path: str, question: str) -> None:
    upstream.wait_for.clear()
    pieces: list[bytes] = []
    with httpx2.stream("POST", f"{url}{path}", json=body(path, question, stream=True), timeout=20) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert ("x-memedit-edits" in answer.headers) == (question == IN)
        for piece in answer.iter_raw():
            pieces.append(piece)
            if b"".join(pieces).count(b"\n\n") == 2:
                upstream.wait_for.set()  # what comes from here on, the server could not have had before
    whole = b"".join(pieces)
    direct = httpx2.post(f"{upstream.url.removesuffix('/v1')}{path}", content=upstream.seen[0][2],
                         headers={"content-type": "application/json"})  # fmt: skip
    assert whole == direct.content


def test_a_caller_that_hangs_up_ends_the_stream(url: str, upstream: WireServer) -> None:
    upstream.wait_for.clear()
    with httpx2.stream("POST", f"{url}{URLS[0]}", json=body(URLS[0], OUT, stream=True), timeout=20) as answer:
        next(answer.iter_raw())
    time.sleep(0.2)
    upstream.wait_for.set()
    assert upstream.hung_up.wait(10)


def test_a_stream_that_breaks_off_breaks_off(url: str, upstream: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from wire_server import Handler

    def broken(self: Handler, pieces: list[bytes]) -> None:
        self.send_response(200)
        self.head("text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"7\r\ndata: 1\r\n")
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(2)

    monkeypatch.setattr(Handler, "stream", broken)
    with (
        pytest.raises(httpx2.RemoteProtocolError),
        httpx2.stream("POST", f"{url}{URLS[0]}", json=body(URLS[0], OUT, stream=True), timeout=20) as answer,
    ):
        list(answer.iter_raw())


def test_ready_once_it_is_warm_and_open_requests_end_before_it_does(upstream: WireServer, memory: EditMemory) -> None:
    backend = Endpoint(upstream.url, Editing.of(memory, NamedGate()))
    upstream.wait_for.clear()
    with listening(make_app(backend, memory)) as (server, url):
        deadline = time.monotonic() + 10
        while httpx2.get(f"{url}/readyz").status_code != 200:
            assert time.monotonic() < deadline
        with httpx2.stream("POST", f"{url}{URLS[0]}", json=body(URLS[0], OUT, stream=True), timeout=20) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            server.should_exit = True
            time.sleep(0.2)
            upstream.wait_for.set()
            assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/healthz")


@pytest.mark.parametrize("path", URLS)
def test_a_local_model_stops_when_the_caller_hangs_up(memory: EditMemory, path: str) -> None:
    ended = threading.Event()

    class Endless(FakeLLM):
        async def astream(self, request: Any) -> Any:
            try:
                while True:
                    yield Reply("on and on ")
                    await asyncio.sleep(0.01)
            finally:
                ended.set()

    app = make_app(LocalModel(Endless(), Editing.of(memory, NamedGate())), memory)
    with (
        listening(app) as (_, url),
        httpx2.stream("POST", f"{url}{path}", json=body(path, OUT, stream=True), timeout=20) as answer,
    ):
        pieces = answer.iter_raw()
        assert [next(pieces) for _ in range(5)]
        assert not ended.is_set()
        answer.close()
        assert ended.wait(5)


async def test_waiting_ends_when_the_caller_is_gone(memory: EditMemory) -> None:
    ended = asyncio.Event()

    class Slow(FakeLLM):
        async def agenerate(self, requests: Any) -> Any:
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()

    app = make_app(LocalModel(Slow(), Editing.of(memory, NamedGate())), memory)
    raw = json.dumps(body(URLS[0], OUT)).encode()
    messages = [{"type": "http.request", "body": raw, "more_body": False}, {"type": "http.disconnect"}]
    scope = {
        "type": "http", "method": "POST", "path": URLS[0], "raw_path": URLS[0].encode(), "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")], "http_version": "1.1",
        "scheme": "http", "server": ("localhost", 80), "client": None, "root_path": "",
    }  # fmt: skip

    async def receive() -> Any:
        await asyncio.sleep(0.05)
        return messages.pop(0)

    async def send(message: Any) -> None:
        pass

    await app(scope, receive, send)
    await asyncio.wait_for(ended.wait(), 5)
