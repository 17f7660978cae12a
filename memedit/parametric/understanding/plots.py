"""Plots of what happens inside a model. Each gives a figure of matplotlib, which comes with the extra `eval`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from memedit.errors import MissingExtra
from memedit.parametric.curve import Curve
from memedit.parametric.understanding.tracing import Traced

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = np.ndarray[Any, np.dtype[Any]]
ROW, COLUMN = 0.25, 0.16  # inches of a token, and of a layer


def plot_trace(traced: Traced) -> Figure:
    """Effects of states, a row a token and a column a layer."""
    title = f"given back of what was lost: {traced.clean:.2f} clean, {traced.spoiled:.2f} spoiled"
    return _heat(traced.effects.T, traced.tokens, title)


def plot_neurons(scores: Values, *, most: int = 20) -> Figure:
    """The largest scores of neurons in each layer, a row a rank and a column a layer."""
    largest = -np.sort(-scores, axis=1)[:, :most]
    return _heat(
        largest.T, [f"{place + 1}." for place in range(largest.shape[1])], "scores of the layer's first neurons"
    )


def plot_lens(logs: Values, tokens: Sequence[str], wanted: int) -> Figure:
    """The log-probability of one token behind each layer, a row a token that was read and a column a layer."""
    return _heat(logs[:, :, wanted].T, tokens, "log-probability, read behind each layer")


def plot_curve(curve: Curve) -> Figure:
    """Gain, loss and perplexity along θ₀ + αΔ, with the α that is picked from them."""
    figure = _figure(6.0, 3.2)
    axes = figure.add_subplot()
    axes.plot(curve.alphas, curve.gain, label="gain: the edits hold")
    axes.plot(curve.alphas, curve.loss, label="loss: what lies beside them changed")
    axes.axvline(curve.best(), color="grey", linestyle=":", label=f"picked: {curve.best():.2g}")
    axes.set(xlabel="α", ylim=(-0.02, 1.02))
    other = axes.twinx()
    other.plot(curve.alphas, curve.perplexity, color="grey", linewidth=1)
    other.set_ylabel("perplexity (grey)")
    axes.legend(fontsize="small")
    return figure


def plot_lines(lines: Mapping[str, Values], label: str, title: str) -> Figure:
    """Curves over layers, one a name."""
    figure = _figure(6.0, 3.2)
    axes = figure.add_subplot()
    for name, values in lines.items():
        axes.plot(range(len(values)), values, label=name)
    axes.set(xlabel="layer", ylabel=label)
    axes.set_title(title, fontsize="medium", loc="left")
    axes.legend(fontsize="small")
    return figure


def _heat(values: Values, rows: Sequence[str], title: str) -> Figure:
    figure = _figure(2.4 + COLUMN * values.shape[1], 1.2 + ROW * len(rows))
    axes = figure.add_subplot()
    image = axes.imshow(values, aspect="auto", cmap="Blues")
    axes.set_yticks(range(len(rows)), [repr(row)[1:-1] for row in rows])
    axes.set_xlabel("layer")
    axes.set_title(title, fontsize="medium", loc="left")
    figure.colorbar(image)
    return figure


def _figure(width: float, height: float) -> Figure:
    """Raises:
    MissingExtra: Matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingExtra("eval", package="matplotlib") from missing
    return Figure(figsize=(width, height), layout="constrained")
