"""EMMET (Gupta et al. 2024, arXiv:2403.14236): ROME's equality for a batch of edits in one layer.

Δ = R (KᵀC⁻¹K + λₑI)⁻¹ KᵀC⁻¹; with one edit and λₑ = 0 it is ROME.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from memedit.parametric.delta import Factors
from memedit.parametric.locate import Located
from memedit.parametric.methods.rome import ROME
from memedit.parametric.solving import USUAL, Weight
from memedit.parametric.stats import Stats

EASE = 0.1
"""λₑ, for more than one edit: keys that are nearly alike would have to give values that are not."""


def solve(
    keys: torch.Tensor, residuals: torch.Tensor, stats: Stats, previous: torch.Tensor | None = None,
    weight: Weight = USUAL, *, ease: float = EASE,
) -> Factors:  # fmt: skip
    """The least change, as C measures it, that gives every key its value."""
    spread = stats.solve(keys)
    among = keys.T @ spread
    if among.shape[0] > 1:
        among = among + ease * torch.eye(len(among), dtype=among.dtype)
    return residuals, torch.linalg.solve(among, spread.T)


EMMET: Located = replace(
    ROME, name="emmet", paper="Gupta et al. 2024", solve=solve, how=replace(ROME.how, at_once=None)
)
