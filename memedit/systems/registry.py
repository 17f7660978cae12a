"""The systems that memedit unites, as data: one declaration each in `data/systems.toml`, read without importing any."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module, resources
from typing import TYPE_CHECKING, Any

from memedit.errors import UnknownMethod

if TYPE_CHECKING:
    from memedit.systems.ground import Ground


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Args:
        figure: In words, with its numbers.
        met: Whether it reaches what the declaration's `works` says.
        more: Further figures, as JSON values.
    """

    figure: str
    met: bool
    more: Mapping[str, Any] = field(default_factory=dict)


Check = Callable[..., Finding]


@dataclass(frozen=True, slots=True)
class Picture:
    """How a check's further figures are drawn: as curves where `along` is given, else as bars in groups.

    Args:
        says: What the figures are: the upright axis.
        along: Of curves, the name of the figures that they run over; one that is none: over their places.
        across: What it is called; `along` when left out.
        parts: Of bars, the groups: of figures in a list by place, of figures by name by these.
        within: The name among the figures whose own figures are drawn; all when left out.
        of: Names of those that are drawn, and what they are called; all, by their names, when left out.
    """

    says: str
    along: str = ""
    across: str = ""
    parts: tuple[str, ...] = ()
    within: str = ""
    of: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class System:
    """A system of the field, and what memedit has of it.

    Args:
        name: As `memedit systems NAME` takes it.
        title: As the paper calls it.
        group: Under what heading of the table it stands.
        paper: Authors, year, arXiv number.
        built: What is built.
        command: What a user runs.
        works: The figure that shows that it works.
        check: Where its check is, `module:function` within `memedit.systems`.
        how: What the check is called with.
        missing: What is not built, and why.
        tried: Where its figure misses what `works` demands, what was tried.
        picture: How what its check found is drawn, where a picture says more than its figure.
    """

    name: str
    title: str
    group: str
    paper: str
    built: str
    command: str
    works: str
    check: str
    how: Mapping[str, Any] = field(default_factory=dict)
    missing: str = ""
    tried: str = ""
    picture: Picture | None = None

    @property
    def module(self) -> str:
        """The module of its check."""
        return f"memedit.systems.{self.check.partition(':')[0]}"

    def run(self, ground: Ground) -> Finding:
        """Run its check now."""
        found: Check = getattr(import_module(self.module), self.check.partition(":")[2])
        return found(ground, **self.how)


@cache
def systems() -> Mapping[str, System]:
    """All systems by name, in the order of the table."""
    told = tomllib.loads(resources.files("memedit.data").joinpath("systems.toml").read_text(encoding="utf-8"))
    return {name: _declared(name, one) for name, one in told.items()}


def _declared(name: str, told: dict[str, Any]) -> System:
    drawn = told.pop("picture", None)
    picture = Picture(**{**drawn, "parts": tuple(drawn.get("parts", ()))}) if drawn else None
    return System(name, **told, picture=picture)


def find_system(name: str) -> System:
    """The system of this name.

    Raises:
        UnknownMethod: There is none.
    """
    if name not in systems():
        raise UnknownMethod(f"There is no system `{name:.80}`.", do=f"use one of {', '.join(systems())}")
    return systems()[name]
