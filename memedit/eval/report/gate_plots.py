"""Plots of a gate: precision against recall, recall and false fires by threshold, reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memedit.eval.gate_curves import by_threshold, curve, reliability
from memedit.eval.gates import passing
from memedit.eval.report.curves import GateCurve
from memedit.eval.report.grid import number
from memedit.eval.report.plots import LINES, MUTED, Plot, _axes, _per_cent, _plot, gate, styled
from memedit.gate.learning.judging import Judged

MOST_LINES = 8  # sets that get a curve of their own


def draw(judged: Sequence[Judged], thresholds: Mapping[str, float]) -> list[Plot]:
    """All plots for which there is anything to draw."""
    curves = _curves(judged, thresholds)
    return [
        *([gate(curves)] if curves else []),
        *([trade(judged, thresholds)] if any(one.direct for one in judged) else []),
        *([calibration(judged)] if any(one.candidates for one in judged) else []),
    ]


@styled()
def trade(judged: Sequence[Judged], thresholds: Mapping[str, float]) -> Plot:
    """Recall and false fires of answers at every threshold."""
    axes = _axes(250, left=40, right=14, bottom=42)
    points = by_threshold(judged)
    at = [threshold for threshold, _, _ in points]
    axes.plot(at, [100 * recall for _, recall, _ in points], color=LINES[0], label="recall")
    axes.plot(at, [100 * false for _, _, false in points], color=LINES[1], linestyle="--", label="false fires")
    axes.axvline(thresholds["direct"], color=MUTED, linewidth=0.9, linestyle=":")
    _per_cent(axes, "questions, %")
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_xlabel("threshold")
    axes.legend(loc="center left", frameon=False, handlelength=1.6, borderaxespad=0.3)
    near = min(points, key=lambda one: abs(one[0] - thresholds["direct"]))
    said = f"at {near[0]:.2f} recall {number(100 * near[1], 1)}, false fires {number(100 * near[2], 1)}"
    return _plot(axes, "By threshold", "of answers; dotted: the gate's own", said)


@styled()
def calibration(judged: Sequence[Judged]) -> Plot:
    """The share of answers among pairs of a probability, with its interval."""
    axes = _axes(290, left=40, right=14, bottom=42)
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=0.9, linestyle=":")
    said = []
    for mean, share in reliability(judged):
        axes.plot([100 * mean] * 2, [100 * end for end in share.interval], color=LINES[0], linewidth=1.2)
        axes.plot(100 * mean, 100 * share.value, "o", color=LINES[0])
        said.append(f"{number(100 * share.value, 1)} at {number(100 * mean, 1)} (n = {share.of:,})")
    _per_cent(axes, "answers, %")
    axes.set_xlim(-2, 103)
    axes.set_xticks([0, 50, 100])
    axes.set_xlabel("probability, %")
    return _plot(axes, "Reliability", "share of answers among pairs of a probability", "; ".join(said))


def _curves(judged: Sequence[Judged], thresholds: Mapping[str, float]) -> list[GateCurve]:
    """One a set, and one over all where there are too many sets."""
    by_set: dict[str, list[Judged]] = {}
    for one in judged:
        by_set.setdefault(one.set, []).append(one)
    parts = by_set if len(by_set) <= MOST_LINES else {"all": list(judged)}
    found = [GateCurve((name,), curve(part), _stands(part, thresholds)) for name, part in parts.items()]
    return [one for one in found if one.points]


def _stands(judged: Sequence[Judged], thresholds: Mapping[str, float]) -> tuple[float, float] | None:
    """(recall, precision) of the answers let through at the gate's threshold."""
    right = let = 0
    for one in judged:
        known = [at for at in passing(one, **thresholds).answers if one.roles[at] >= 0]
        right += sum(one.candidates[at] in one.direct for at in known)
        let += len(known)
    answers = sum(len(one.direct) for one in judged)
    return (right / answers, right / let) if answers and let else None
