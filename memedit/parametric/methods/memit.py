"""MEMIT (Meng et al. 2023, arXiv:2210.07229): many edits at once, each spread over several layers.

Δ = R Kᵀ (λC + K Kᵀ)⁻¹ in each layer, R being the residual at the last layer shared among the layers that are left.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from memedit.parametric.delta import Factors
from memedit.parametric.halves import Aim, Settings, bare_states
from memedit.parametric.locate import Located
from memedit.parametric.method import Local
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.searching import Search, search
from memedit.parametric.solving import USUAL, Weight, ridge
from memedit.parametric.stats import Stats

TRIMMED = 0.05  # of the largest norms, left out of their mean
TOO_FAR = 2.0  # times the norm, beyond which NAS leaves a value alone


def solve(
    keys: torch.Tensor, residuals: torch.Tensor, stats: Stats, previous: torch.Tensor | None = None,
    weight: Weight = USUAL,
) -> Factors:  # fmt: skip
    """The least change that gives the keys their values, weighed against what it does to all others."""
    return ridge(keys, residuals, weight.of(keys, stats) * stats.firm)


def targets(
    local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], how: Settings, norm: float | None = None
) -> Aim:
    """z: what the last written block shall give at the subject, (width, n). With `how.nas`, held to one norm."""
    last = how.chosen(local.anatomy)[-1]
    block = local.anatomy.blocks[last]
    given = bare_states(local, rewrites, block)
    found = search(
        local.anatomy, local.tokenizer, rewrites, before, [block], [given.norm(dim=1)], how.search,
        local.tell("values"),
    )  # fmt: skip
    deltas = found.deltas[0]
    inner = bare_states(local, rewrites, local.anatomy.written(last))
    norm = mean_norm(inner + deltas) if norm is None else norm
    if how.nas:
        deltas = held(deltas, inner, norm)
    return Aim((given + deltas).T, norm)


def current(local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], how: Settings) -> torch.Tensor:
    """What the last written block gives at the subject now, (width, n)."""
    return bare_states(local, rewrites, local.anatomy.blocks[how.chosen(local.anatomy)[-1]]).T


def share(left: int) -> float:
    """Of the residual, in the first of so many layers that are left."""
    return 1 / left


def mean_norm(values: torch.Tensor) -> float:
    """The mean norm of values, the largest left out."""
    norms = values.norm(dim=1).sort().values
    return float(norms[: max(1, len(norms) - int(TRIMMED * len(norms)))].mean())


def held(deltas: torch.Tensor, inner: torch.Tensor, norm: float) -> torch.Tensor:
    """δ so changed that ‖v* = δ + v₀‖ is `norm`, and zero where v* was further than twice of it (NAS).

    Args:
        deltas: δ, (n, width).
        inner: v₀, what the feed-forward part gives, of the same shape.
        norm: Of the first values of the stream.
    """
    values = inner + deltas
    sizes = values.norm(dim=1, keepdim=True)
    return torch.where(sizes > TOO_FAR * norm, 0.0, values * (norm / sizes) - inner)


MEMIT = Located(
    "memit", "Meng et al. 2023", Settings(search=Search(steps=20, clamp=0.75)), targets, solve, current, share
)
