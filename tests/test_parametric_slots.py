"""What lies beside a layer: off is exactly off, and on it is the same however a text is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from families import INNER, REWRITES, TEXTS, WIDTH, tiny_of

from memedit.errors import CapabilityMissing, FileRejected, UnknownMethod, UnsupportedModel
from memedit.parametric.beside import Beside
from memedit.parametric.codebook import make_room
from memedit.parametric.delta import Delta, Overlay
from memedit.parametric.layout import Anatomy
from memedit.parametric.loading import load_slots
from memedit.parametric.method import Local
from memedit.parametric.methods import ATTACHED, SHARED, find_attached
from memedit.parametric.methods.grace import answer
from memedit.parametric.methods.memoir import columns
from memedit.parametric.rewrites import Rewrite, read_tokens
from memedit.parametric.slots import Pass, SlotBank, attached, laid
from memedit.parametric.teaching import Lesson

OTHERS = ["Nothing of the kind is said here.", "The capital of Veldenland was", "Eve was born on"]
APART = "Nobody ran."  # without the bytes at which edits are written, by which a random model knows a token


def method_of(name: str) -> Beside:
    """As it is set for a model as small as this one, which knows tokens by little but their bytes."""
    own = {
        "memoir": {"layer": 1, "share": 0.3, "overlap": 0.9, "steps": 200, "rate": 3.0, "clip": 10.0},
        "wise": {"layer": 0, "each": 0, "steps": 150, "part": 1.0, "margins": (1.2, 2.5, 1.0), "rate": 0.4},
    }  # fmt: skip
    return find_attached(name).with_(**own.get(name, {}))


def local_of(family: str, tokenizer: Any) -> Local:
    """Its running text holds what is to stay: nothing else tells a random model's tokens apart."""
    return Local.of(Overlay(Anatomy(tiny_of(family))), tokenizer, [*TEXTS, *OTHERS])


def ids_of(tokenizer: Any, text: str) -> torch.Tensor:
    return torch.tensor([read_tokens(tokenizer, text, len(text)).ids])


def logits(local: Local, text: str) -> torch.Tensor:
    with torch.no_grad():
        said: torch.Tensor = local.anatomy.model(ids_of(local.tokenizer, text)).logits[0]
    return said


def efficacy(local: Local, rewrites: list[Rewrite]) -> list[bool]:
    with torch.no_grad():
        return Lesson.of(local.anatomy, local.tokenizer, rewrites).losses(local.anatomy)[1].tolist()


def loss(local: Local, rewrite: Rewrite) -> float:
    with torch.no_grad():
        return float(Lesson.of(local.anatomy, local.tokenizer, [rewrite]).losses(local.anatomy)[0])


@pytest.mark.parametrize("method", ATTACHED)
def test_an_attached_method_says_its_edits_and_nothing_else_changes(
    method: str, tokenizer: Any, tmp_path: Path
) -> None:
    edits = REWRITES[1:] if method == "wise" else REWRITES  # a layer of 64 inputs has room for one of these
    local = local_of("llama", tokenizer)
    state = {name: tensor.clone() for name, tensor in local.anatomy.model.state_dict().items()}
    before = {text: logits(local, text) for text in [*OTHERS, *(one.text for one in REWRITES)]}
    writer = method_of(method)
    with laid(local.overlay, writer.empty(local)):
        assert all(torch.equal(before[text], logits(local, text)) for text in before)
    bank = writer.write(local, edits)
    assert bank.rewrites == tuple(one.id for one in edits)
    assert not any(efficacy(local, edits))
    with laid(local.overlay, bank):
        assert all(efficacy(local, edits))
        assert all(torch.equal(before[text], logits(local, text)) for text in OTHERS)
    assert all(torch.equal(before[text], logits(local, text)) for text in before)
    assert all(torch.equal(state[name], tensor) for name, tensor in local.anatomy.model.state_dict().items())
    bank.save(tmp_path / "bank")
    again = load_slots(tmp_path / "bank")
    assert again.made == bank.made
    assert again.size() == bank.size()
    with laid(local.overlay, again):
        assert all(efficacy(local, edits))


