"""The embedding gate: in scope is what lies near, SERAC's embedding variant (Mitchell et al. 2022, arXiv:2206.06520).

SERAC trains its encoder, on edit and answer; here the memory's own embedder is taken as it is, on the edit's key text.
It costs nothing beyond the look-up, and cannot tell another relation of the same subject: the baseline of the gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memedit.errors import GateUnusable
from memedit.gate.likeness import facts, with_the_others
from memedit.gate.port import Gate, Verdict
from memedit.memory import Candidate, Recalled

if TYPE_CHECKING:
    from memedit.gate.learning.scope_sets import ScopeSet

RADIUS, THRESHOLD = 0.46, 0.18
"""Fitted by `EmbeddingGate.fit` on vectors of all-MiniLM-L6-v2, with edits and probes of zsRE, MQuAKE and
WikiData-recent; another embedder needs others."""

LARGEST = 1 - 1e-6  # of a probability, in the likelihood: a pair at distance 0 may be out of scope, too


@dataclass(frozen=True, slots=True)
class Distance:
    """How far the query lies from the edit."""

    value: float
    radius: float

    def reasons(self) -> tuple[str, ...]:
        """In words."""
        return (f"distance {self.value:.2f}, with a radius of {self.radius:.2f}",)

    def numbers(self) -> dict[str, float]:
        """By name."""
        return {"distance": self.value, "radius": self.radius}


class EmbeddingGate(Gate):
    """Judges Facts by distance alone: probability exp(-(d / radius)²).

    d is the Euclidean distance of the unit vectors of query and key text, in [0, 2]; d² = 2 - 2 · cosine. SERAC's
    equation has the radius 1, for vectors of any length.

    Args:
        radius: The distance at which the probability falls to 1/e.
        threshold: Probability from which a Fact is let through.
    """

    name = "embedding"

    def __init__(self, radius: float = RADIUS, *, threshold: float = THRESHOLD) -> None:
        if not radius > 0:
            raise ValueError(f"radius is greater than 0, not {radius}")
        self.radius = radius
        self.threshold = threshold

    @classmethod
    def load(cls, source: str, **options: Any) -> Self:
        """`embedding:RADIUS`. options: as for the class.

        Raises:
            GateUnusable: It is no number.
        """
        try:
            return cls(float(source), **options)
        except ValueError as error:
            raise GateUnusable(f"`{source:.40}` is no radius.", do="give a number above 0: embedding:0.46") from error

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return with_the_others(recalled, (self._verdict(found) for found in facts(recalled)))

    def _verdict(self, found: Candidate) -> Verdict:
        squared = squared_distances(found.similarity)
        probability = float(np.exp(-squared / self.radius**2))
        evidence = Distance(float(np.sqrt(squared)), self.radius)
        return Verdict(found.edit, probability, probability >= self.threshold, evidence)

    @classmethod
    def fit(cls, *sets: ScopeSet, embedder: Any = None, k: int = 16) -> Self:
        """A gate whose radius makes what is in scope here, and what is not, likeliest; its threshold gives the best F1.

        Args:
            sets: What is in scope of what. Edits that lie on the way to an answer count neither way: distance cannot
                tell them.
            embedder: The memory's; the bundled MiniLM when left out.
            k: Candidates a question.

        Raises:
            RunRejected: None of the candidates is in scope, or all are.
        """
        from memedit.gate.learning.calibration import best_threshold, need_both
        from memedit.gate.learning.pairs import ask_all

        judged = [pair for asked in ask_all(sets, embedder=embedder, k=k) for pair in asked.judged]
        known = [(found, label) for found, label in judged if label != "bridge"]
        squared = squared_distances([found.similarity for found, _ in known])
        truth = np.array([label == "direct" for _, label in known], dtype=bool)
        need_both(truth.tolist())
        radius = _likeliest_radius(squared, truth)
        return cls(radius, threshold=best_threshold(np.exp(-squared / radius**2), truth)[0])


def squared_distances(similarity: ArrayLike) -> NDArray[np.float64]:
    """Squared Euclidean distance of unit vectors from their cosine. Any shape."""
    squared: NDArray[np.float64] = np.maximum(2 - 2 * np.asarray(similarity, dtype=float), 0.0)
    return squared


def _likeliest_radius(squared: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Maximum likelihood over a grid of radii, one step of which is 1 %."""
    radii = np.geomspace(0.1, 4.0, 371)

    def loss(radius: float) -> float:
        probability = np.minimum(np.exp(-squared / radius**2), LARGEST)
        return float(np.where(truth, squared / radius**2, -np.log1p(-probability)).mean())

    return float(radii[int(np.argmin([loss(radius) for radius in radii]))])
