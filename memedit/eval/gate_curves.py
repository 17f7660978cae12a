"""What the plots of a gate show: precision against recall, recall and false fires by threshold, reliability."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from memedit.eval.stats import Array, Share
from memedit.gate.learning.judging import Judged
from memedit.gate.learning.scope_sets import DIRECT, OUT, UNKNOWN

GRID = tuple(np.linspace(0.01, 0.99, 99).tolist())
BINS = 10


def curve(judged: Sequence[Judged]) -> tuple[tuple[float, float], ...]:
    """(recall, precision) over all known pairs, from the strictest threshold on; what is not proposed is missed."""
    labels, said = known_pairs(judged)
    answers = sum(len(one.direct) for one in judged)
    order = np.argsort(-said, kind="stable")
    ranked, right = said[order], np.cumsum(labels[order])
    last = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True)) if len(ranked) else np.zeros(0, dtype=int)
    return tuple((float(right[at] / answers), float(right[at] / (at + 1))) for at in last) if answers else ()


def by_threshold(judged: Sequence[Judged]) -> list[tuple[float, float, float]]:
    """(threshold, recall, false fires) of answers, as shares of the questions with one, and of all questions."""
    right, wrong = [], []
    for one in judged:
        said, roles = _as_answers(one), one.roles
        if one.direct:
            right.append(said[roles == DIRECT].max(initial=0.0))
        wrong.append(said[roles == OUT].max(initial=0.0))
    held = np.array(right) if right else np.full(1, np.nan)
    return [
        (at, float((held >= at).mean()) if right else math.nan, float((np.array(wrong) >= at).mean())) for at in GRID
    ]


def reliability(judged: Sequence[Judged]) -> list[tuple[float, Share]]:
    """(mean probability, share of answers) of each bin that holds a pair."""
    labels, said = known_pairs(judged)
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    return [
        (float(said[place == at].mean()), Share(int(labels[place == at].sum()), int((place == at).sum())))
        for at in range(BINS)
        if (place == at).any()
    ]


def known_pairs(judged: Sequence[Judged]) -> tuple[Array, Array]:
    """Whether each pair that somebody judged is an answer, and the probability that it is one; (pairs,) each."""
    roles = np.concatenate([np.zeros(0, dtype=np.int64), *(one.roles for one in judged)])
    said = np.concatenate([np.zeros(0), *(one.probabilities[:, 0].astype(float) for one in judged)])
    known = roles != UNKNOWN
    return (roles[known] == DIRECT).astype(float), np.clip(said[known], 0.0, 1.0)


def _as_answers(one: Judged) -> Array:
    """The probability of each candidate as an answer; 0 where it is likelier a bridge."""
    said = one.probabilities.astype(float)
    found: Array = np.where(said[:, 0] >= said[:, 1], said[:, 0], 0.0)
    return found
