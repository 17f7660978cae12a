"""What answers behind the proxy: another endpoint, or a model in this process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache, partial
from typing import Any

import httpx2

from memedit.adapters.server.faults import Fault
from memedit.adapters.wire.transport import AsyncEditTransport, codec_for, read_call, response_to
from memedit.editable import EditableLLM
from memedit.llms import LLM
from memedit.memory import EditMemory

TRANSPORTS = 1_024  # namespaces whose transports are kept


class Backend(ABC):
    """Answers requests, those that ask a model with the memory applied.

    Args:
        memory: Whose edits.
        how: Passed to every `EditableLLM` (gate, method, models, doubt).
    """

    def __init__(self, memory: EditMemory, **how: Any) -> None:
        self.memory = memory
        self._how = how

    def around(self, namespace: str) -> partial[EditableLLM]:
        """Puts the memory of a namespace around a model."""
        return partial(EditableLLM, memory=self.memory, namespace=namespace, **self._how)

    @abstractmethod
    async def answer(self, request: httpx2.Request, namespace: str) -> httpx2.Response:
        """The response, whose body may still have to be read."""

    @abstractmethod
    def url(self, path: str, query: str) -> str:
        """Where a path of the proxy's lies behind it."""

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of what it holds."""


class Upstream(Backend):
    """Another endpoint of the same API.

    Args:
        base_url: Of the endpoint, with or without `/v1`.
        key: Sent to it in place of the caller's; None to hand on what the caller sends.
        client: Sends; made when left out.
    """

    def __init__(
        self, base_url: str, memory: EditMemory, *, key: str | None = None, client: httpx2.AsyncClient | None = None,
        **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(memory, **how)
        self._base = base_url.rstrip("/").removesuffix("/v1")
        self._key = key
        self._client = client or httpx2.AsyncClient(timeout=httpx2.Timeout(600, connect=10), trust_env=False)
        self._transport = lru_cache(TRANSPORTS)(lambda name: AsyncEditTransport(self._client, self.around(name)))

    def url(self, path: str, query: str) -> str:
        return f"{self._base}{path}" + (f"?{query}" if query else "")

    async def answer(self, request: httpx2.Request, namespace: str) -> httpx2.Response:
        if self._key is not None:
            request.headers["authorization"] = f"Bearer {self._key}"
        try:
            return await self._transport(namespace).handle_async_request(request)
        except httpx2.TimeoutException as error:
            raise Fault(504, "The upstream did not answer in time.", "try again") from error
        except httpx2.HTTPError as error:
            raise Fault(502, f"The upstream cannot be reached: {type(error).__name__}.", "check --upstream") from error

    async def aclose(self) -> None:
        await self._client.aclose()


class Model(Backend):
    """A model in this process; what it answers is written as the API would.

    Args:
        llm: The model.
    """

    def __init__(self, llm: LLM, memory: EditMemory, **how: Any) -> None:
        super().__init__(memory, **how)
        self._llm = llm

    def url(self, path: str, query: str) -> str:
        return f"http://model{path}"

    async def answer(self, request: httpx2.Request, namespace: str) -> httpx2.Response:
        if request.method == "GET" and request.url.path.endswith("/models"):
            one = {"id": self._llm.name, "object": "model", "created": 0, "owned_by": "memedit"}
            return httpx2.Response(200, json={"object": "list", "data": [one]})
        codec = codec_for(request)
        if codec is None:
            raise Fault(404, f"A local model has no {request.url.path}.", "call /v1/chat/completions or /v1/responses")
        if (call := read_call(codec, request, request.content)) is None:
            raise Fault(400, "The body holds no conversation.", "send JSON with `model` and `messages` or `input`")
        return response_to(call, await self.around(namespace)(self._llm).ainvoke(call.request))

    async def aclose(self) -> None:
        pass  # the model is its owner's
