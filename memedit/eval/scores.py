"""From rows to scores: the metrics of the field over a run, each with a bootstrap interval over its cases.

Free generation and likelihood (teacher forcing, ranking) stand side by side and are never averaged.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from memedit.eval import metrics
from memedit.eval.cases import Kind, Probe
from memedit.eval.contenders import UNEDITED
from memedit.eval.forms import accepted, accepted_and_rejected, right, right_by_likelihood
from memedit.eval.in_weights import Look, looks_of
from memedit.eval.runs import Asked, Row, Run
from memedit.eval.stats import bootstrap, bootstrap_of

Protocol = Literal["generation", "likelihood", "gate", "cost", "weights"]
ALL, KEPT = "all", "edits kept"
RIGHT = {"answer": "contains", "choice": "chosen letter", "number": "number", "judge": "judged"}
RANKED = (Kind.EFFICACY, Kind.PARAPHRASE, Kind.NEIGHBOURHOOD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One figure of a run.

    Args:
        method: The method, or baseline.
        kind: The kind of probe, or `all`.
        protocol: How it was taken: free `generation`, `likelihood` (teacher forcing, ranking), the `gate`, `cost`,
            or what became of the `weights`.
        metric: Its name.
        value: The figure: a share in [0, 1] unless the metric says otherwise.
        low, high: Its 95 % interval, by bootstrap over cases; NaN for fewer than two cases.
        n: Over how many values; of none of them the value is NaN.
        not_scored: How many more probes of this kind could not be scored this way.
    """

    method: str
    kind: str
    protocol: Protocol
    metric: str
    value: float
    low: float
    high: float
    n: int
    not_scored: int = 0

    @property
    def is_share(self) -> bool:
        """Whether it is a share in [0, 1], or a difference of shares, and no length, time or entropy."""
        return _is_share(self.protocol, self.metric)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; what is NaN becomes None."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


@dataclass(slots=True)
class _Column:
    """The values of one metric, with the case of each."""

    values: list[float] = field(default_factory=list)
    cases: list[Hashable] = field(default_factory=list)
    missing: int = 0

    def add(self, value: float | bool | None, case: Hashable) -> None:
        if value is None or math.isnan(value):
            self.missing += 1
        else:
            self.values.append(float(value))
            self.cases.append(case)


@dataclass(frozen=True, slots=True)
class _Answered:
    """A probe with its row and the unedited model's, and whether likelihoods were taken in this run."""

    asked: Asked
    row: Row
    base: Row | None
    likelihood: bool

    @property
    def probe(self) -> Probe:
        return self.asked.probe


def _is_share(protocol: Protocol, metric: str) -> bool:
    return (
        metric == KEPT
        if protocol == "weights"
        else protocol != "cost" and metric not in ("n-gram entropy", "perplexity")
    )


Key = tuple[str, Protocol, str]
"""Kind, protocol, metric."""


def score_run(run: Run, *, seed: int = 0) -> list[Score]:
    """Every score of a run, method by method."""
    asked = {one.key: one for one in run.asked}
    base = {row.key: row for row in run.rows.get(UNEDITED, ())}
    known = {
        key for key, row in base.items() if key in asked and asked[key].probe.kind is Kind.CONDITION
        and right(asked[key].probe, row)
    }  # fmt: skip
    likelihood = any(row.likelihoods for rows in run.rows.values() for row in rows)
    scores = []
    for method, rows in run.rows.items():
        answered = [
            _Answered(asked[row.key], row, base.get(row.key) if method != UNEDITED else None, likelihood)
            for row in rows
            if row.key in asked and asked[row.key].probe.kind is not Kind.CONDITION
        ]
        scores += _of_method(method, answered, known, seed)
    return [*scores, *_of_weights(looks_of(run.folder), seed)]


