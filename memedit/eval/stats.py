"""Shares and means with their intervals, two runs compared on the same probes, and how good probabilities are.

Probes of one case stand or fall together, so that resampling draws whole cases (Efron & Tibshirani 1993; Field & Welsh
2007).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memedit.errors import MissingExtra

Array = NDArray[np.float64]
Column = tuple[Sequence[float], Sequence[Hashable]]
"""Values, and the group (the case) of each."""

AT_ONCE, KEPT = 4_000_000, 8_000_000
"""How many draws are held in memory at a time."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many.

    Args:
        good: How many.
        of: Of how many.
    """

    good: int
    of: int

    @property
    def value(self) -> float:
        """The share, in [0, 1]; NaN of nothing."""
        return self.good / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of Wilson (1927)."""
        if not self.of:
            return (math.nan, math.nan)
        z = 1.959964
        middle = (self.value + z * z / (2 * self.of)) / (1 + z * z / self.of)
        half = z * math.sqrt(self.value * (1 - self.value) / self.of + z * z / (4 * self.of**2)) / (1 + z * z / self.of)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.1f} % ({self.good}/{self.of}, 95 % interval {100 * low:.1f}–{100 * high:.1f})"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval.

    Args:
        value: The figure; NaN of nothing.
        low: Lower end of the interval; NaN where fewer than two cases give no idea of the spread.
        high: Upper end.
        n: How many values it rests on.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.4g} (95 % interval {self.low:.4g} to {self.high:.4g}, {self._note()})"

    def _note(self) -> str:
        return f"n = {self.n}"


@dataclass(frozen=True, slots=True)
class Difference(Estimate):
    """A mean difference of pairs with its 95 % interval.

    Args:
        p: Two-sided p-value of "there is no difference".
    """

    p: float

    def _note(self) -> str:
        return f"n = {self.n}, p = {self.p:.2g}"


def bootstrap(
    values: Sequence[float], groups: Sequence[Hashable], *, share: bool = False, seed: int = 0, resamples: int = 2000
) -> Estimate:
    """The mean of all values, with the percentile interval of a cluster bootstrap over the groups.

    Where the mean is a `share` and all values are 0, or all are 1, every resample is alike and says nothing of the
    spread; the interval is then Wilson's over as many trials as there are groups.

    Raises:
        ValueError: A value is not finite, or there are not as many groups as values.
    """
    estimate = bootstrap_of({"values": (values, groups)}, lambda means: means[0], seed=seed, resamples=resamples)
    cases = len(set(groups))
    if share and cases > 1 and set(values) in ({0.0}, {1.0}):
        low, high = Share(cases * int(estimate.value), cases).interval
        return Estimate(estimate.value, low, high, estimate.n)
    return estimate


def bootstrap_of(
    columns: Mapping[str, Column], combine: Callable[[Array], Array], *, seed: int = 0, resamples: int = 2000
) -> Estimate:
    """A figure made of several means, such as ROME's score S, all of them taken over the same resampled groups.

    Args:
        columns: Values and their groups, by name; a group may have values in some columns only.
        combine: From the columns' means, shape (columns, resamples), to the figure, shape (resamples,).
        seed: Of the draws.
        resamples: How many. One that happens to hold no value of some column is left out of the interval.

    Raises:
        ValueError: A value is not finite, or there are not as many groups as values.
    """
    sums, counts = _totals(columns)
    n, cases = int(counts.sum()), len(sums)
    if not counts.sum(axis=0).all():
        return Estimate(math.nan, math.nan, math.nan, n)
    value = float(combine((sums.sum(axis=0) / counts.sum(axis=0))[:, None])[0])
    if cases < 2:
        return Estimate(value, math.nan, math.nan, n)
    means = []
    for drawn in _draws(cases, resamples, seed):
        with np.errstate(invalid="ignore"):  # 0 / 0 of a column that was not drawn
            means.append((drawn @ sums) / (drawn @ counts))
    low, high = np.nanpercentile(combine(np.concatenate(means).T), [2.5, 97.5])
    return Estimate(value, float(low), float(high), n)


def _draws(cases: int, resamples: int, seed: int) -> Iterator[Array]:
    """How often each case is drawn in each resample, in portions of shape (some, cases)."""
    if cases * resamples <= KEPT:
        yield _kept_draws(cases, resamples, seed)
        return
    rng, even = np.random.default_rng(seed), np.full(cases, 1 / cases)
    for size in _portions(resamples, cases):
        yield rng.multinomial(cases, even, size=size).astype(float)


