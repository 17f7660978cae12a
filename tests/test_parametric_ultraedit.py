"""UltraEdit: its features, its running z-scores and its ridge, each against what another way gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import REWRITES, tiny_of

from memedit.errors import UnsupportedModel
from memedit.parametric.delta import Delta, Overlay
from memedit.parametric.layout import Anatomy
from memedit.parametric.method import Local, Stream
from memedit.parametric.methods import find_writer
from memedit.parametric.methods.ultraedit import ULTRAEDIT, features, more, wanted
from memedit.parametric.slots import laid
from memedit.parametric.solving import ridge
from memedit.parametric.teaching import Lesson

LAST = 2


def local_of(family: str, tokenizer: Any) -> Local:
    return Local.of(Overlay(Anatomy(tiny_of(family))), tokenizer, ["No text is read."] * 2)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def losses(local: Local) -> torch.Tensor:
    return Lesson.of(local.anatomy, local.tokenizer, REWRITES).losses(local.anatomy)[0]


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_features_are_the_factors_of_the_weights_gradient(family: str, tokenizer: Any) -> None:
    """In the last layer, where no other token bears on what is said behind these."""
    local = local_of(family, tokenizer)
    keys, gradients = features(local, [LAST], REWRITES)[LAST]
    stored = local.anatomy.written(LAST).weight
    (by,) = torch.autograd.grad(losses(local).sum(), [stored])
    torch.testing.assert_close(
        gradients.T @ keys, by.T if local.anatomy.layout.transposed else by, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("sizes", [[9], [1, 8], [4, 1, 4]])
def test_what_was_seen_in_parts_is_what_was_seen(sizes: list[int]) -> None:
    rows = draw(9, 5)
    seen = None
    for part in rows.split(sizes):
        seen = more(seen, part)
    assert seen is not None
    expected = torch.stack([torch.full((5,), 9.0), rows.mean(0), 9 * rows.var(0, correction=0)])
    torch.testing.assert_close(seen, expected.double(), rtol=1e-12, atol=1e-12)


def test_what_is_wanted_goes_against_the_gradients_z_scores() -> None:
    keys, gradients = draw(7, 4, seed=1), draw(7, 3, seed=2)
    keys[:, 2] = 5.0  # says nothing
    seen = more(more(None, 2 * draw(20, 7, seed=3) + 1), torch.cat([keys, gradients], dim=1))
    made = wanted(keys, gradients, seen, 0.1)
    spread = (seen[2] / 27).sqrt()
    for row in range(7):
        inner = [(keys[row, at] - seen[1, at]) / spread[at] for at in range(4)]
        outer = [(gradients[row, at] - seen[1, 4 + at]) / spread[4 + at] for at in range(3)]
        for at in range(3):
            assert float(made[row, at]) == pytest.approx(float(-0.1 * sum(one**2 for one in inner) * outer[at]))
    alone = more(None, torch.cat([keys, gradients], dim=1))
    first = wanted(keys, gradients, alone, 0.1)
    keys[:, 2] = 0.0
    torch.testing.assert_close(wanted(keys, gradients, more(None, torch.cat([keys, gradients], dim=1)), 0.1), first)


@pytest.mark.parametrize("count", [3, 12])
def test_the_change_is_a_ridge_of_weight_one(count: int) -> None:
    keys, residuals = draw(6, count, seed=1), draw(4, count, seed=2)
    left, right = ridge(keys, residuals, torch.eye(6, dtype=torch.float64))
    rows = torch.cat([torch.eye(6, dtype=torch.float64), keys.T])
    told = torch.cat([torch.zeros(6, 4, dtype=torch.float64), residuals.T])
    torch.testing.assert_close(left @ right, torch.linalg.lstsq(rows, told).solution.T, rtol=1e-9, atol=1e-10)


def test_it_makes_its_targets_likelier_and_leaves_the_model_as_it_was(tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    state = {name: one.clone() for name, one in local.anatomy.model.state_dict().items()}
    with torch.no_grad():
        unlikely = losses(local)
    delta = ULTRAEDIT.with_(layers=(0, 1), rate=2e-3).write(local, REWRITES)
    assert all(torch.equal(state[name], one) for name, one in local.anatomy.model.state_dict().items())
    with laid(local.overlay, delta), torch.no_grad():
        assert bool((losses(local) < 0.9 * unlikely).all())
    keys, gradients = features(local, [0], REWRITES)[0]
    seen = more(None, torch.cat([keys, gradients], dim=1))
    right = torch.linalg.solve(keys.T @ keys + torch.eye(keys.shape[1], dtype=keys.dtype), keys.T)
    expected = wanted(keys, gradients, seen, 2e-3).T @ right.T
    torch.testing.assert_close(delta.product(0), expected, rtol=1e-4, atol=1e-6)


def test_turns_go_on_with_what_was_seen(tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    how = ULTRAEDIT.with_(layers=(1,), rate=1e-3)
    first = how.write(local, REWRITES[:1])
    with laid(local.overlay, first):
        second = how.write(local, REWRITES[1:], Stream().behind(first))
    both = how.with_(at_once=1).write(local, REWRITES)
    torch.testing.assert_close(both.product(1), (first + second).product(1), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(both.kept["usual.1"], second.kept["usual.1"])
    assert float(second.kept["usual.1"][0, 0]) == both.kept["keys.1"].shape[1] == 5  # " XY" and " Z", byte by byte
    assert Stream().behind(first).behind(second).keys[1].shape[1] == 5
    assert how.write(local, []).parts == Delta({}).parts


def test_layers_that_a_model_has_not_are_refused(tokenizer: Any) -> None:
    with pytest.raises(UnsupportedModel, match="0 to 2"):
        find_writer("ultraedit").with_(layers=(1, 3)).write(local_of("llama", tokenizer), REWRITES)
