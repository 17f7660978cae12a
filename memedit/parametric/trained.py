"""Methods that move weights by gradients: while a change is taught it lies beside the matrix, then it is a `Delta`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from memedit.parametric.delta import Delta, Factors
from memedit.parametric.layout import Anatomy
from memedit.parametric.method import Local, Stream, Writing, layers_of
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.slots import Pass, attached
from memedit.parametric.teaching import Lesson, descend


@dataclass(frozen=True, slots=True)
class Training:
    """What can be set of a method that trains.

    Args:
        layers: That are written; None for `depths` of the model's.
        depths: (first, last, step) as shares of the depth, and in layers.
        steps: Of Adam, at most.
        rate: Its learning rate.
        enough: A lesson ends below this loss.
        at_once: Rewrites that are taught together; None for all.
        blind: Whether all tokens of a target are wanted behind the prompt, so that none of them is read (FT-L).
        bound: Largest change of one weight; None for any.
        rank: Of the change; None for a full matrix.
        seed: Of what is drawn.
    """

    layers: tuple[int, ...] | None = None
    depths: tuple[float, float, int] = (0.66, 0.66, 1)
    steps: int = 25
    rate: float = 5e-4
    enough: float = 0.01
    at_once: int | None = 1
    blind: bool = False
    bound: float | None = None
    rank: int | None = None
    seed: int = 0

    def chosen(self, anatomy: Anatomy) -> tuple[int, ...]:
        """The layers that are written in a model."""
        return layers_of(anatomy, self.layers, self.depths)


@dataclass(frozen=True, slots=True)
class Trained(Writing):
    """A method that trains a change of weights."""

    how: Training

    def _written(
        self, local: Local, rewrites: Sequence[Rewrite], stream: Stream, values: Mapping[str, torch.Tensor]
    ) -> Delta:
        anatomy, how = local.anatomy, self.how
        factors = {layer: _start(anatomy, layer, how) for layer in how.chosen(anatomy)}
        moving = [one for pair in factors.values() for one in pair if one.requires_grad]
        size = how.at_once or len(rewrites)
        with _beside(anatomy, factors):
            for start in range(0, len(rewrites), size):
                self._teach(local, rewrites[start : start + size], moving)
                local.told("edits", min(start + size, len(rewrites)), len(rewrites))
        parts = {layer: (left.detach().cpu(), right.detach().cpu()) for layer, (left, right) in factors.items()}
        return self.change(parts, rewrites)

    def _teach(self, local: Local, rewrites: Sequence[Rewrite], moving: Sequence[torch.Tensor]) -> None:
        lesson = Lesson.of(local.anatomy, local.tokenizer, rewrites, blind=self.how.blind)
        lesson = lesson.above(local.anatomy, min(self.how.chosen(local.anatomy)))

        def loss() -> torch.Tensor:
            return lesson.losses(local.anatomy)[0].mean()

        def bound() -> None:
            for one in moving:
                one.clamp_(-(self.how.bound or 0.0), self.how.bound)

        descend(
            moving, torch.optim.Adam(moving, lr=self.how.rate), loss, steps=self.how.steps, enough=self.how.enough,
            after=None if self.how.bound is None else bound,
        )  # fmt: skip


def _start(anatomy: Anatomy, layer: int, how: Training) -> Factors:
    """Factors whose product is zero, those that are taught with gradients: the right one, and of a low rank both."""
    out, inner = anatomy.weight(layer).shape
    device = anatomy.device
    if how.rank is None:
        return torch.eye(out, device=device), torch.zeros(out, inner, device=device, requires_grad=True)
    drawn = torch.randn(how.rank, inner, generator=torch.Generator().manual_seed(how.seed + layer)) / inner**0.5
    return torch.zeros(out, how.rank, device=device, requires_grad=True), drawn.to(device).requires_grad_(True)


@contextmanager
def _beside(anatomy: Anatomy, factors: Mapping[int, Factors]) -> Iterator[None]:
    """The products beside their matrices; a full one is not multiplied with the identity."""

    def adding(left: torch.Tensor, right: torch.Tensor) -> Any:
        def change(given: torch.Tensor, gave: torch.Tensor, _now: Pass) -> torch.Tensor:
            inner = torch.nn.functional.linear(given.float(), right)
            more = inner if not left.requires_grad else torch.nn.functional.linear(inner, left)
            return gave + more.to(gave.dtype)

        return change

    with ExitStack() as held:
        for layer, pair in factors.items():
            held.enter_context(attached(anatomy, layer, adding(*pair)))
        yield
