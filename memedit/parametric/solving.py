"""The algebra that all closed forms share, in float64.

Keys K are columns (in, n), residuals R columns (out, n): a change Δ (out, in) is to give Δ K ≈ R. Every closed form
gives Δ as R X, so a change is kept as its two factors, (out, n) and (n, in).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from memedit.parametric.delta import Factors
from memedit.parametric.stats import Stats


@dataclass(frozen=True, slots=True)
class Weight:
    """What weighs against what is written: λ of the statistics, or AlphaEdit's α.

    Args:
        share: λ = median(kᵀC⁻¹k) / share. A key is written with the share s / (1 + s), s = kᵀC⁻¹k / λ: 5 writes five
            sixths of the median key.
        fixed: λ or α itself, as published; None for one that fits the keys at hand.
    """

    share: float = 5.0
    fixed: float | None = None

    def of(self, keys: torch.Tensor, stats: Stats) -> float:
        """λ, for the keys at hand.

        Published values (15,000) fit matrices of some 15,000 inputs, because E[kᵀC⁻¹k] is just the number of inputs.
        """
        if self.fixed is not None:
            return self.fixed
        return float((keys * stats.solve(keys)).sum(0).median()) / self.share


USUAL = Weight()


class Solve(Protocol):
    """A closed form."""

    def __call__(
        self, keys: torch.Tensor, residuals: torch.Tensor, stats: Stats, previous: torch.Tensor | None, weight: Weight
    ) -> Factors:
        """The factors of Δ.

        Args:
            keys: K, (in, n).
            residuals: R, (out, n).
            stats: C of the layer.
            previous: Keys of edits that were written before, (in, m); None where there are none.
            weight: What weighs against what is written; an equality has none.
        """
        ...


def ridge(keys: torch.Tensor, residuals: torch.Tensor, prior: torch.Tensor) -> Factors:
    """Δ = R Kᵀ (A + K Kᵀ)⁻¹ for a positive A: the least ‖R − ΔK‖² + tr(Δ A Δᵀ).

    With fewer keys than inputs by (I + KᵀA⁻¹K)⁻¹ KᵀA⁻¹, an equation of n unknowns.
    """
    inputs, count = keys.shape
    if count < inputs:
        spread = torch.cholesky_solve(keys, torch.linalg.cholesky(prior))
        return residuals, torch.linalg.solve(_eye(count, keys) + keys.T @ spread, spread.T)
    return residuals, torch.linalg.solve(prior + keys @ keys.T, keys).T


def outer(previous: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
    """Σ k kᵀ of earlier keys, (in, in); zero where there are none."""
    return like.new_zeros(len(like), len(like)) if previous is None else previous @ previous.T


def _eye(size: int, like: torch.Tensor) -> torch.Tensor:
    return torch.eye(size, dtype=like.dtype, device=like.device)