def _of_weights(looks: Sequence[Look], seed: int) -> list[Score]:
    """What became of models whose weights were written, by the number of edits so far."""
    columns: dict[tuple[str, str, str], _Column] = {}
    for look in looks:
        kind = f"after {look.written + look.left} edit{'' if look.written + look.left == 1 else 's'}"
        for metric, value in (
            (KEPT, sum(look.kept) / len(look.kept) if look.kept else None), ("perplexity", look.perplexity),
            ("‖W‖ / ‖W₀‖", max(look.norms.values(), default=1.0)),
            ("‖W − W₀‖ / ‖W₀‖", max(look.changed.values(), default=0.0)),
            ("seconds an edit", look.seconds / max(1, look.written)), ("not written", look.left),
        ):  # fmt: skip
            columns.setdefault((look.method, kind, metric), _Column()).add(value, look.namespace)
    found = []
    for (method, kind, metric), column in columns.items():
        one = bootstrap(column.values, column.cases, share=_is_share("weights", metric), seed=seed)
        found.append(Score(method=method, kind=kind, protocol="weights", metric=metric, value=one.value, low=one.low,
                           high=one.high, n=one.n, not_scored=column.missing))  # fmt: skip
    return found


def _of_method(method: str, answered: Sequence[_Answered], known: set[tuple[str, str]], seed: int) -> list[Score]:
    columns: dict[Key, _Column] = {}
    for one in answered:
        for kind, protocol, metric, value in _measured(one):
            columns.setdefault((kind, protocol, metric), _Column()).add(value, one.asked.case)
    for key, case, value in (*_of_cases(answered), *_conditioned(answered, known)):
        columns.setdefault(key, _Column()).add(value, case)
    estimates = {
        key: (bootstrap(column.values, column.cases, share=_is_share(*key[1:]), seed=seed), column.missing)
        for key, column in columns.items()
    }
    ranked = [columns.get((kind, "likelihood", "ranking")) for kind in RANKED]
    parts = {str(place): (one.values, one.cases) for place, one in enumerate(ranked) if one and one.values}
    if len(parts) == len(RANKED):
        estimates[ALL, "likelihood", "S"] = bootstrap_of(parts, metrics.harmonic, seed=seed), 0
    for kind, parts in _spans(answered).items():
        perplexity = bootstrap_of(parts, _perplexity, seed=seed)
        estimates[kind, "likelihood", "perplexity"] = replace(perplexity, n=len(parts["nats"][0])), 0
    return [
        Score(
            method=method, kind=str(kind), protocol=protocol, metric=metric, value=estimate.value, low=estimate.low,
            high=estimate.high, n=estimate.n, not_scored=missing,
        )
        for (kind, protocol, metric), (estimate, missing) in estimates.items()
    ]  # fmt: skip


def _measured(one: _Answered) -> Iterator[tuple[str, Protocol, str, float | bool | None]]:
    """(kind, protocol, metric, value) of one answer; a value of None could not be scored."""
    kind = one.probe.kind
    for metric, value in _by_generation(one.probe, one.row, one.base):
        yield kind, "generation", metric, value
    for metric, value in _by_likelihood(one.probe, one.row) if one.likelihood else ():
        yield kind, "likelihood", metric, value
    if one.row.text is None:
        return
    if one.base is not None and not one.row.in_weights:
        for metric, value in _by_gate(one.asked, one.row):
            if metric != "precision":
                yield kind, "gate", metric, value
            yield ALL, "gate", metric, value
    row = one.row
    yield ALL, "cost", "seconds", row.seconds
    yield ALL, "cost", "calls", row.calls
    yield ALL, "cost", "tokens in", row.tokens_in
    yield ALL, "cost", "tokens out", row.tokens_out
    yield ALL, "cost", "peak MB", row.peak_mb


def _by_generation(probe: Probe, row: Row, base: Row | None) -> Iterator[tuple[str, float | bool | None]]:
    if row.text is None:
        return
    if probe.form in RIGHT and (probe.answers or probe.form == "judge"):
        yield RIGHT[probe.form], right(probe, row)
    if probe.form == "answer" and probe.answers:
        yield "exact", metrics.exact(row.text, probe.answers)
    if probe.form in ("answer", "text") and probe.answers:
        yield "F1", metrics.f1(row.text, probe.answers)
    if probe.form == "text" and probe.answers:
        yield "ROUGE-L", metrics.rouge_l(row.text, probe.answers)
    if probe.kind is Kind.FLUENCY:
        yield "n-gram entropy", metrics.ngram_entropy(row.text)
    if (probe.kind.in_scope is False or probe.kind is Kind.PRESERVATION) and base is not None:
        yield "identical", row.text == base.text


