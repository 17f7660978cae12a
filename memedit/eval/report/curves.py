"""What the plots show: precision against recall of the gate, accuracy against cost, scores against edits in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from memedit.eval.report.about import edits_of, methods_of, title_of
from memedit.eval.report.compare import is_right
from memedit.eval.report.grid import REFERENCES, Column, tables
from memedit.eval.runs import Asked, Row, Run
from memedit.eval.scores import Protocol, Score
from memedit.eval.stats import Estimate, bootstrap

HEADLINED: tuple[Protocol, ...] = ("generation", "likelihood")
"""Protocols whose scores are plotted."""

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class GateCurve:
    """How a gate trades recall for precision.

    Args:
        methods: Whose gate; methods that share one gate share the curve.
        points: (recall, precision) from the strictest threshold on.
        at: Where the gate stands.
    """

    methods: tuple[str, ...]
    points: Points
    at: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a method's answers in scope cost, and how many are right.

    Args:
        method: Which.
        spent: Mean of an answer.
        right: The share that is right.
    """

    method: str
    spent: float
    right: Estimate


def gate_curves(run: Run) -> list[GateCurve]:
    """Precision and recall over the candidates that the rows keep, on probes known to be in or out of scope.

    Recall: the share of in-scope probes whose own edit is let through. Precision: the share of edits let through that
    are the case's own, on a probe in scope.
    """
    asked = {one.key: one for one in run.asked if one.probe.kind.in_scope is not None}
    found: dict[tuple[Points, tuple[float, float] | None], list[str]] = {}
    for method in methods_of(run):
        rows = [(asked[row.key], row) for row in run.rows.get(method, ()) if row.key in asked]
        in_scope = sum(bool(one.probe.kind.in_scope) for one, _ in rows)
        if method in REFERENCES or not in_scope or not any(row.gate for _, row in rows):
            continue
        shown = [each for one, row in rows for each in _candidates(one, row)]
        passed = [own for _, own, passes in shown if passes]
        at = (sum(passed) / in_scope, sum(passed) / len(passed)) if passed else None
        found.setdefault((_curve(shown, in_scope), at), []).append(method)
    return [GateCurve(tuple(methods), points, at) for (points, at), methods in found.items() if points]


def spent(run: Run, what: str) -> list[Spent]:
    """`tokens` or `seconds` of an answer against the share of right ones, over probes that an edit should bear on."""
    asked = {one.key: one for one in run.asked if one.probe.kind.in_scope is not False}
    found = []
    for method in methods_of(run):
        judged = [
            (cost, float(mark), row.case)
            for row in run.rows.get(method, ())
            if row.key in asked
            and (mark := is_right(asked[row.key].probe, row)) is not None
            and (cost := _tokens(row) if what == "tokens" else row.seconds or None) is not None
        ]
        if judged:
            costs, marks, cases = zip(*judged, strict=True)
            found.append(Spent(method, sum(costs) / len(costs), bootstrap(marks, cases)))
    return found


@dataclass(frozen=True)
class Line:
    """One kind and metric over runs of several sizes.

    Args:
        protocol, kind, metric: Which.
        points: By method: (edits in memory, score), ascending.
    """

    protocol: Protocol
    kind: str
    metric: str
    points: dict[str, list[tuple[int, Score]]]

    @property
    def sizes(self) -> list[int]:
        """Edits in memory, ascending."""
        return sorted({size for points in self.points.values() for size, _ in points})


@dataclass(frozen=True)
class Growth:
    """Runs that differ in how many edits are in memory.

    Args:
        title: Benchmark and model.
        lines: What is measured at two sizes or more.
    """

    title: str
    lines: tuple[Line, ...]


def growths(runs: Sequence[Run], scores: Mapping[Path, Sequence[Score]]) -> list[Growth]:
    """One for every benchmark and model with runs of two or more sizes; of two runs of one size the first counts."""
    alike: dict[str, dict[int, Run]] = {}
    for run in runs:
        if edits := edits_of(run):
            name = ", ".join(filter(None, (title_of(run), str(run.about.get("llm") or ""))))
            alike.setdefault(name, {}).setdefault(edits, run)
    found = []
    for name, by_size in alike.items():
        lines: dict[tuple[Protocol, str, str], Line] = {}
        for size, run in sorted(by_size.items()):
            for column in headlines(run, scores):
                place = column.protocol, column.kind, column.metric
                line = lines.setdefault(place, Line(*place, {}))
                for method, score in column.scores.items():
                    if math.isfinite(score.value):
                        line.points.setdefault(method, []).append((size, score))
        grown = tuple(line for line in lines.values() if len(line.sizes) > 1)
        if grown:
            found.append(Growth(name, grown))
    return found


def headlines(run: Run, scores: Mapping[Path, Sequence[Score]]) -> tuple[Column, ...]:
    """One share of every kind and protocol: of right answers, or out of scope of those that are unchanged."""
    found: dict[tuple[str, str], Column] = {}
    for table in tables(scores.get(run.folder, ()), methods_of(run)):
        if table.protocol in HEADLINED:
            for column in table.columns:
                place = table.protocol, column.kind
                if column.share and (place not in found or column.metric == "identical"):
                    found[place] = column
    return tuple(found.values())


def _candidates(one: Asked, row: Row) -> Iterator[tuple[float, bool, bool]]:
    """(probability, whether it is the case's own edit in scope, whether it passed)."""
    others = [each for each in row.gate if each[0] not in one.edits]
    if row.own is not None:
        same = next((each for each in others if each[1] == row.own), None)
        if len(others) == len(row.gate) and same is not None:  # kept under another id
            others.remove(same)
        yield row.own, bool(one.probe.kind.in_scope), row.hit
    yield from ((probability, False, passed) for _, probability, passed in others)


def _curve(shown: Sequence[tuple[float, bool, bool]], in_scope: int) -> Points:
    ranked = sorted(shown, key=lambda each: -each[0])
    points, hits = [], 0
    for place, (probability, own, _) in enumerate(ranked, start=1):
        hits += own
        if place == len(ranked) or ranked[place][0] < probability:
            points.append((hits / in_scope, hits / place))
    return tuple(points)


def _tokens(row: Row) -> int | None:
    return None if row.tokens_in is None or row.tokens_out is None else row.tokens_in + row.tokens_out
