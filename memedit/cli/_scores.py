"""Scores of a run, as tables of a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memedit.cli._print import say, table

if TYPE_CHECKING:
    from memedit.eval.runs import Run
    from memedit.eval.scores import Score

PARTS = {
    "generation": "Free generation",
    "likelihood": "Likelihood (teacher forcing, ranking)",
    "gate": "Gate",
    "cost": "Cost of an answer",
    "weights": "Weights",
}


def show_scores(run: Run, scores: Sequence[Score]) -> None:
    """The scores as a table a protocol: methods down, kinds and metrics across."""
    about = run.about
    say((f"{about['title']}, {about['llm']}", "bold"), f": {len(about['cases'])} cases, {about['asked']} probes asked, "
        f"{len(about['set_aside'])} set aside, {about['edits']} edits in memory")  # fmt: skip
    if about["malformed"]:
        say((f"{len(about['malformed'])} records could not be read; run.json says which and why", "yellow"))
    everyone = dict.fromkeys([*about.get("methods", ()), *(score.method for score in scores)])
    for protocol, title in PARTS.items():
        methods = [name for name in everyone if protocol != "gate" or name != "unedited"]
        of_it = [score for score in scores if score.protocol == protocol]
        rows = list(dict.fromkeys((score.kind, score.metric) for score in of_it))
        if not rows:
            continue
        known = {(score.kind, score.metric, score.method): score for score in of_it}
        say(f"\n{title}", err=False)
        table(
            ["probe", "metric", "n", *methods],
            [
                [
                    kind,
                    metric,
                    _counts(of_it, kind, metric),
                    *(_cell(known.get((kind, metric, one))) for one in methods),
                ]
                for kind, metric in (rows if protocol == "weights" else sorted(rows))
            ],
        )


def _cell(score: Score | None) -> str:
    if score is None:
        return "–"
    if not score.n:
        return "not scored"
    interval = f" [{figure(score, score.low)}, {figure(score, score.high)}]" if score.low == score.low else ""
    return f"{figure(score, score.value)}{interval}"


def _counts(scores: Sequence[Score], kind: str, metric: str) -> str:
    """Over how many values a metric was taken, as a range where the methods differ."""
    counts = sorted({score.n for score in scores if (score.kind, score.metric) == (kind, metric)})
    return f"{counts[0]}–{counts[-1]}" if len(counts) > 1 else str(counts[0])


def figure(score: Score, value: float) -> str:
    """A figure as people read it: shares in percent, the rest with three digits."""
    if score.is_share:
        return f"{100 * value:.1f}"
    return f"{value:.3g}"
