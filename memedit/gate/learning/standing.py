"""Learning what a standing instruction looks like: a direction in the embedder's space (logistic regression)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memedit.embedders.port import Vectors
from memedit.gate.learning import logistic

SCALE = 4.0
WEIGHT = 8.0  # of a standing instruction against another statement: there are few
PROPOSED = 0.08  # share of statements that are to be proposed


def fit(vectors: Vectors, standing: NDArray[np.bool_]) -> tuple[Vectors, float]:
    """The direction, of unit length, and the cosine from which a statement is proposed.

    Args:
        vectors: Of statements, (statements, dimension).
        standing: Which of them are standing instructions.
    """
    weights, _ = logistic.fit(SCALE * vectors, standing, cost=WEIGHT)
    direction: Vectors = weights / np.linalg.norm(weights)
    return direction, float(np.quantile(vectors @ direction, 1 - PROPOSED))


def save(direction: Vectors, least: float, path: Path) -> None:
    """Write it where `memory.standing` reads it."""
    np.savez(path, allow_pickle=False, direction=direction, least=np.float32(least))