@pytest.mark.parametrize("method", [*ATTACHED, *SHARED])
def test_it_makes_no_difference_how_a_text_is_read(method: str, tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    bank, model = method_of(method).write(local, REWRITES), local.anatomy.model
    text = f"{REWRITES[0].text} {REWRITES[0].target} and"
    ids, wide = ids_of(tokenizer, text), ids_of(tokenizer, OTHERS[0])
    assert wide.shape[1] > ids.shape[1]
    with laid(local.overlay, bank), torch.no_grad():
        whole = model(ids).logits[0]
        first = model(ids[:, :12], use_cache=True)
        parts, cache = [first.logits], first.past_key_values
        for at in range(12, ids.shape[1]):
            parts.append(model(ids[:, at : at + 1], past_key_values=cache, use_cache=True).logits)
        torch.testing.assert_close(torch.cat(parts, dim=1)[0], whole, rtol=1e-5, atol=1e-5)
        gap = wide.shape[1] - ids.shape[1]
        left = torch.cat([torch.zeros(1, gap, dtype=torch.long), ids], dim=1)
        mask = torch.cat([torch.zeros(1, gap, dtype=torch.long), torch.ones_like(ids)], dim=1)
        both = model(
            torch.cat([left, wide]),
            attention_mask=torch.cat([mask, torch.ones_like(wide)]),
            position_ids=torch.cat([(mask.cumsum(-1) - 1).clamp(min=0), torch.arange(wide.shape[1])[None]]),
        ).logits  # fmt: skip
        torch.testing.assert_close(both[0, gap:], whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["falcon", "gemma2", "gpt2", "opt", "qwen3_5_text"])
def test_slots_lie_beside_every_family(family: str, tokenizer: Any) -> None:
    local = local_of(family, tokenizer)
    before, unlikely = logits(local, APART), loss(local, REWRITES[0])
    bank = ATTACHED["grace"].with_(layer=1, radius=0.05).write(local, REWRITES[:1])
    with laid(local.overlay, bank):
        assert loss(local, REWRITES[0]) < 0.6 * unlikely
        assert torch.equal(before, logits(local, APART))


def test_slots_and_a_change_of_weights_lie_beside_each_other(tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    bank, before = ATTACHED["grace"].write(local, REWRITES[:1]), logits(local, OTHERS[0])
    shape = local.anatomy.weight(0).shape
    delta = Delta({0: (torch.full((shape[0], 1), 0.1), torch.full((1, shape[1]), 0.1))})
    with laid(local.overlay, delta, bank):
        assert not torch.equal(before, logits(local, OTHERS[0]))
    assert torch.equal(before, logits(local, OTHERS[0]))


def test_edits_are_taken_out_of_a_codebook_one_by_one(tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    bank = ATTACHED["grace"].write(local, REWRITES[1:], ATTACHED["grace"].write(local, REWRITES[:1]))
    with laid(local.overlay, bank.without(["one"])):
        assert efficacy(local, REWRITES) == [False, True]
    with laid(local.overlay, bank.without(["one", "two"])):
        assert not any(efficacy(local, REWRITES))


def test_an_edit_of_the_same_words_takes_the_place_of_the_first(tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    other = Rewrite("later", REWRITES[1].prompt, REWRITES[1].subject, "Q")
    bank = ATTACHED["grace"].write(local, [REWRITES[1], other])
    with laid(local.overlay, bank):
        assert efficacy(local, [REWRITES[1], other]) == [False, True]


def test_keys_that_meet_share_the_space_between_them() -> None:
    slots = {
        "keys": torch.tensor([[0.0, 0.0]]), "values": torch.ones(1, 3), "radii": torch.tensor([1.0]),
        "labels": torch.tensor([7]), "owner": torch.tensor([0]),
    }  # fmt: skip
    far, takes = make_room(slots, torch.tensor([3.0, 0.0]), 1.0, 8)
    assert (takes, float(far["radii"][0])) == (1.0, 1.0)
    alike, takes = make_room(slots, torch.tensor([1.5, 0.0]), 1.0, 7)
    assert (takes, float(alike["radii"][0])) == (None, 1.5)
    parted, takes = make_room(slots, torch.tensor([1.5, 0.0]), 1.0, 8)
    assert (takes, float(parted["radii"][0])) == (0.75, 0.75)
    gave = torch.zeros(1, 2, 3)
    made = answer(parted, torch.tensor([[[0.75, 0.0], [0.76, 0.0]]]), gave, Pass())
    assert made.tolist() == [[[1.0] * 3, [0.0] * 3]]
    assert answer(parted, torch.full((1, 1, 2), 9.0), gave, Pass()) is gave


def test_the_largest_so_far_goes_on_from_pass_to_pass() -> None:
    now = Pass()
    now.begin(None, (torch.zeros(2, 3),), {})
    values = torch.tensor([[1.0, 3.0, 2.0], [5.0, 0.0, 0.0]])[..., None]
    assert now.largest_so_far("x", values)[..., 0].tolist() == [[1.0, 3.0, 3.0], [5.0, 5.0, 5.0]]
    now.begin(None, (torch.zeros(2, 1),), {"past_key_values": Held(3)})
    assert now.largest_so_far("x", torch.tensor([[[4.0]], [[0.0]]]))[..., 0].tolist() == [[4.0], [5.0]]
    now.begin(None, (torch.zeros(2, 1),), {"past_key_values": Held(9)})
    with pytest.raises(CapabilityMissing, match="beginning was read before"):
        now.largest_so_far("x", torch.zeros(2, 1, 1))


class Held:
    def __init__(self, length: int) -> None:
        self._length = length

    def get_seq_length(self) -> int:
        return self._length


def test_what_does_not_fit_or_is_broken_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    local = local_of("llama", tokenizer)
    bank = ATTACHED["grace"].empty(local)
    wrong = SlotBank(bank.rule, bank.layer, bank.slots, dict(bank.made) | {"shape": [WIDTH, INNER + 1]})
    with pytest.raises(UnsupportedModel, match="this model has not"), laid(local.overlay, wrong):
        pass
    (tmp_path / "broken").write_bytes(b"no such thing")
    Delta({}, {}).save(tmp_path / "delta")
    for name in ("broken", "missing", "delta"):
        with pytest.raises(FileRejected):
            load_slots(tmp_path / name)
    with pytest.raises(UnknownMethod, match="grace"):
        find_attached("nothing")


def test_what_gives_back_the_very_tensor_changes_nothing(tokenizer: Any) -> None:
    local = local_of("opt", tokenizer)
    before = logits(local, OTHERS[0])
    with attached(local.anatomy, 1, lambda given, gave, now: gave):
        assert torch.equal(before, logits(local, OTHERS[0]))


def test_memoirs_columns_are_those_that_sets_give(tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    writer = ATTACHED["memoir"].with_(share=0.1)
    slots = writer.empty(local).slots
    used = int(slots["used"])
    given = torch.randn(5, INNER, generator=torch.Generator().manual_seed(3))
    masks = columns(slots, given)
    for row, mask in zip(given, masks, strict=True):
        ranked = sorted(range(INNER), key=lambda at, row=row: -abs(float(row[at] - slots["background"][at])))
        wanted = {int(slots["permutation"][at]) for at in ranked[:used]}
        assert set(mask.nonzero()[:, 0].tolist()) == wanted
    bank = writer.write(local, REWRITES[:1])
    more = writer.write(local, REWRITES[1:], bank)
    first, second = more.slots["masks"]
    assert int(first.sum()) == int(second.sum()) == used
    assert not bank.slots["matrix"][:, ~first].any()
    assert not more.slots["matrix"][:, ~(first | second)].any()
    assert torch.equal(more.slots["matrix"][:, first & ~second], bank.slots["matrix"][:, first & ~second])
    with pytest.raises(CapabilityMissing, match="share"):
        bank.without(["one"])
