"""What a model says a Fact is to a question: nothing, its answer, or a fact on the way to its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from memedit.edits import AnyEdit
from memedit.gate.port import Role, Verdict

Label = Literal["out", "direct", "bridge"]
LABELS: tuple[Label, ...] = ("out", "direct", "bridge")
IN_WORDS = {"out": "has nothing to do with it", "direct": "answers it", "bridge": "lies on the way to its answer"}

Precision = TypeVar("Precision", bound=np.floating[Any])
Weights = NDArray[np.float64]
"""How probable each label is, in the order of `LABELS`, summing to 1 along the last axis."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a model says of a pair.

    Args:
        by: The gate.
        weights: How probable each of `LABELS` is.
    """

    by: str
    weights: tuple[float, ...]

    def reasons(self) -> tuple[str, ...]:
        """In words, likeliest first."""
        order = sorted(zip(LABELS, self.weights, strict=True), key=lambda item: -item[1])
        return tuple(f"{self.by}: {IN_WORDS[label]} ({weight:.0%})" for label, weight in order if weight >= 0.01)

    def numbers(self) -> dict[str, float]:
        """By label."""
        return dict(zip(LABELS, self.weights, strict=True))


def verdict(edit: AnyEdit, weights: Sequence[float], *, threshold: float, by: str) -> Verdict:
    """The verdict that follows, in the likelier of the two roles. weights (3,)."""
    out, direct, bridge = (float(weight) for weight in weights)
    role: Role = "direct" if direct >= bridge else "bridge"
    probability = max(direct, bridge)
    return Verdict(edit, probability, probability >= threshold, Weighed(by, (out, direct, bridge)), role)


def softmax(logits: NDArray[Precision]) -> NDArray[Precision]:
    """Probabilities from logits, along the last axis; any shape."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights: NDArray[Precision] = powers / powers.sum(axis=-1, keepdims=True)
    return weights
