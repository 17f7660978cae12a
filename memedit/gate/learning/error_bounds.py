"""How often edits are let through wrongly at a radius, at most, as far as their uses tell.

The *error* of an edit at a radius is the share of its uses, past and to come, in which it is let through and that is
wrong. A priori it is Beta(mw, m(1 - w)) distributed over the edits, where w is what the gate's own probabilities, their
log-odds moved by a, make of the uses of all edits, and m is how many uses that counts as; once k of n uses are wrong it
is Beta(mw + k, m(1 - w) + n - k). For all radii at once that is a Dirichlet process (Ferguson 1973). What (a, m) are is
told by the uses of all edits, and averaged over. So an edit with few uses leans on the gate and on the other edits, and
one with many on itself. The largest radius is sought at which, and at each below which, the error is within the wanted
one with the wanted confidence: an error only grows with the radius (Bates et al. 2021, arXiv:2101.02703).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memedit.edits import MAX_RADIUS
from memedit.errors import MissingExtra

Array = NDArray[np.float64]

STEP = 0.1  # log-odds between the radii that are looked at
SHIFTS = np.linspace(-3, 3, 13)  # a: by how much the gate's log-odds may be out for these uses; a priori about 1
STRENGTHS = np.geomspace(1, 256, 9)  # m: for how many uses what the edits have in common counts
HALF = 10  # uses at which an edit is believed half as much as the others, a priori (a uniform prior of the shrinkage)
A_PRIORI = -np.square(SHIFTS)[:, None] / 2 + np.log(STRENGTHS / (STRENGTHS + HALF) ** 2)
FLOOR = 0.5  # m·w at least, as in Jeffreys' prior: a smaller one all but denies that an edit is ever wrong
CLOSE = 5e-4  # of a bound
NEGLIGIBLE = 1e-4  # how probable a shift and strength is, beside the most probable
LEAST, MOST = 1e-6, 1 - 1e-6  # a probability that is worked with


@dataclass(frozen=True, slots=True)
class Seen:
    """What the gate says of a use.

    Args:
        limit: The radius from which the edit is let through; infinite where the memory does not propose it.
        probability: That it is in scope, at radius 0.
        accepted: Whether using it was right.
    """

    limit: float
    probability: float
    accepted: bool


class ErrorBounds:
    """The uses of all edits, and what follows from them of each edit's error.

    Args:
        seen: By edit.
        error: The wanted one.
        confidence: The wanted one.
    """

    def __init__(self, seen: Sequence[Sequence[Seen]], error: float, confidence: float) -> None:
        self._beta: Any = _special()
        self._error, self._risk = error, 1 - confidence
        every = [one for uses in seen for one in uses]
        self._of = np.repeat(np.arange(len(seen)), [len(uses) for uses in seen])
        self._counts = np.array([len(uses) for uses in seen], dtype=float)
        self._limits = np.array([one.limit for one in every])
        self._wrong = np.array([not one.accepted for one in every], dtype=bool)
        odds = log_odds([one.probability for one in every])
        self._expected = probability(-odds - SHIFTS[:, None])  # that a use is wrong; (shifts, uses)
        self._known: dict[float, _Errors] = {}

    def allowed(self) -> Array:
        """The largest radius of each edit at which, and below which, its error is within the wanted one; (edits,)."""
        finite = self._limits[np.isfinite(self._limits)]
        low, high = (int(np.floor(end / STEP)) for end in ((finite.min(), finite.max()) if len(finite) else (0, 0)))
        most = np.full(len(self._counts), (low - 1) * STEP)  # nothing is let through there
        going = np.ones(len(self._counts), dtype=bool)
        for step in range(low, high + 2):
            going &= self._errors(step * STEP).above(self._error) <= self._risk
            most[going] = step * STEP
            if not going.any():
                break
        most[going] = MAX_RADIUS  # whatever is seen of them is let through already
        within: Array = np.clip(most, -MAX_RADIUS, MAX_RADIUS)
        return within

    def bound(self, place: int, radius: float) -> float:
        """The upper bound of the error of one edit at a radius that was chosen without it."""
        errors = self._errors(radius)
        low, high = 0.0, 1.0
        while high - low > CLOSE:
            middle = (low + high) / 2
            low, high = (middle, high) if errors.above(middle, place)[0] > self._risk else (low, middle)
        return high

    def _errors(self, radius: float) -> _Errors:
        if radius not in self._known:
            within = self._limits <= radius
            wrong = np.bincount(self._of, self._wrong & within, minlength=len(self._counts)).astype(float)
            expected = np.clip((self._expected * within).mean(axis=1), LEAST, MOST)[:, None]
            self._known[radius] = _Errors.given(
                self._beta,
                wrong,
                self._counts - wrong,
                np.maximum(expected * STRENGTHS, FLOOR),
                (1 - expected) * STRENGTHS,
            )
        return self._known[radius]


@dataclass(frozen=True, slots=True, eq=False)
class _Errors:
    """What is known of the edits' errors at one radius.

    Args:
        beta: scipy's special functions.
        weights: How probable each shift and strength is, of those that are probable at all; (some,).
        bad, good: Both parameters of the Beta distribution of an error; (different edits, some).
        place: Which of them an edit is; (edits,).
    """

    beta: Any
    weights: Array
    bad: Array
    good: Array
    place: NDArray[np.int64]

    @classmethod
    def given(cls, beta: Any, wrong: Array, right: Array, prior: Array, other: Array) -> _Errors:
        """By the uses that are let through wrongly, all others, (edits,), and the prior, (shifts, strengths)."""
        pairs, place, often = np.unique(
            np.column_stack((wrong, right)), axis=0, return_inverse=True, return_counts=True
        )  # fmt: skip
        bad, good = prior + pairs[:, 0, None, None], other + pairs[:, 1, None, None]
        log = (often[:, None, None] * (beta.betaln(bad, good) - beta.betaln(prior, other))).sum(axis=0) + A_PRIORI
        weights = np.exp(log - log.max())
        some = weights > NEGLIGIBLE
        return cls(beta, weights[some] / weights[some].sum(), bad[:, some], good[:, some], place.reshape(-1))

    def above(self, error: float, place: int | None = None) -> Array:
        """How probably the error of each edit, or of the one at a place, is above this one."""
        places = self.place if place is None else self.place[place : place + 1]
        kept, which = np.unique(places, return_inverse=True)
        tails = self.beta.betaincc(self.bad[kept], self.good[kept], error)
        above: Array = (tails @ self.weights)[which]
        return above


def log_odds(share: ArrayLike) -> Array:
    """Of probabilities, kept from 0 and 1."""
    kept = np.clip(share, LEAST, MOST)
    odds: Array = np.log(kept / (1 - kept))
    return odds


def probability(odds: ArrayLike) -> Array:
    """Of log-odds."""
    shares: Array = 1 / (1 + np.exp(-np.asarray(odds, dtype=float)))
    return shares


def _special() -> Any:
    try:
        from scipy import special  # type: ignore[import-untyped]
    except ModuleNotFoundError as missing:
        raise MissingExtra("local", package="scipy") from missing
    return special
