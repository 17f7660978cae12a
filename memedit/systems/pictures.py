"""A picture of what a check found: curves, or bars side by side, as its declaration in `systems.toml` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memedit.errors import CapabilityMissing, FileRejected, MissingExtra
from memedit.systems.registry import Picture, System, systems

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 6.4, 3.2  # inches


def check_file(system: System, file: Path) -> None:
    """Refuse what cannot be drawn, before anything is measured for it.

    Raises:
        MissingExtra: Matplotlib is not installed.
        CapabilityMissing: The system declares no picture.
        FileRejected: The file's ending is none of a picture.
    """
    if system.picture is None:
        having = ", ".join(one.name for one in systems().values() if one.picture)
        raise CapabilityMissing(f"There is no picture of `{system.name}`.", do=f"there is one of {having}")
    kinds = _figure().canvas.get_supported_filetypes()
    if file.suffix.removeprefix(".") not in kinds:
        raise FileRejected(f"`{file.name}` is no name of a picture.", do="end it with .svg, .png or .pdf")


def draw(system: System, more: Mapping[str, Any], file: Path) -> None:
    """Write the picture that a system declares, of the figures of its check; the same ones give the same bytes.

    Raises:
        MissingExtra, CapabilityMissing, FileRejected: As above.
        OSError: The file cannot be written.
    """
    check_file(system, file)
    from matplotlib import rc_context

    told, figure = system.picture, _figure()
    assert told is not None
    axes = figure.add_subplot()
    (_curves if told.along else _bars)(axes, told, more)
    axes.set_ylabel(told.says)
    axes.set_title(system.title, fontsize="medium", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    with rc_context({"svg.hashsalt": system.name}):
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _figure() -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingExtra("eval", package="matplotlib") from missing
    return Figure(figsize=(WIDTH, HEIGHT), layout="constrained")


def _curves(axes: Axes, told: Picture, more: Mapping[str, Any]) -> None:
    """A line for each list of figures, over those of `along`, or over their places."""
    for name, values in _rows(told, more):
        axes.plot(more.get(told.along, range(len(values))), values, marker=".", label=name)
    axes.set_xlabel(told.across or told.along)


def _bars(axes: Axes, told: Picture, more: Mapping[str, Any]) -> None:
    """A group of bars for each part, in it one bar for each list of figures."""
    rows = _rows(told, more)
    broad = 0.8 / len(rows)
    for place, (name, values) in enumerate(rows):
        at = [group + (place - (len(rows) - 1) / 2) * broad for group in range(len(values))]
        axes.bar_label(axes.bar(at, values, broad * 0.92, label=name), fmt="%.2g", fontsize="small")
    axes.set_xticks(range(len(told.parts)), told.parts)


def _rows(told: Picture, more: Mapping[str, Any]) -> list[tuple[str, list[float]]]:
    """What is drawn: names with their figures."""
    shown = more[told.within] if told.within else more
    called = told.of or {name: name for name in shown if name != told.along}
    return [(called[name], _figures(shown[name], told.parts)) for name in called]


def _figures(value: Any, parts: Sequence[str]) -> list[float]:
    if isinstance(value, Mapping):
        return [float(value[part]) for part in parts]
    return [float(one) for one in value][: len(parts) or None] if isinstance(value, list | tuple) else [float(value)]
