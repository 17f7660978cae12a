"""Plots as inline SVG, drawn by Matplotlib; their colours are variables of the page, so that they follow its theme."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from memedit.errors import MissingExtra
from memedit.eval.contenders import BASELINES
from memedit.eval.report.about import visible
from memedit.eval.report.curves import GateCurve, Line, Spent
from memedit.eval.report.grid import Column, kind_title, number
from memedit.eval.scores import Score

WIDTH = 320  # of every plot, in pixels: what a phone has room for
COLOURS = ("ink", "muted", "rule", "c1", "c2", "c3", "c4", "c5")
PLACEHOLDERS = {name: f"#0{place}0{place}0{place}" for place, name in enumerate(COLOURS, start=1)}
INK, MUTED, RULE, *LINES = PLACEHOLDERS.values()
STYLE: Any = {
    "axes.edgecolor": RULE, "axes.facecolor": "none", "axes.labelcolor": MUTED, "axes.labelsize": 12,
    "axes.spines.right": False, "axes.spines.top": False, "figure.dpi": 72, "figure.facecolor": "none",
    "font.size": 12, "grid.color": RULE, "legend.fontsize": 12, "lines.linewidth": 1.6, "lines.markersize": 5.5,
    "svg.fonttype": "none", "svg.hashsalt": "memedit", "text.color": INK, "text.parse_math": False, "xtick.color": RULE,
    "xtick.labelcolor": MUTED, "xtick.labelsize": 12, "xtick.major.size": 0, "xtick.minor.size": 0,
    "ytick.color": RULE, "ytick.labelcolor": MUTED, "ytick.labelsize": 12, "ytick.major.size": 0,
}  # fmt: skip

LEADER = {"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 1, "shrinkB": 3}


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot.

    Args:
        title: What it shows.
        note: What the title leaves open.
        svg: The drawing.
        alt: The same in words.
    """

    title: str
    note: str
    svg: str
    alt: str

    def inline(self, number: int) -> str:
        """The drawing as a part of a page, with ids that no other drawing has."""
        return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>plot-{number}-", self.svg)


@contextmanager
def styled() -> Iterator[None]:
    """Draws in the style of the page.

    Raises:
        MissingExtra: Matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
    except ImportError as missing:
        raise MissingExtra("eval", package="matplotlib") from missing
    with rc_context(STYLE):
        yield


@styled()
def by_method(column: Column) -> Plot:
    """The score of every method with its interval, of one kind and metric."""
    scores = [score for score in column.scores.values() if math.isfinite(score.value)]
    axes = _axes(34 + 23 * len(scores), left=130, right=46, bottom=24)
    for place, score in enumerate(scores):
        colour = MUTED if score.method in BASELINES else LINES[0]
        axes.plot([100 * end for end in _ends(score)], [place] * 2, color=colour, linewidth=2)
        axes.plot(100 * score.value, place, "o", color=colour)
        axes.annotate(column.value(score.method), (1, place), (44, 0), xycoords=axes.get_yaxis_transform(),
                      textcoords="offset pixels", ha="right", va="center_baseline")  # fmt: skip
    axes.set_yticks(range(len(scores)), [_short(score.method) for score in scores], color=INK)
    axes.set_ylim(len(scores) - 0.5, -0.6)
    axes.set_xlim(min(-2, *(100 * _ends(score)[0] for score in scores)), 102)
    axes.set_xticks([0, 50, 100])
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    said = "; ".join(
        f"{score.method} {column.value(score.method)} ({column.interval(score.method)})" for score in scores
    )
    return _plot(axes, kind_title(column.kind), f"{column.metric}, n = {column.n}", said)


@styled()
def by_edits(line: Line) -> Plot:
    """Scores against the number of edits in memory."""
    axes = _axes(230, left=36, right=122, bottom=42)
    ends, said = [], []
    for method, points in line.points.items():
        look = _look(method, line.points)
        xs, values = [size for size, _ in points], [100 * score.value for _, score in points]
        lows, highs = zip(*([100 * end for end in _ends(score)] for _, score in points), strict=True)
        axes.fill_between(xs, lows, highs, color=look["color"], alpha=0.13, linewidth=0)
        axes.plot(xs, values, marker="o", **look)
        ends.append((xs[-1], values[-1], method, look["color"]))
        read = ", ".join(f"{number(value, 1)} at {x:,}" for x, value in zip(xs, values, strict=True))
        said.append(f"{method} {read}")
    axes.set_xscale("log")
    axes.set_xticks(line.sizes, [f"{size:,}" for size in line.sizes])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("edits in memory")
    _per_cent(axes)
    _label(axes, ends)
    return _plot(axes, kind_title(line.kind), line.metric, "; ".join(said))


@styled()
def gate(curves: Sequence[GateCurve]) -> Plot:
    """Precision against recall of each gate, with a dot where it stands."""
    axes = _axes(290, left=40, right=14, bottom=42)
    names = [", ".join(curve.methods) for curve in curves]
    for name, curve in zip(names, curves, strict=True):
        look = _look(curve.methods[0], [one.methods[0] for one in curves])
        recalls, precisions = zip(*curve.points, strict=True)
        axes.plot(recalls, precisions, drawstyle="steps-pre", label=_short(name, 40), **look)
        if curve.at:
            axes.plot(*curve.at, "o", color=look["color"], markersize=7)
    for limit, ticks in ((axes.set_xlim, axes.set_xticks), (axes.set_ylim, axes.set_yticks)):
        limit(-0.02, 1.03)
        ticks([0, 0.5, 1], ["0", "50", "100"])
    axes.set_xlabel("recall, %")
    axes.set_ylabel("precision, %", labelpad=0)
    axes.grid()
    axes.legend(loc="lower left", frameon=False, handlelength=1.6, borderaxespad=0.3)
    said = "; ".join(
        f"{name} recall {number(100 * curve.at[0], 1)}, precision {number(100 * curve.at[1], 1)}"
        for name, curve in zip(names, curves, strict=True)
        if curve.at
    )
    return _plot(axes, "Precision and recall", "at every threshold; the dot is where the gate stands", said)


@styled()
def against_cost(points: Sequence[Spent], what: str) -> Plot:
    """The share of right answers against what an answer costs."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes = _axes(250, left=40, right=14, bottom=42)
    least, most = min(point.spent for point in points), max(point.spent for point in points)
    _per_cent(axes, "right, %")
    axes.set_xlabel(f"{what} of an answer")
    if most > 20 * least:
        axes.set_xscale("log")
        axes.set_xlim(least / 1.6, most * 1.6)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(0, 1.1 * most)
        axes.locator_params(axis="x", nbins=5)
    ends = []
    for point in points:
        colour = MUTED if point.method in BASELINES else LINES[0]
        axes.plot([point.spent] * 2, [100 * point.right.low, 100 * point.right.high], color=colour, linewidth=1.4)
        axes.plot(point.spent, 100 * point.right.value, "o", color=colour)
        ends.append((point.spent, 100 * point.right.value, point.method, INK))
    _label(axes, _merged(axes, ends))
    said = "; ".join(f"{each.method} {number(100 * each.right.value, 1)} at {each.spent:.3g} {what}" for each in points)
    return _plot(axes, f"Right answers and {what}", "over the probes that an edit bears on", said)


