"""How good a gate is: what it lets through at its thresholds, and whether its probabilities mean what they say.

Efficacy and generalisation ask for a high recall of the right edit, locality for few false fires. A question counts
once, however many edits are proposed for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from memedit.eval.gate_curves import known_pairs
from memedit.eval.stats import Share, auroc, average_precision, calibration_error
from memedit.gate.learning.judging import Judged
from memedit.gate.learning.scope_sets import BRIDGE, DIRECT, OUT, ScopeSet
from memedit.text import storable

ALL = "all"  # the group of a set's line over all its groups


@dataclass(frozen=True, slots=True)
class GroupScore:
    """The questions of one group of one set.

    Args:
        set, group: Which.
        questions: How many.
        direct: Of those that an edit answers: it is let through, as an answer.
        bridge: Of those with edits on the way only: one of them is let through, in either role.
        as_bridge: The same, in the role of a bridge.
        false_fires: Of all: an edit out of scope is let through, in either role.
        not_found: Of those with an edit in scope: none of these is among the candidates.
    """

    set: str
    group: str
    questions: int
    direct: Share
    bridge: Share
    as_bridge: Share
    false_fires: Share
    not_found: Share

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; shares with value and interval, None where there was nothing to count."""
        found = asdict(self)
        for name, value in found.items():
            if isinstance(value, dict):
                share: Share = getattr(self, name)
                low, high = share.interval
                found[name] = {**value, "value": share.value, "low": low, "high": high} if share.of else None
        return found


@dataclass(frozen=True, slots=True)
class PairScore:
    """All pairs of a question and a candidate of which it is known what it is; the probability of being the answer.

    Args:
        set: Which; `all` for all sets.
        pairs: How many.
        answers: How many of these are answers.
        auroc, average_precision: How well the probability parts answers from the rest.
        calibration_error: How far it is from the share of answers, in ten bins.
    """

    set: str
    pairs: int
    answers: int
    auroc: float
    average_precision: float
    calibration_error: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        values = asdict(self)
        return {name: None if isinstance(one, float) and math.isnan(one) else one for name, one in values.items()}


@dataclass(frozen=True)
class GateScores:
    """What `scores` found.

    Args:
        thresholds: By role.
        groups: Set by set; a set of several groups ends with one over `all`.
        pairs: Set by set; with several sets, `all` comes last.
    """

    thresholds: Mapping[str, float]
    groups: tuple[GroupScore, ...]
    pairs: tuple[PairScore, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "thresholds": dict(self.thresholds),
            "groups": [one.to_dict() for one in self.groups],
            "pairs": [one.to_dict() for one in self.pairs],
        }


@dataclass(frozen=True, slots=True)
class Passing:
    """What of a question's candidates is let through.

    Args:
        answers: Numbers of those let through as an answer.
        bridges: Numbers of those let through as a bridge.
        wrong: Numbers of those let through, in either role, that are out of scope.
    """

    answers: frozenset[int]
    bridges: frozenset[int]
    wrong: frozenset[int]


def passing(one: Judged, *, direct: float, bridge: float) -> Passing:
    """What is let through at these thresholds, each in the likelier of its roles."""
    said = one.probabilities
    as_answer = said[:, 0] >= said[:, 1]
    answers = frozenset(np.flatnonzero(as_answer & (said[:, 0] >= direct)).tolist())
    bridges = frozenset(np.flatnonzero(~as_answer & (said[:, 1] >= bridge)).tolist())
    out = frozenset(np.flatnonzero(one.roles == OUT).tolist())
    return Passing(answers, bridges, (answers | bridges) & out)


def scores(judged: Sequence[Judged], *, direct: float, bridge: float) -> GateScores:
    """The scores of judged questions at these thresholds.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    passed = [(one, passing(one, direct=direct, bridge=bridge)) for one in judged]
    return scores_of(passed, {"direct": direct, "bridge": bridge})


def scores_of(passed: Sequence[tuple[Judged, Passing]], thresholds: Mapping[str, float]) -> GateScores:
    """The scores of questions of which it is known what is let through, whichever threshold each met.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    by_set: dict[str, dict[str, list[tuple[Judged, Passing]]]] = {}
    for one, passes in passed:
        by_set.setdefault(one.set, {}).setdefault(one.group, []).append((one, passes))
    groups: list[GroupScore] = []
    pairs: list[PairScore] = []
    for name, parts in by_set.items():
        whole = [each for part in parts.values() for each in part]
        groups += [_group(name, group, part) for group, part in sorted(parts.items())]
        if len(parts) > 1:
            groups.append(_group(name, ALL, whole))
        pairs.append(_pairs(name, [one for one, _ in whole]))
    if len(pairs) > 1:
        pairs.append(_pairs(ALL, [one for one, _ in passed]))
    return GateScores(thresholds, tuple(groups), tuple(pairs))


