"""ROME (Meng et al. 2022, arXiv:2202.05262) as R-ROME corrects it (Gupta et al. 2024, arXiv:2403.07175).

One layer is written, one edit after the other: Δ = (v* - W k) uᵀ / (kᵀu), u = C⁻¹k. k is the averaged key in every
place, so that (W + Δ) k = v* exactly; the first code divided by the key of the bare prompt, and now and then broke a
model with one edit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from memedit.parametric.delta import Factors
from memedit.parametric.halves import Aim, Settings, averaged, bare_states
from memedit.parametric.locate import Located
from memedit.parametric.method import Local
from memedit.parametric.reading import states_at_subjects
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.searching import Search, search
from memedit.parametric.solving import USUAL, Weight
from memedit.parametric.stats import Stats


def solve(
    keys: torch.Tensor, residuals: torch.Tensor, stats: Stats, previous: torch.Tensor | None = None,
    weight: Weight = USUAL,
) -> Factors:  # fmt: skip
    """The least change, as C measures it, that gives one key its value."""
    spread = stats.solve(keys)
    return residuals, (spread / (keys * spread).sum(0)).T


def targets(
    local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], how: Settings, norm: float | None = None
) -> Aim:
    """v*: what the written matrix shall give at the subject, (width, n)."""
    module = local.anatomy.written(how.chosen(local.anatomy)[-1])
    given = bare_states(local, rewrites, module)
    found = search(
        local.anatomy, local.tokenizer, rewrites, before, [module], [given.norm(dim=1)], how.search,
        local.tell("values"),
    )  # fmt: skip
    values = given + found.deltas[0]
    return Aim(values.T, float(values.norm(dim=1).mean()))


def current(local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], how: Settings) -> torch.Tensor:
    """What the written matrix gives for the averaged key, its bias with it, (width, n)."""
    module = local.anatomy.written(how.chosen(local.anatomy)[-1])
    return averaged(states_at_subjects(local.anatomy, local.tokenizer, rewrites, before, module), how).T


ROME = Located(
    "rome", "Meng et al. 2022; Gupta et al. 2024",
    Settings(depths=(0.2, 0.2, 1), search=Search(), bare=1 / 6, at_once=1), targets, solve, current, weighs=None,
)  # fmt: skip
