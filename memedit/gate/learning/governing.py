"""Learning which texts say how every message is to be answered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memedit.embedders.port import Vectors
from memedit.gate.learning import logistic

STEPS = 3_000
WRONG = 0.003  # share of ordinary statements that may be taken for one
FOLDS = 5


def fit(
    rows: Vectors, governs: NDArray[np.bool_], ordinary: NDArray[np.bool_], counts: NDArray[np.float64]
) -> tuple[Vectors, float]:
    """Weights, and the log-odds without the bias from which a text is taken to govern every answer.

    That is chosen on rows which the weights it is chosen for did not learn from.

    Args:
        rows: As `memory.governing.features` gives them, (texts, features).
        governs: Which of the texts do.
        ordinary: Which of them nobody wrote to look like one.
        counts: For how many each stands.
    """
    fold = np.random.default_rng(0).integers(FOLDS, size=len(rows))
    odds = np.zeros(len(rows))
    for part in range(FOLDS):
        weights, bias = logistic.fit(
            rows[fold != part], governs[fold != part], counts=counts[fold != part], steps=STEPS
        )
        odds[fold == part] = rows[fold == part] @ weights + bias
    weights, bias = logistic.fit(rows, governs, counts=counts, steps=STEPS)
    return weights, float(np.quantile(odds[ordinary], 1 - WRONG)) - bias


def save(weights: Vectors, least: float, path: Path) -> None:
    """Write it where `memory.governing` reads it."""
    np.savez(path, allow_pickle=False, weights=weights, least=np.float32(least))