@dataclass(frozen=True, slots=True)
class Mistake:
    """A question at which the gate was wrong, to read.

    Args:
        set, group, question: Which.
        what: `missed`, `not found` or `wrong edit`.
        right: Text of each edit in scope, with the probability of its likelier role; None where it was no candidate.
        wrong: The same of each edit let through that is out of scope.
    """

    set: str
    group: str
    question: str
    what: str
    right: tuple[tuple[str, float | None], ...]
    wrong: tuple[tuple[str, float], ...]


def mistakes(judged: Sequence[Judged], sets: Sequence[ScopeSet], *, direct: float, bridge: float) -> Iterator[Mistake]:
    """The questions judged wrongly, in order: a wrong edit let through, or no right one."""
    texts = {(one.name, edit.id): edit.text for one in sets for edit in one.edits}
    for one in judged:
        passes = passing(one, direct=direct, bridge=bridge)
        right = one.direct or one.bridges
        own = {at for at, edit_id in enumerate(one.candidates) if edit_id in right}
        passed = passes.answers if one.direct else passes.answers | passes.bridges
        if not passes.wrong and (not right or own & passed):
            continue
        best = one.probabilities.max(axis=1) if len(one.candidates) else np.zeros(0)
        place = {edit_id: at for at, edit_id in enumerate(one.candidates)}
        yield Mistake(
            one.set,
            one.group,
            one.question,
            "wrong edit" if passes.wrong else "missed" if own else "not found",
            tuple(
                (texts[one.set, edit_id], float(best[place[edit_id]]) if edit_id in place else None)
                for edit_id in sorted(right)
            ),
            tuple((texts[one.set, one.candidates[at]], float(best[at])) for at in sorted(passes.wrong)),
        )


def as_line(one: Judged) -> dict[str, Any]:
    """A judged question as JSON values, for `judged.jsonl`; of the unsure edits only the candidates."""
    said = zip(one.candidates, one.probabilities.tolist(), strict=True)
    return {
        "set": one.set,
        "group": one.group,
        "question": storable(one.question),
        "direct": sorted(one.direct),
        "bridges": sorted(one.bridges),
        "unsure": sorted(one.unsure & set(one.candidates)),
        "candidates": [{"edit": edit, "direct": round(a, 5), "bridge": round(b, 5)} for edit, (a, b) in said],
    }


def _group(name: str, group: str, passed: Sequence[tuple[Judged, Passing]]) -> GroupScore:
    counts = dict.fromkeys(("direct", "bridge", "as_bridge", "false", "lost"), 0)
    answered = on_the_way = 0
    for one, passes in passed:
        roles = one.roles
        right = DIRECT if one.direct else BRIDGE
        own = frozenset(np.flatnonzero(roles == right).tolist())
        counts["false"] += bool(passes.wrong)
        counts["lost"] += bool(one.direct or one.bridges) and not own
        if one.direct:
            answered += 1
            counts["direct"] += bool(own & passes.answers)
        elif one.bridges:
            on_the_way += 1
            counts["bridge"] += bool(own & (passes.answers | passes.bridges))
            counts["as_bridge"] += bool(own & passes.bridges)
    return GroupScore(
        name,
        group,
        len(passed),
        Share(counts["direct"], answered),
        Share(counts["bridge"], on_the_way),
        Share(counts["as_bridge"], on_the_way),
        Share(counts["false"], len(passed)),
        Share(counts["lost"], answered + on_the_way),
    )


def _pairs(name: str, judged: Sequence[Judged]) -> PairScore:
    labels, said = known_pairs(judged)
    truth, values = labels.astype(bool).tolist(), said.tolist()
    return PairScore(
        name, len(truth), sum(truth), auroc(truth, values), average_precision(truth, values),
        calibration_error(truth, values),
    )  # fmt: skip