@lru_cache(maxsize=2)
def _kept_draws(cases: int, resamples: int, seed: int) -> Array:
    """The same draws serve every metric over as many cases, and drawing takes longer than all the rest."""
    even = np.full(cases, 1 / cases)
    return np.random.default_rng(seed).multinomial(cases, even, size=resamples).astype(float)


def paired(
    first: Sequence[float],
    second: Sequence[float],
    groups: Sequence[Hashable],
    *,
    seed: int = 0,
    resamples: int = 10_000,
) -> Difference:
    """By how much the first of two runs is above the second on the same probes.

    The interval is that of `bootstrap`. The p-value is that of a two-sided permutation test which swaps the runs of
    whole groups at random: (1 + as extreme) / (1 + resamples) (Phipson & Smyth 2010). NaN of nothing.

    Raises:
        ValueError: A value is not finite, or the three are not of one length.
    """
    _match(first, second)
    differences = np.subtract(first, second, dtype=float)
    columns = {"differences": (differences.tolist(), groups)}
    around = bootstrap_of(columns, lambda means: means[0], seed=seed, resamples=resamples)
    sums = _totals(columns)[0][:, 0]
    total, slack = float(sums.sum()), 1e-12 * float(np.abs(sums).sum())  # a tie counts in spite of rounding
    rng, extreme = np.random.default_rng(seed), 0
    for size in _portions(resamples, len(sums)):
        swapped = rng.integers(0, 2, size=(size, len(sums)), dtype=np.int8).astype(float)
        extreme += int((np.abs(total - 2 * (swapped @ sums)) >= abs(total) - slack).sum())
    p = (1 + extreme) / (1 + resamples) if around.n else math.nan
    return Difference(around.value, around.low, around.high, around.n, p)


def average_precision(labels: Sequence[bool], scores: Sequence[float]) -> float:
    """Area under the precision-recall curve as a step function, in [0, 1] (scikit-learn); NaN without positives.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    return float(_sklearn().average_precision_score(labels, scores)) if any(labels) else math.nan


def auroc(labels: Sequence[bool], scores: Sequence[float]) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties half; in [0, 1] (scikit-learn).

    NaN without positives or without negatives.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    return float(_sklearn().roc_auc_score(labels, scores)) if any(labels) and not all(labels) else math.nan


def calibration_error(labels: Sequence[bool], probabilities: Sequence[float], *, bins: int = 10) -> float:
    """Expected calibration error (Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599), in [0, 1]; NaN of nothing.

    The gap between the mean probability and the share of positives in each of `bins` bins of equal width, weighted by
    the bin's size. A probability on an edge belongs to the upper bin, 1 to the last.

    Raises:
        ValueError: A probability is not in [0, 1], or there are not as many as labels.
    """
    _match(labels, probabilities)
    true, said = np.asarray(labels, dtype=float), np.asarray(probabilities, dtype=float)
    if not ((said >= 0) & (said <= 1)).all():
        raise ValueError("a probability is not in [0, 1]")
    if not len(said):
        return math.nan
    place = np.minimum((said * bins).astype(np.intp), bins - 1)
    return float(np.abs(np.bincount(place, weights=true - said)).sum() / len(said))


def _totals(columns: Mapping[str, Column]) -> tuple[Array, Array]:
    """(sums, counts) of the columns' values by group, of shape (groups, columns) each."""
    known = dict.fromkeys(group for _, groups in columns.values() for group in groups)
    places = {group: place for place, group in enumerate(known)}
    totals = np.zeros((2, len(places), len(columns)))
    for number, (name, (values, groups)) in enumerate(columns.items()):
        _match(values, groups)
        listed = np.asarray(values, dtype=float)
        if not np.isfinite(listed).all():
            raise ValueError(f"{name}: a value is not finite; leave out what could not be measured")
        place = np.array([places[group] for group in groups], dtype=np.intp)
        totals[0, :, number] = np.bincount(place, listed, len(places))
        totals[1, :, number] = np.bincount(place, minlength=len(places))
    return totals[0], totals[1]


def _portions(resamples: int, width: int) -> Iterator[int]:
    """Sizes that add up to `resamples`, so that a portion of this width fits in memory; one portion for most runs."""
    most = max(1, AT_ONCE // max(1, width))
    for start in range(0, resamples, most):
        yield min(most, resamples - start)


def _match(first: Sequence[Any], second: Sequence[Any]) -> None:
    if len(first) != len(second):
        raise ValueError(f"{len(first)} of the one and {len(second)} of the other; they have to match one to one")


def _sklearn() -> Any:
    try:
        from sklearn import metrics  # type: ignore[import-untyped]
    except ImportError as missing:
        raise MissingExtra("eval", package="scikit-learn") from missing
    return metrics
