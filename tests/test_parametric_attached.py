"""What WISE, MELO and Transformer-Patcher put beside a layer, against loops over tokens, entries and neurons."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from families import INNER, REWRITES, TEXTS, WIDTH, tiny_of

from memedit.errors import CapabilityMissing
from memedit.parametric.delta import Overlay
from memedit.parametric.layout import Anatomy
from memedit.parametric.method import Local
from memedit.parametric.methods import ATTACHED, melo, transformer_patcher, wise
from memedit.parametric.reading import inputs_of
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.slots import Pass, laid
from memedit.parametric.teaching import Lesson


@pytest.fixture
def local(tokenizer: Any) -> Local:
    return Local.of(Overlay(Anatomy(tiny_of("llama"))), tokenizer, TEXTS)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def passing(rows: int, tokens: int) -> Pass:
    now = Pass()
    now.begin(None, (torch.zeros(rows, tokens),), {})
    return now


def said(local: Local) -> list[bool]:
    with torch.no_grad():
        return Lesson.of(local.anatomy, local.tokenizer, REWRITES).losses(local.anatomy)[1].tolist()


def test_the_last_so_far_goes_on_from_pass_to_pass() -> None:
    now = passing(2, 4)
    now.seen[0, 0] = False  # padding, whatever stands there
    values = torch.tensor([[9, 0, 3, 0], [2, 0, 0, 5]])
    assert now.last_so_far("x", values).tolist() == [[0, 0, 3, 3], [2, 2, 2, 5]]
    now.begin(None, (torch.zeros(2, 2),), {"past_key_values": SimpleNamespace(get_seq_length=lambda: 4)})
    assert now.last_so_far("x", torch.tensor([[0, 1], [0, 0]])).tolist() == [[3, 1], [5, 5]]


def test_a_neuron_that_is_off_changes_nothing_and_one_that_is_on_adds_its_value() -> None:
    slots = {"keys": draw(4, 6), "biases": draw(4, seed=1), "values": draw(4, 3, seed=2), "owner": torch.zeros(4)}
    given, gave = draw(2, 5, 6, seed=3), draw(2, 5, 3, seed=4)
    made = transformer_patcher.answer(slots, given, gave, passing(2, 5))
    off = 0
    for row in range(2):
        for token in range(5):
            more = torch.zeros(3)
            for neuron in range(4):
                active = float(given[row, token] @ slots["keys"][neuron] + slots["biases"][neuron])
                more += max(0.0, active) * slots["values"][neuron]
            if not bool(more.any()):
                off += 1
                assert torch.equal(made[row, token], gave[row, token])
            torch.testing.assert_close(made[row, token], gave[row, token] + more, rtol=1e-5, atol=1e-5)
    slots["biases"] = torch.full((4,), -100.0)
    assert transformer_patcher.answer(slots, given, gave, passing(2, 5)) is gave
    assert off < 10


def test_a_patchers_first_key_gives_one_at_its_own_input_and_least_at_usual_ones(local: Local) -> None:
    here = draw(3, INNER, seed=5)
    keys = transformer_patcher.first_keys(local, 1, here)
    torch.testing.assert_close((keys * here).sum(1), torch.ones(3), rtol=1e-4, atol=1e-4)
    moment = local.stats.of([1])[1].firm
    plain = here / here.square().sum(1, keepdim=True)
    for mine, published in zip(keys.double(), plain.double(), strict=True):
        assert float(mine @ moment @ mine) < float(published @ moment @ published)


def test_a_patcher_has_a_neuron_a_token_and_none_for_what_is_said_already(local: Local) -> None:
    writer = ATTACHED["transformer_patcher"]
    bank = writer.write(local, REWRITES)
    assert bank.slots["owner"].tolist() == [0, 0, 0, 1, 1]  # " XY" and " Z", byte by byte
    given, _ = inputs_of(local.anatomy, local.tokenizer, bank.layer, [REWRITES[0].text])
    own = given[0, -1] @ bank.slots["keys"][0] + bank.slots["biases"][0]
    assert float(own) > 0.5 * transformer_patcher.Patcher().margin
    with laid(local.overlay, bank):
        assert said(local) == [True, True]
    with laid(local.overlay, bank.without(["one"])):
        assert said(local) == [False, True]
    assert len(writer.write(local, REWRITES[:1], writer.write(local, REWRITES[:1])).slots["owner"]) == 3


def test_a_block_is_on_from_its_key_to_the_end_or_the_next_key() -> None:
    slots = {
        "keys": torch.tensor([[0.0, 0.0], [4.0, 0.0]]), "radii": torch.tensor([1.0, 1.0]),
        "labels": torch.tensor([0, 1]), "left": draw(2, 2, 3), "right": draw(2, 2, 2, seed=1),
        "owner": torch.tensor([0, 1]),
    }  # fmt: skip
    given = torch.tensor([[[9.0, 9.0], [0.5, 0.0], [9.0, 1.0], [4.0, 0.5], [8.0, 8.0]], [[9.0, 9.0]] * 5])
    gave = draw(2, 5, 3, seed=2)
    made = melo.answer(slots, given, gave, passing(2, 5))
    for token, block in enumerate([None, 0, 0, 1, 1]):
        if block is None:
            assert torch.equal(made[0, token], gave[0, token])
        else:
            more = slots["left"][block].T @ (slots["right"][block] @ given[0, token])
            torch.testing.assert_close(made[0, token], gave[0, token] + more, rtol=1e-5, atol=1e-5)
    assert torch.equal(made[1], gave[1])


def test_blocks_are_taken_out_one_by_one_and_replaced_by_the_same_words(local: Local) -> None:
    writer = ATTACHED["melo"]
    bank = writer.write(local, REWRITES)
    assert bank.slots["left"].shape == (2, 2, WIDTH)
    assert bank.slots["right"].shape == (2, 2, INNER)
    with laid(local.overlay, bank):
        assert said(local) == [True, True]
    with laid(local.overlay, bank.without(["two"])):
        assert said(local) == [True, False]
    other = Rewrite("later", REWRITES[0].prompt, REWRITES[0].subject, "Q")
    again = writer.write(local, [other], bank)
    assert again.slots["owner"].tolist() == [1, 2]
    with laid(local.overlay, again):
        assert said(local) == [False, True]


def test_shards_are_merged_entry_by_entry() -> None:
    shards = [draw(3, 4), draw(3, 4, seed=1), draw(3, 4, seed=2)]
    merged = wise.ties(torch.stack(shards), 0.5)
    kept = []
    for shard in shards:
        largest = sorted((abs(float(one)) for one in shard.flatten()), reverse=True)[:6]
        kept.append([[float(one) if abs(float(one)) >= largest[-1] else 0.0 for one in row] for row in shard])
    for row in range(3):
        for column in range(4):
            there = [one[row][column] for one in kept]
            sign = 1 if sum(there) > 0 else -1
            agreeing = [one for one in there if one * sign > 0]
            expected = sum(agreeing) / len(agreeing) if agreeing else 0.0
            assert float(merged[row, column]) == pytest.approx(expected)
    assert torch.equal(wise.ties(torch.stack(shards[:1]), 0.5), shards[0])


def test_the_side_memory_reads_what_its_router_lets_through() -> None:
    slots = {
        "shards": torch.zeros(1, 3, 6), "matrix": draw(3, 6), "usual": torch.tensor(2.0), "threshold": torch.tensor(1.0)
    }  # fmt: skip
    given, gave = draw(1, 12, 6, seed=3), draw(1, 12, 3, seed=4)
    made = wise.answer(slots, given, gave, passing(1, 12))
    fired = 0
    for token in range(12):
        more = slots["matrix"] @ given[0, token]
        if float(more.norm()) / 2 >= 1:
            fired += 1
            torch.testing.assert_close(made[0, token], gave[0, token] + more)
        else:
            assert torch.equal(made[0, token], gave[0, token])
    assert 0 < fired < 12
    slots["threshold"] = torch.tensor(100.0)
    assert wise.answer(slots, given, gave, passing(1, 12)) is gave


def test_an_edit_moves_its_shards_entries_alone(local: Local) -> None:
    writer = ATTACHED["wise"].with_(layer=1, per_shard=1, part=0.3, steps=5, each=1)
    first = writer.write(local, REWRITES[:1])
    both = writer.write(local, REWRITES[1:], first)
    assert [len(one.slots["shards"]) for one in (first, both)] == [1, 2]
    assert torch.equal(both.slots["shards"][0], first.slots["shards"][0])
    for shard, seed in zip(both.slots["shards"], (0, 1), strict=True):
        moves = torch.rand(shard.shape, generator=torch.Generator().manual_seed(seed)) < 0.3
        assert not shard[~moves].any()
        assert shard[moves].any()
    # Shards are of inputs made white: D a = B ã, and ã has unit covariance.
    white = first.slots["whiten"].double()
    moment = local.stats.of([1])[1].firm
    torch.testing.assert_close(white @ moment @ white.T, torch.eye(INNER, dtype=white.dtype), rtol=0, atol=1e-3)
    torch.testing.assert_close(both.slots["matrix"], wise.ties(both.slots["shards"], 0.53) @ first.slots["whiten"])
    assert both.slots["threshold"] <= first.slots["threshold"]
    assert len(both.slots["taught"]) > len(first.slots["taught"])
    with pytest.raises(CapabilityMissing, match="share"):
        both.without(["one"])
