"""Scores as tables: one a protocol, methods by kind and metric, with what may be called best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from memedit.eval.cases import Kind
from memedit.eval.contenders import ORACLE, UNEDITED
from memedit.eval.scores import ALL, Protocol, Score

TITLES: dict[Protocol, str] = {
    "generation": "Free generation",
    "likelihood": "Likelihood",
    "gate": "Gate",
    "cost": "Cost",
    "weights": "Weights",
}
NOTES: dict[Protocol, str] = {
    "generation": "What the model says when it answers freely.",
    "likelihood": "What the model finds likely (teacher forcing, ranking). Not to be compared with free generation.",
    "gate": "Whether the right edits were found in scope, and none out of scope.",
    "cost": "Of an answer, unless the column says otherwise. Less is better.",
    "weights": "What became of the model while edits were written into it. Norms are the largest of the layers'.",
}
KINDS = [*map(str, Kind), ALL]
LOWER = ("perplexity", "false fires")
UNRANKED = ("n-gram entropy", "peak MB", "seconds")
"""No more is better here; the peak is that of the process so far; the seconds are a chunk's, shared out evenly."""
REFERENCES = (UNEDITED, ORACLE)
"""Not ranked: the one has no edits, the other is handed the right one."""
DASH = "–"


@dataclass(frozen=True)
class Column:
    """One metric of one kind.

    Args:
        kind, metric: Which.
        protocol: How it was taken.
        scores: By method.
        share: Whether it is shown in per cent.
        decimals: Of every value, so that they stand below one another.
        best: The method that is better than every other, intervals apart; None where there is none.
    """

    kind: str
    metric: str
    protocol: Protocol
    scores: dict[str, Score] = field(repr=False)
    share: bool
    decimals: int
    best: str | None

    @property
    def n(self) -> str:
        """Over how many probes, as a range where the methods differ."""
        return _range([score.n for score in self.scores.values()])

    @property
    def not_scored(self) -> str:
        """How many could not be scored; empty where all were."""
        found = _range([score.not_scored for score in self.scores.values()])
        return "" if found == "0" else found

    def value(self, method: str) -> str:
        """The figure of a method."""
        return self.number(self.scores[method].value) if method in self.scores else DASH

    def interval(self, method: str) -> str:
        """Its interval; empty where there is none."""
        score = self.scores.get(method)
        if score is None or not (math.isfinite(score.low) and math.isfinite(score.high)):
            return ""
        low, high = self.number(score.low), self.number(score.high)
        return f"{low} to {high}" if score.low < 0 else f"{low}–{high}"

    def number(self, value: float) -> str:
        """A figure in the column's unit and with its decimals."""
        return number(100 * value if self.share else value, self.decimals)


@dataclass(frozen=True)
class Table:
    """The scores of one protocol.

    Args:
        protocol: Which.
        columns: In the order of the kinds.
        methods: As rows.
    """

    protocol: Protocol
    columns: tuple[Column, ...]
    methods: tuple[str, ...]

    @property
    def title(self) -> str:
        """What to call it."""
        return TITLES.get(self.protocol, self.protocol)

    @property
    def note(self) -> str:
        """How to read it."""
        return NOTES.get(self.protocol, "")

    def bands(self, room: int = 1040) -> list[list[list[Column]]]:
        """The columns by kind, in bands that are about so many pixels wide with the methods' names."""
        bands: list[list[list[Column]]] = []
        left = 0
        for kind, found in groupby(self.columns, key=lambda column: column.kind):
            group = list(found)
            width = max(8 * len(kind) + 24, sum(max(8 * len(column.metric), 74) + 38 for column in group))
            if width > left:
                bands.append([])
                left = room - 9 * max(map(len, self.methods))
            bands[-1].append(group)
            left -= width
        return bands


def tables(scores: Sequence[Score], methods: Sequence[str]) -> list[Table]:
    """One table for every protocol that there are scores of."""
    known = tuple(dict.fromkeys([*methods, *(score.method for score in scores)]))
    found = []
    for protocol in TITLES:
        places: dict[tuple[str, str], list[Score]] = {}
        for score in sorted(scores, key=lambda score: known.index(score.method)):
            if score.protocol == protocol:
                places.setdefault((score.kind, score.metric), []).append(score)
        columns = [_column(places[place]) for place in sorted(places, key=_in_order)]
        rows = tuple(method for method in known if any(method in column.scores for column in columns))
        if columns:
            found.append(Table(protocol, tuple(columns), rows))
    return found


def kind_title(kind: str) -> str:
    """What to call a kind of probe."""
    return "all probes" if kind == ALL else kind


def number(value: float, decimals: int) -> str:
    """A number with grouped thousands and a true minus sign; a dash for none."""
    return f"{value:,.{decimals}f}".replace("-", "−") if math.isfinite(value) else DASH


def _column(scores: Sequence[Score]) -> Column:
    one = scores[0]
    most = max((abs(score.value) for score in scores if math.isfinite(score.value)), default=0)
    decimals = 1 if one.is_share else 0 if most >= 100 else 1 if most >= 10 else 2 if most >= 1 else 3
    by_method = {score.method: score for score in scores}
    return Column(one.kind, one.metric, one.protocol, by_method, one.is_share, decimals, _best(scores))


def _best(scores: Sequence[Score]) -> str | None:
    if scores[0].metric in UNRANKED or scores[0].protocol == "weights":
        return None
    sign = -1 if scores[0].protocol == "cost" or scores[0].metric in LOWER else 1
    ends = sorted(
        (sorted((sign * score.low, sign * score.high)), score.method)
        for score in scores
        if score.method not in REFERENCES and math.isfinite(score.low) and math.isfinite(score.high)
    )
    if len(ends) < 2:
        return None
    (first, _), method = ends[-1]
    return method if all(first > high for (_, high), _ in ends[:-1]) else None


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _in_order(place: tuple[str, str]) -> int:
    return KINDS.index(place[0]) if place[0] in KINDS else len(KINDS)
