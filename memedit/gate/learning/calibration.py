"""Calibrating a gate without training it: probabilities that mean what they say, and thresholds.

Temperature scaling is Guo et al. 2017 (arXiv:1706.04599). A threshold is the lowest with which wrong edits are let
through as rarely as wanted, or the one with the best F1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from memedit.encoder.network import softmax
from memedit.errors import MissingExtra, RunRejected
from memedit.gate.learning.judging import Judged
from memedit.gate.learning.scope_sets import DIRECT, OUT, UNKNOWN
from memedit.gate.port import Role
from memedit.gate.roles import LABELS, Calibration, Label, Weights

TEMPERATURES = np.geomspace(0.25, 4.0, 81)  # the middle one changes nothing
LOWEST = 0.01  # a threshold; below it an edit would be let through that is all but surely out of scope
COLUMNS: dict[Role, int] = {"direct": 0, "bridge": 1}


@dataclass(frozen=True, slots=True)
class Limits:
    """How often a wrong edit may be let through, as a share of the questions in [0, 1].

    Args:
        direct: As an answer.
        bridge: As a fact on the way to the answer.
    """

    direct: float = 0.005
    bridge: float = 0.005


@dataclass(frozen=True, slots=True)
class Fitted:
    """What calibration found.

    Args:
        temperature: The gate's logits are divided by it, beside what they are divided by already.
        thresholds: By role.
    """

    temperature: float
    thresholds: Mapping[Role, float]


def fit(judged: Sequence[Judged], limits: Limits, *, present: Mapping[Role, float]) -> Fitted:
    """Temperature and thresholds for these questions.

    Args:
        judged: By the gate as it is.
        limits: How often a wrong edit may be let through.
        present: The gate's thresholds; one stays, or rises, where no question shows what it should let through.

    Raises:
        RunRejected: No candidate is in scope, or none is out of it.
    """
    need_both(_in_scope(judged))
    temperature = fit_temperature(judged)
    tempered = [at_temperature(one, temperature) for one in judged]
    return Fitted(temperature, fit_thresholds(tempered, limits, present=present))


def fit_thresholds(judged: Sequence[Judged], limits: Limits, *, present: Mapping[Role, float]) -> dict[Role, float]:
    """As `fit`, with the probabilities as they are."""
    need_both(_in_scope(judged))
    return {role: fit_threshold(judged, role, getattr(limits, role), present=present[role]) for role in COLUMNS}


def halves(judged: Sequence[Judged]) -> tuple[list[Judged], list[Judged]]:
    """Two parts, about equal, so that what is fitted to one can be measured on the other; no edit is asked in both."""
    parts: tuple[list[Judged], list[Judged]] = ([], [])
    for one in judged:
        key = min(one.direct or one.bridges or one.candidates[:1] or (one.question,))
        parts[hashlib.sha256(f"{one.set}\0{key}".encode("utf-8", "replace")).digest()[0] % 2].append(one)
    return parts


def fit_temperature(judged: Sequence[Judged]) -> float:
    """The temperature under which what the candidates are is likeliest (log loss)."""
    roles = np.concatenate([one.roles for one in judged])
    known = np.concatenate([_three(one) for one in judged])[roles != UNKNOWN]
    right = roles[roles != UNKNOWN]

    def loss(temperature: float) -> float:
        return float(-np.log(_tempered(known, temperature)[np.arange(len(right)), right]).mean())

    return float(min(TEMPERATURES, key=loss))


def at_temperature(judged: Judged, temperature: float) -> Judged:
    """What the gate would have said with its logits divided by a temperature."""
    made = _tempered(_three(judged), temperature)[:, 1:].astype(np.float32)
    return replace(judged, probabilities=made)


def fit_threshold(judged: Sequence[Judged], role: Role, limit: float, *, present: float) -> float:
    """The lowest threshold of a role with which a wrong edit is let through at no more than `limit` of the questions.

    It lies half-way between the wrong edit that has to stay out and the next edit in scope.
    """
    wrong, right = [], []
    for one in judged:
        mine = one.probabilities.argmax(axis=1) == COLUMNS[role] if len(one.candidates) else np.zeros(0, dtype=bool)
        said, roles = one.probabilities[mine, COLUMNS[role]].astype(float), one.roles[mine]
        wrong.append(float(said[roles == OUT].max(initial=0.0)))
        right += said[roles >= DIRECT].tolist()
    allowed = int(limit * len(judged) + 1e-9)  # 5 % of 100 is 5, whatever floats make of it
    barred = sorted(wrong, reverse=True)[allowed] if allowed < len(wrong) else 0.0
    if not right:
        return present if barred < present else (barred + 1) / 2
    above = min((value for value in right if value > barred), default=1.0)
    return max((barred + above) / 2, LOWEST)


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


def _in_scope(judged: Sequence[Judged]) -> list[bool]:
    """Of the candidates of which it is known what they are."""
    return [role != OUT for one in judged for role in one.roles.tolist() if role != UNKNOWN]


def _three(judged: Judged) -> Weights:
    """Of out, direct and bridge; (candidates, 3)."""
    said = judged.probabilities.astype(np.float64)
    return np.column_stack((1 - said.sum(axis=1), said))


def _tempered(said: Weights, temperature: float) -> Weights:
    return softmax(np.log(np.clip(said, 1e-9, 1.0)) / temperature)
