"""Laplace repair and degenerate neurons, beside refits and brute force."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from families import INNER, LAYERS, tiny_of
from tiny import make_tiny

from memedit.parametric.layout import Anatomy
from memedit.parametric.understanding.neurons import chance, neuron_scores, scaled
from memedit.systems.degenerate import degenerate_pairs, first_neurons, spoiled_states
from memedit.systems.laplace import Examples, Head, blame, fitted, forgotten, repair


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(make_tiny(tmp_path_factory.mktemp("tiny")))


def clouds(n: int = 200, seed: int = 0, width: int = 5) -> Examples:
    drawn = np.random.default_rng(seed)
    labels = (drawn.random(n) < 0.5).astype(float)
    features = drawn.normal(size=(n, width)) + 1.2 * labels[:, None]
    return Examples(np.hstack([features, np.ones((n, 1))]), labels)


def loss(theta: np.ndarray, data: Examples, ridge: float = 1.0) -> float:
    margin = (2 * data.labels - 1) * (data.features @ theta)
    return float(np.logaddexp(0, -margin).sum() + 0.5 * ridge * theta @ theta)


def test_the_head_is_at_its_optimum_and_its_hessian_is_exact() -> None:
    data = clouds()
    head, small = fitted(data), 1e-4
    ways = np.eye(6) * small
    slope = [(loss(head.weights + way, data) - loss(head.weights - way, data)) / (2 * small) for way in ways]
    assert np.abs(slope).max() < 1e-5
    for row, one in enumerate(ways):
        for column, other in enumerate(ways):
            corner = [loss(head.weights + a * one + b * other, data) for a in (1, -1) for b in (1, -1)]
            second = (corner[0] - corner[1] - corner[2] + corner[3]) / (4 * small**2)
            assert second == pytest.approx(head.hessian[row, column], rel=1e-3, abs=1e-3)


def test_blame_is_what_leaving_each_out_gives() -> None:
    data, failures = clouds(80), clouds(30, seed=5)
    head = fitted(data)
    scores = blame(head, data, failures)

    def told(one: Head) -> float:
        chances = one.chances(failures.features)
        return float(np.log(np.where(failures.labels > 0.5, chances, 1 - chances)).sum())

    everywhere = np.arange(80)
    apart = [told(fitted(data.only(everywhere != place), start=head.weights)) - told(head) for place in everywhere]
    assert np.corrcoef(scores, apart)[0, 1] >= 0.95


def test_what_is_forgotten_is_as_if_it_had_never_been_there() -> None:
    data = clouds(300)
    cause = np.arange(20)
    head = fitted(data)
    step, again = forgotten(head, data.only(cause)), fitted(data.only(np.arange(300) >= 20))
    assert np.linalg.norm(step.weights - again.weights) < 0.1 * np.linalg.norm(head.weights - again.weights)


def test_flipped_labels_are_found_and_the_repair_is_a_refit() -> None:
    data, later = clouds(600), clouds(400, seed=9)
    ones = np.flatnonzero(data.labels == 1)
    wrong = ones[: round(0.15 * len(ones))]
    spoiled = Examples(data.features, data.labels.copy())
    spoiled.labels[wrong] = 0
    head = fitted(spoiled)
    failures = later.only((head.chances(later.features) > 0.5) != (later.labels > 0.5))
    done = repair(head, spoiled, failures, len(wrong))
    precision = len(set(done.cause.tolist()) & set(wrong.tolist())) / len(wrong)
    assert precision > 3 * len(wrong) / len(data.labels)
    again = fitted(spoiled.only(np.setdiff1d(np.arange(600), done.cause)))
    assert abs(done.head.accuracy(later) - again.accuracy(later)) <= 0.01
    assert done.head.accuracy(failures) > head.accuracy(failures)


def test_scores_from_a_beginning_sum_to_what_lies_between(tokenizer: Any) -> None:
    anatomy, prompt = Anatomy(tiny_of("llama")), "The sea of Ada is"
    start = spoiled_states(anatomy, tokenizer, prompt)
    assert start.shape == (LAYERS, INNER)
    scores = neuron_scores(anatomy, tokenizer, prompt, "X", steps=200, start=start)

    def begin(_module: Any, given: Any) -> Any:
        import torch

        states = given[0].clone()
        states.reshape(-1, states.shape[-1])[-1] = torch.from_numpy(start[1])
        return (states,)

    whole = chance(anatomy, tokenizer, prompt, "X")
    handle = anatomy.written(1).register_forward_pre_hook(begin)
    begun = chance(anatomy, tokenizer, prompt, "X")
    handle.remove()
    assert scores[1].sum() == pytest.approx(whole - begun, rel=0.02, abs=1e-6)
    assert not np.allclose(scores, neuron_scores(anatomy, tokenizer, prompt, "X", steps=200), rtol=0.1)


def test_pairs_are_those_of_brute_force(tokenizer: Any) -> None:
    anatomy, prompt = Anatomy(tiny_of("llama")), "The sea of Ada is"
    first = first_neurons(anatomy, tokenizer, prompt, "X", most=8, steps=10)
    scores = neuron_scores(anatomy, tokenizer, prompt, "X", steps=10, start=spoiled_states(anatomy, tokenizer, prompt))
    assert scores[first[0]] == scores.max()
    limits = {"alone": 0.9, "together": 0.95}
    found = degenerate_pairs(anatomy, tokenizer, prompt, "X", first, **limits)
    whole, wanted = chance(anatomy, tokenizer, prompt, "X"), []
    for one, other in combinations(first, 2):
        left = []
        for without in ([one], [other], [one, other]):
            with scaled(anatomy, without, 0.0):
                left.append(chance(anatomy, tokenizer, prompt, "X") / whole)
        if left[0] >= 0.9 and left[1] >= 0.9 and left[2] < 0.95:
            wanted.append((one, other))
    assert found == wanted
    assert found
    assert not degenerate_pairs(anatomy, tokenizer, prompt, "X", first, together=0.0)
