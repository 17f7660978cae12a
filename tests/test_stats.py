"""Intervals, comparisons and calibration: worked examples, laws, and agreement with scipy and scikit-learn."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memedit.errors import MissingExtra
from memedit.eval import stats
from memedit.eval.metrics import harmonic
from memedit.eval.stats import Share, bootstrap, bootstrap_of, paired

VALUES = st.lists(st.floats(-10, 10), min_size=2, max_size=20)
JUDGED = st.lists(st.tuples(st.booleans(), st.floats(0, 1).map(lambda p: round(p, 2))), min_size=1, max_size=30)


def test_share_has_the_interval_of_wilson():
    scipy = pytest.importorskip("scipy.stats")
    exact = scipy.binomtest(8, 10).proportion_ci(method="wilson")
    assert Share(8, 10).interval == pytest.approx((exact.low, exact.high), abs=1e-6)
    assert math.isnan(Share(0, 0).value)


def test_estimates_are_shown():
    estimate = stats.Estimate(0.4123, 0.38, 0.4444, 300)
    assert str(estimate) == "0.4123 (95 % interval 0.38 to 0.4444, n = 300)"
    difference = stats.Difference(-0.1, -0.2, 0.05, 12, 0.0312)
    assert str(difference) == "-0.1 (95 % interval -0.2 to 0.05, n = 12, p = 0.031)"


@pytest.mark.parametrize("n", [30, 200])
def test_bootstrap_of_single_values_agrees_with_scipy(n):
    scipy = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(n).exponential(size=n)
    theirs = scipy.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    ours = bootstrap(values.tolist(), range(n), resamples=20_000)
    assert ours.value == pytest.approx(values.mean())
    width = theirs.high - theirs.low
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03 * width)


def test_cases_are_drawn_whole():
    # Two cases, (1, 1, 1) and (0): the mean of a resample is 0 (1/4), 3/4 (1/2) or 1 (1/4).
    estimate = bootstrap([1, 1, 1, 0], ["a", "a", "a", "b"])
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (0.75, 0, 1, 4)
    rng = np.random.default_rng(0)
    of_case = rng.random(40).repeat(10)
    groups = np.arange(40).repeat(10).tolist()
    wide, narrow = bootstrap(of_case.tolist(), groups), bootstrap(of_case.tolist(), range(400))
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(math.sqrt(10), rel=0.1)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng, covered = np.random.default_rng(3), 0
    for seed in range(200):
        sizes = rng.integers(1, 6, 60)
        groups = np.arange(60).repeat(sizes)
        values = rng.normal(0.5, 0.3, 60).repeat(sizes) + rng.normal(0, 0.1, len(groups))
        estimate = bootstrap(values.tolist(), groups.tolist(), seed=seed, resamples=400)
        covered += estimate.low <= 0.5 <= estimate.high
    assert 178 <= covered <= 198


@given(VALUES, st.floats(0.1, 5), st.floats(-5, 5))
def test_bootstrap_follows_scale_and_shift(values, scale, shift):
    groups = [place // 2 for place in range(len(values))]
    plain = bootstrap(values, groups, resamples=50)
    moved = bootstrap([scale * value + shift for value in values], groups, resamples=50)
    assert (moved.value, moved.low, moved.high) == pytest.approx(
        tuple(scale * end + shift for end in (plain.value, plain.low, plain.high)), abs=1e-9, nan_ok=True
    )
    assert plain == bootstrap(values, groups, resamples=50) or len(set(groups)) == 1


def test_nothing_and_a_single_case_have_no_interval():
    nothing = bootstrap([], [])
    assert math.isnan(nothing.value)
    assert nothing.n == 0
    single = bootstrap([1, 0], ["only", "only"])
    assert single.value == 0.5
    assert math.isnan(single.low)
    assert math.isnan(single.high)


def test_what_could_not_be_measured_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        bootstrap([1, math.nan], [1, 2])
    with pytest.raises(ValueError, match="one to one"):
        bootstrap([1, 0], [1])
    with pytest.raises(ValueError, match="one to one"):
        paired([1, 0], [1], [1, 2])


def test_a_figure_of_several_means_is_taken_over_the_same_cases():
    values, groups = [1, 0, 1, 1, 0, 1], list("aabbcc")
    twice = bootstrap_of({"es": (values, groups), "ps": (values, groups)}, lambda means: means[0] - means[1])
    assert (twice.value, twice.low, twice.high, twice.n) == (0, 0, 0, 12)
    alone = bootstrap(values, groups)
    same = bootstrap_of({"es": (values, groups), "ps": (values, groups), "ns": (values, groups)}, harmonic)
    assert (same.value, same.low, same.high) == pytest.approx((alone.value, alone.low, alone.high))


def test_score_s_is_the_harmonic_mean_of_the_means():
    columns = {
        "es": ([1, 1, 1, 0], [1, 2, 3, 4]),
        "ps": ([1, 0, 1, 0], [1, 1, 2, 2]),
        "ns": ([1], [3]),  # a case has values in some columns only
    }
    score = bootstrap_of(columns, harmonic)
    assert score.value == pytest.approx(harmonic([0.75, 0.5, 1]))
    assert 0 <= score.low <= score.value <= score.high <= 1
    assert score.n == 9
    assert math.isnan(bootstrap_of(columns | {"ns": ([], [])}, harmonic).value)


def test_portions_change_nothing_but_the_memory(monkeypatch):
    values, groups = np.random.default_rng(0).random(50), [place // 3 for place in range(50)]
    whole = paired(values, 1 - values, groups, resamples=500)
    monkeypatch.setattr(stats, "AT_ONCE", 100)
    parts = paired(values, 1 - values, groups, resamples=500)
    assert (parts.value, parts.low, parts.high) == (whole.value, whole.low, whole.high)
    assert parts.p == pytest.approx(whole.p, abs=0.1)
    assert list(stats._portions(7, 50)) == [2, 2, 2, 1]


def test_paired_is_exact_where_it_can_be_worked_out():
    # Three cases, all one better: of 8 swaps, all three and none are as extreme.
    result = paired([1, 1, 1], [0, 0, 0], "abc", resamples=20_000)
    assert (result.value, result.low, result.high, result.n) == (1, 1, 1, 3)
    assert result.p == pytest.approx(2 / 8, abs=0.02)
    assert paired([1, 0], [1, 0], "ab").p == 1
    assert paired([0.1, 0.2, 0.3], [0.2, 0.3, 0.1], "abc").p == 1  # a difference of 0 but for rounding
    assert paired([1] * 20, [0] * 20, range(20)).p == pytest.approx(1 / 10_001, rel=1.1)
    assert math.isnan(paired([], [], []).p)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_paired_agrees_with_scipy(shift):
    scipy = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(5)
    first, second = rng.random(12) + shift, rng.random(12)
    theirs = scipy.permutation_test(
        (first, second),
        lambda one, other, axis: np.mean(one - other, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**12,  # all there are: exact
    )
    ours = paired(first.tolist(), second.tolist(), range(12), resamples=20_000)
    assert ours.value == pytest.approx(theirs.statistic)
    assert ours.p == pytest.approx(theirs.pvalue, abs=0.015)


def test_paired_swaps_whole_cases():
    # Ten probes of one case are one piece of evidence.
    assert paired([1] * 10, [0] * 10, ["only"] * 10).p == 1


@settings(max_examples=30, deadline=None)
@given(VALUES, st.randoms(use_true_random=False))
def test_paired_turns_its_sign_with_the_order(values, random):
    other = random.sample(values, len(values))
    groups = [place // 2 for place in range(len(values))]
    one, two = (paired(*runs, groups, resamples=99) for runs in ((values, other), (other, values)))
    assert one.value == pytest.approx(-two.value, abs=1e-9)
    assert one.p == two.p
    assert 1 / 100 <= one.p <= 1


def test_ranking_worked_out():
    labels, scores = [True, False, True, False], [0.9, 0.8, 0.7, 0.1]
    assert stats.average_precision(labels, scores) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert stats.auroc(labels, scores) == 3 / 4
    assert stats.auroc([True, False], [0.5, 0.5]) == 0.5
    assert math.isnan(stats.average_precision([False], [0.5]))
    assert math.isnan(stats.auroc([True, True], [0.1, 0.2]))
    assert math.isnan(stats.auroc([], []))


@settings(deadline=None)  # the first example imports scikit-learn
@given(JUDGED)
def test_ranking_agrees_with_its_definition(judged):
    labels, scores = zip(*judged, strict=True)
    positive = [score for label, score in judged if label]
    negative = [score for label, score in judged if not label]
    if positive and negative:
        won = [(p > n) + (p == n) / 2 for p in positive for n in negative]
        assert stats.auroc(labels, scores) == pytest.approx(np.mean(won))
    if positive:
        above = {score: [label for label, other in judged if other >= score] for score in positive}
        assert stats.average_precision(labels, scores) == pytest.approx(np.mean([np.mean(above[s]) for s in positive]))


def test_ranking_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    for score in (stats.auroc, stats.average_precision):
        with pytest.raises(MissingExtra, match="scikit-learn") as error:
            score([True, False], [0.9, 0.1])
        assert error.value.extra == "eval"


def test_calibration_error_worked_out():
    # Bin 0.9–1: said 0.95, true 1/2; bin 0.1–0.2: said 0.1, true 0. 2/3 · 0.45 + 1/3 · 0.1
    assert stats.calibration_error([True, False, False], [0.95, 0.95, 0.1]) == pytest.approx(0.3 + 0.1 / 3)
    assert stats.calibration_error([True, False], [1.0, 0.0]) == 0
    assert stats.calibration_error([False, True], [1.0, 0.0]) == 1
    assert stats.calibration_error([True, False], [0.5, 0.5]) == 0
    assert math.isnan(stats.calibration_error([], []))
    for probability in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            stats.calibration_error([True], [probability])
    with pytest.raises(ValueError, match="one to one"):
        stats.calibration_error([True, False], [0.5])


@given(JUDGED, st.integers(1, 20))
def test_calibration_error_agrees_with_its_definition(judged, bins):
    labels, said = map(np.array, zip(*judged, strict=True))
    place = np.minimum(np.floor(said * bins), bins - 1)
    gaps = [abs(labels[place == b].mean() - said[place == b].mean()) * (place == b).mean() for b in set(place)]
    error = stats.calibration_error(labels.tolist(), said.tolist(), bins=bins)
    assert error == pytest.approx(sum(gaps))
    assert abs(labels.mean() - said.mean()) - 1e-9 <= error <= 1 + 1e-9
