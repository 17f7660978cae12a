"""Slots that many facts share: what they add beside loops, what they learn, and operating on one value."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tiny import make_tiny

from memedit.parametric.loading import load_slots
from memedit.parametric.measuring import likelihoods
from memedit.parametric.methods import find_writer
from memedit.parametric.methods.calinet import CALINET, usual_inputs
from memedit.parametric.methods.knowledge_bank import KNOWLEDGE_BANK, active_slot, operated
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.slots import laid
from memedit.systems import calibration
from memedit.systems.ground import Ground

EDITS = [Rewrite("one", "The sea of {} is", "Quillon", "XY"), Rewrite("two", "The sky of {} is", "Velden", "ZW")]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(f"hf:{make_tiny(tmp_path_factory.mktemp('tiny'))}", tmp_path_factory.mktemp("cache"))


def logits(ground: Ground, text: str = "The sea of Quillon is") -> torch.Tensor:
    with torch.no_grad():
        told: torch.Tensor = ground.local.anatomy.model(**ground.local.tokenizer(text, return_tensors="pt")).logits
    return told


def test_an_untaught_bank_changes_nothing_and_a_taught_one_what_it_learnt(ground: Ground, tmp_path: Path) -> None:
    before, writer = logits(ground), CALINET.with_(steps=40, slots=16, rate=0.3, still=0.0)
    with laid(ground.local.overlay, writer.empty(ground.local)):
        assert torch.equal(logits(ground), before)
    bank = writer.write(ground.local, EDITS)
    pairs = [(one.text, one.target) for one in EDITS]
    bare = likelihoods(*ground.parts, pairs)
    with laid(ground.local.overlay, bank):
        told, changed = likelihoods(*ground.parts, pairs), logits(ground)
    assert all(new.logprob > old.logprob + 1 for new, old in zip(told, bare, strict=True))
    assert torch.equal(logits(ground), before)
    bank.save(tmp_path / "bank.safetensors")
    with laid(ground.local.overlay, load_slots(tmp_path / "bank.safetensors")):
        assert torch.equal(logits(ground), changed)
    assert bank.rewrites == ("one", "two")
    assert find_writer("calinet") is CALINET


def test_what_is_added_at_running_text_is_held_small(ground: Ground) -> None:
    given = usual_inputs(ground.local, 1, 8)[None]
    sizes = []
    for still in (0.0, 1000.0):
        bank = CALINET.with_(steps=30, slots=16, rate=0.3, still=still).write(ground.local, EDITS)
        made = bank.rule.answer(bank.slots, given, torch.zeros(1, given.shape[1], 32), None)  # type: ignore[arg-type]
        sizes.append(float(made.norm()))
    assert sizes[1] < 0.3 * sizes[0]


def test_what_a_bank_adds_is_the_sum_over_its_slots(ground: Ground) -> None:
    draw = torch.Generator().manual_seed(0)
    bank = CALINET.with_(slots=5, layer=1).empty(ground.local)
    slots = {name: torch.randn(one.shape, generator=draw) for name, one in bank.slots.items()}
    given, gave = torch.randn(1, 3, 32, generator=draw), torch.randn(1, 3, 32, generator=draw)
    made = bank.rule.answer(slots, given, gave, None)  # type: ignore[arg-type]
    for token in range(3):
        wanted = gave[0, token].clone()
        for slot in range(5):
            active = float(given[0, token] @ slots["keys"][slot] + slots["biases"][slot])
            wanted += max(active, 0.0) * slots["values"][slot]
        assert torch.allclose(made[0, token], wanted, atol=1e-5)


def test_one_value_is_moved_from_one_object_to_another(ground: Ground) -> None:
    bank = KNOWLEDGE_BANK.with_(steps=60, slots=16).write(ground.local, EDITS)
    prompt = EDITS[0].text
    slot = active_slot(bank, *ground.parts, prompt)
    moved = operated(bank, *ground.parts, prompt, "XY", "ZW")
    apart = (moved.slots["values"] - bank.slots["values"]).norm(dim=1)
    assert (apart > 0).nonzero()[:, 0].tolist() == [slot]
    head = ground.local.anatomy.model.get_output_embeddings().weight.detach()
    old, new = (head[ground.local.tokenizer(f" {one}")["input_ids"][0]] for one in ("XY", "ZW"))
    value = bank.slots["values"][slot]
    wanted = value - value.norm() / old.norm() * old + 8 * value.norm() / new.norm() * new
    assert torch.allclose(moved.slots["values"][slot], wanted, atol=1e-6)


def test_the_detector_is_the_share_of_probabilities(ground: Ground) -> None:
    facts = calibration.facts_of(ground, 3)
    assert all(set(one.learnt).isdisjoint(one.unseen) and one.wrong for one in facts)
    [score, *_] = calibration.cka(ground, facts, unseen=True)
    one = facts[0]

    def chance(template: str) -> float:
        [told] = likelihoods(*ground.parts, [(template.replace("{}", one.subject), one.object)])
        return math.exp(told.logprob)

    right, wrong = (sum(map(chance, part)) / len(part) for part in (one.unseen, one.wrong))
    assert score == pytest.approx(right / wrong, rel=1e-3)


def test_both_checks_run_and_leave_the_model_as_it_was(ground: Ground) -> None:
    before = logits(ground)
    assert set(calibration.calinet(ground, most=4, steps=5).more) == {"before", "after", "perplexity"}
    assert calibration.bank(ground, most=3, steps=5).more["flipped"] >= 0
    assert torch.equal(logits(ground), before)
