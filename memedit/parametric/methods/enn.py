"""ENN, editable neural networks (Sinitsin et al. 2020, arXiv:2004.00345): a model is taught to be easy to edit.

The editor is a plain gradient step; what is trained is the model under it, here a shift of low rank of the written
matrices (the publication trains all weights), and how large a step each matrix takes. The shift is held to the model as
it was by the divergence at texts out of scope. It is learnt from first derivatives alone: that the step itself turns as
the shift moves is left out. The shift lies in the model once an edit does; edits that are baked together share it,
those that are baked apart bring it once each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from memedit.parametric.delta import Factors
from memedit.parametric.meta import Editor, Meta, Seen, Shapes, Weighing


@dataclass(frozen=True, slots=True)
class Enn:
    """What can be set.

    Args:
        folder: Of the trained editor.
        layers: That are changed; None for `depths` of the model's.
        depths: (first, last, step) as shares of the depth, and in layers.
        rank: Of the shift.
        rate: Of the gradient step at first; each layer learns its own.
    """

    folder: str | None = None
    layers: tuple[int, ...] | None = None
    depths: tuple[float, float, int] = (0.93, 1.0, 1)
    rank: int = 32
    rate: float = 0.01


class EnnEditor(Editor):
    """A shift of each matrix, and the size of its step.

    Args:
        shapes: Of the matrices.
        how: The settings.
    """

    def __init__(self, shapes: Shapes, how: Enn) -> None:
        super().__init__()
        self.shapes = dict(shapes)
        self.left = torch.nn.ParameterDict({
            str(layer): torch.nn.Parameter(torch.zeros(out, how.rank)) for layer, (out, _) in shapes.items()
        })  # fmt: skip
        self.right = torch.nn.ParameterDict({
            str(layer): torch.nn.Parameter(torch.randn(how.rank, inner) / inner**0.5)
            for layer, (_, inner) in shapes.items()
        })  # fmt: skip
        self.rates = torch.nn.ParameterDict({
            str(layer): torch.nn.Parameter(torch.tensor(how.rate).log()) for layer in shapes
        })  # fmt: skip

    def base(self) -> dict[int, Factors]:
        return {layer: (self.left[str(layer)], self.right[str(layer)]) for layer in self.shapes}

    def forward(self, seen: Seen) -> dict[int, Factors]:
        return {
            layer: (-self.rates[str(layer)].exp() * seen.gradients[layer].T, seen.inputs[layer])
            for layer in self.shapes
        }


ENN = Meta("enn", "Sinitsin et al. 2020", Enn(), lambda shapes, _, how: EnnEditor(shapes, how), Weighing(1.0, 1.0))
