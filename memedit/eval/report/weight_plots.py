"""Plots of what becomes of a model while edits are written into it: what it keeps, its perplexity, its norms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memedit.eval.in_weights import Look, retention
from memedit.eval.report.grid import number
from memedit.eval.report.plots import Plot, _axes, _label, _look, _per_cent, _plot, styled

MEASURES: dict[str, tuple[str, Callable[[Look], float]]] = {
    "Edits kept": ("%, behind their own prompts", lambda look: 100 * sum(look.kept) / max(1, len(look.kept))),
    "Perplexity": ("of running text", lambda look: look.perplexity),
    "Norm": ("‖W‖ / ‖W₀‖, the largest of the layers'", lambda look: max(look.norms.values(), default=1.0)),
}


def weight_plots(looks: Sequence[Look]) -> list[Plot]:
    """Of streams that were looked at more than once; the first namespace of each method."""
    streams: dict[str, list[Look]] = {}
    for look in looks:
        stream = streams.setdefault(look.method, [])
        if not stream or stream[0].namespace == look.namespace:
            stream.append(look)
    streams = {method: stream for method, stream in streams.items() if len(stream) > 1}
    if not streams:
        return []
    return [*(_along(streams, title) for title in MEASURES), *(_kept(*one) for one in streams.items())]


@styled()
def _along(streams: dict[str, list[Look]], title: str) -> Plot:
    """A measure against the number of edits."""
    note, measure = MEASURES[title]
    axes, ends, said = _axes(230, left=44, right=122, bottom=42), [], []
    for method, stream in streams.items():
        xs, values = [look.written for look in stream], [measure(look) for look in stream]
        look = _look(method, streams)
        axes.plot(xs, values, marker="o", **look)
        ends.append((xs[-1], values[-1], method, look["color"]))
        read = ", ".join(f"{number(value, 2)} after {x:,}" for x, value in zip(xs, values, strict=True))
        said.append(f"{method} {read}")
    axes.set_xlabel("edits written")
    if title == "Edits kept":
        _per_cent(axes)
    else:
        axes.grid(axis="y")
    _label(axes, ends)
    return _plot(axes, title, note, "; ".join(said))


@styled()
def _kept(method: str, stream: Sequence[Look]) -> Plot:
    """Which edit is kept at which look: a column an edit, a row a look."""
    kept, axes = retention(stream), _axes(200, left=44, right=14, bottom=42)
    axes.imshow(kept, aspect="auto", cmap="Greys", vmin=-0.3, vmax=1.3, interpolation="nearest")
    axes.set_xlabel("edit, in the order of writing")
    axes.set_yticks(range(len(stream)), [f"{look.written:,}" for look in stream])
    said = "; ".join(f"after {look.written:,}, {sum(look.kept):,} of {len(look.kept):,} are kept" for look in stream)
    return _plot(axes, f"Edits kept by {method}", "dark: kept; by the number of edits written", said)
