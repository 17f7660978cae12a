"""The LLM port: what a language model is to memedit."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memedit.errors import CapabilityMissing
from memedit.messages import Reply, Request
from memedit.plumbing.threads import in_thread

Kind = Literal["base", "instruct", "chat", "counterfactual", "planner"]
CHARACTERS = 4  # of a token of English, about
Mixer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From next-token log-probabilities of several contexts (contexts, vocabulary) to one row of scores (vocabulary,)."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a model finds a continuation, every token given the true ones before it (teacher forcing).

    Args:
        logprob: Summed over its tokens, in nats.
        matched: For each token whether it is the model's first choice.
    """

    logprob: float
    matched: tuple[bool, ...]

    @property
    def tokens(self) -> int:
        """How many tokens it has, at least 1."""
        return len(self.matched)


class Capability(StrEnum):
    """What a model can do, which decides which methods it can be used with."""

    TEXT = "text"
    LOGPROBS = "logprobs"
    WEIGHTS = "weights"


class LLM(ABC):
    """A language model as memedit sees it. Subclasses give `generate`, and what else they do better than its default.

    An untouched request (`request.source` is set) is to be sent exactly as the caller gave it.
    """

    name: str
    """Shown in traces."""

    kind: Kind = "chat"
    """`base` continues text; `instruct` is small and has a chat template; `chat` follows instructions well;
    `counterfactual` was trained to answer by an edit it is shown (`memedit serac train`), `planner` to take questions
    apart (`memedit multihop train`)."""

    capabilities: frozenset[Capability] = frozenset({Capability.TEXT})

    @property
    def vocabulary(self) -> str | None:
        """Of its log-probabilities, as a name; models of one vocabulary can be mixed. None where that is not known."""
        return None

    @abstractmethod
    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request. What the model's own client raises is passed through unchanged."""

    def stream(self, request: Request) -> Iterator[Reply]:
        """The reply in pieces; one piece where the model cannot stream."""
        yield from self.generate([request])

    async def agenerate(self, requests: Sequence[Request]) -> list[Reply]:
        """As `generate`, off the event loop."""
        return await asyncio.to_thread(self.generate, requests)

    async def astream(self, request: Request) -> AsyncIterator[Reply]:
        """As `stream`, off the event loop."""
        async for piece in in_thread(lambda: self.stream(request)):
            yield piece

    def close(self) -> None:  # noqa: B027
        """Let go of connections that it opened itself. Closing twice is fine."""

    async def aclose(self) -> None:
        """As `close`, for those of the running event loop, too."""
        await asyncio.to_thread(self.close)

    def score(self, requests: Sequence[Request], continuations: Sequence[Sequence[str]]) -> list[list[Likelihood]]:
        """How likely each continuation is behind its request: for every request one value a continuation.

        A continuation is put behind the request as it is, with its own leading blank.

        Raises:
            CapabilityMissing: The model gives no log-probabilities.
        """
        raise self._cannot(Capability.LOGPROBS)

    def decode(self, requests: Sequence[Request], mixer: Mixer) -> Reply:
        """Greedy decoding of several contexts at once, each token chosen from their mixed distribution.

        Raises:
            CapabilityMissing: The model gives no log-probabilities.
        """
        raise self._cannot(Capability.LOGPROBS)

    def decode_with(self, others: Sequence[LLM], requests: Sequence[Request], mixer: Mixer) -> Reply:
        """As `decode`, each context read by a model of its own: the first by this one, the next by the others.

        Args:
            others: One for each request but the first; of this one's `vocabulary`.
            requests: The contexts; the options of the first count.
            mixer: Is given a row of log-probabilities for each.

        Raises:
            CapabilityMissing: One of them gives no log-probabilities, or is of another vocabulary.
        """
        raise self._cannot(Capability.LOGPROBS)

    def spell(self, tokens: Sequence[int]) -> str:
        """The text of tokens, as they are numbered in its log-probabilities.

        Raises:
            CapabilityMissing: The model gives no log-probabilities.
        """
        raise self._cannot(Capability.LOGPROBS)

    def count_tokens(self, text: str) -> int:
        """How many tokens a text takes; where no tokenizer is at hand, a guess of four characters each."""
        return -(-len(text) // CHARACTERS)

    def require(self, capability: Capability, *, by: str) -> None:
        """Raise `CapabilityMissing` unless the model has this capability."""
        if capability not in self.capabilities:
            raise self._cannot(capability, by=by)

    def _cannot(self, capability: Capability, *, by: str = "This") -> CapabilityMissing:
        has = ", ".join(sorted(self.capabilities))
        return CapabilityMissing(
            f"{by} needs `{capability}`, and the model `{self.name}` has {has}.",
            do="wrap a local model (hf:FOLDER, gguf:FILE), or choose another method",
        )
