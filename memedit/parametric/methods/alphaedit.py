"""AlphaEdit (Fang et al. 2025, arXiv:2410.02355): changes that lie in what the model's usual keys hardly use.

P projects on the eigenvectors of C with the least eigenvalues; [P(K Kᵀ + K_p K_pᵀ) + αI] Δᵀ = P K Rᵀ. Solved in the
basis U of P, where it is small and symmetric: Δ = R Xᵀ (X Xᵀ + X_p X_pᵀ + αI)⁻¹ Uᵀ with X = UᵀK.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from memedit.errors import EditDiverged
from memedit.parametric.delta import Factors
from memedit.parametric.locate import Located
from memedit.parametric.methods.memit import MEMIT
from memedit.parametric.solving import USUAL, Weight, outer, ridge
from memedit.parametric.stats import Stats

SHARE = 0.7
"""Of all directions that may change. The authors' threshold of eigenvalues (0.02) fits no other model or layer."""
PULL = 1.0
"""α, where no other is set."""


def basis(stats: Stats, share: float = SHARE) -> torch.Tensor:
    """U: the eigenvectors with the least eigenvalues, as columns, (in, kept).

    Raises:
        EditDiverged: No direction is left to change, or none to keep.
    """
    vectors = stats.spectrum[1]
    kept = round(share * len(vectors))
    if not 0 < kept < len(vectors):
        raise EditDiverged(
            f"A share of {share} of the directions leaves nothing to choose.", do="give one within 0 and 1"
        )
    return vectors[:, :kept]


def solve(
    keys: torch.Tensor, residuals: torch.Tensor, stats: Stats, previous: torch.Tensor | None = None,
    weight: Weight = USUAL,
) -> Factors:  # fmt: skip
    """The least change within what usual keys hardly use."""
    least = basis(stats)
    mine = least.T @ keys
    pull = PULL if weight.fixed is None else weight.fixed
    prior = pull * torch.eye(len(mine), dtype=mine.dtype)
    if previous is not None:
        prior = prior + outer(least.T @ previous, mine)
    left, right = ridge(mine, residuals, prior)
    return left, right @ least.T


ALPHAEDIT: Located = replace(
    MEMIT,
    name="alphaedit",
    paper="Fang et al. 2025",
    solve=solve,
    weighs="fixed",
    how=replace(MEMIT.how, remembers=True),
)
