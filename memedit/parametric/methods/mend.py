"""MEND (Mitchell et al. 2022, arXiv:2110.11309): a small network makes an edit's gradient into a better one.

The gradient of a matrix is a sum, over tokens, of what it is given times what its output's gradient is. MEND changes
both, each as it was usual in training (z-scores), by a residual network of low rank that starts as the identity, shared
by matrices of one shape, with a scale and shift for each. Here it changes the last matrix of the feed-forward part of
the last three blocks; SiLU stands for ReLU, which passes no gradient where the network starts. Good for an edit or a
few at once; from some ten on the edits disturb one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch

from memedit.parametric.delta import Factors
from memedit.parametric.masks import Masks
from memedit.parametric.meta import Editor, Meta, Seen, Shapes, Weighing
from memedit.parametric.methods.ultraedit import more

EVEN = 1e-6  # of the largest spread: what varies less is left out


@dataclass(frozen=True, slots=True)
class Mend:
    """What can be set.

    Args:
        folder: Of the trained editor.
        layers: That are changed; None for `depths` of the model's.
        depths: (first, last, step) as shares of the depth, and in layers.
        rank: Of the network's matrices.
        rate: Learning rate of the edit that it starts with; each layer learns its own.
        scores: Whether it sees z-scores.
        languages: That have masks of their own before the network (LiME); none for MEND itself.
        open: Weight of the expected share of open gates (LiME's L0).
    """

    folder: str | None = None
    layers: tuple[int, ...] | None = None
    depths: tuple[float, float, int] = (0.93, 1.0, 1)
    rank: int = 256
    rate: float = 1e-4
    scores: bool = True
    languages: tuple[str, ...] = ()
    open: float = 1.0


class MendEditor(Editor):
    """One network a shape; two blocks each.

    Args:
        shapes: Of the matrices.
        how: The settings.
    """

    def __init__(self, shapes: Shapes, how: Mend) -> None:
        super().__init__()
        self.shapes, self.how = dict(shapes), how
        wide = {f"{out}x{inner}": out + inner for out, inner in self.shapes.values()}
        self.nets = torch.nn.ModuleDict({
            name: torch.nn.ModuleList([_Block(width, how.rank), _Block(width, how.rank)])
            for name, width in wide.items()
        })  # fmt: skip
        self.rates = torch.nn.ParameterDict({
            str(layer): torch.nn.Parameter(torch.tensor(how.rate).log()) for layer in self.shapes
        })  # fmt: skip
        own = {f"{layer}": torch.tensor([[1.0], [0.0]] * 2).repeat(1, sum(shape)) for layer, shape in shapes.items()}
        self.own = torch.nn.ParameterDict({name: torch.nn.Parameter(one) for name, one in own.items()})
        for layer, shape in self.shapes.items():
            self.register_buffer(f"usual{layer}", torch.zeros(3, sum(shape), dtype=torch.float64))

        masked = {f"{layer}": Masks(how.languages, sum(shape)) for layer, shape in shapes.items()}
        self.masks = torch.nn.ModuleDict(masked if how.languages else {})

    def penalty(self) -> torch.Tensor:
        """Of gates that are open, where there are any (LiME)."""
        return self.how.open * sum((one.open_share() for one in self.masks.values()), torch.zeros(()))  # type: ignore[operator]

    def observe(self, seen: Seen) -> None:
        for layer in self.shapes:
            rows = torch.cat([seen.inputs[layer], seen.gradients[layer]], dim=1).double()
            before = self._usual(layer)
            before.copy_(more(before if before[0, 0] > 0 else None, rows))

    def forward(self, seen: Seen) -> dict[int, Factors]:
        found = {}
        for layer, (out, inner) in self.shapes.items():
            rows = torch.cat([seen.inputs[layer], seen.gradients[layer]], dim=1)
            if self.how.scores:
                rows = self._scores(layer, rows)
            if self.masks:
                rows = rows * self.masks[str(layer)](seen.language)
            scale1, shift1, scale2, shift2 = self.own[str(layer)]
            first, second = cast(torch.nn.ModuleList, self.nets[f"{out}x{inner}"])
            rows = rows + torch.nn.functional.silu(first(rows) * scale1 + shift1)
            rows = rows + second(rows) * scale2 + shift2
            found[layer] = -self.rates[str(layer)].exp() * rows[:, inner:].T, rows[:, :inner]
        return found

    def _usual(self, layer: int) -> torch.Tensor:
        return cast(torch.Tensor, getattr(self, f"usual{layer}"))

    def _scores(self, layer: int, rows: torch.Tensor) -> torch.Tensor:
        count, mean, apart = self._usual(layer)
        spread = (apart / count.clamp(min=1)).sqrt()
        usual = torch.where(spread > EVEN * spread.max(), spread, torch.inf)
        scores: torch.Tensor = ((rows.double() - mean) / usual).to(rows.dtype)
        return scores


class _Block(torch.nn.Module):
    """A matrix of low rank, zero at first."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(width, min(rank, width), bias=False)
        self.outer = torch.nn.Linear(min(rank, width), width)
        torch.nn.init.zeros_(self.outer.weight)
        torch.nn.init.zeros_(self.outer.bias)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.outer(self.inner(rows)))


MEND = Meta("mend", "Mitchell et al. 2022", Mend(), lambda shapes, _, how: MendEditor(shapes, how), Weighing(0.1, 1.0))
