"""Public test doubles: a model, an embedder and a gate that need nothing installed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from memedit.embedders.port import Embedder
from memedit.gate import Gate, Verdict
from memedit.llms import LLM, Capability, Kind
from memedit.memory import Recalled
from memedit.messages import Reply, Request
from memedit.text import words


class HashEmbedder(Embedder):
    """Bags of words and of letter triples, hashed: texts that share words are near. Deterministic and fast.

    Args:
        dimension: Of the vectors.
    """

    def __init__(self, dimension: int = 256) -> None:
        self.dimension = dimension
        self.id = f"hash:{dimension}"

    def _embed(self, texts: list[str]) -> ArrayLike:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for feature, weight in _features(text):
                digest = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "big")
                vectors[row, digest % self.dimension] += weight if digest >> 63 else -weight
        return vectors


class NamedGate(Gate):
    """Lets every candidate through whose subject the query names, and nothing else."""

    name = "named"

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return [Verdict(found.edit, float(found.mentioned), found.mentioned) for found in recalled.candidates]


class FakeLLM(LLM):
    """Answers by a function, and keeps every request it was sent.

    When the request carries edits (a method put them there), the default answers with the whole prompt, so that a
    test can see what a model would have seen.

    Args:
        answer: From the prompt's text to the answer.
    """

    name = "fake"
    kind: Kind = "chat"
    capabilities = frozenset({Capability.TEXT})

    def __init__(self, answer: Callable[[str], str] = lambda prompt: f"echo: {prompt}") -> None:
        self._answer = answer
        self.requests: list[Request] = []

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        self.requests.extend(requests)
        return [Reply(self._answer(request.text)) for request in requests]

    def stream(self, request: Request) -> Iterator[Reply]:
        self.requests.append(request)
        for piece in re.findall(r"\S+\s*|\s+", self._answer(request.text)):
            yield Reply(piece)


def _features(text: str) -> Iterator[tuple[str, float]]:
    for word in words(text):
        yield word, 1.0
        for start in range(len(word) - 2):
            yield f"#{word[start : start + 3]}", 0.3
