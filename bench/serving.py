"""What the server adds to a call that no edit is in scope of, and how many it answers: on this machine, by loopback.

python bench/serving.py [SECONDS]       about 20 s in all
python bench/serving.py soak SECONDS    memedit's server alone, for so long: whether its memory stays what it is

Four processes: a scripted endpoint, a bare reverse proxy of Starlette and httpx2, memedit's server, and this one,
which asks. The memory holds 1,000 facts, found by the hash embedder, and the gate `NamedGate`.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from memedit import EditMemory
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import CONNECTIONS, Editing, Endpoint
from memedit.gate import read_conversation
from memedit.llms import as_llm
from memedit.methods.base import Recall
from memedit.testing import HashEmbedder, NamedGate

PATH = "/v1/chat/completions"
ANSWER = b"""{"id": "1", "object": "chat.completion", "created": 1, "model": "m",
"choices": [{"index": 0, "finish_reason": "stop",
"message": {"role": "assistant", "content": "Forty-two."}}], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}"""
ASKED = {"model": "m", "messages": [{"role": "user", "content": "What is seven times six?"}]}
PORTS = {"endpoint": 8951, "bare": 8952, "memedit": 8953}


def endpoint() -> Any:
    async def answer(request: Request) -> Response:
        await request.body()
        return Response(ANSWER, media_type="application/json")

    return Starlette(routes=[Route(PATH, answer, methods=["POST"])])


def bare() -> Any:
    """The least that passes a request on and streams its response back."""
    client = httpx2.AsyncClient(limits=CONNECTIONS)

    async def answer(request: Request) -> Response:
        headers = [(name, value) for name, value in request.headers.items() if name != "host"]
        url = f"http://127.0.0.1:{PORTS['endpoint']}{request.url.path}"
        sent = httpx2.Request("POST", url, headers=headers, content=await request.body())
        got = await client.send(sent, stream=True)

        async def pieces() -> Any:
            try:
                async for piece in got.aiter_raw():
                    yield piece
            finally:
                await got.aclose()

        return StreamingResponse(pieces(), got.status_code, headers=dict(got.headers))

    return Starlette(routes=[Route(PATH, answer, methods=["POST"])])


def filled() -> EditMemory:
    memory = EditMemory(embedder=HashEmbedder())
    facts = ({"subject": f"Town {place}", "relation": "mayor", "object": f"Ann {place}", "statement":
              f"The mayor of Town {place} is Ann {place}."} for place in range(1_000))  # fmt: skip
    for _ in memory.add_many(facts):
        pass
    return memory


def memedits() -> Any:
    memory = filled()
    return make_app(Endpoint(f"http://127.0.0.1:{PORTS['endpoint']}", Editing.of(memory, NamedGate())), memory)


def run(make: Callable[[], Any], port: int) -> None:
    uvicorn.run(make(), port=port, log_level="error", access_log=False)


def gate_cost(rounds: int = 1_000) -> tuple[float, float]:
    """Milliseconds, in the median, of looking a message up with the gate, and of all that is decided of it."""
    editable = Editing.of(filled(), NamedGate()).around(as_llm(str), "default")
    asked = ASKED["messages"]

    def look() -> None:
        said = read_conversation((("user", asked[0]["content"]),))
        editable.recall("default", [Recall(said.query, whole=said.whole)])

    return _median(look, rounds), _median(lambda: editable.explain(asked), rounds)


def _median(work: Callable[[], Any], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return 1_000 * statistics.median(seconds)


async def one_by_one(client: httpx2.AsyncClient, places: dict[str, int], seconds: float) -> dict[str, list[float]]:
    """Milliseconds of single calls, the servers asked in turn."""
    found: dict[str, list[float]] = {name: [] for name in places}
    for _ in range(100):
        for port in places.values():
            await client.post(f"http://127.0.0.1:{port}{PATH}", json=ASKED)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, port in places.items():
            began = time.perf_counter()
            await client.post(f"http://127.0.0.1:{port}{PATH}", json=ASKED)
            found[name].append(1_000 * (time.perf_counter() - began))
    return found


async def together(client: httpx2.AsyncClient, port: int, seconds: float, callers: int = 16) -> tuple[float, int]:
    """Requests a second of many callers at once, and how many were not answered."""
    done = failed = 0
    began = time.perf_counter()

    async def caller() -> None:
        nonlocal done, failed
        while time.perf_counter() < began + seconds:
            answer = await client.post(f"http://127.0.0.1:{port}{PATH}", json=ASKED)
            done += 1
            failed += answer.status_code != 200 or answer.content != ANSWER

    await asyncio.gather(*(caller() for _ in range(callers)))
    return done / (time.perf_counter() - began), failed


async def measured(seconds: float) -> None:
    async with httpx2.AsyncClient(limits=CONNECTIONS, timeout=30) as client:
        await until_up(client)
        gate, decided = gate_cost()
        found = await one_by_one(client, PORTS, seconds / 2)
        median = {name: statistics.median(times) for name, times in found.items()}
        bare_added, added = (median[name] - median["endpoint"] for name in ("bare", "memedit"))
        told = ", ".join(f"{name} {one:.2f} ms" for name, one in median.items())
        print(f"calls one by one, median of {len(found['bare'])}: {told}")
        print(f"added by the bare proxy {bare_added:.2f} ms, by memedit {added:.2f} ms")
        print(f"look-up and gate alone {gate:.2f} ms, with what the method decides {decided:.2f} ms")
        print(f"memedit / (bare + gate) = {added / (bare_added + gate):.2f}   (target: 1.3 at most)")
        print(f"memedit / (bare + all that is decided) = {added / (bare_added + decided):.2f}")
        for name in PORTS:
            rate, failed = await together(client, PORTS[name], seconds / 6)
            print(f"16 callers, {name}: {rate:.0f} requests a second, {failed} failed")


async def soaked(seconds: float, pid: int) -> None:
    async with httpx2.AsyncClient(limits=CONNECTIONS, timeout=30) as client:
        await until_up(client)
        done = 0.0
        for part in range(5):
            rate, failed = await together(client, PORTS["memedit"], seconds / 5)
            done += rate * seconds / 5
            print(f"part {part + 1}: {done:,.0f} requests, {rate:.0f} a second, {failed} failed, {resident(pid)}")


async def until_up(client: httpx2.AsyncClient) -> None:
    for port in PORTS.values():
        while True:
            try:
                await client.post(f"http://127.0.0.1:{port}{PATH}", json=ASKED)
                break
            except httpx2.TransportError:
                await asyncio.sleep(0.1)


def resident(pid: int) -> str:
    """What a process holds in memory."""
    with open(f"/proc/{pid}/status") as status:
        return " ".join(next(line for line in status if line.startswith("VmRSS")).split())


if __name__ == "__main__":
    makers = {"endpoint": endpoint, "bare": bare, "memedit": memedits}
    context = multiprocessing.get_context("spawn")
    servers = {
        name: context.Process(target=run, args=(makers[name], port), daemon=True) for name, port in PORTS.items()
    }
    for server in servers.values():
        server.start()
    if sys.argv[1:2] == ["soak"]:
        asyncio.run(soaked(float(sys.argv[2]), servers["memedit"].pid or 0))
    else:
        asyncio.run(measured(float(sys.argv[1]) if len(sys.argv) > 1 else 18))
    for server in servers.values():
        server.terminate()
