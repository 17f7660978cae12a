"""Methods compared on the same probes: paired differences, and the answers in which methods differ."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from memedit.eval.cases import Kind, Probe
from memedit.eval.contenders import BASELINES, UNEDITED
from memedit.eval.forms import right, right_by_likelihood
from memedit.eval.report.about import methods_of
from memedit.eval.report.grid import KINDS
from memedit.eval.runs import Asked, Row, Run
from memedit.eval.stats import Difference, paired

Key = tuple[str, str]
Place = tuple[str, str]
"""A kind of probe and a measure."""

MEASURES = {
    "right": "Right answers, by free generation",
    "likelier": "Right answers, by likelihood",
    "identical": "Answers out of scope that are identical to the unedited model's",
}
RESAMPLES = 2_000
MOST_PAIRS, MOST_ENTRIES, MOST_CHARACTERS = 10, 200, 1_000


@dataclass(frozen=True)
class Comparison:
    """Two methods, or one method in two runs, on the probes that both answered.

    Args:
        first, second: What is compared.
        differences: First minus second, by kind and measure.
    """

    first: str
    second: str
    differences: dict[Place, Difference]


@dataclass(frozen=True, slots=True)
class Reply:
    """One method's answer.

    Args:
        method: Whose.
        text: The answer.
        right: Whether it is; None where that cannot be said.
        identical: Whether it is what the unedited model says; None in scope, and without that model.
        cited: Edits that were used, and whether each is the case's own.
    """

    method: str
    text: str | None
    right: bool | None
    identical: bool | None
    cited: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A probe on which methods differ.

    Args:
        asked: What was asked.
        replies: What each method answered.
    """

    asked: Asked
    replies: tuple[Reply, ...]


def compare_methods(run: Run, *, seed: int = 0) -> list[Comparison]:
    """Every pair of methods, and of a method and a baseline; where these are many, those of the first method."""
    marks, methods = _marks(run), [name for name in methods_of(run) if name in run.rows]
    pairs = [pair for pair in combinations(methods, 2) if pair[0] not in BASELINES]
    chosen = pairs if len(pairs) <= MOST_PAIRS else pairs[: len(methods) - 1]
    return [
        Comparison(first, second, found)
        for first, second in chosen
        if (found := _differences(marks.get(first, {}), marks.get(second, {}), seed))
    ]


def compare_runs(runs: Mapping[str, Run], *, seed: int = 0) -> list[Comparison]:
    """Every pair of runs of the same benchmark, for each method that both have."""
    marks = {name: _marks(run) for name, run in runs.items()}
    return [
        Comparison(f"{method}: {first}", second, found)
        for first, second in combinations(runs, 2)
        if runs[first].about.get("benchmark") == runs[second].about.get("benchmark")
        for method in methods_of(runs[first])
        if (found := _differences(marks[first].get(method, {}), marks[second].get(method, {}), seed))
    ]


def kinds_of(comparisons: Sequence[Comparison], measure: str) -> list[str]:
    """The kinds of probes that are compared by a measure, in the order of reading."""
    return sorted({kind for each in comparisons for kind, by in each.differences if by == measure}, key=KINDS.index)


def differing(run: Run, *, seed: int = 0) -> tuple[list[Entry], int]:
    """Probes on which methods differ, at most 200 drawn evenly from the kinds by the seed, and how many more there are.

    What the unedited model says counts only where there is but one method beside it.
    """
    answered = {method: {row.key: row for row in run.rows[method]} for method in methods_of(run) if method in run.rows}
    edited = [method for method in answered if method != UNEDITED]
    counted = edited if len(edited) > 1 else list(answered)
    found = []
    for asked in run.asked:
        replies = {
            method: _reply(asked, rows[asked.key], answered.get(UNEDITED, {}).get(asked.key))
            for method, rows in answered.items()
            if asked.key in rows
        }
        said = {(replies[method].right, replies[method].identical) for method in counted if method in replies}
        if len(said) > 1:
            found.append(Entry(asked, tuple(replies.values())))
    return _evenly(found, seed), max(0, len(found) - MOST_ENTRIES)


def _evenly(found: Sequence[Entry], seed: int) -> list[Entry]:
    rng, drawn = random.Random(seed), Counter[Kind]()  # noqa: S311 - a sample, no secret
    ranked = []
    for place in rng.sample(range(len(found)), len(found)):
        kind = found[place].asked.probe.kind
        ranked.append((drawn[kind], place))
        drawn[kind] += 1
    return [found[place] for place in sorted(place for _, place in sorted(ranked)[:MOST_ENTRIES])]


def is_right(probe: Probe, row: Row) -> bool | None:
    """By the free answer; by likelihood where there is none."""
    return right(probe, row) if row.text is not None else right_by_likelihood(probe, row)


def _marks(run: Run) -> dict[str, dict[Place, dict[Key, bool]]]:
    """By method, kind and measure: what became of each probe."""
    asked = {one.key: one for one in run.asked}
    unedited = {row.key: row for row in run.rows.get(UNEDITED, ())}
    found: dict[str, dict[Place, dict[Key, bool]]] = {}
    for method, rows in run.rows.items():
        for row in rows:
            if row.key not in asked or asked[row.key].probe.kind is Kind.CONDITION:
                continue
            probe = asked[row.key].probe
            for measure, mark in _measured(probe, row, unedited.get(row.key)):
                found.setdefault(method, {}).setdefault((str(probe.kind), measure), {})[row.key] = mark
    return found


def _measured(probe: Probe, row: Row, unedited: Row | None) -> Iterator[tuple[str, bool]]:
    measured = {
        "right": right(probe, row),
        "likelier": right_by_likelihood(probe, row),
        "identical": _identical(probe, row, unedited),
    }
    yield from ((measure, mark) for measure, mark in measured.items() if mark is not None)


def _identical(probe: Probe, row: Row, unedited: Row | None) -> bool | None:
    if probe.kind.in_scope is not False or unedited is None or unedited.text is None or row.method == UNEDITED:
        return None
    return row.text == unedited.text


def _differences(
    first: Mapping[Place, Mapping[Key, bool]], second: Mapping[Place, Mapping[Key, bool]], seed: int
) -> dict[Place, Difference]:
    found = {}
    for place in first.keys() & second.keys():
        keys = sorted(first[place].keys() & second[place].keys())
        if keys:
            a, b = ([float(marks[place][key]) for key in keys] for marks in (first, second))
            found[place] = paired(a, b, [case for case, _ in keys], seed=seed, resamples=RESAMPLES)
    return found


def _reply(asked: Asked, row: Row, unedited: Row | None) -> Reply:
    return Reply(
        row.method,
        row.text,
        is_right(asked.probe, row),
        _identical(asked.probe, row, unedited),
        tuple((edit, edit in asked.edits) for edit in row.cited),
    )
