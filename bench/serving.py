"""What the server adds to a call that no edit is in scope of, and how many it answers: on this machine, by loopback.

python bench/serving.py [SECONDS]        about 20 s in all
python bench/serving.py soak REQUESTS    memedit's server alone, so many: whether its memory stays what it is

Four processes: a scripted endpoint, a bare reverse proxy of Starlette and httpx2, memedit's server, and this one,
which asks. The memory holds 1,000 facts, found by the hash embedder, and the gate `NamedGate`. What a decision costs
is measured in this process between the calls, as a server pays it, and repeated by itself, which takes a third of it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
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
FACTS = [
    {"subject": f"Town {place}", "relation": "mayor", "object": f"Ann {place}",
     "statement": f"The mayor of Town {place} is Ann {place}."} for place in range(1_000)
]  # fmt: skip


def answering(answer: Callable[[Request], Awaitable[Response]]) -> Any:
    """An application that answers chat completions."""
    return Starlette(routes=[Route(PATH, answer, methods=["POST"])])


def endpoint() -> Any:
    async def answer(request: Request) -> Response:
        await request.body()
        return Response(ANSWER, media_type="application/json")

    return answering(answer)


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

    return answering(answer)


def filled() -> EditMemory:
    memory = EditMemory(embedder=HashEmbedder())
    for _ in memory.add_many(FACTS):
        pass
    return memory


def memedits() -> Any:
    memory = filled()
    return make_app(Endpoint(f"http://127.0.0.1:{PORTS['endpoint']}", Editing.of(memory, NamedGate())), memory)


def run(make: Callable[[], Any], port: int) -> None:
    uvicorn.run(make(), port=port, log_level="error", access_log=False)


def deciding() -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Looks a message up with the gate; and decides all that is decided of it."""
    editable = Editing.of(filled(), NamedGate()).around(as_llm(str), "default")
    asked = ASKED["messages"]

    def look() -> None:
        said = read_conversation((("user", asked[0]["content"]),))
        editable.recall("default", [Recall.of(said)])

    return look, lambda: editable.explain(asked)


def seconds_of(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def repeated(work: Callable[[], Any], rounds: int = 1_000) -> float:
    """Milliseconds, in the median, of work that is done again and again."""
    return 1_000 * statistics.median(seconds_of(work) for _ in range(rounds))


async def one_by_one(
    client: httpx2.AsyncClient, places: Mapping[str, int], works: Mapping[str, Callable[[], Any]], seconds: float
) -> dict[str, list[float]]:
    """Milliseconds of single calls, the servers asked in turn, and of work that is done between them."""
    found: dict[str, list[float]] = {name: [] for name in (*places, *works)}
    for _ in range(100):
        for port in places.values():
            await client.post(f"http://127.0.0.1:{port}{PATH}", json=ASKED)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, port in places.items():
            began = time.perf_counter()
            await client.post(f"http://127.0.0.1:{port}{PATH}", json=ASKED)
            found[name].append(1_000 * (time.perf_counter() - began))
        for name, work in works.items():
            found[name].append(1_000 * seconds_of(work))
    return found


async def together(
    client: httpx2.AsyncClient, port: int, seconds: float, callers: int = 16, most: float = float("inf")
) -> tuple[int, float, int]:
    """Requests of many callers at once, how many a second, and how many were not answered."""
    begun = done = failed = 0
    began = time.perf_counter()

    async def caller() -> None:
        nonlocal begun, done, failed
        while begun < most and time.perf_counter() < began + seconds:
            begun += 1
            answer = await client.post(f"http://127.0.0.1:{port}{PATH}", json=ASKED)
            done += 1
            failed += answer.status_code != 200 or answer.content != ANSWER

    await asyncio.gather(*(caller() for _ in range(callers)))
    return done, done / (time.perf_counter() - began), failed


async def measured(seconds: float) -> None:
    look, decide = deciding()
    async with httpx2.AsyncClient(limits=CONNECTIONS, timeout=30) as client:
        await until_up(client, PORTS)
        alone = repeated(look), repeated(decide)
        found = await one_by_one(client, PORTS, {"look-up and gate": look, "all that is decided": decide}, seconds / 2)
        median = {name: statistics.median(times) for name, times in found.items()}
        bare_added, added = (median[name] - median["endpoint"] for name in ("bare", "memedit"))
        told = ", ".join(f"{name} {one:.2f} ms" for name, one in median.items())
        print(f"calls one by one, median of {len(found['bare'])}: {told}")
        print(f"repeated by themselves: look-up and gate {alone[0]:.2f} ms, all that is decided {alone[1]:.2f} ms")
        print(f"added by the bare proxy {bare_added:.2f} ms, by memedit {added:.2f} ms")
        for name, cost in (("gate", median["look-up and gate"]), ("gate, repeated by itself", alone[0])):
            print(f"memedit / (bare + {name}) = {added / (bare_added + cost):.2f}   (target: 1.3 at most)")
        for name in PORTS:
            _, rate, failed = await together(client, PORTS[name], seconds / 6)
            print(f"16 callers, {name}: {rate:.0f} requests a second, {failed} failed")


async def soaked(requests: int, pid: int) -> None:
    """Ask so many times, within an hour, and tell of each tenth."""
    done = 0
    async with httpx2.AsyncClient(limits=CONNECTIONS, timeout=30) as client:
        await until_up(client, ("endpoint", "memedit"))
        print(f"at the beginning: {resident(pid)}", flush=True)
        for _ in range(10):
            more, rate, failed = await together(client, PORTS["memedit"], 360, most=requests / 10)
            done += more
            print(f"{done:,} requests, {rate:.0f} a second, {failed} failed, {resident(pid)}", flush=True)


async def until_up(client: httpx2.AsyncClient, names: Iterable[str]) -> None:
    for name in names:
        while True:
            try:
                await client.post(f"http://127.0.0.1:{PORTS[name]}{PATH}", json=ASKED)
                break
            except httpx2.TransportError:
                await asyncio.sleep(0.1)


def resident(pid: int) -> str:
    """What a process holds in memory."""
    with open(f"/proc/{pid}/status") as status:
        return " ".join(next(line for line in status if line.startswith("VmRSS")).split())


@contextmanager
def started(makers: Mapping[str, Callable[[], Any]]) -> Iterator[dict[str, int]]:
    """Servers in processes of their own, and the number of each process."""
    context = multiprocessing.get_context("spawn")
    servers = {
        name: context.Process(target=run, args=(make, PORTS[name]), daemon=True) for name, make in makers.items()
    }
    for server in servers.values():
        server.start()
    try:
        yield {name: server.pid or 0 for name, server in servers.items()}
    finally:
        for server in servers.values():
            server.terminate()


if __name__ == "__main__":
    soaking = sys.argv[1:2] == ["soak"]
    with started({"endpoint": endpoint, "memedit": memedits} | ({} if soaking else {"bare": bare})) as pids:
        if soaking:
            asyncio.run(soaked(int(sys.argv[2]), pids["memedit"]))
        else:
            asyncio.run(measured(float(sys.argv[1]) if len(sys.argv) > 1 else 18))
