"""The base model with its own answers kept: a request that a method leaves untouched is asked once in a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from memedit.eval.runs import Row
from memedit.llms import LLM, Likelihood, Mixer
from memedit.messages import Reply, Request

Known = TypeVar("Known")


class Remembered(LLM):
    """Gives back what the model answered to an untouched request before; asks it everything else.

    Decoding is greedy, so that asking again would give the same; on a server that does not keep to that, sharing the
    answer keeps its noise out of the comparison.

    Args:
        llm: The model.
    """

    def __init__(self, llm: LLM) -> None:
        self._llm = llm
        self.name, self.kind, self.capabilities = llm.name, llm.kind, llm.capabilities
        self._replies: dict[str, Reply] = {}
        self._likelihoods: dict[tuple[str, str], Likelihood] = {}

    @property
    def plain(self) -> LLM:
        """The model itself, which is asked everything."""
        return self._llm

    def remember(self, request: Request, row: Row, continuations: Sequence[str]) -> None:
        """Keep what the model answered to a request."""
        key = _key(request)
        if row.text is not None:
            usage = {"input": row.tokens_in or 0, "output": row.tokens_out or 0}
            self._replies[key] = Reply(row.text, usage=usage if row.tokens_in is not None else {})
        for text, likelihood in zip(continuations, row.likelihoods or (), strict=False):
            self._likelihoods[key, text.strip()] = likelihood

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        known = {
            place: self._replies[_key(request)]
            for place, request in enumerate(requests)
            if request.untouched and _key(request) in self._replies
        }
        return _with_others(
            known, len(requests), lambda others: self._llm.generate([requests[place] for place in others])
        )

    def score(self, requests: Sequence[Request], continuations: Sequence[Sequence[str]]) -> list[list[Likelihood]]:
        known: dict[int, list[Likelihood]] = {}
        for place, (request, texts) in enumerate(zip(requests, continuations, strict=True)):
            keys = [(_key(request), text.strip()) for text in texts]
            if request.untouched and all(key in self._likelihoods for key in keys):
                known[place] = [self._likelihoods[key] for key in keys]
        return _with_others(
            known,
            len(requests),
            lambda others: self._llm.score(
                [requests[place] for place in others], [continuations[place] for place in others]
            ),
        )

    def decode(self, requests: Sequence[Request], mixer: Mixer) -> Reply:
        return self._llm.decode(requests, mixer)


def _with_others(known: dict[int, Known], count: int, ask: Callable[[list[int]], list[Known]]) -> list[Known]:
    """What is known by place, and what is asked for the places of which nothing is."""
    others = [place for place in range(count) if place not in known]
    found = known | dict(zip(others, ask(others) if others else (), strict=True))
    return [found[place] for place in range(count)]


def _key(request: Request) -> str:
    return f"{request.form} {sorted(request.options.items())} {request.text}"
