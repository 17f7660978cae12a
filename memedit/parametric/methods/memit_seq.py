"""MEMIT for edits that come one batch after the other: earlier keys weigh in, so that they keep their values.

Δ = R Kᵀ (λC + K_p K_pᵀ + K Kᵀ)⁻¹. ENCORE (Gupta et al. 2025, arXiv:2502.01636) adds a ridge λₙI and ends the search of
a value once its target is the first choice; NAS (2026) holds all values to one norm.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from memedit.parametric.delta import Factors
from memedit.parametric.locate import Located
from memedit.parametric.methods.memit import MEMIT
from memedit.parametric.solving import USUAL, Weight, outer, ridge
from memedit.parametric.stats import Stats

RIDGE = 20 / 15_000  # ENCORE's λₙ beside its λ, for statistics of unit mean variance


def solve(
    keys: torch.Tensor, residuals: torch.Tensor, stats: Stats, previous: torch.Tensor | None = None,
    weight: Weight = USUAL,
) -> Factors:  # fmt: skip
    """As MEMIT, earlier keys among what is to stay."""
    return ridge(keys, residuals, weight.of(keys, stats) * stats.firm + outer(previous, stats.moment))


def solve_encore(
    keys: torch.Tensor, residuals: torch.Tensor, stats: Stats, previous: torch.Tensor | None = None,
    weight: Weight = USUAL,
) -> Factors:  # fmt: skip
    """The same with a ridge in all directions, a share of the statistics' weight."""
    size = weight.of(keys, stats)
    floor = size * RIDGE * torch.eye(len(keys), dtype=keys.dtype)
    return ridge(keys, residuals, size * stats.firm + floor + outer(previous, stats.moment))


MEMIT_SEQ: Located = replace(MEMIT, name="memit_seq", solve=solve, how=replace(MEMIT.how, remembers=True))
ENCORE: Located = replace(
    MEMIT_SEQ, name="encore", paper="Gupta et al. 2025", solve=solve_encore,
    how=replace(MEMIT_SEQ.how, search=replace(MEMIT_SEQ.how.search, settled=2)),
)  # fmt: skip
NAS: Located = replace(MEMIT_SEQ, name="nas", paper="Norm-Anchor Scaling, 2026", how=replace(MEMIT_SEQ.how, nas=True))
