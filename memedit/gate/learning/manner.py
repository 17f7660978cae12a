"""Fitting what the manner of a message says of how it is read (`gate/thresholds.py`): a line over its vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memedit.embedders.port import Vectors

DECAY = 1e-3
ROUNDS = 12
MOST = 8.0  # log-odds beyond which more says no more


def fit(vectors: Vectors, odds: Vectors, bears: NDArray[np.bool_], counts: Vectors) -> tuple[float, ...]:
    """What is added to log-odds: weights of a message's vector and, last, a bias. It is 0 on average of these messages.

    By logistic regression on log-odds and vector, the weights of the latter held small, in Newton's steps.

    Args:
        vectors: Of messages, (messages, dimension).
        odds: Calibrated, of what was likeliest of each: of what bears, where something does; (messages,).
        bears: Whether something does.
        counts: For how many each stands.
    """
    rows = np.column_stack([np.clip(odds, -MOST, MOST), np.ones(len(odds)), vectors]).astype(np.float64)
    decay = np.full(rows.shape[1], 2 * DECAY)
    decay[:2] = 0.0
    weights = np.zeros(rows.shape[1])
    shares = counts / counts.sum()
    for _ in range(ROUNDS):
        likely = 1 / (1 + np.exp(-(rows @ weights)))
        slope = rows.T @ (shares * (likely - bears)) + decay * weights
        curve = (rows * (shares * likely * (1 - likely))[:, None]).T @ rows + np.diag(decay + 1e-9)
        weights -= np.linalg.solve(curve, slope)
    line = weights[2:] / weights[0]
    return (*line.round(3).tolist(), round(-float((vectors @ line).mean()), 3))
