"""Changes of weights as values: arithmetic, files, and coming off again bit by bit."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
import torch
from families import INNER, WIDTH, tiny_of

from memedit.errors import FileRejected, UnsupportedModel
from memedit.parametric.delta import Delta, Overlay, overlay_of
from memedit.parametric.layout import Anatomy


def draw(layer: int, seed: int, rank: int = 2) -> Delta:
    generator = torch.Generator().manual_seed(seed)
    left, right = torch.randn(WIDTH, rank, generator=generator), torch.randn(rank, INNER, generator=generator)
    return Delta({layer: (left, right)}, {"method": "drawn", "seed": seed})


def test_arithmetic_is_of_products() -> None:
    first, second = draw(0, 1), draw(0, 2)
    one, two = first.product(0), second.product(0)
    torch.testing.assert_close((first + second).product(0), one + two, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close((first - second).product(0), one - two, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close((-first * 0.5).product(0), -0.5 * one, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close((3 * first).product(0), 3 * one, rtol=1e-6, atol=1e-6)
    assert (first - first).norm() == pytest.approx(0.0, abs=1e-5)
    assert set((first + draw(2, 3)).parts) == {0, 2}


def test_a_sum_never_takes_more_numbers_than_the_matrix() -> None:
    whole, product = draw(0, 0), draw(0, 0).product(0)
    for seed in range(1, 40):
        whole, product = whole + draw(0, seed), product + draw(0, seed).product(0)
    assert whole.parts[0][0].shape[1] <= INNER
    torch.testing.assert_close(whole.product(0), product, rtol=1e-4, atol=1e-4)


def test_a_file_gives_the_change_back(tmp_path: Path) -> None:
    delta = Delta(draw(1, 4).parts, {"method": "rome", "rewrites": ["a"]}, {"values": torch.ones(3, 1)})
    delta.save(tmp_path / "change")
    again = Delta.load(tmp_path / "change")
    assert again.made == delta.made
    assert all(torch.equal(one, other) for one, other in zip(again.parts[1], delta.parts[1], strict=True))
    assert torch.equal(again.kept["values"], delta.kept["values"])


def test_a_damaged_or_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"no such thing")
    for name in ("broken", "missing"):
        with pytest.raises(FileRejected):
            Delta.load(tmp_path / name)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_three_changes_come_off_in_any_order_bit_by_bit(family: str, dtype: torch.dtype) -> None:
    model = tiny_of(family, tie_word_embeddings=True, dtype=str(dtype).removeprefix("torch.")).to(dtype)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    overlay = Overlay(Anatomy(model))
    changes = {"a": draw(0, 1), "b": draw(0, 2) + draw(1, 3), "c": draw(1, 4)}
    for order in permutations(changes):
        for name, delta in changes.items():
            overlay.put(name, delta)
        assert not torch.equal(overlay.anatomy.weight(0), before[overlay.anatomy.parameter(0)])
        for name in order:
            overlay.take(name)
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_what_stays_does_not_remember_what_was_taken_off() -> None:
    overlay = Overlay(Anatomy(tiny_of("llama")))
    overlay.put("b", draw(0, 2))
    alone = overlay.anatomy.weight(0).clone()
    overlay.clear()
    overlay.put("a", draw(0, 1))
    overlay.put("b", draw(0, 2))
    overlay.take("a")
    assert torch.equal(overlay.anatomy.weight(0), alone)
    assert overlay.relative_norms()[0] > 0
    with overlay.lifted():
        assert not overlay.names
    assert torch.equal(overlay.anatomy.weight(0), alone)
    overlay.clear()


def test_merging_makes_a_change_part_of_the_weights() -> None:
    overlay = Overlay(Anatomy(tiny_of("qwen2")))
    base = overlay.anatomy.weight(1).clone()
    overlay.put("a", draw(1, 1))
    overlay.merge()
    overlay.clear()
    torch.testing.assert_close(overlay.anatomy.weight(1), base + draw(1, 1).product(1))


def test_a_change_of_another_model_is_refused_and_changes_nothing() -> None:
    overlay = Overlay(Anatomy(tiny_of("llama")))
    before = overlay.anatomy.weight(0).clone()
    for wrong in (Delta({0: (torch.ones(3, 1), torch.ones(1, INNER))}), draw(17, 1)):
        with pytest.raises(UnsupportedModel, match="this model has not"):
            overlay.put("wrong", draw(0, 1) + wrong if 17 in wrong.parts else wrong)
    assert torch.equal(overlay.anatomy.weight(0), before)
    assert overlay.names == ()


def test_a_model_has_one_overlay() -> None:
    model = tiny_of("phi")
    assert overlay_of(model) is overlay_of(model)
