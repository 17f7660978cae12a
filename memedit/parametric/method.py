"""What a method is made of: its name and settings, the model as it sees it, and a locate-and-edit method's halves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import torch

from memedit.errors import UnsupportedModel
from memedit.parametric.contexts import BARE, PrefixBook
from memedit.parametric.delta import Delta, Overlay
from memedit.parametric.layout import Anatomy
from memedit.parametric.reading import states_at_subjects
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.searching import Search
from memedit.parametric.solving import USUAL, Weight
from memedit.parametric.stats import StatsBook

Told = Callable[[str, int, int], None]
"""Is told (what is done, how much of it, of how much)."""


@dataclass(frozen=True, slots=True)
class Method:
    """A way of writing edits.

    Args:
        name: As it is asked for.
        paper: That it follows.
        how: Its settings, a frozen dataclass.
    """

    name: str
    paper: str
    how: Any

    def with_(self, **changes: Any) -> Self:
        """The method with other settings."""
        return replace(self, how=replace(self.how, **changes))

    def as_set(self, settings: Mapping[str, Any]) -> Self:
        """The method with settings as JSON has them: those that a change was made with, or some of them."""
        return replace(self, how=changed(self.how, settings))


def changed(how: Any, settings: Mapping[str, Any]) -> Any:
    """Settings with some of their values from JSON, which knows no tuples; what is nested is changed likewise."""
    told = {}
    for name, value in settings.items():
        now = getattr(how, name)
        told[name] = changed(now, value) if is_dataclass(now) else tuple(value) if isinstance(value, list) else value
    return replace(how, **told)


@dataclass(frozen=True, slots=True)
class Local:
    """A model as methods see it.

    Args:
        overlay: Of the model: what lies over its weights.
        tokenizer: Of the model.
        stats: Of its base weights.
        prefixes: That they wrote.
        told: Is told how far a method is.
    """

    overlay: Overlay
    tokenizer: Any
    stats: StatsBook
    prefixes: PrefixBook
    told: Told = field(default=lambda what, done, of: None)

    @classmethod
    def of(cls, overlay: Overlay, tokenizer: Any, texts: Sequence[str], *, cache: str | Path | None = None) -> Local:
        """A model whose statistics are taken of these texts, and kept in `cache`."""
        return cls(
            overlay, tokenizer, StatsBook(overlay, tokenizer, texts, cache=cache), PrefixBook(overlay, tokenizer)
        )

    @property
    def anatomy(self) -> Anatomy:
        """The model's parts."""
        return self.overlay.anatomy

    def tell(self, what: str) -> Callable[[int, int], None]:
        """A report of one step of the work."""
        return lambda done, of: self.told(what, done, of)


@dataclass(frozen=True, slots=True)
class Stream:
    """What was written before, which methods for many edits in a row heed.

    Args:
        keys: Of all earlier edits, by layer, (in, m).
        norm: ‖v*‖ of the first edits, which NAS holds later ones to; None before them.
        usual: What UltraEdit has seen so far, by layer.
    """

    keys: Mapping[int, torch.Tensor] = field(default_factory=dict)
    norm: float | None = None
    usual: Mapping[int, torch.Tensor] = field(default_factory=dict)

    def behind(self, delta: Delta) -> Stream:
        """The stream with what a change wrote."""
        keys, usual = dict(self.keys), dict(self.usual)
        for layer in delta.parts:
            wrote = delta.kept[f"keys.{layer}"].double()
            keys[layer] = torch.cat([keys[layer], wrote], dim=1) if layer in keys else wrote
            if f"usual.{layer}" in delta.kept:
                usual[layer] = delta.kept[f"usual.{layer}"]
        return Stream(keys, self.norm if self.norm is not None else delta.made.get("norm"), usual)


@dataclass(frozen=True, slots=True)
class Aim:
    """The values that are wanted.

    Args:
        values: One a rewrite, (width, n), in float64.
        norm: Their common norm, or the mean of theirs, which NAS holds later ones to.
    """

    values: torch.Tensor
    norm: float


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set of a locate-and-edit method.

    Args:
        layers: That are written, first to last; None for `depths` of the model's.
        depths: (first, last, step) as shares of the depth, and in layers.
        search: Of values.
        weight: What weighs against what is written.
        bare: Weight of the bare prompt in a key; the other prefixes share the rest evenly.
        each: Prefixes of each start, besides the bare one.
        at_once: Rewrites that are solved together; None for all.
        remembers: Whether earlier keys are heeded.
        nas: Whether values are held to one norm (NAS).
        seed: Of the prefixes.
    """

    layers: tuple[int, ...] | None = None
    depths: tuple[float, float, int] = (0.2, 0.34, 2)
    search: Search = field(default_factory=Search)
    weight: Weight = USUAL
    bare: float = 0.5
    each: int = 1
    at_once: int | None = None
    remembers: bool = False
    nas: bool = False
    seed: int = 0

    def chosen(self, anatomy: Anatomy) -> tuple[int, ...]:
        """The layers that are written in a model."""
        return layers_of(anatomy, self.layers, self.depths)


def layers_of(
    anatomy: Anatomy, layers: tuple[int, ...] | None, depths: tuple[float, float, int]
) -> tuple[int, ...]:  # fmt: skip
    """The layers that are given, or those between two depths of a model.

    Raises:
        UnsupportedModel: The model is not that deep.
    """
    deepest = len(anatomy) - 1
    if layers is None:
        first, last = (round(depth * deepest) for depth in depths[:2])
        return tuple(range(first, last + 1, depths[2]))
    if not 0 <= min(layers) <= max(layers) <= deepest:
        raise UnsupportedModel(
            f"Layers {', '.join(map(str, layers))} are to be written; the model's are 0 to {deepest}.",
            do="give layers= that it has, or None for those of a usual depth",
        )
    return layers


class Targets(Protocol):
    """The first half of a method."""

    def __call__(
        self, local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], how: Settings, norm: float | None
    ) -> Aim:
        """The value of each rewrite, for the model as it is now.

        Args:
            local: The model.
            rewrites: What shall follow.
            before: Prefixes, the bare one first.
            how: The settings.
            norm: Of the first values of the stream, where later ones are held to it.
        """
        ...


class Current(Protocol):
    """What stands now where a value is wanted."""

    def __call__(self, local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], how: Settings) -> torch.Tensor:
        """One a rewrite, (width, n)."""
        ...


def averaged(states: torch.Tensor, how: Settings) -> torch.Tensor:
    """States behind several prefixes, the bare one first, as one, (rewrites, width)."""
    if states.shape[1] == 1:
        return states[:, 0]
    return how.bare * states[:, 0] + (1 - how.bare) * states[:, 1:].mean(1)


def bare_states(local: Local, rewrites: Sequence[Rewrite], module: Any) -> torch.Tensor:
    """What a module gives at each subject in the bare prompt, (rewrites, width)."""
    return states_at_subjects(local.anatomy, local.tokenizer, rewrites, [BARE], module)[:, 0]
