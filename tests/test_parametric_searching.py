"""The search for values: rewrites that are searched together end one by one, and each as if it were alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import REWRITES, tiny_of

from memedit.parametric.delta import Overlay
from memedit.parametric.layout import Anatomy
from memedit.parametric.method import Local
from memedit.parametric.searching import Search, search


def test_together_each_ends_as_it_does_alone(tokenizer: Any) -> None:
    local = Local.of(Overlay(Anatomy(tiny_of("llama"))), tokenizer, ["No text is read."] * 2)
    block, sizes = local.anatomy.blocks[1], torch.ones(len(REWRITES))

    def found(first: int, last: int, how: Search) -> tuple[torch.Tensor, tuple[float, ...]]:
        part = slice(first, last)
        made = search(local.anatomy, tokenizer, REWRITES[part], ["Once more."], [block], [sizes[part]], how)
        return made.deltas[0], made.losses

    before = found(0, len(REWRITES), Search(steps=0))[1]
    how = Search(steps=8, rate=0.1, clamp=100.0, enough=min(before) - 1e-3)  # one of the two is there after some steps
    together, losses = found(0, len(REWRITES), how)
    alone = [found(at, at + 1, how) for at in range(len(REWRITES))]
    torch.testing.assert_close(together, torch.cat([deltas for deltas, _ in alone]), rtol=1e-5, atol=1e-6)
    assert losses == pytest.approx([own for _, (own,) in alone], rel=1e-4)
    shorter, longer = sorted(together.norm(dim=1).tolist())
    assert min(losses) < how.enough < max(losses)
    assert 0 < shorter < longer