def _by_likelihood(probe: Probe, row: Row) -> Iterator[tuple[str, float | bool | None]]:
    """The values; None where the method ended without a call that could be scored."""
    found = row.likelihoods
    if probe.form in ("choice", "pick"):
        yield "likeliest choice", right_by_likelihood(probe, row)
    elif probe.rejected and probe.answers and probe.form != "span":
        pair = accepted_and_rejected(probe, found) if found else None
        yield "ranking", metrics.prefers(*pair) if pair else None
        yield "magnitude", metrics.magnitude(*pair) if pair else None
    if probe.form in ("answer", "text", "number") and probe.answers:
        likelihood = accepted(probe, row)
        yield "token accuracy", metrics.token_accuracy(likelihood) if likelihood else None


def _by_gate(asked: Asked, row: Row) -> Iterator[tuple[str, bool]]:
    """Recall: the case's own edit is let through. False fires: any edit is, where none should be."""
    in_scope = asked.probe.kind.in_scope
    if in_scope is False:
        yield "false fires", row.fired
    elif in_scope and asked.edits:
        yield "recall", row.hit
    if in_scope is not None and row.fired:
        yield "precision", in_scope and row.hit


def _of_cases(answered: Sequence[_Answered]) -> Iterator[tuple[Key, str, float | None]]:
    """Metrics over several answers of a case: M-Acc, H-Acc, consistency."""
    cases: dict[str, list[_Answered]] = {}
    for one in answered:
        cases.setdefault(one.asked.case, []).append(one)
    for case, ones in cases.items():
        groups: dict[tuple[Kind, str], list[bool | None]] = {}
        for one in ones:
            if one.probe.group is not None:
                groups.setdefault((one.probe.kind, one.probe.group), []).append(right(one.probe, one.row))
        hops = [right(one.probe, one.row) for one in ones if one.probe.kind is Kind.HOP]
        for (kind, _), marks in groups.items():
            known = [mark for mark in marks if mark is not None]
            solved = any(known) if known else None
            yield (kind, "generation", "M-Acc"), case, solved
            if hops:
                yield (kind, "generation", "H-Acc"), case, None if solved is None else solved and all(hops)
        same = [
            metrics.normalise(one.row.text)
            for one in ones
            if one.probe.kind in (Kind.EFFICACY, Kind.PARAPHRASE) and one.probe.form == "answer"
            if one.row.text is not None and len(one.asked.edits) == 1  # several edits are several questions
        ]
        if len(same) > 2:
            pairs = [first == second for first, second in combinations(same, 2)]
            yield (Kind.PARAPHRASE, "generation", "consistency"), case, sum(pairs) / len(pairs)


def _conditioned(answered: Sequence[_Answered], known: set[tuple[str, str]]) -> Iterator[tuple[Key, str, bool | None]]:
    """RippleEdits' filter: only where the unedited model knows what a test presupposes, and the edit succeeded."""
    failed = {
        one.asked.case for one in answered if one.probe.kind is Kind.EFFICACY and right(one.probe, one.row) is False
    }
    has_conditions = any(one.probe.requires for one in answered)
    for one in answered:
        case, probe = one.asked.case, one.probe
        if has_conditions and case not in failed and all((case, name) in known for name in probe.requires):
            yield (probe.kind, "generation", "contains, conditions met"), case, right(probe, one.row)


def _spans(answered: Sequence[_Answered]) -> dict[str, dict[str, tuple[list[float], list[Hashable]]]]:
    """By kind: nats and tokens of the spans, for their perplexity."""
    found: dict[str, tuple[_Column, _Column]] = {}
    for one in answered:
        if one.probe.form == "span" and (likelihood := accepted(one.probe, one.row)):
            nats, tokens = found.setdefault(one.probe.kind, (_Column(), _Column()))
            nats.add(-likelihood.logprob, one.asked.case)
            tokens.add(likelihood.tokens, one.asked.case)
    return {
        kind: {"nats": (nats.values, nats.cases), "tokens": (tokens.values, tokens.cases)}
        for kind, (nats, tokens) in found.items()
    }


def _perplexity(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of mean nats and mean tokens, shape (2, resamples)."""
    perplexity: NDArray[np.float64] = np.exp(means[0] / means[1])
    return perplexity
