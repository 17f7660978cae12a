"""`report.html`: one page with everything in it, that asks nothing of any server and runs no script but its own."""

from __future__ import annotations

import base64
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

from memedit.errors import MissingExtra
from memedit.eval.in_weights import looks_of
from memedit.eval.report import about, plots
from memedit.eval.report.compare import (
    MEASURES,
    MOST_CHARACTERS,
    Comparison,
    Entry,
    compare_methods,
    compare_runs,
    differing,
    kinds_of,
)
from memedit.eval.report.curves import gate_curves, growths, headlines, spent
from memedit.eval.report.grid import TITLES, Table, kind_title, number, tables
from memedit.eval.report.plots import Plot
from memedit.eval.report.weight_plots import weight_plots
from memedit.eval.runs import Run
from memedit.eval.scores import Protocol, Score


@dataclass(frozen=True)
class Part:
    """What the page shows of one run.

    Args:
        id: Of its place on the page.
        name: Of its folder.
        run: The run.
        tables: Its scores.
        plots: By heading.
        comparisons: Of its methods.
        entries: Where methods differ.
        left_out: How many more such probes there are.
    """

    id: str
    name: str
    run: Run
    tables: list[Table]
    plots: dict[str, list[Plot]]
    comparisons: list[Comparison]
    entries: list[Entry]
    left_out: int

    @property
    def kinds(self) -> Counter[str]:
        """How many entries there are of each kind."""
        return Counter(str(entry.asked.probe.kind) for entry in self.entries)


def page(runs: Sequence[Run], scores: Mapping[Path, Sequence[Score]]) -> str:
    """The page of these runs.

    Raises:
        MissingExtra: Jinja2 or Matplotlib is not installed.
    """
    named = dict(zip(about.names_of(runs), runs, strict=True))
    script = _shipped("page.js")
    return str(
        _template().render(
            title=" and ".join(dict.fromkeys(map(about.title_of, runs))),
            parts=[_part(f"run-{place}", name, run, scores) for place, (name, run) in enumerate(named.items())],
            growths=[
                (growth.title, _headed((line.protocol, plots.by_edits(line)) for line in growth.lines))
                for growth in growths(runs, scores)
            ],
            comparisons=compare_runs(named),
            style=_safe(_shipped("page.css")),
            script=_safe(script),
            script_hash=base64.b64encode(sha256(script.encode()).digest()).decode(),
        )
    ).lstrip()


def _part(id: str, name: str, run: Run, scores: Mapping[Path, Sequence[Score]]) -> Part:
    entries, left_out = differing(run)
    return Part(
        id=id,
        name=name,
        run=run,
        tables=tables(scores.get(run.folder, ()), about.methods_of(run)),
        plots=_plots(run, scores),
        comparisons=compare_methods(run),
        entries=entries,
        left_out=left_out,
    )


def _plots(run: Run, scores: Mapping[Path, Sequence[Score]]) -> dict[str, list[Plot]]:
    curves = gate_curves(run)
    costs = {what: spent(run, what) for what in ("tokens", "seconds")}
    others = [
        *([plots.gate(curves)] if curves else []),
        *(plots.against_cost(points, what) for what, points in costs.items() if points),
    ]
    return {
        **_headed((column.protocol, plots.by_method(column)) for column in headlines(run, scores)),
        **({"Gate and cost": others} if others else {}),
        **({TITLES["weights"]: along} if (along := weight_plots(looks_of(run.folder))) else {}),
    }


def _headed(drawn: Iterable[tuple[Protocol, Plot]]) -> dict[str, list[Plot]]:
    """The plots under the titles of their protocols."""
    found: dict[str, list[Plot]] = {}
    for protocol, plot in drawn:
        found.setdefault(TITLES[protocol], []).append(plot)
    return found


def _template() -> Any:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as missing:
        raise MissingExtra("eval", package="jinja2") from missing
    # Every text that comes to the page goes through `finalize` and is then escaped, so that none can be forgotten.
    environment = Environment(
        autoescape=True, finalize=_shown, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {
        "about": about,
        "cut": _cut,
        "kind_title": kind_title,
        "kinds_of": kinds_of,
        "measures": MEASURES,
        "next": next,
        "number": number,
        "numbers": itertools.count(1),
        "p_value": p_value,
        "safe": _safe,
    }
    return environment.from_string(_shipped("page.html"))


def p_value(p: float) -> str:
    """A p-value as papers print it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _shown(value: Any) -> Any:
    return about.visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _safe(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - the page's own style and script, and drawings whose texts Matplotlib escaped


def _cut(text: str) -> str:
    more = len(text) - MOST_CHARACTERS
    return text if more <= 0 else f"{text[:MOST_CHARACTERS]} … ({more:,} more characters)"


def _shipped(name: str) -> str:
    return resources.files("memedit.eval.report").joinpath(name).read_text(encoding="utf-8")
