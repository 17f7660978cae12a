"""The server as the older and rarer parts of HTTP meet it, by plain sockets."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

from test_server import IN, OUT, URLS, body, caller
from test_server_stream import listening
from wire_server import WireServer

from memedit import EditMemory
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import Editing, Endpoint
from memedit.adapters.server.local import LocalModel
from memedit.testing import FakeLLM, NamedGate

CHAT = URLS[0]
JSON = "content-type: application/json\r\n"


@pytest.fixture
def port(upstream: WireServer, memory: EditMemory) -> Iterator[int]:
    with listening(make_app(Endpoint(upstream.url, Editing.of(memory, NamedGate())), memory)) as (_, url):
        yield int(url.rpartition(":")[2])


def asking(
    method: str, path: str, content: bytes = b"", *, version: str = "1.1", headers: str = "", close: bool = True
) -> bytes:
    """A request, the last one of its connection if that is to `close`."""
    ending = "connection: close\r\n" if close else ""
    head = f"{method} {path} HTTP/{version}\r\nhost: localhost\r\n{headers}{ending}content-length: {len(content)}\r\n"
    return f"{head}\r\n".encode() + content


def chat(question: str, **more: Any) -> bytes:
    return json.dumps(body(CHAT, question, **more)).encode()


def exchanged(port: int, sent: bytes) -> bytes:
    """Everything that comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(sent)
        with connection.makefile("rb") as coming:
            return coming.read()