def _axes(height: float, *, left: float, right: float, bottom: float, top: float = 10) -> Any:
    """Axes with margins in pixels."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 72, height / 72))
    FigureCanvasSVG(figure)
    return figure.add_axes(
        (left / WIDTH, bottom / height, (WIDTH - left - right) / WIDTH, (height - bottom - top) / height)
    )


def _per_cent(axes: Any, label: str = "") -> None:
    axes.set_ylim(-2, 103)
    axes.set_yticks([0, 50, 100])
    axes.set_ylabel(label, labelpad=0)
    axes.grid(axis="y")


def _look(method: str, methods: Sequence[str] | Any) -> dict[str, Any]:
    """Colour and dashes of a line; baselines are grey."""
    alike = [*BASELINES] if method in BASELINES else [one for one in methods if one not in BASELINES]
    place = alike.index(method)
    colours = [MUTED] if method in BASELINES else LINES
    dash = ["-", "--", "-.", ":"][place // len(colours) % 4]
    return {"color": colours[place % len(colours)], "linestyle": dash}


def _label(axes: Any, points: Sequence[tuple[float, float, str, str]], gap: float = 14) -> None:
    """Names beside their points, to the right, or to the left for want of room; moved apart where they would touch."""
    places = [(*axes.transData.transform((x, y)), name, colour) for x, y, name, colour in points]
    box = axes.get_window_extent()
    for at_left in (False, True):
        side = [place for place in places if (place[0] + 7 + 6.8 * len(place[2]) > WIDTH) == at_left]
        side.sort(key=lambda place: place[1])
        heights: list[float] = []
        for _, y, _, _ in side:
            heights.append(max(y, heights[-1] + gap if heights else box.y0 + gap / 2))
        over = max(0.0, heights[-1] - box.y1) if heights else 0.0
        for (x, y, name, colour), height in zip(side, heights, strict=True):
            moved = abs(height - over - y) > gap / 2
            axes.annotate(
                _short(name, 40),
                (x, y),
                (-10 if at_left else 10, height - over - y),
                xycoords="figure pixels",
                textcoords="offset pixels",
                ha="right" if at_left else "left",
                va="center_baseline",
                color=colour,
                annotation_clip=False,
                arrowprops={**LEADER, "color": colour, "relpos": (int(at_left), 0.5)} if moved else None,
            )


def _merged(axes: Any, points: Sequence[tuple[float, float, str, str]]) -> list[tuple[float, float, str, str]]:
    """Points that lie on one another get one name."""
    found: list[tuple[float, float, str, str]] = []
    for x, y, name, colour in sorted(points):
        near = [place for place, other in enumerate(found) if _distance(axes, (x, y), other[:2]) < 6]
        if near:
            before = found[near[0]]
            found[near[0]] = (*before[:2], f"{before[2]}, {name}", before[3])
        else:
            found.append((x, y, name, colour))
    return found


def _distance(axes: Any, first: tuple[float, float], second: tuple[float, float]) -> float:
    """In pixels."""
    (x, y), (to_x, to_y) = axes.transData.transform([first, second])
    return math.hypot(to_x - x, to_y - y)


def _ends(score: Score) -> tuple[float, float]:
    """The interval's; the value itself where there is none."""
    return tuple(end if math.isfinite(end) else score.value for end in (score.low, score.high))  # type: ignore[return-value]


def _short(name: str, limit: int = 18) -> str:
    return visible(name if len(name) <= limit else name[: limit - 1] + "…")


def _plot(axes: Any, title: str, note: str, said: str) -> Plot:
    """The drawing without metadata, unused ids, and the style sheet that would reach the whole page."""
    file = io.StringIO()
    axes.figure.savefig(file, format="svg", metadata={"Date": None})
    svg = file.getvalue()
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(|href=")#([\w-]+)', svg))
    svg = re.sub(r' id="([^"<>]*)"', lambda one: one[0] if one[1] in used else "", svg)
    for name, colour in PLACEHOLDERS.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', f'width="{WIDTH}" aria-hidden="true"', svg, count=1)
    return Plot(title, note, svg.strip(), f"{title}, {note}: {said}.")
