"""Fitting what a gate says to what is so: a threshold, and probabilities that mean what they say.

Temperature scaling is Guo et al. 2017 (arXiv:1706.04599).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from memedit.errors import MissingExtra, RunRejected
from memedit.gate.roles import LABELS, Calibration, Label, Weights


def fit_calibration(logits: Weights, labels: Sequence[Label]) -> Calibration:
    """The calibration under which these labels are likeliest. logits (n, 3) or (n, 1).

    Raises:
        MissingExtra: scipy is not installed.
    """
    try:
        from scipy.optimize import minimize  # type: ignore[import-untyped]
    except ModuleNotFoundError as missing:
        raise MissingExtra("local", package="scipy") from missing

    places = np.array([LABELS.index(label) for label in labels])
    if logits.shape[1] == 1:
        places = np.minimum(places, 1)

    def made(point: Sequence[float]) -> Calibration:
        return Calibration(float(np.exp(point[0])), *(float(one) for one in point[1:]))

    def loss(point: Sequence[float]) -> float:
        weights = made(point).weights(logits)
        likelihood = np.log(np.maximum(weights[np.arange(len(places)), places], 1e-12)).mean()
        # The square keeps the point finite where the labels can be parted without a mistake.
        return float(1e-4 * np.square(point).sum() - likelihood)

    # A single output tells no bridges: their bias is left at 0.
    start = np.zeros(2 if logits.shape[1] == 1 else 3)
    simplex = np.vstack([start, start + np.eye(len(start))])
    options = {"maxiter": 1_000, "initial_simplex": simplex}
    return made(minimize(loss, x0=start, method="Nelder-Mead", options=options).x)


def need_both(in_scope: Sequence[bool], part: str = "given") -> None:
    """Refuse what nothing can be fitted to.

    Raises:
        RunRejected: None of the candidates is in scope, or all are.
    """
    if not any(in_scope) or all(in_scope):
        raise RunRejected(
            f"Of the {len(in_scope)} {part} candidates {sum(in_scope)} are in scope; both kinds are needed.",
            do="give more questions, some of them with edits in scope, and more edits than those",
        )


def best_threshold(probabilities: ArrayLike, in_scope: ArrayLike) -> tuple[float, float]:
    """The probability from which letting through gives the best F1, and that F1.

    It lies half-way between the last that is let through and the first that is not.

    Shapes:
        probabilities, in_scope (n,).
    """
    scores, truth = np.asarray(probabilities, dtype=float), np.asarray(in_scope, dtype=bool)
    order = np.argsort(-scores, kind="stable")
    scores, truth = scores[order], truth[order]
    right = np.cumsum(truth)
    f1 = 2 * right / (np.arange(1, len(truth) + 1) + max(int(truth.sum()), 1))
    f1[:-1][scores[:-1] == scores[1:]] = -1.0  # equal probabilities pass together
    last = int(f1.argmax())
    below = scores[last + 1] if last + 1 < len(scores) else 0.0
    return float((scores[last] + below) / 2), float(f1[last])