def parted(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one response, none of whose headers may come twice."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    names = [line.partition(": ")[0].lower() for line in lines]
    assert len(set(names)) == len(names), names
    return int(first.split()[1]), dict(zip(names, (line.partition(": ")[2] for line in lines), strict=True)), rest


def test_a_caller_that_asks_first_is_told_to_go_on(port: int, upstream: WireServer) -> None:
    content = chat(IN)
    with socket.create_connection(("127.0.0.1", port), 20) as connection, connection.makefile("rb") as coming:
        head, _, _ = asking("POST", CHAT, content, headers=f"{JSON}expect: 100-continue\r\n").partition(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        assert coming.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert coming.readline() == b"\r\n"
        connection.sendall(content)
        status, _, answer = parted(coming.read())
    assert (status, b"Oslo" in answer) == (200, True)
    assert "expect" not in upstream.seen[0][1]


def test_a_caller_that_asks_first_need_not_send_what_is_too_large(port: int) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\n{JSON}expect: 100-continue\r\ncontent-length: {10**9}\r\n\r\n"
    status, headers, answer = parted(exchanged(port, head.encode()))
    assert (status, headers["connection"]) == (413, "close")
    assert b"larger than" in answer


@pytest.mark.parametrize("path", ["/healthz", "/memedit/", "/metrics"])
def test_head_gives_the_headers_of_get_alone(port: int, path: str) -> None:
    status, headers, content = parted(exchanged(port, asking("HEAD", path)))
    assert (status, content) == (200, b"")
    assert int(headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "said"),
    [
        ("OPTIONS", CHAT, "origin: http://a.example\r\n", 405, "page of another origin"),
        ("OPTIONS", CHAT, "", 405, "does not take the method"),
        ("TRACE", "/v1/models", "", 405, "does not take the method"),
        ("DELETE", "/healthz", "", 405, "does not take the method"),
        ("POST", "/chat/completions", "", 404, "under /v1"),
        ("GET", "/", "", 404, "under /v1"),
        ("GET", "/v1", "", 404, "under /v1"),
        ("POST", f"{CHAT}/", "", 404, "leave out the slash"),
        ("GET", "/memedit/edits/", "", 404, "no such path"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(
    port: int, upstream: WireServer, method: str, path: str, headers: str, status: int, said: str
) -> None:
    got, told, answer = parted(exchanged(port, asking(method, path, headers=headers)))
    error = json.loads(answer)["error"]
    assert (got, told["content-type"]) == (status, "application/json")
    assert said in f"{error['message']} {error.get('do')}"
    assert ("allow" in told) == (status == 405)
    assert not any("access-control" in name for name in told)  # no page of another origin reads it
    assert not upstream.seen


def test_a_compressed_question_is_refused_and_another_body_passed_on(port: int, upstream: WireServer) -> None:
    zipped = gzip.compress(chat(IN))
    status, _, answer = parted(
        exchanged(port, asking("POST", CHAT, zipped, headers=f"{JSON}content-encoding: gzip\r\n"))
    )
    assert (status, b"send it as it is" in answer) == (415, True)
    assert not upstream.seen
    kind = "content-type: application/octet-stream\r\ncontent-encoding: gzip\r\n"
    assert parted(exchanged(port, asking("POST", "/v1/files", zipped, headers=kind)))[0] == 200
    assert upstream.seen[0][1]["content-encoding"] == "gzip"


@pytest.mark.parametrize("question", [IN, OUT])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_caller_of_http_1_0_reads_no_chunks(port: int, question: str, streamed: bool) -> None:
    given = asking("POST", CHAT, chat(question, stream=streamed), version="1.0", headers=JSON, close=False)
    status, headers, content = parted(exchanged(port, given))
    assert status == 200
    assert "transfer-encoding" not in headers
    assert int(headers["content-length"]) == len(content)
    assert headers["connection"] == "close"
    assert ("x-memedit-edits" in headers) == (question == IN)
    assert content.endswith(b"data: [DONE]\n\n") if streamed else json.loads(content)


def test_a_caller_of_http_1_0_may_name_no_host(port: int) -> None:
    assert parted(exchanged(port, b"GET /healthz HTTP/1.0\r\n\r\n"))[0] == 200


def test_requests_that_do_not_wait_are_answered_in_their_order(port: int, upstream: WireServer) -> None:
    given = [
        asking("POST", CHAT, chat(OUT), headers=JSON, close=False),
        asking("GET", "/v1/models", close=False),
        asking("POST", CHAT, chat(IN, stream=True), headers=JSON, close=False),
        asking("GET", "/healthz"),
    ]
    answer = exchanged(port, b"".join(given))
    places = [answer.index(text) for text in (b"nobody knows", b'"object": "list"', b"[DONE]", b'{"status":"ok"}')]
    assert places == sorted(places)
    assert answer.count(b"HTTP/1.1 200 OK") == 4
    assert len(upstream.seen) == 3


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "[::1]"])
async def test_names_of_this_machine_are_answered(memory: EditMemory, host: str) -> None:
    async with caller(make_app(LocalModel(FakeLLM(), Editing.of(memory, NamedGate())), memory)) as client:
        assert (await client.get("/healthz", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["host.docker.internal:8080", "", "localhost.attacker.example", "a@localhost", "localhost:x", "[::1", "::1"]
)
async def test_any_other_name_is_refused_in_a_sentence(memory: EditMemory, host: str) -> None:
    async with caller(make_app(LocalModel(FakeLLM(), Editing.of(memory, NamedGate())), memory)) as client:
        answer = await client.get("/healthz", headers={"host": host})
    assert answer.status_code == 400
    assert "--keys FILE" in answer.json()["error"]["do"]


async def test_a_local_model_is_listed_and_asked_by_post(memory: EditMemory) -> None:
    async with caller(make_app(LocalModel(FakeLLM(), Editing.of(memory, NamedGate())), memory)) as client:
        for path in ("/v1/models", "/v1/models/fake"):
            assert (await client.get(path)).status_code == (await client.head(path)).status_code == 200
        other = await client.get("/v1/models/gpt-5.5")
        assert (other.status_code, other.json()["error"]["do"]) == (404, "ask for `fake`")
        got = await client.get(CHAT)
        assert (got.status_code, got.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("question", [IN, OUT])
def test_a_caller_that_leaves_before_the_answer_begins_is_not_waited_for(
    port: int, upstream: WireServer, question: str
) -> None:
    """The call to the model's server is closed, too, and the next caller is answered."""
    asked, let_go = threading.Event(), threading.Event()

    def script(given: Any) -> None:
        if not asked.is_set():
            asked.set()
            let_go.wait(20)

    upstream.script = script
    with closing(socket.create_connection(("127.0.0.1", port), 20)) as connection:
        connection.sendall(asking("POST", CHAT, chat(question), headers=JSON))
        assert asked.wait(20)
    began = time.monotonic()
    while b"memedit_open_requests 1.0" not in exchanged(port, asking("GET", "/metrics")):  # this one alone
        assert time.monotonic() < began + 10
        time.sleep(0.05)
    assert not let_go.is_set()
    let_go.set()
    assert b"nobody knows" in exchanged(port, asking("POST", CHAT, chat(OUT), headers=JSON))
