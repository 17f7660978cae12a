"""Every family of models: where the edited matrix lies, and that what is written there is what was wanted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from families import INNER, TEXTS, WIDTH, tiny_of

from memedit.errors import UnsupportedModel
from memedit.parametric.delta import Overlay
from memedit.parametric.hooks import ending_at, recording, replacing
from memedit.parametric.layout import LAYOUTS, Anatomy, Layout, model_hash
from memedit.parametric.method import Local
from memedit.parametric.methods import METHODS
from memedit.parametric.reading import cut_rows
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.searching import Search
from memedit.parametric.slots import Pass, attached
from memedit.parametric.teaching import Lesson

REWRITES = [
    Rewrite("one", "The capital of {} is", "Quillon", "Paris"),
    Rewrite("two", "{} was born in", "Ada Lovelace", "Rome"),
]


def local_of(anatomy: Anatomy, tokenizer: Any, cache: Path) -> Local:
    return Local.of(Overlay(anatomy), tokenizer, TEXTS, cache=cache)


@pytest.mark.parametrize("family", LAYOUTS)
def test_the_written_matrix_makes_what_its_module_gives(family: str) -> None:
    anatomy = Anatomy(tiny_of(family))
    module = anatomy.written(1)
    with recording([module], inputs=True) as given, recording([module]) as made:
        anatomy.model(torch.tensor([[5, 6, 7]]))
    assert anatomy.weight(1).shape == (WIDTH, given[0].shape[-1])
    bias = 0 if module.bias is None else module.bias
    torch.testing.assert_close(made[0], given[0] @ anatomy.weight(1).T + bias, rtol=1e-9, atol=1e-12)
    assert anatomy.parameter(1) in anatomy.model.state_dict()
    assert anatomy.attention(1) is not anatomy.written(1)


@pytest.mark.parametrize("family", LAYOUTS)
def test_a_row_read_in_two_parts_is_the_row(family: str, tokenizer: Any) -> None:
    anatomy = Anatomy(tiny_of(family))
    read = [one.read(tokenizer, prefix) for one in REWRITES for prefix in ("", "Well then. ")]
    rows = cut_rows(anatomy, read, 0)
    with torch.no_grad():
        said = rows.logits(anatomy, torch.arange(rows.ids.shape[1]))
        for row, one in enumerate(read):
            whole = anatomy.model(torch.tensor([one.ids])).logits[0]
            cut = one.subject - int(rows.places[row])
            torch.testing.assert_close(said[row, : len(one.ids) - cut], whole[cut:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", LAYOUTS)
def test_what_changes_above_a_layer_is_taught_with_all_below_read_once(family: str, tokenizer: Any) -> None:
    anatomy = Anatomy(tiny_of(family))
    whole = Lesson.of(anatomy, tokenizer, REWRITES)
    upper = whole.above(anatomy, 1)
    for layer in (1, 2):
        found = []
        for lesson in (whole, upper, upper):
            more = torch.full(anatomy.weight(layer).shape, 1e-3, dtype=torch.float64, requires_grad=True)

            def change(given: torch.Tensor, gave: torch.Tensor, _now: Pass, more: torch.Tensor = more) -> torch.Tensor:
                return gave + given @ more.T

            with attached(anatomy, layer, change):
                loss = lesson.losses(anatomy)[0].sum()
            found.append((loss.detach(), *torch.autograd.grad(loss, more)))
        for one in found[1:]:
            torch.testing.assert_close(one, found[0], rtol=1e-9, atol=1e-12)
    assert all("forward" not in vars(block) for block in anatomy.blocks)
    runs = []
    with recording([anatomy.written(0)]) as passed:
        upper.losses(anatomy)
        runs.append(passed[0].numel())
        whole.losses(anatomy)
        runs.append(passed[0].numel())
    assert runs[0] == 0 < runs[1]  # the first layer is not computed again


@pytest.mark.parametrize("family", LAYOUTS)
def test_rome_gives_the_averaged_key_its_value_and_leaves_no_trace(family: str, tokenizer: Any, tmp_path: Path) -> None:
    anatomy = Anatomy(tiny_of(family))
    before = {name: tensor.clone() for name, tensor in anatomy.model.state_dict().items()}
    local = local_of(anatomy, tokenizer, tmp_path)
    rome = METHODS["rome"].with_(layers=(1,), each=1, search=Search(steps=5))
    delta = rome.write(local, REWRITES[:1])
    assert all(torch.equal(before[name], tensor) for name, tensor in anatomy.model.state_dict().items())
    prefixes = local.prefixes.of(each=1, seed=rome.how.seed)
    local.overlay.put("edit", delta)
    now = rome.current(local, REWRITES[:1], prefixes, rome.how)
    torch.testing.assert_close(now, delta.kept["values"].double(), rtol=1e-4, atol=1e-4)
    local.overlay.take("edit")
    assert all(torch.equal(before[name], tensor) for name, tensor in anatomy.model.state_dict().items())


@pytest.mark.parametrize("family", [name for name, layout in LAYOUTS.items() if layout.plain])
def test_memit_moves_the_stream_to_its_values(family: str, tokenizer: Any, tmp_path: Path) -> None:
    anatomy = Anatomy(tiny_of(family))
    local = local_of(anatomy, tokenizer, tmp_path)
    memit = METHODS["memit_seq"].with_(layers=(0, 1), search=Search(steps=5, clamp=0.75))
    delta = memit.write(local, REWRITES)
    wanted = delta.kept["values"].double()
    before = memit.current(local, REWRITES, [""], memit.how)
    local.overlay.put("edit", delta)
    after = memit.current(local, REWRITES, [""], memit.how)
    local.overlay.clear()
    assert float((wanted - after).norm()) < 0.7 * float((wanted - before).norm())


@pytest.mark.parametrize("family", ["gemma2", "gemma3_text"])
def test_a_norm_behind_the_matrix_is_in_the_way_of_spreading(family: str, tokenizer: Any, tmp_path: Path) -> None:
    local = local_of(Anatomy(tiny_of(family)), tokenizer, tmp_path)
    with pytest.raises(UnsupportedModel, match="norm behind"):
        METHODS["memit"].write(local, REWRITES)


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe", "gpt_oss"])
def test_experts_are_refused(family: str) -> None:
    with pytest.raises(UnsupportedModel, match="a router decides which of them reads a token") as caught:
        Anatomy(tiny_of(family))
    assert caught.value.do == "keep the edits in memory, or take a model without experts"


def test_an_encoder_decoder_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="`t5` is an encoder-decoder") as caught:
        Anatomy(SimpleNamespace(config=SimpleNamespace(model_type="t5", is_encoder_decoder=True)))
    assert caught.value.do == "keep the edits in memory, or take a causal model"


def test_a_family_nobody_listed_says_what_to_give() -> None:
    model = tiny_of("stablelm")
    with pytest.raises(UnsupportedModel, match="stablelm") as caught:
        Anatomy(model)
    assert "Layout" in (caught.value.do or "")
    assert Anatomy(model, Layout("model.layers", "mlp.down_proj")).weight(0).shape == (WIDTH, INNER)
    with pytest.raises(UnsupportedModel, match=r"no `mlp\.nothing`"):
        Anatomy(model, Layout("model.layers", "mlp.nothing"))


def test_hooks_know_tuples_and_tensors() -> None:
    class Pair(torch.nn.Module):
        def forward(self, states: torch.Tensor) -> tuple[torch.Tensor, str]:
            return states + 1, "kept"

    pair, states = Pair(), torch.zeros(1, 2, 3)
    with recording([pair]) as found:
        pair(states)
    assert torch.equal(found[0], states + 1)
    with replacing(pair, lambda given: given * 10):
        changed, rest = pair(states)
    assert torch.equal(changed, torch.full_like(states, 10.0))
    assert rest == "kept"
    assert torch.equal(pair(states)[0], states + 1)


def test_a_pass_can_end_early() -> None:
    anatomy = Anatomy(tiny_of("llama"))
    with recording(list(anatomy.blocks)) as found, ending_at(anatomy.blocks[1]):
        anatomy.model(torch.tensor([[5, 6]]))
    assert [len(one) for one in found] == [1, 1, 0]


def test_a_models_hash_is_that_of_its_weights() -> None:
    model = tiny_of("llama")
    before = model_hash(model)
    weight = Anatomy(model).weight(2)
    kept = weight.clone()
    weight += 0.01
    assert model_hash(model) != before
    weight.copy_(kept)
    assert model_hash(model) == before
