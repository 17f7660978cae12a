"""PMET (Li et al. 2024, arXiv:2308.08742): MEMIT whose values are those of the feed-forward part alone.

What the attention part could contribute is searched beside it and thrown away, so that the feed-forward part is not
given what is not its own. Each layer takes the share 1/√(layers left) of the residual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from memedit.parametric.halves import Aim, Settings, bare_states
from memedit.parametric.locate import Located
from memedit.parametric.method import Local
from memedit.parametric.methods.memit import MEMIT
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.searching import search


def targets(
    local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], how: Settings, norm: float | None = None
) -> Aim:
    """What the last written matrix shall give at the subject, (width, n)."""
    last = how.chosen(local.anatomy)[-1]
    modules = [local.anatomy.written(last), local.anatomy.attention(last)]
    given = [bare_states(local, rewrites, module) for module in modules]
    found = search(
        local.anatomy, local.tokenizer, rewrites, before, modules, [one.norm(dim=1) for one in given], how.search,
        local.tell("values"),
    )  # fmt: skip
    values = given[0] + found.deltas[0]
    return Aim(values.T, float(values.norm(dim=1).mean()))


def current(local: Local, rewrites: Sequence[Rewrite], before: Sequence[str], how: Settings) -> torch.Tensor:
    """What the last written matrix gives at the subject now, (width, n)."""
    return bare_states(local, rewrites, local.anatomy.written(how.chosen(local.anatomy)[-1])).T


def share(left: int) -> float:
    """Of the residual, in the first of so many layers that are left."""
    return float(left**-0.5)


PMET: Located = replace(
    MEMIT, name="pmet", paper="Li et al. 2024", targets=targets, current=current, spread=share,
    how=replace(MEMIT.how, search=replace(MEMIT.how.search, steps=30, clamp=1.0, keep=1.0)),
)  # fmt: skip
