"""Logistic regression by plain gradient descent: enough for a few thousand rows that are learned from once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memedit.embedders.port import Vectors

RATE = 0.5
DECAY = 0.1


def fit(
    rows: Vectors, holds: NDArray[np.bool_], *, cost: float = 1.0, counts: ArrayLike = 1.0, steps: int = 400
) -> tuple[Vectors, float]:
    """Weights and bias of the log-odds that it holds of a row.

    Args:
        rows: (rows, features), each feature of a size of about one.
        holds: Of each row.
        cost: Of a row of which it holds against another: there are few.
        counts: For how many each row stands, (rows,) or one for all.
        steps: Of the descent.
    """
    given = rows.astype(np.float64)
    costs = np.where(holds, cost, 1.0) * np.asarray(counts)
    costs /= costs.mean()
    weights, bias = np.zeros(given.shape[1]), 0.0
    for _ in range(steps):
        error = costs * (1 / (1 + np.exp(-(given @ weights + bias))) - holds)
        weights -= RATE * (given.T @ error + DECAY * weights) / len(given)
        bias -= RATE * float(error.mean())
    return weights.astype(np.float32), bias
