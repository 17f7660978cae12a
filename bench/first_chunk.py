"""How much later the first chunk of a stream comes where no edit is in scope: the proxy, and LangChain's chat model.

python bench/first_chunk.py [SECONDS]       about 40 s with what is loaded first

Direct and through memedit in turn, every message asked for the first time, 1,000 facts, the default embedder and gate.
Beside it, on the same messages between the calls: what a decision takes by itself, and one call of the bare embedder.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from collections.abc import Iterator
from itertools import product
from typing import Any

import httpx2
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from serving import FACTS, PATH, PORTS, answering, started, until_up
from starlette.requests import Request
from starlette.responses import StreamingResponse

from memedit import EditableLLM, EditMemory
from memedit.adapters.langchain import EditableChatModel
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import CONNECTIONS, Editing, Endpoint
from memedit.testing import FakeLLM

WISHES = (
    "Please write|Could you summarise|Explain|How do I cook|What is the best way to fix|Help me plan|Translate".split(
        "|"
    )
)
THINGS = (
    "a function that sorts numbers|the notes of the meeting on Monday|photosynthesis to a child|risotto for six people"
    "|a leaking tap|a weekend in the mountains|good morning into French|two kinds of insurance"
).split("|")
WAYS = ("", "quickly", "in short", "step by step", "for a beginner", "with examples", "without jargon", "kindly")
CHUNK = b'data: {"choices": [{"index": 0, "delta": {"content": "Forty-two."}}]}\n\n'


def messages() -> Iterator[str]:
    """Messages that no edit bears on, none of them twice."""
    made = [" ".join((*parts[:3], f"({parts[3]})")) for parts in product(WISHES, THINGS, WAYS, range(9))]
    random.Random(0).shuffle(made)
    return iter(made)


def endpoint() -> Any:
    async def answer(request: Request) -> StreamingResponse:
        await request.body()
        return StreamingResponse(iter((CHUNK, b"data: [DONE]\n\n")), media_type="text/event-stream")

    return answering(answer)


def filled() -> EditMemory:
    memory = EditMemory()
    for _ in memory.add_many(FACTS):
        pass
    return memory


def memedits() -> Any:
    memory = filled()
    return make_app(Endpoint(f"http://127.0.0.1:{PORTS['endpoint']}", Editing.of(memory)), memory)


def took(began: float) -> float:
    return 1_000 * (time.perf_counter() - began)


async def by_proxy(client: httpx2.AsyncClient, port: int, message: str) -> float:
    asked = {"model": "m", "stream": True, "messages": [{"role": "user", "content": message}]}
    began = time.perf_counter()
    async with client.stream("POST", f"http://127.0.0.1:{port}{PATH}", json=asked) as answer:
        pieces = answer.aiter_raw()
        await anext(pieces)
        found = took(began)
        async for _ in pieces:
            pass
    return found


async def by_chat(model: Any, message: str) -> float:
    began = time.perf_counter()
    pieces = model.astream(message)
    await anext(pieces)
    found = took(began)
    async for _ in pieces:
        pass
    return found


async def measured(seconds: float) -> None:
    memory, asked = filled(), messages()
    direct = GenericFakeChatModel(messages=iter(lambda: AIMessage("Forty two."), None))
    chat = EditableChatModel(direct, memory)
    editable = EditableLLM(FakeLLM(), memory)
    found: dict[str, list[float]] = {}
    async with httpx2.AsyncClient(limits=CONNECTIONS, timeout=30) as client:
        await until_up(client, ("endpoint", "memedit"))
        for began in (time.perf_counter() + 1, time.perf_counter() + 1 + seconds):  # the first second warms up
            found = {name: [] for name in ("direct", "proxy", "chat", "edited chat", "decision", "bare embedder")}
            while time.perf_counter() < began:
                found["direct"].append(await by_proxy(client, PORTS["endpoint"], next(asked)))
                found["proxy"].append(await by_proxy(client, PORTS["memedit"], next(asked)))
                found["chat"].append(await by_chat(direct, next(asked)))
                found["edited chat"].append(await by_chat(chat, next(asked)))
                message, start = next(asked), time.perf_counter()
                editable.explain(message)
                found["decision"].append(took(start))
                start = time.perf_counter()
                memory.embedder.embed([next(asked)])
                found["bare embedder"].append(took(start))
    median = {name: statistics.median(times) for name, times in found.items()}
    print(f"milliseconds, median of {len(found['direct'])}: " + ", ".join(f"{a} {b:.2f}" for a, b in median.items()))
    for name, plain, edited in (("proxy", "direct", "proxy"), ("LangChain", "chat", "edited chat")):
        later = median[edited] - median[plain]
        print(f"{name}: {later:.1f} ms later than direct ({later / median['bare embedder']:.1f} bare embedder calls)")
    print(f"a decision is {median['decision'] / median['bare embedder']:.2f} bare embedder calls")


if __name__ == "__main__":
    with started({"endpoint": endpoint, "memedit": memedits}):
        asyncio.run(measured(float(sys.argv[1]) if len(sys.argv) > 1 else 20))
