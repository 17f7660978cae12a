"""The report of a gate: `report.html`, `report.md` and `judged.jsonl`, every question with what was said of it."""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from memedit.errors import MissingExtra
from memedit.eval.benchmarks import base
from memedit.eval.gates import GateScores, Mistake, as_line, mistakes, scores
from memedit.eval.report import gate_plots
from memedit.eval.report.grid import number
from memedit.eval.report.markdown import _line, _plain
from memedit.eval.report.page import _cut, _safe, _shipped, _shown
from memedit.eval.report.plots import Plot
from memedit.eval.runs import replace_file
from memedit.eval.stats import Share
from memedit.gate.learning.judging import Judged
from memedit.gate.learning.scope_sets import ScopeSet

HTML, MARKDOWN, JUDGED = "report.html", "report.md", "judged.jsonl"
READING = (
    "With 95 % intervals (Wilson). Recall: of the questions that an edit answers, those where it is let through as an "
    "answer. On the way: of those that edits only lead to, those where one is let through in either role, and in that "
    "one. False fires: of all questions, those where an edit out of scope is let through. Not found: of those with an "
    "edit in scope, those for which the memory proposes none of them."
)
SHOWN = 300  # questions judged wrongly that the page shows


@dataclass(frozen=True)
class Part:
    """Questions judged by one gate, or by gates that were trained in one way.

    Args:
        judged: The questions.
        scores: At the gate's thresholds.
        sets: Where their edits stand.
        heading, note: What a reader has to know of them.
    """

    judged: Sequence[Judged] = field(repr=False)
    scores: GateScores
    sets: Sequence[ScopeSet] = field(repr=False)
    heading: str = ""
    note: str = ""

    @classmethod
    def of(
        cls, judged: Sequence[Judged], sets: Sequence[ScopeSet], thresholds: Mapping[str, float], *, heading: str = "",
        note: str = "",
    ) -> Part:  # fmt: skip
        """The part of some judged questions."""
        found = scores(judged, direct=thresholds["direct"], bridge=thresholds["bridge"])
        return cls(judged, found, sets, heading, note)

    def count_wrong(self) -> int:
        """How many questions are judged wrongly."""
        return sum(1 for _ in mistakes(self.judged, self.sets, **self.scores.thresholds))

    def wrong(self) -> tuple[list[Mistake], int]:
        """The questions judged wrongly, and how many more there are than the page shows."""
        found = list(mistakes(self.judged, self.sets, **self.scores.thresholds))
        if len(found) <= SHOWN:
            return found, 0
        drawn = sorted(random.Random(0).sample(range(len(found)), SHOWN))  # noqa: S311 - a sample, no secret
        return [found[at] for at in drawn], len(found) - SHOWN


@dataclass(frozen=True)
class _Shown:
    """A part as the page shows it."""

    heading: str
    note: str
    scores: GateScores
    plots: list[Plot]
    mistakes: list[Mistake]
    left_out: int

    @property
    def kinds(self) -> Counter[str]:
        """How many mistakes there are of each kind."""
        return Counter(one.what for one in self.mistakes)


def write_gate_report(
    out: Path, parts: Sequence[Part], *, title: str, facts: Mapping[str, Any], sources: Sequence[base.Source],
    command: str,
) -> list[Path]:  # fmt: skip
    """Write the report; the folder is made where there is none.

    Args:
        out: The folder.
        parts: The judged questions.
        title: The gate.
        facts: What else is known of it, by label.
        sources: The data.
        command: That made it.

    Returns:
        The files written.

    Raises:
        MissingExtra: Jinja2 or Matplotlib is not installed.
        StorageFull: It does not fit.
    """
    shown = [(label, str(value)) for label, value in facts.items()]
    lines = [
        json.dumps({**({"part": part.heading} if part.heading else {}), **as_line(one)}, ensure_ascii=False) + "\n"
        for part in parts
        for one in part.judged
    ]
    contents = {
        HTML: _page(parts, title=title, facts=shown, sources=sources, command=command),
        MARKDOWN: _markdown(parts, title, shown),
        JUDGED: "".join(lines),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        replace_file(out / name, text.encode())
    return [out / name for name in contents]


def _page(parts: Sequence[Part], **known: Any) -> str:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as missing:
        raise MissingExtra("eval", package="jinja2") from missing
    environment = Environment(
        autoescape=True, finalize=_shown, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = _shipped("page.js")
    return str(
        environment.from_string(_shipped("gate.html")).render(
            **known,
            parts=[_part(part) for part in parts],
            reading=READING,
            style=_safe(_shipped("page.css")),
            script=_safe(script),
            script_hash=base64.b64encode(sha256(script.encode()).digest()).decode(),
            cut=_cut,
            next=next,
            number=number,
            numbers=count(1),
            safe=_safe,
        )
    ).lstrip()


def _part(part: Part) -> _Shown:
    shown, left_out = part.wrong()
    plots = gate_plots.draw(part.judged, part.scores.thresholds)
    return _Shown(part.heading, part.note, part.scores, plots, shown, left_out)


def _markdown(parts: Sequence[Part], title: str, facts: Sequence[tuple[str, str]]) -> str:
    blocks = [f"# {_plain(title)}", "\n".join(f"- {_plain(label)}: {_plain(value)}" for label, value in facts), READING]
    for part in parts:
        blocks += [f"## {_plain(part.heading)}"] if part.heading else []
        blocks += [_plain(part.note)] if part.note else []
        head = [
            "set",
            "group",
            "questions",
            "recall, %",
            "on the way, %",
            "as on the way, %",
            "false fires, %",
            "not found, %",
        ]
        rows = [
            _line(
                [one.set, one.group, f"{one.questions:,}"],
                *map(_cell, (one.direct, one.bridge, one.as_bridge, one.false_fires, one.not_found)),
            )
            for one in part.scores.groups
        ]
        blocks.append("\n".join([_line(head), "|---|---|" + "---:|" * (len(head) - 2), *rows]))
        head = ["set", "pairs", "answers", "AUROC", "average precision", "calibration error"]
        rows = [
            _line([one.set, f"{one.pairs:,}", f"{one.answers:,}"],
                  *(_figure(value) for value in (one.auroc, one.average_precision, one.calibration_error)))
            for one in part.scores.pairs
        ]  # fmt: skip
        blocks.append("\n".join([_line(head), "|---|" + "---:|" * (len(head) - 1), *rows]))
    return "\n\n".join(filter(None, blocks)) + "\n"


def _cell(share: Share) -> str:
    if not share.of:
        return "–"
    low, high = share.interval
    return f"{100 * share.value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _figure(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"
