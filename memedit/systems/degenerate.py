"""Degenerate knowledge neurons (AMIG; Chen et al. 2024, arXiv:2308.13198): a fact that several neurons store alike.

Architecture-adapted multilingual integrated gradients do not begin at zero but at what a neuron is where one token of
the prompt is replaced by the one that ends texts, averaged over the tokens. Two of the first neurons are degenerate
where the fact survives the loss of either and not the loss of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from memedit.eval.cases import Case
from memedit.parametric.hooks import recording
from memedit.parametric.layout import Anatomy
from memedit.parametric.method import frozen
from memedit.parametric.rewrites import read_tokens
from memedit.parametric.understanding.neurons import chance, neuron_scores, scaled
from memedit.systems.ground import Ground
from memedit.systems.registry import Finding

ALONE, TOGETHER, FIRST = 0.8, 0.75, 20
Pair = tuple[tuple[int, int], tuple[int, int]]
Known = tuple[str, str]
"""Prompt, and what the model says behind it."""


def spoiled_states(anatomy: Anatomy, tokenizer: Any, prompt: str) -> NDArray[np.float64]:
    """What each written matrix is given at the last token, each token in turn replaced, averaged, (layers, in)."""
    ids = torch.tensor([read_tokens(tokenizer, prompt, len(prompt)).ids], device=anatomy.device)
    rows = ids.repeat(ids.shape[1], 1)
    rows.fill_diagonal_(tokenizer.eos_token_id)
    modules = [anatomy.written(layer) for layer in range(len(anatomy))]
    with torch.no_grad(), recording(modules, inputs=True) as kept:
        anatomy.model(input_ids=rows, use_cache=False)
    last = [one.reshape(*rows.shape, -1)[:, -1].double().mean(0) for one in kept]
    return torch.stack(last).cpu().numpy()


def first_neurons(
    anatomy: Anatomy, tokenizer: Any, prompt: str, target: str, *, most: int = FIRST, steps: int = 20
) -> list[tuple[int, int]]:
    """The (layer, neuron) on which a target rests most, from that beginning."""
    scores = neuron_scores(
        anatomy, tokenizer, prompt, target, steps=steps, start=spoiled_states(anatomy, tokenizer, prompt)
    )
    order = np.argsort(-scores, axis=None)[:most]
    return [(int(layer), int(neuron)) for layer, neuron in zip(*np.unravel_index(order, scores.shape), strict=True)]


def degenerate_pairs(
    anatomy: Anatomy, tokenizer: Any, prompt: str, target: str, neurons: Sequence[tuple[int, int]], *,
    alone: float = ALONE, together: float = TOGETHER,
) -> list[Pair]:  # fmt: skip
    """Pairs of neurons of which each by itself can be suppressed and the target stays, and both together cannot.

    Args:
        anatomy: Of the model.
        tokenizer: Of the model.
        prompt, target: The fact.
        neurons: Those that are looked at.
        alone: Least share of p(target) that stays without either.
        together: Below which share it has to fall without both.
    """
    whole = chance(anatomy, tokenizer, prompt, target)

    def left(*without: tuple[int, int]) -> float:
        with scaled(anatomy, without, 0.0):
            return chance(anatomy, tokenizer, prompt, target) / whole

    spared = [one for one in neurons if left(one) >= alone]
    return [pair for pair in combinations(spared, 2) if left(*pair) < together]


def known(anatomy: Anatomy, tokenizer: Any, cases: Sequence[Case], most: int) -> list[Known]:
    """The first true facts whose first token the model says."""
    from memedit.parametric.measuring import likelihoods

    told = [
        (probe.prompt, probe.answers[0]) for case in cases for probe in case.probes if probe.kind == "neighbourhood"
    ]  # fmt: skip
    said = likelihoods(anatomy, tokenizer, told[: 40 * most])
    return [one for one, likely in zip(told, said, strict=False) if likely.matched[0]][:most]


def check(ground: Ground, facts: int = 4, most: int = 10, steps: int = 8) -> Finding:
    """Pairs among the first neurons of known facts, and among as many drawn ones; what the first ones carry."""
    anatomy, tokenizer = ground.parts
    drawn, pairs, others = np.random.default_rng(0), 0, 0
    lost: list[float] = []
    spared: list[float] = []
    chosen = known(anatomy, tokenizer, ground.cases, facts)
    with frozen(anatomy.model):
        for prompt, target in chosen:
            first = first_neurons(anatomy, tokenizer, prompt, target, most=most, steps=steps)
            random = [(layer, int(drawn.integers(anatomy.weight(0).shape[1]))) for layer, _ in first]
            pairs += len(degenerate_pairs(anatomy, tokenizer, prompt, target, first))
            others += len(degenerate_pairs(anatomy, tokenizer, prompt, target, random))
            whole = chance(anatomy, tokenizer, prompt, target)
            for neurons, kept in ((first, lost), (random, spared)):
                with scaled(anatomy, neurons, 0.0):
                    kept.append(chance(anatomy, tokenizer, prompt, target) / whole)
    figure = (
        f"{len(chosen)} known facts, first {most} neurons each: {pairs} degenerate pairs, {others} among as "
        f"many drawn neurons of the same layers; without all of the first ones p falls to {np.mean(lost):.0%}, without "
        f"the drawn ones to {np.mean(spared):.0%}"
    )
    return Finding(figure, pairs > others and float(np.mean(lost)) < float(np.mean(spared)), {"pairs": pairs})
