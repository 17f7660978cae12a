"""KE, KnowledgeEditor (De Cao et al. 2021, arXiv:2104.08164): a network that reads the edit masks its gradient.

A bidirectional LSTM reads the prompt, what the model would say and what it shall say. For each matrix it gives two
products of a column and a row and a gate: Δ = σ(η) (∇ ∘ a + b). Both keep the change's rank small: the mask of a sum of
products is a sum of masked products. The column of `a` is a softmax over the rows, here times their number, as it would
else vanish where matrices are wide. The change may move other texts only so far (a margin on their divergence).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from memedit.parametric.delta import Factors
from memedit.parametric.meta import Editor, Meta, Seen, Shapes, Weighing


@dataclass(frozen=True, slots=True)
class Ke:
    """What can be set.

    Args:
        folder: Of the trained editor.
        layers: That are changed; None for `depths` of the model's.
        depths: (first, last, step) as shares of the depth, and in layers.
        hidden: Width of the LSTM in each direction, and of the networks' hidden layer.
        gate: η at first: how large a step it starts with.
        repeats: How often it looks at an edit and changes it further (SLAG).
    """

    folder: str | None = None
    layers: tuple[int, ...] | None = None
    depths: tuple[float, float, int] = (0.93, 1.0, 1)
    hidden: int = 128
    gate: float = -3.0
    repeats: int = 1


class KeEditor(Editor):
    """The reader, and a network for each matrix.

    Args:
        shapes: Of the matrices.
        width: Of the model's embeddings.
        how: The settings.
    """

    def __init__(self, shapes: Shapes, width: int, how: Ke) -> None:
        super().__init__()
        self.shapes, self.repeats = dict(shapes), how.repeats
        self.reader = torch.nn.LSTM(width, how.hidden, bidirectional=True, batch_first=True)
        self.nets = torch.nn.ModuleDict()
        for layer, (out, inner) in self.shapes.items():
            last = torch.nn.Linear(how.hidden, 2 * (out + inner) + 1)
            with torch.no_grad():
                last.bias[out : out + inner] = -1.0  # the row of a: it starts as a descent along the gradient
                last.bias[-1] = how.gate
            self.nets[str(layer)] = torch.nn.Sequential(
                torch.nn.Linear(2 * how.hidden, how.hidden), torch.nn.Tanh(), last
            )

    def forward(self, seen: Seen) -> dict[int, Factors]:
        _, (ends, _) = self.reader(seen.read[None])
        read, found = ends[:, 0].reshape(-1), {}
        for layer, (out, inner) in self.shapes.items():
            column_a, row_a, column_b, row_b, gate = self.nets[str(layer)](read).split([out, inner, out, inner, 1])
            masked = seen.gradients[layer] * column_a.softmax(0) * out
            left = torch.cat([masked.T, column_b.softmax(0)[:, None]], dim=1)
            right = torch.cat([seen.inputs[layer] * row_a, row_b[None]])
            found[layer] = gate.sigmoid() * left, right
        return found


KE = Meta("ke", "De Cao et al. 2021", Ke(), KeEditor, Weighing(1.0, 1.0, margin=1e-3))
