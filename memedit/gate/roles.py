"""What a model says a Fact is to a question: nothing, its answer, or a fact on the way to its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memedit.edits import AnyEdit
from memedit.encoder.network import softmax
from memedit.gate.port import Role, Verdict

Label = Literal["out", "direct", "bridge"]
LABELS: tuple[Label, ...] = ("out", "direct", "bridge")
IN_WORDS = {"out": "has nothing to do with it", "direct": "answers it", "bridge": "lies on the way to its answer"}

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


@dataclass(frozen=True, slots=True)
class Calibration:
    """How logits become probabilities.

    Args:
        temperature: The logits are divided by it.
        out, bridge: Added to the logits of these labels afterwards. Training sees fewer edits out of scope than use
            does, and a language model prefers some words to others: a temperature cannot make up for either.
    """

    temperature: float = 1.0
    out: float = 0.0
    bridge: float = 0.0

    def weights(self, logits: Weights) -> Weights:
        """Probabilities of `LABELS`. logits (n, 3), or (n, 1) of a model that knows but in scope and out."""
        if logits.shape[1] == 1:
            none = np.full_like(logits, -np.inf)
            logits = np.concatenate([np.zeros_like(logits), logits, none], axis=1)
        return softmax(logits / self.temperature + np.array([self.out, 0.0, self.bridge]))


def verdict(edit: AnyEdit, weights: Sequence[float], *, threshold: float, by: str) -> Verdict:
    """The verdict that follows, in the likelier of the two roles. weights (3,)."""
    out, direct, bridge = (float(weight) for weight in weights)
    role: Role = "direct" if direct >= bridge else "bridge"
    probability = max(direct, bridge)
    return Verdict(edit, probability, probability >= threshold, Weighed(by, (out, direct, bridge)), role)
