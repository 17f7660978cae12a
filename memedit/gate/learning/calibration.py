"""Calibrating a gate without training it: a temperature (Guo et al. 2017, arXiv:1706.04599), and the lowest thresholds
with which wrong edits are let through as rarely as wanted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memedit.errors import RunRejected
from memedit.gate.learning.judging import DIRECT, OUT, UNKNOWN, Judged
from memedit.gate.port import Role

TEMPERATURES = np.geomspace(0.25, 4.0, 81)  # the middle one changes nothing
LOWEST = 0.01  # a threshold; below it an edit would be let through that is all but surely out of scope
COLUMNS: dict[Role, int] = {"direct": 0, "bridge": 1}
Floats = NDArray[np.float64]


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
    _need_both(judged)
    temperature = fit_temperature(judged)
    tempered = [at_temperature(one, temperature) for one in judged]
    return Fitted(temperature, fit_thresholds(tempered, limits, present=present))


def fit_thresholds(judged: Sequence[Judged], limits: Limits, *, present: Mapping[Role, float]) -> dict[Role, float]:
    """As `fit`, with the probabilities as they are."""
    _need_both(judged)
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


def _need_both(judged: Sequence[Judged]) -> None:
    roles = np.concatenate([np.zeros(0, dtype=np.int64), *(one.roles for one in judged)])
    if not (roles > OUT).any() or not (roles == OUT).any():
        raise RunRejected(
            f"Of {len(roles)} candidates {int((roles > OUT).sum())} are in scope and {int((roles == OUT).sum())} out; "
            "both kinds are needed.",
            do="give questions in scope and out of it, and more edits than those they need",
        )


def _three(judged: Judged) -> Floats:
    """Of out, direct and bridge; (candidates, 3)."""
    said = judged.probabilities.astype(np.float64)
    return np.column_stack((1 - said.sum(axis=1), said))


def _tempered(said: Floats, temperature: float) -> Floats:
    logits = np.log(np.clip(said, 1e-9, 1.0)) / temperature
    raised = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    made: Floats = raised / raised.sum(axis=1, keepdims=True)
    return made
