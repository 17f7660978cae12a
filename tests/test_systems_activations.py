"""What is taken out of states and held in them, beside dense sums and what has to be least."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import INNER, tiny_of
from tiny import make_tiny

from memedit.parametric.hooks import recording
from memedit.parametric.layout import Anatomy
from memedit.systems import leace, promotion


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(make_tiny(tmp_path_factory.mktemp("tiny")))


def states(n: int = 800, width: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """States of different spread, correlated, in which two directions tell one of three classes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (n,), generator=generator)
    x = torch.randn(n, width, generator=generator, dtype=torch.float64) * torch.linspace(0.2, 3, width).double()
    x = x @ torch.randn(width, width, generator=generator, dtype=torch.float64)
    x[:, 0] += 2.0 * labels
    x[:, 3] -= 4.0 * (labels == 1)
    return x + 5, labels


def test_no_linear_probe_is_left_and_nothing_moves_further() -> None:
    x, labels = states()
    z = torch.nn.functional.one_hot(labels, 3).double()
    eraser = leace.fit(x, z)
    assert eraser.left.shape == (12, 2)
    away = eraser(x)
    centred, told = away - away.mean(0), z - z.mean(0)
    assert float((centred.T @ told / len(x)).abs().max()) < 1e-9
    assert torch.allclose(eraser(away), away)
    assert torch.allclose(eraser.right @ eraser.left, torch.eye(2).double())
    assert torch.allclose(away.mean(0), x.mean(0))
    assert leace.probe(x, labels, x, labels) > 0.6
    majority = float(torch.bincount(labels).max()) / len(x)
    assert leace.probe(away, labels, away, labels) <= majority + 0.01
    # Of all maps that leave no covariance with the concept, it moves the states least.
    moved, cov = float((away - x).square().sum()), (x - x.mean(0)).T @ told / len(x)
    basis = torch.linalg.svd(cov)[0]
    span, kernel = basis[:, :2], basis[:, 2:]
    generator = torch.Generator().manual_seed(1)
    for _ in range(100):
        oblique = span + kernel @ torch.randn(10, 2, generator=generator, dtype=torch.float64) * 0.3
        projector = span @ torch.linalg.solve(oblique.T @ span, oblique.T)
        other = x - (x - x.mean(0)) @ projector.T
        assert float(((other - other.mean(0)).T @ told).abs().max()) < 1e-6
        assert float((other - x).square().sum()) >= moved - 1e-6


def test_it_is_the_closed_form_of_the_paper() -> None:
    x, labels = states()
    eraser = leace.fit(x, labels)
    mean = x.mean(0)
    cov = (x - mean).T @ (x - mean) / len(x)
    values, vectors = torch.linalg.eigh(cov)
    white, coloured = (vectors @ torch.diag(values**power) @ vectors.T for power in (-0.5, 0.5))
    told = white @ ((x - mean).T @ (labels.double() - labels.double().mean()))
    unit = told / told.norm()
    dense = x - (x - mean) @ (coloured @ torch.outer(unit, unit) @ white).T
    assert torch.allclose(eraser(x), dense, atol=1e-8)


def test_dimensions_without_spread_do_no_harm() -> None:
    x, labels = states()
    flat = torch.cat([x, torch.zeros(len(x), 2).double(), x[:, :1]], dim=1)
    away = leace.fit(flat, labels)(flat)
    assert bool(away.isfinite().all())
    assert torch.equal(away[:, 12:14], flat[:, 12:14])


def test_an_eraser_lies_over_a_block_while_it_lasts(tokenizer: Any) -> None:
    anatomy = Anatomy(tiny_of("llama"))
    texts = [f"Is {n} a number?" if n % 2 else f"{n} is a number." for n in range(60)]
    found = leace.token_states(anatomy, tokenizer, 1, texts)
    rows = torch.cat(found)
    labels = torch.cat([torch.full((len(one),), n % 2) for n, one in enumerate(found)])
    eraser = leace.fit(rows, labels)
    ids = tokenizer(texts[0], return_tensors="pt")["input_ids"]

    def at(block: int) -> torch.Tensor:
        with torch.no_grad(), recording([anatomy.blocks[block]]) as kept:
            anatomy.model(ids)
        return kept[0][0]

    before, last = at(1), at(2)
    with eraser.over(anatomy, 1):
        assert torch.allclose(at(1), eraser(before))
        assert not torch.allclose(at(2), last)
    assert torch.equal(at(2), last)
    assert leace.drawn(eraser).left.shape == eraser.left.shape


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt"])
def test_values_sum_to_what_the_layer_gives(family: str, tokenizer: Any) -> None:
    anatomy = Anatomy(tiny_of(family))
    activations, each = promotion.summands(anatomy, tokenizer, "The sea is", 1)
    assert each.shape == (INNER, anatomy.weight(1).shape[0])
    ids = tokenizer("The sea is", return_tensors="pt")["input_ids"]
    with torch.no_grad(), recording([anatomy.written(1)]) as kept:
        anatomy.model(ids)
    bias = anatomy.written(1).bias
    given = kept[0].reshape(ids.shape[1], -1)[-1] - (0 if bias is None else bias)
    assert torch.allclose(each.sum(0), given)
    by_hand = sum(activations[neuron] * anatomy.weight(1)[:, neuron] for neuron in range(INNER))
    assert torch.allclose(each.sum(0), by_hand)


def test_held_neurons_raise_their_words_and_only_while_it_lasts(tokenizer: Any) -> None:
    anatomy = Anatomy(tiny_of("llama"))
    words = ("q",)
    tokens = promotion.topic_tokens(tokenizer, words)
    assert len(tokens) == 1
    neurons = promotion.nearest(anatomy, tokenizer, words, most=6, activation=50.0, above=0.0)
    head = anatomy.model.get_output_embeddings().weight.detach()
    wanted = head[tokens].float().mean(0) - head.float().mean(0)
    for one in neurons:
        value = anatomy.weight(one.layer)[:, one.neuron].float()
        assert (float(value @ wanted) > 0) == (one.activation > 0)
    best = max(
        abs(float(torch.cosine_similarity(anatomy.weight(layer)[:, n].float(), wanted, dim=0)))
        for layer in range(3) for n in range(INNER)
    )  # fmt: skip
    first = neurons[0]
    own = torch.cosine_similarity(anatomy.weight(first.layer)[:, first.neuron].float(), wanted, dim=0)
    assert abs(float(own)) == pytest.approx(best)
    prompts = ["The sea is", "A boat"]
    before = promotion.log_odds(anatomy, tokenizer, prompts, words)
    last = [one for one in neurons if one.layer == 2] or neurons
    with promotion.promoting(anatomy, last):
        assert promotion.log_odds(anatomy, tokenizer, prompts, words) > before
    assert promotion.log_odds(anatomy, tokenizer, prompts, words) == before
