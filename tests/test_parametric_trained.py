"""What is trained becomes a change of weights: within its bounds, of its rank, and bakeable as any other."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from families import REWRITES, tiny_of
from tiny import make_tiny

from memedit import EditableLLM, EditMemory, Fact
from memedit.adapters.transformers import load
from memedit.errors import EditDiverged
from memedit.parametric.delta import Overlay
from memedit.parametric.layout import Anatomy
from memedit.parametric.method import Local, Stream
from memedit.parametric.methods import FREE, METHODS, TRAINED, Writer
from memedit.parametric.proving import Demand
from memedit.parametric.searching import Search
from memedit.parametric.slots import laid
from memedit.parametric.teaching import Lesson
from memedit.testing import HashEmbedder, NamedGate

EASY = Demand(efficacy=False, paraphrase=0.0, locality=0.0, perplexity=float("inf"))
TEXT = [f"Paragraph {n} tells of rivers, bridges and the {n} towns that lie along them, one by one." for n in range(20)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def local_of(family: str, tokenizer: Any) -> Local:
    return Local.of(Overlay(Anatomy(tiny_of(family))), tokenizer, TEXT)


def losses(local: Local, *, blind: bool = False) -> torch.Tensor:
    with torch.no_grad():
        return Lesson.of(local.anatomy, local.tokenizer, REWRITES, blind=blind).losses(local.anatomy)[0]


@pytest.mark.parametrize("method", TRAINED)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_taught_change_makes_the_targets_likely(method: str, family: str, tokenizer: Any) -> None:
    local = local_of(family, tokenizer)
    writer = TRAINED[method].with_(layers=(1,), rate=5e-3, at_once=None, bound=None)
    before, blind = {name: one.clone() for name, one in local.anatomy.model.state_dict().items()}, writer.how.blind
    unlikely = losses(local, blind=blind)
    delta = writer.write(local, REWRITES)
    assert all(torch.equal(before[name], one) for name, one in local.anatomy.model.state_dict().items())
    with laid(local.overlay, delta):
        assert bool((losses(local, blind=blind) < 0.9 * unlikely).all())
    assert all(torch.equal(before[name], one) for name, one in local.anatomy.model.state_dict().items())
    assert delta.made["rewrites"] == ["one", "two"]
    assert Stream().behind(delta).keys[1].shape == (local.anatomy.weight(1).shape[1], 0)


def test_ft_m_says_its_edits_behind_their_prompts(tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    delta = TRAINED["ft_m"].with_(layers=(1,), rate=2e-2, steps=60, at_once=None).write(local, REWRITES)
    with laid(local.overlay, delta), torch.no_grad():
        assert Lesson.of(local.anatomy, tokenizer, REWRITES).losses(local.anatomy)[1].all()


def test_what_is_taught_beside_the_matrix_is_what_the_change_gives(tokenizer: Any) -> None:
    local, seen = local_of("llama", tokenizer), []
    delta = TRAINED["ft_m"].with_(layers=(1,), steps=4, at_once=None, enough=0.0).write(local, REWRITES)
    for steps in range(4):
        part = TRAINED["ft_m"].with_(layers=(1,), steps=steps, at_once=None, enough=0.0).write(local, REWRITES)
        with laid(local.overlay, part):
            seen.append(float(losses(local).mean()))
    with laid(local.overlay, delta):
        seen.append(float(losses(local).mean()))
    assert seen == sorted(seen, reverse=True)
    assert part.norm() < delta.norm()


def test_the_change_of_ft_l_stays_within_its_bound(tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    delta = TRAINED["ft_l"].with_(layers=(0,), bound=1e-3, rate=1e-2).write(local, REWRITES)
    assert float(delta.product(0).abs().max()) == pytest.approx(1e-3)


def test_lora_has_its_rank_and_the_layers_that_were_chosen(tokenizer: Any) -> None:
    local = local_of("qwen2", tokenizer)
    delta = TRAINED["lora"].with_(layers=(0, 2), rank=3, steps=3).write(local, REWRITES)
    assert set(delta.parts) == {0, 2}
    assert all(left.shape[1] == 3 == right.shape[0] for left, right in delta.parts.values())
    assert delta.norm() > 0


def test_a_descent_that_diverges_changes_nothing(tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    before = losses(local)
    with pytest.raises(EditDiverged, match="diverged"):
        TRAINED["ft_m"].with_(layers=(1,), rate=float("inf")).write(local, REWRITES)
    assert torch.equal(before, losses(local))


def test_settings_come_back_from_what_a_change_says_of_them() -> None:
    how = TRAINED["lora"].with_(layers=(0, 2)).how
    assert TRAINED["lora"].as_set(json.loads(json.dumps(asdict(how)))).how == how
    how = METHODS["encore"].with_(search=Search(steps=7), layers=(1,)).how
    assert METHODS["memit"].as_set(json.loads(json.dumps(asdict(how)))).how == how


@pytest.mark.parametrize("writer", [TRAINED["ft_m"].with_(layers=(1,), steps=3), FREE["ultraedit"].with_(layers=(1,))])
def test_a_method_without_a_search_bakes_and_is_taken_out(writer: Writer, folder: str, tmp_path: Path) -> None:
    memory = EditMemory(tmp_path / "memory", embedder=HashEmbedder(), finder=None, languages=None, judge=None)
    editable = EditableLLM(load(folder), memory, gate=NamedGate())
    editable.bakery(text=TEXT, cache=tmp_path)
    editable.edit_many(
        [
            Fact(id="one", prompt="The capital of {} is", subject="Quillon", object="Paris"),
            Fact(id="two", prompt="{} was born in", subject="Ada Lovelace", object="Rome"),
        ]
    )
    weight = editable.bakery().overlay.anatomy.weight(1)
    before = weight.clone()
    done = editable.bake(method=writer, demand=EASY)
    assert {edit.id for edit in done.baked} == {"one", "two"}
    both = weight.clone()
    editable.unbake("one")
    assert not torch.equal(weight, both)
    assert not torch.equal(weight, before)
    editable.unbake("two")
    assert torch.equal(weight, before)
