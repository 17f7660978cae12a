"""UltraEdit (Gu et al. 2025, arXiv:2505.14679): one pass forward, one backward, and a ridge; no subject, no search.

At each token behind which one of a target's is wanted, a matrix is given k, and the loss has the gradient g by what it
gives. k̂ and ĝ are their z-scores over all that was ever edited, and what the change is to give for k is -η ‖k̂‖² ĝ:
Δ = V Kᵀ (K Kᵀ + I)⁻¹. It is fast, and needs no statistics but those of its own stream. The published η (1e-6) fits
widths of 4,096: ‖k̂‖² is about the width, so a small model needs more, and loses locality. The authors write gate
and up matrices; here it is the matrix that all methods write, and each layer has z-scores of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch

from memedit.errors import EditDiverged
from memedit.parametric.delta import Delta, Factors
from memedit.parametric.layout import Anatomy
from memedit.parametric.locate import one_by_one
from memedit.parametric.method import LEAVE, Local, Stream, Writing, layers_of
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.slots import Pass, attached
from memedit.parametric.solving import ridge
from memedit.parametric.teaching import Lesson

ROWS = 10  # rewrites in one pass
EVEN = 1e-8  # of the largest spread: a feature that varies less is always the same
Watching = Callable[[torch.Tensor, torch.Tensor, Pass], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Ultra:
    """What can be set.

    Args:
        layers: That are written; None for `depths` of the model's.
        depths: (first, last, step) as shares of the depth, and in layers.
        rate: η.
        at_once: Rewrites of a turn, all of whose gradients are those of one model.
    """

    layers: tuple[int, ...] | None = None
    depths: tuple[float, float, int] = (0.27, 0.45, 1)
    rate: float = 1e-4
    at_once: int = 100

    def chosen(self, anatomy: Anatomy) -> tuple[int, ...]:
        """The layers that are written in a model."""
        return layers_of(anatomy, self.layers, self.depths)


@dataclass(frozen=True, slots=True)
class UltraEdit(Writing):
    """The method, in turns."""

    how: Ultra

    def _written(
        self, local: Local, rewrites: Sequence[Rewrite], stream: Stream, values: Mapping[str, torch.Tensor]
    ) -> Delta:
        size = self.how.at_once
        turns = [rewrites[start : start + size] for start in range(0, len(rewrites), size)]
        return one_by_one(local, turns, stream, lambda turn, stream: self._turn(local, turn, stream))

    def _turn(self, local: Local, rewrites: Sequence[Rewrite], stream: Stream) -> Delta:
        parts: dict[int, Factors] = {}
        kept: dict[str, torch.Tensor] = {}
        for layer, (keys, gradients) in features(local, self.how.chosen(local.anatomy), rewrites).items():
            seen = more(stream.usual.get(layer), torch.cat([keys, gradients], dim=1))
            residuals = wanted(keys, gradients, seen, self.how.rate)
            left, right = ridge(keys.T, residuals.T, torch.eye(keys.shape[1], dtype=keys.dtype))
            if not bool(left.isfinite().all() and right.isfinite().all()):
                raise EditDiverged(f"`{self.name}` found no change of layer {layer}.", do=LEAVE)
            parts[layer] = left.float(), right.float()
            kept |= {f"keys.{layer}": keys.T.float(), f"usual.{layer}": seen}
        return self.change(parts, rewrites, kept=kept)


def features(
    local: Local, layers: Sequence[int], rewrites: Sequence[Rewrite]
) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """Keys and gradients by layer, in float64.

    Keys are what the matrix is given where a target's token is wanted, (tokens, in); gradients, of the summed loss by
    what it gives there, (tokens, out).
    """
    found: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {layer: [] for layer in layers}
    for start in range(0, len(rewrites), ROWS):
        lesson = Lesson.of(local.anatomy, local.tokenizer, rewrites[start : start + ROWS])
        inputs: dict[int, torch.Tensor] = {}
        extra: dict[int, torch.Tensor] = {}
        with ExitStack() as held:
            for layer in layers:
                held.enter_context(attached(local.anatomy, layer, _watching(layer, inputs, extra)))
            loss = lesson.losses(local.anatomy)[0].sum()
        by = torch.autograd.grad(loss, [extra[layer] for layer in layers])
        rows, columns = (lesson.wanted >= 0).nonzero(as_tuple=True)
        places = lesson.places[rows, columns]
        for layer, gradient in zip(layers, by, strict=True):
            found[layer].append((inputs[layer][rows, places].double().cpu(), gradient[rows, places].double().cpu()))
    return {
        layer: (torch.cat([k for k, _ in pairs]), torch.cat([g for _, g in pairs])) for layer, pairs in found.items()
    }


def _watching(layer: int, inputs: dict[int, torch.Tensor], extra: dict[int, torch.Tensor]) -> Watching:
    """Keeps what a matrix is given, and adds a zero whose gradient is that of what it gives."""

    def change(given: torch.Tensor, gave: torch.Tensor, _now: Pass) -> torch.Tensor:
        inputs[layer], extra[layer] = given.detach(), torch.zeros_like(gave, requires_grad=True)
        return gave + extra[layer]

    return change


def more(before: torch.Tensor | None, rows: torch.Tensor) -> torch.Tensor:
    """Of these rows and those before the count, mean, and squared distances from it, (3, features); Welford."""
    count, mean = float(len(rows)), rows.mean(0)
    apart = (rows - mean).square().sum(0)
    if before is not None:
        had, was, summed = float(before[0, 0]), before[1], before[2]
        gap = mean - was
        apart = summed + apart + gap.square() * had * count / (had + count)
        mean = was + gap * count / (had + count)
        count += had
    return torch.stack([torch.full_like(mean, count), mean, apart])


def wanted(keys: torch.Tensor, gradients: torch.Tensor, seen: torch.Tensor, rate: float) -> torch.Tensor:
    """V: what the change shall give for each key, (tokens, out): -η ‖k̂‖² ĝ."""
    spread = (seen[2] / seen[0]).sqrt()
    usual = torch.where(spread > EVEN * spread.max(), spread, torch.inf)
    scores = (torch.cat([keys, gradients], dim=1) - seen[1]) / usual
    inputs = keys.shape[1]
    return -rate * scores[:, :inputs].square().sum(1, keepdim=True) * scores[:, inputs:]


ULTRAEDIT = UltraEdit("ultraedit", "Gu et al. 2025", Ultra())
