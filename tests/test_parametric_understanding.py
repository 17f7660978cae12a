"""Attribution, tracing and lens on tiny random models, each beside what it has to equal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from families import INNER, LAYERS, WORDS, tiny_of

from memedit.errors import MissingExtra
from memedit.parametric.layout import LAYOUTS, Anatomy
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.understanding.lens import lens, neuron_words
from memedit.parametric.understanding.neurons import chance, neuron_scores, scaled, shared_neurons
from memedit.parametric.understanding.plots import plot_lens, plot_lines, plot_neurons, plot_trace
from memedit.parametric.understanding.tracing import Traced, trace

REWRITE = Rewrite("one", "The sea of {} is", "Ada", "X")
FEW = ["falcon", "gpt2", "llama", "opt", "qwen3_5_text"]


@pytest.mark.parametrize("family", FEW)
def test_scores_of_a_layer_sum_to_what_its_neurons_change(family: str, tokenizer: Any) -> None:
    anatomy = Anatomy(tiny_of(family))
    scores = neuron_scores(anatomy, tokenizer, REWRITE.text, "X", steps=200)
    assert scores.shape == (LAYERS, anatomy.weight(0).shape[1])
    module, before = anatomy.written(1), chance(anatomy, tokenizer, REWRITE.text, "X")

    def silence(_module: Any, given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        states = given[0].clone()
        states.reshape(-1, states.shape[-1])[-1] = 0
        return (states,)

    handle = module.register_forward_pre_hook(silence)
    without = chance(anatomy, tokenizer, REWRITE.text, "X")
    handle.remove()
    assert scores[1].sum() == pytest.approx(before - without, rel=0.02, abs=1e-6)


def test_a_score_is_the_gradient_along_the_way(tokenizer: Any) -> None:
    anatomy = Anatomy(tiny_of("llama"))
    scores, module, small = neuron_scores(anatomy, tokenizer, REWRITE.text, "X", steps=100), anatomy.written(2), 1e-3
    neuron, summed = int(np.abs(scores[2]).argmax()), 0.0
    for step in range(100):
        ends = []
        for sign in (1, -1):

            def hook(_module: Any, given: tuple[torch.Tensor], share: float = (step + 0.5) / 100, s: int = sign) -> Any:
                states = given[0].clone()
                full = states[0, -1].clone()
                states[0, -1] = share * full
                states[0, -1, neuron] += s * small * full[neuron]
                return (states,)

            handle = module.register_forward_pre_hook(hook)
            ends.append(chance(anatomy, tokenizer, REWRITE.text, "X"))
            handle.remove()
        summed += (ends[0] - ends[1]) / (2 * small) / 100
    assert scores[2, neuron] == pytest.approx(summed, rel=0.05)


def test_suppressed_and_enhanced_neurons_move_the_chance_apart(tokenizer: Any) -> None:
    anatomy = Anatomy(tiny_of("llama"))
    scores = neuron_scores(anatomy, tokenizer, REWRITE.text, "X")
    found = shared_neurons([scores, scores], share=0.3)
    assert found
    assert all(scores[place] >= 0.3 * scores.max() for place in found)
    before = chance(anatomy, tokenizer, REWRITE.text, "X")
    with scaled(anatomy, found, 0.5):
        assert chance(anatomy, tokenizer, REWRITE.text, "X") < before
    with scaled(anatomy, found, 1.5):
        assert chance(anatomy, tokenizer, REWRITE.text, "X") > before
    assert chance(anatomy, tokenizer, REWRITE.text, "X") == before


@pytest.mark.parametrize("family", FEW)
def test_what_is_given_back_at_the_end_is_all(family: str, tokenizer: Any) -> None:
    anatomy = Anatomy(tiny_of(family))
    traced = trace(anatomy, tokenizer, REWRITE, samples=3)
    assert traced.effects.shape == (LAYERS, len(traced.tokens))
    assert "".join(traced.tokens) == REWRITE.text
    assert traced.clean == pytest.approx(chance(anatomy, tokenizer, REWRITE.text, "X"), rel=1e-5)
    assert traced.spoiled != pytest.approx(traced.clean, rel=1e-2)
    # Behind the last layer only the last token is read; what stands before the subject was never spoiled.
    assert traced.effects[-1, -1] == pytest.approx(traced.clean - traced.spoiled)
    assert np.allclose(traced.effects[-1, :-1], 0)
    assert np.allclose(traced.effects[:, : len("The sea of ")], 0)
    assert np.abs(traced.effects[0, len("The sea of ") : -1]).max() > 0


def test_no_noise_spoils_nothing_and_parts_are_traced_apart(tokenizer: Any) -> None:
    anatomy = Anatomy(tiny_of("llama"))
    still = trace(anatomy, tokenizer, REWRITE, noise=0.0, samples=2)
    assert still.spoiled == pytest.approx(still.clean)
    assert np.allclose(still.effects, 0)
    parts = [
        trace(anatomy, tokenizer, REWRITE, part=part, samples=2, window=3) for part in ("feed_forward", "attention")
    ]
    assert not np.allclose(parts[0].effects, parts[1].effects)


@pytest.mark.parametrize("family", LAYOUTS)
def test_the_lens_ends_with_what_the_model_says(family: str, tokenizer: Any) -> None:
    anatomy = Anatomy(tiny_of(family))
    logs = lens(anatomy, tokenizer, "Ada")
    assert logs.shape == (LAYERS, 3, WORDS)
    ids = tokenizer("Ada", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        own = anatomy.model(ids).logits[0]
    assert (logs[-1].argmax(-1) == own.argmax(-1).numpy()).all()
    assert np.allclose(np.exp(logs).sum(-1), 1, atol=1e-4)
    assert not np.allclose(logs[0], logs[-1])


def test_a_neuron_promotes_the_words_that_its_value_is_nearest_to(tokenizer: Any) -> None:
    anatomy = Anatomy(tiny_of("gpt2"))
    found = neuron_words(anatomy, tokenizer, 1, INNER - 1, most=3)
    head = anatomy.model.get_output_embeddings().weight
    logits = [float(row @ anatomy.weight(1)[:, INNER - 1]) for row in head]
    assert [logit for _, logit in found] == pytest.approx(sorted(logits, reverse=True)[:3], rel=1e-5)
    assert found[0][0] == tokenizer.decode([int(np.argmax(logits))])


def test_arrays_become_figures(tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anatomy = Anatomy(tiny_of("llama"))
    traced = Traced(np.arange(6.0).reshape(3, 2), 0.5, 0.1, ("a", " b"))
    figures = [
        plot_trace(traced), plot_neurons(neuron_scores(anatomy, tokenizer, "Ada is", "X", steps=2)),
        plot_lens(lens(anatomy, tokenizer, "Ada"), list("Ada"), 5),
        plot_lines({"subject": np.arange(3.0), "last": np.ones(3)}, "share lost", "The sea of Ada is X"),
    ]  # fmt: skip
    for place, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{place}.svg")
        assert (tmp_path / f"{place}.svg").stat().st_size > 1000
    assert [text.get_text() for text in figures[0].axes[0].get_yticklabels()] == ["a", " b"]
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match="matplotlib"):
        plot_trace(traced)
