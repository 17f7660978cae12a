"""The halves of a locate-and-edit method: which value is wanted where, and what stands there now; and its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from memedit.parametric.contexts import BARE
from memedit.parametric.layout import Anatomy
from memedit.parametric.method import Local, layers_of
from memedit.parametric.reading import states_at_subjects
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.searching import Search
from memedit.parametric.solving import USUAL, Weight


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
