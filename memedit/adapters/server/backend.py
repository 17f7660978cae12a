"""What answers the calls of `/v1`: the port, and an endpoint that speaks OpenAI's API, or Anthropic's."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import httpx2

from memedit.adapters.server.faults import Refused
from memedit.adapters.wire.chat import ChatCompletions
from memedit.adapters.wire.parameters import Parameters
from memedit.adapters.wire.transport import AsyncEditTransport
from memedit.adapters.wire.upstream import Call, Upstream
from memedit.editable import EditableLLM
from memedit.gate import Gate, as_gate
from memedit.llms import as_llm
from memedit.memory import EditMemory
from memedit.messages import Request
from memedit.methods.base import Method, find_method
from memedit.methods.doubt import Doubt

CONNECTIONS = httpx2.Limits(max_connections=None, max_keepalive_connections=200)
CHAT = ChatCompletions()
KNOWN = 3.0  # seconds for which it is taken as known whether a server can be reached; it has as long to answer
CREDENTIALS = ("authorization", "api-key", "x-api-key", "cookie", "proxy-authorization")


@dataclass(frozen=True)
class Editing:
    """How edits are applied, whichever model answers.

    Args:
        memory: The memory.
        gate: Decides which edits are in scope.
        method: How hits change the answer.
        doubt: What is done with edits that may bear on a message and may not; None for what fits the model.
        telling: Makes a model tell of its calls (`telemetry.py`); None where nobody is told.
    """

    memory: EditMemory
    gate: Gate
    method: Method
    doubt: Doubt | None = None
    telling: Callable[[EditableLLM], EditableLLM] | None = None

    @classmethod
    def of(
        cls, memory: EditMemory, gate: Gate | str | None = None, method: Method | str = "auto",
        doubt: Doubt | None = None, telling: Callable[[EditableLLM], EditableLLM] | None = None,
    ) -> Editing:  # fmt: skip
        """From what `EditableLLM` takes."""
        return cls(memory, as_gate(gate), find_method(method), doubt, telling)

    def around(self, llm: Any, namespace: str) -> EditableLLM:
        """A model with the edits of a namespace in front of it."""
        editable = EditableLLM(
            llm, self.memory, namespace=namespace, gate=self.gate, method=self.method, doubt=self.doubt
        )  # fmt: skip
        return editable if self.telling is None else self.telling(editable)


class Backend(ABC):
    """Answers calls, by the edits of a namespace."""

    @abstractmethod
    def request(self, method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes) -> Any:
        """A caller's request as it goes on, of the path behind `/v1`."""

    @abstractmethod
    async def respond(self, request: httpx2.Request, namespace: str) -> httpx2.Response:
        """The response, not read yet where it is a stream."""

    @abstractmethod
    def editable(self, namespace: str, model: str | None, headers: Mapping[str, str]) -> EditableLLM:
        """The model of this name with the memory in front of it, to be asked in a thread.

        Raises:
            Refused: A name is needed, and there is none.
        """

    async def reachable(self) -> bool:
        """Whether it can be asked now."""
        return True

    async def close(self) -> None:
        """Let go of connections and of the model."""
        return None


class Endpoint(Backend):
    """A server that speaks OpenAI's API, or Anthropic's.

    Args:
        url: What stands for `/v1`; without a path, `/v1` is added.
        editing: How edits are applied.
        key: Its own key; None where the caller's is passed on.
        passes_keys: Whether the caller's credentials go on to it: not where they are memedit's.
        client: Sends; made when left out.
        seconds: How long it may take to begin an answer, or to go on with one.

    Raises:
        CapabilityMissing: The method needs log-probabilities or weights.
    """

    def __init__(
        self, url: str, editing: Editing, *, key: str | None = None, passes_keys: bool = True,
        client: httpx2.AsyncClient | None = None, seconds: float = 600.0,
    ) -> None:  # fmt: skip
        base = url.rstrip("/")
        self.url = base if httpx2.URL(base).path.strip("/") else f"{base}/v1"
        timeout = httpx2.Timeout(seconds, connect=10.0)
        self._editing = editing
        self._key = key
        self._passes_keys = passes_keys and key is None
        self._client = client or httpx2.AsyncClient(timeout=timeout, limits=CONNECTIONS)
        self._sync = httpx2.Client(timeout=timeout, limits=CONNECTIONS)
        self._parameters = Parameters(CHAT.limits, CHAT.stops)
        self._transports: dict[str, AsyncEditTransport] = {}
        self._reachable, self._known_until = True, 0.0
        editing.around(as_llm(str), "default")  # what does not fit together is said here, and not at the first call

    def request(
        self, method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes
    ) -> httpx2.Request:
        told = [(name, value) for name, value in headers if self._passes_keys or name not in CREDENTIALS]
        url = _url(f"{self.url}{path}" + (f"?{query}" if query else ""))
        return httpx2.Request(method, url, headers=[*told, *self._own(dict(headers))], content=body or None)

    async def respond(self, request: httpx2.Request, namespace: str) -> httpx2.Response:
        transport = self._transports.get(namespace)
        if transport is None:
            around = partial(self._editing.around, namespace=namespace)
            transport = self._transports[namespace] = AsyncEditTransport(self._client, around)
        return await transport.handle_async_request(request)

    def editable(self, namespace: str, model: str | None, headers: Mapping[str, str]) -> EditableLLM:
        if not model:
            raise Refused(400, "The server has many models.", do="name one as `model`")
        told = [("content-type", "application/json"), *self._own(headers)]
        told += [(name, headers[name]) for name in CREDENTIALS if self._passes_keys and name in headers]
        sent = httpx2.Request("POST", f"{self.url}{CHAT.path}", headers=told)
        call = Call(CHAT, {"model": model}, Request(()), sent)
        return self._editing.around(Upstream(call, self._parameters, self._sync), namespace)

    async def reachable(self) -> bool:
        """Whether it answers anything at all; it is asked no more than once in `KNOWN` seconds."""
        if time.monotonic() >= self._known_until:
            self._known_until = time.monotonic() + KNOWN
            try:
                await self._client.request("GET", f"{self.url}/models", headers=self._own({}), timeout=KNOWN)
                self._reachable = True
            except httpx2.TransportError:
                self._reachable = False
        return self._reachable

    async def close(self) -> None:
        await self._client.aclose()
        self._sync.close()

    def _own(self, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        """The server's own key, in the header in which the caller's came: Anthropic's API has had two."""
        if self._key is None:
            return []
        bare = "x-api-key" in headers and "authorization" not in headers
        return [("x-api-key", self._key) if bare else ("authorization", f"Bearer {self._key}")]


@lru_cache(maxsize=256)
def _url(text: str) -> httpx2.URL:
    """An address, read: few are asked for again and again, and reading one takes longer than all else of a request."""
    return httpx2.URL(text)
