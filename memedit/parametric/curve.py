"""What is gained and lost along θ₀ + αΔ, and the α that is worth it (PAINT, Ilharco et al. 2022, arXiv:2208.05592).

A change need not be laid over the weights whole. With a part of it most of what it teaches often holds already, and
most of what lies beside it does still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from memedit.parametric.delta import Delta, Overlay
from memedit.parametric.proving import Demand, Proof, Prover

Values = np.ndarray[Any, np.dtype[Any]]
ALPHAS = tuple(round(0.1 * step, 1) for step in range(11))
"""PAINT's."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What a model is like with αΔ over its weights, for several α. All arrays are as long as `alphas`.

    Args:
        alphas: What the change was multiplied by.
        efficacy: Share of edits whose target is the model's first choice behind the bare prompt.
        paraphrase: Mean share of an edit's paraphrases behind which the target is likelier than what was said before.
        locality: Mean share of an edit's texts out of scope whose next token stayed.
        perplexity: Of running text.
        held: Number of edits that show all that was demanded; none where perplexity rose too far.
    """

    alphas: Values
    efficacy: Values
    paraphrase: Values
    locality: Values
    perplexity: Values
    held: Values

    @property
    def gain(self) -> Values:
        """Mean of efficacy and paraphrase."""
        return (self.efficacy + self.paraphrase) / 2

    @property
    def loss(self) -> Values:
        """Share of texts out of scope whose next token did not stay."""
        return 1 - self.locality

    def best(self) -> float:
        """The α above 0 with which most edits hold; of several that with the largest gain less loss, then the least."""
        tried = [place for place, alpha in enumerate(self.alphas) if alpha > 0]
        net = np.round(self.gain - self.loss, 6)
        best = max(tried, key=lambda place: (self.held[place], net[place], -self.alphas[place]))
        return float(self.alphas[best])

    def to_dict(self) -> dict[str, list[float]]:
        """As JSON values."""
        arrays = (self.alphas, self.efficacy, self.paraphrase, self.locality, self.perplexity, self.held)
        names = ("alphas", "efficacy", "paraphrase", "locality", "perplexity", "held")
        return {name: array.tolist() for name, array in zip(names, arrays, strict=True)}


def curve(
    overlay: Overlay, delta: Delta, prover: Prover, ids: Sequence[str], alphas: Sequence[float] = ALPHAS, *,
    demand: Demand | None = None,
) -> Curve:  # fmt: skip
    """Gain against loss of a change, over what lies over the weights now. The model is the same afterwards.

    Args:
        overlay: Of the model.
        delta: The change.
        prover: Which asked the model before.
        ids: Of the edits that are asked for.
        alphas: What the change is multiplied by, one after the other.
        demand: What an edit has to show to count as held.
    """
    demand, found = demand or Demand(), []
    for alpha in alphas:
        with overlay.over("curve", delta * float(alpha)):
            found.append((prover.proofs(ids), prover.perplexity()))

    def shares(of: Any) -> Values:
        return np.array([np.mean([of(proof) for proof in proofs.values()]) for proofs, _ in found])

    def held(proofs: Sequence[Proof], perplexity: float) -> int:
        if perplexity > demand.perplexity * prover.before:
            return 0
        return sum(proof.fault(demand) is None for proof in proofs)

    return Curve(
        np.array(alphas, dtype=float), shares(lambda one: one.efficacy), shares(lambda one: one.paraphrase),
        shares(lambda one: one.locality), np.array([perplexity for _, perplexity in found]),
        np.array([held(list(proofs.values()), perplexity) for proofs, perplexity in found]),
    )  # fmt: skip
