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

HOW = Search(steps=8, rate=0.1, clamp=100.0, enough=5.645)  # the first of the two is below that after some steps


def test_together_each_ends_as_it_does_alone(tokenizer: Any) -> None:
    local = Local.of(Overlay(Anatomy(tiny_of("llama"))), tokenizer, ["No text is read."] * 2)
    block, sizes = local.anatomy.blocks[1], torch.ones(len(REWRITES))

    def found(first: int, last: int) -> tuple[torch.Tensor, tuple[float, ...]]:
        part = slice(first, last)
        made = search(local.anatomy, tokenizer, REWRITES[part], ["Once more."], [block], [sizes[part]], HOW)
        return made.deltas[0], made.losses

    together, losses = found(0, len(REWRITES))
    alone = [found(at, at + 1) for at in range(len(REWRITES))]
    torch.testing.assert_close(together, torch.cat([deltas for deltas, _ in alone]), rtol=1e-5, atol=1e-6)
    assert losses == pytest.approx([own for _, (own,) in alone], rel=1e-4)
    first, second = losses
    assert first < HOW.enough < second
    assert 0 < float(together[0].norm()) < float(together[1].norm())
