"""Layers beside a frozen model: REMEDI's map, PlugLM's memory, Backpack's senses, each beside explicit sums."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny import make_tiny
from transformers import GPT2Config, GPT2Model

from memedit.errors import UnsupportedModel
from memedit.parametric.hooks import recording
from memedit.parametric.reading import right_padded
from memedit.parametric.rewrites import Rewrite
from memedit.systems import backpack, backpack_published, plug_lm, remedi
from memedit.systems.ground import Ground

PAIRS = [
    (Rewrite("one", "The sea of {} is", "Quillon", "XY"), "q"), (Rewrite("two", "{} was a", "Ada Verne", "Z"), "p"),
    (Rewrite("three", "The sky of {} is so", "Bo", "W"), "r"),
]  # fmt: skip


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(f"hf:{make_tiny(tmp_path_factory.mktemp('tiny'))}", tmp_path_factory.mktemp("cache"))


def test_a_direction_is_added_at_the_subject_alone(ground: Ground) -> None:
    local, draw = ground.local, torch.Generator().manual_seed(0)
    told = remedi.Asked.of(local, PAIRS)
    directions = torch.randn(3, 32, generator=draw)
    with torch.no_grad(), recording([local.anatomy.blocks[0]]) as kept:
        before = told.said(local)
        plain = kept[0]
    with (
        torch.no_grad(),
        remedi.added(local.anatomy, 0, told.subjects, directions),
        recording([local.anatomy.blocks[1]], inputs=True) as given,
    ):
        after = told.said(local)
    for row, (place, direction) in enumerate(zip(told.subjects.tolist(), directions, strict=True)):
        for token in range(told.ids.shape[1]):
            wanted = plain[row, token] + (direction if token == place else 0)
            assert torch.allclose(given[0][row, token], wanted, atol=1e-6)
        text = PAIRS[row][0].text
        alone = torch.tensor([local.tokenizer(text)["input_ids"]])
        with torch.no_grad(), remedi.added(local.anatomy, 0, told.subjects[row : row + 1], direction[None]):
            single = local.anatomy.model(alone).logits[0].log_softmax(-1)  # no padding
        assert torch.allclose(after[row, : alone.shape[1]], single, atol=1e-4)
        assert torch.allclose(after[row, :place], before[row, :place], atol=1e-5)


def test_an_attribute_is_the_mean_of_its_tokens(ground: Ground) -> None:
    local = ground.local
    found = remedi.attributes(local, [one for one, _ in PAIRS], 1)
    for row, (one, _) in enumerate(PAIRS):
        ids = torch.tensor([local.tokenizer(f"{one.text} {one.target}")["input_ids"]])
        with torch.no_grad(), recording([local.anatomy.blocks[1]]) as kept:
            local.anatomy.model(ids)
        assert torch.allclose(found[row], kept[0][0, len(one.text) :].mean(0), atol=1e-5)


def test_a_map_is_learnt_and_the_model_is_as_it_was(ground: Ground) -> None:
    local = ground.local
    before = {name: one.clone() for name, one in local.anatomy.model.state_dict().items()}
    told = remedi.Asked.of(local, PAIRS)
    mapped = remedi.trained(local, PAIRS, 0, steps=30, rate=0.05)
    attributes = remedi.attributes(local, [one for one, _ in PAIRS], 0)
    rows = torch.arange(3)
    with torch.no_grad():
        bare = told.said(local)[rows, told.ends, told.new]
        with remedi.added(local.anatomy, 0, told.subjects, mapped(attributes)):
            moved = told.said(local)[rows, told.ends, told.new]
    assert bool((moved > bare).all())
    assert remedi.efficacy(local, mapped, PAIRS) >= remedi.efficacy(local, None, PAIRS)
    assert all(torch.equal(before[name], one) for name, one in local.anatomy.model.state_dict().items())
    assert torch.allclose(mapped(attributes), attributes @ mapped.weight.T + mapped.bias)


def test_a_memory_layer_is_its_explicit_sum_and_nothing_without_rows() -> None:
    torch.manual_seed(0)
    usual = torch.randn(9, 8) * 3 + 1
    plug, mean, spread = plug_lm.Plug(8, asked=4, usual=usual), usual.mean(0), usual.std(0)
    rows = plug_lm.Rows(torch.randn(7, 8), torch.randn(7, 8))
    states = torch.randn(2, 3, 8)
    with torch.no_grad():
        made = plug(states, rows)
        for text in range(2):
            for token in range(3):
                so_far = states[text, 1 : token + 1].mean(0) if token else torch.zeros(8)  # but the first one
                asked = plug.query @ ((so_far - mean) / spread)
                keys = [plug.key @ ((one - mean) / spread) for one in rows.keys]
                cosines = [float(torch.cosine_similarity(asked, one, dim=0)) for one in keys]
                near = sorted(range(7), key=lambda one: -cosines[one])[:5]
                weights = torch.tensor([float(plug.sharp) * cosines[one] for one in near] + [float(plug.nothing)])
                share = weights.softmax(0)
                given = sum(share[at] * (plug.value @ rows.values[one]) for at, one in enumerate(near))
                assert torch.allclose(made[text, token], states[text, token] + given, atol=1e-5)
        none = rows.without(range(7))
        assert plug(states, none) is states
        few = rows.without([0, 1, 2, 3])
        assert plug(states, few).shape == states.shape
        assert len(few.and_(rows).keys) == 10


def test_rows_are_put_in_and_taken_out_without_training(ground: Ground) -> None:
    local = ground.local
    told = remedi.Asked.of(local, PAIRS)
    plug = plug_lm.trained(local, PAIRS, 0, steps=20, batch=2, rate=0.05)
    rows = plug_lm.rows_of(local, [one for one, _ in PAIRS], 0)
    with torch.no_grad():
        bare = told.said(local)
        with plug.beside(local.anatomy, 0, rows):
            present = told.said(local)
        with plug.beside(local.anatomy, 0, rows.without(range(3))):
            assert torch.equal(told.said(local), bare)
    places = torch.arange(3)
    gained = (present - bare)[places, told.ends, told.new]
    assert float(gained.mean()) > 0
    assert torch.equal(local.anatomy.model(told.ids, attention_mask=told.mask).logits.log_softmax(-1), bare)


def test_a_backpack_is_a_sum_of_senses_and_linear_in_them(ground: Ground) -> None:
    torch.manual_seed(0)
    anatomy, tokenizer = ground.parts
    made = backpack.Backpack(anatomy, senses=4, inner=8).eval()
    ids, mask = right_padded(anatomy, [tokenizer("Ada sea")["input_ids"], tokenizer("Bo")["input_ids"]], tokenizer)
    head = anatomy.model.get_output_embeddings().weight.detach()
    with torch.no_grad(), recording([anatomy.model.model.norm]) as kept:
        logits = made(ids, mask)
        weights, senses = made.weights(kept[0]), made.sense(ids)
        assert torch.allclose(weights.sum(-1), torch.ones_like(weights[..., 0]), atol=1e-5)
        assert float(weights.triu(1).abs().max()) == 0  # causal
        for token in range(4):
            summed = torch.zeros(32)
            for sense in range(4):
                for other in range(token + 1):
                    summed += weights[0, sense, token, other] * senses[0, other, sense]
            assert torch.allclose(logits[0, token], head @ summed, atol=1e-4)
        word, sense, factor = int(ids[0, 0]), 1, 2.5
        factors = torch.ones(head.shape[0], 4)
        factors[word, sense] = factor
        wanted = logits.clone()
        for row in range(2):
            for token in range(ids.shape[1]):
                for other in range(token + 1):
                    if int(ids[row, other]) == word:
                        part = weights[row, sense, token, other] * senses[row, other, sense]
                        wanted[row, token] += (factor - 1) * (head @ part)
        with made.edited(backpack.Senses(factors)):
            assert torch.allclose(made(ids, mask), wanted, atol=1e-4)
        assert torch.equal(made(ids, mask), logits)


def test_a_backpack_learns_to_foretell_and_its_model_stays(ground: Ground) -> None:
    anatomy, tokenizer = ground.parts
    before = {name: one.clone() for name, one in anatomy.model.state_dict().items()}
    texts = ["The sea is wide and the sea is deep."] * 4
    first = backpack.trained(anatomy, tokenizer, texts, senses=2, steps=0)
    after = backpack.trained(anatomy, tokenizer, texts, senses=2, steps=40, rate=0.01)
    told = [backpack.perplexity(one, tokenizer, texts) for one in (first, after)]
    assert told[1] < 0.8 * told[0]
    assert all(torch.equal(before[name], one) for name, one in anatomy.model.state_dict().items())
    change = after.topic([tokenizer(" q")["input_ids"][-1]], most=5)
    assert int((change.factors != 1).sum()) == 5


def published(folder: Path, *, width: int = 16, senses: int = 4, words: int = 40) -> dict[str, torch.Tensor]:
    """Small weights, named and shaped as the published ones."""
    draw = torch.Generator().manual_seed(0)
    config = {"model_type": "backpack-gpt2", "vocab_size": words, "n_positions": 16, "n_embd": width, "n_layer": 2}
    config |= {"n_head": 2, "num_senses": senses, "scale_attn_by_inverse_layer_idx": True, "resid_pdrop": 0.0}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    def layer(name: str, into: int, out: int) -> dict[str, torch.Tensor]:
        return {
            f"{name}.weight": torch.randn(into, out, generator=draw),
            f"{name}.bias": torch.randn(out, generator=draw),
        }

    held = {
        f"backpack.gpt2_model.{name}": torch.randn(one.shape, generator=draw) * 0.3
        for name, one in GPT2Model(GPT2Config(**config)).state_dict().items()
    }
    for norm in ("ln", "block.ln_1", "block.ln_2"):
        held |= layer(f"backpack.sense_network.{norm}", width, width)
        held[f"backpack.sense_network.{norm}.weight"] = torch.rand(width, generator=draw)
    held |= layer("backpack.sense_network.block.mlp.c_fc", width, 4 * width)
    held |= layer("backpack.sense_network.block.mlp.c_proj", 4 * width, width)
    held |= layer("backpack.sense_network.final_mlp.c_fc", width, 4 * width)
    held |= layer("backpack.sense_network.final_mlp.c_proj", 4 * width, senses * width)
    held |= {
        f"backpack.{name}": one.T.contiguous()
        for name, one in layer("sense_weight_net.c_attn", width, 2 * width).items()
    }
    save_file(held, folder / "model.safetensors")
    return held


def test_the_published_backpack_is_read_from_its_folder(tmp_path: Path) -> None:
    held = published(tmp_path)
    made = backpack_published.Published.load(tmp_path)
    ids = torch.tensor([[3, 7, 3, 21]])
    gelu = torch.nn.GELU(approximate="tanh")
    words = held["backpack.gpt2_model.wte.weight"]

    def part(name: str) -> torch.Tensor:
        return held[f"backpack.sense_network.{name}"]

    def normed(name: str, given: torch.Tensor) -> torch.Tensor:
        centred = given - given.mean()
        return centred / (centred.pow(2).mean() + 1e-5).sqrt() * part(f"{name}.weight") + part(f"{name}.bias")

    def through(name: str, given: torch.Tensor) -> torch.Tensor:
        inner = gelu(part(f"{name}.c_fc.weight").T @ given + part(f"{name}.c_fc.bias"))
        return part(f"{name}.c_proj.weight").T @ inner + part(f"{name}.c_proj.bias")

    with torch.no_grad():
        states = made.contexts(ids, torch.ones_like(ids))[0]
        asked = (
            states @ held["backpack.sense_weight_net.c_attn.weight"].T + held["backpack.sense_weight_net.c_attn.bias"]
        )
        for token in range(4):
            summed = torch.zeros(16)
            for sense in range(4):
                of = slice(4 * sense, 4 * sense + 4)
                scores = torch.stack([asked[token, :16][of] @ asked[other, 16:][of] / 2 for other in range(token + 1)])
                for other, share in enumerate(scores.softmax(0)):
                    first = words[ids[0, other]]
                    first = first + normed("ln", first)
                    first = first + through("block.mlp", normed("block.ln_1", first))
                    summed += share * through("final_mlp", normed("block.ln_2", first))[16 * sense : 16 * sense + 16]
            assert torch.allclose(made(ids, torch.ones_like(ids))[0, token], words @ summed, rtol=1e-3, atol=1e-2)
        before = made(ids, torch.ones_like(ids))
        with made.edited(made.topic([5], most=20)):
            assert not torch.equal(made(ids, torch.ones_like(ids)), before)
        assert torch.equal(made(ids, torch.ones_like(ids)), before)


@pytest.mark.parametrize("lacking", ["config.json", "model.safetensors", "sense_network"])
def test_a_folder_that_holds_no_backpack_is_named(tmp_path: Path, lacking: str) -> None:
    held = published(tmp_path)
    if lacking.endswith(("json", "safetensors")):
        (tmp_path / lacking).unlink()
    else:
        save_file({name: one for name, one in held.items() if lacking not in name}, tmp_path / "model.safetensors")
    with pytest.raises(UnsupportedModel, match="holds no Backpack"):
        backpack_published.Published.load(tmp_path)
