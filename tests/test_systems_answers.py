"""Three contexts, adapters behind a gate, and the checks that many methods share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_tiny

from memedit import EditMemory, Fact
from memedit.parametric.measuring import likelihoods
from memedit.parametric.understanding.neurons import neuron_scores
from memedit.systems import inside, plugs, writing
from memedit.systems.contexts import in_prompt, in_three_contexts
from memedit.systems.ground import Ground
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

FACTS = [
    Fact(id="a", subject="Quillon", prompt="The capital of {} is", object="Paris"),
    Fact(id="b", subject="Velden", prompt="The river of {} is", object="Rhine"),
]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(f"hf:{make_tiny(tmp_path_factory.mktemp('tiny'))}", tmp_path_factory.mktemp("cache"))


def told(relevant: bool, foreign: bool) -> object:
    """Answers of a model that takes relevant context, or any, or none."""

    def answers(questions: Sequence[str], context: Sequence[Fact | None]) -> Sequence[str]:
        said = []
        for question, fact in zip(questions, context, strict=True):
            bears = fact is not None and fact.cloze == question
            said.append(str(fact.object) if fact and (relevant if bears else foreign) else "nothing")
        return said

    return answers


def test_following_ignoring_and_staying_are_told_apart() -> None:
    good = in_three_contexts(FACTS, told(True, False))  # type: ignore[arg-type]
    assert (good.follows, good.ignores, good.unchanged, good.by_itself) == (1, 1, 1, 0)
    credulous = in_three_contexts(FACTS, told(True, True))  # type: ignore[arg-type]
    assert (credulous.follows, credulous.ignores, credulous.unchanged) == (1, 0, 0)
    deaf = in_three_contexts(FACTS, told(False, False))  # type: ignore[arg-type]
    assert (deaf.follows, deaf.unchanged) == (0, 1)


def test_a_context_stands_before_the_question() -> None:
    llm = FakeLLM(lambda prompt: prompt)
    said = in_prompt(llm)(["Who?", "Who?"], [FACTS[0], None])
    assert said == ["The capital of Quillon is Paris\nWho?", "Who?"]


def test_adapters_answer_their_own_namespace_and_nothing_else(ground: Ground) -> None:
    memory = EditMemory(embedder=HashEmbedder(), finder=None, languages=None, judge=None)
    for fact, name in zip(FACTS, "ab", strict=True):
        memory.add(fact, namespace=name)
    found = plugs.Plugs(ground.local, memory, NamedGate(), {})
    for name in "ab":
        found.learn(name, steps=60)
    mine, foreign = [("The capital of Quillon is", "Paris")], [("The river of Velden is", "Rhine")]
    parts = ground.parts
    for pairs, own, other in ((mine, "a", "b"), (foreign, "b", "a")):
        bare = likelihoods(*parts, pairs)
        assert found.selected([pairs[0][0]], own) == [True]
        assert found.likelihoods(pairs, own)[0].logprob > bare[0].logprob + 1
        assert found.likelihoods(pairs, other) == bare
        assert found.likelihoods(pairs, "nobody") == bare
    assert not ground.local.overlay.names


@pytest.mark.parametrize("method", ["ft_m", "grace"])
def test_the_check_of_what_writes_reads_the_model_before_and_after(ground: Ground, method: str) -> None:
    found = writing.check(ground, method, edits=2, near=1)
    assert set(found.more) == {"before", "after", "perplexity"}
    assert ("bit by bit" in found.figure) == (method == "grace")
    if method == "ft_m":
        assert found.more["perplexity"] != 0
    assert not ground.local.overlay.names


def test_neurons_that_carry_a_fact_are_found_and_drawn_ones_are_not(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shares are those of brute force, and the found neurons move the facts."""
    facts = [("The sea is", "b"), ("The sky is", "x"), ("A boat was", "q")]
    monkeypatch.setattr(inside, "known", lambda *_: facts)
    anatomy, tokenizer = ground.parts
    module = [anatomy.written(layer) for layer in range(len(anatomy))]

    def by_hand(prompt: str, target: str, neurons: Sequence[tuple[int, int]], factor: float) -> float:
        def hook(layer: int) -> Callable[[Any, tuple[torch.Tensor]], tuple[torch.Tensor]]:
            times = torch.ones(anatomy.weight(layer).shape[1])
            for at, neuron in neurons:
                if at == layer:
                    times[neuron] = factor
            return lambda _module, given: (given[0] * times,)

        handles = [one.register_forward_pre_hook(hook(layer)) for layer, one in enumerate(module)]
        with torch.no_grad():
            said = anatomy.model(**tokenizer(prompt, return_tensors="pt")).logits[0, -1].softmax(-1)
        for handle in handles:
            handle.remove()
        return float(said[tokenizer(f" {target}")["input_ids"][0]])

    moved = []
    for prompt, target in facts:
        order = np.argsort(-neuron_scores(anatomy, tokenizer, prompt, target, steps=20), axis=None)[:5]
        first = [divmod(int(one), anatomy.weight(0).shape[1]) for one in order]
        moved.append(
            by_hand(prompt, target, first, 0.0) < by_hand(prompt, target, [], 1.0) < by_hand(prompt, target, first, 2.0)
        )
    found = inside.neurons(ground, facts=3, most=5, steps=20)
    assert found.more["found"] == pytest.approx(sum(moved) / 3)
    assert found.more["found"] == 1 > found.more["drawn"]
    assert found.met
    monkeypatch.setattr(inside, "scaled", lambda *_: nullcontext())
    idle = inside.neurons(ground, facts=3, most=5, steps=20)
    assert (idle.more["found"], idle.met) == (0, False)
