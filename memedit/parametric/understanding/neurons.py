"""Knowledge neurons (Dai et al. 2022, arXiv:2104.08696): on which inner neurons a token rests.

A neuron is an input of a written matrix; its score is its integrated gradient: what its activation contributes to the
probability of the token as all neurons of its layer are raised together from zero to what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from memedit.parametric.hooks import recording
from memedit.parametric.layout import Anatomy
from memedit.parametric.method import frozen
from memedit.parametric.rewrites import read_tokens

STEPS, ROWS = 20, 16
Neurons = Sequence[tuple[int, int]]
"""(layer, neuron)."""


def neuron_scores(
    anatomy: Anatomy, tokenizer: Any, prompt: str, target: str, *, steps: int = STEPS,
    start: np.ndarray[Any, np.dtype[np.float64]] | None = None,
) -> np.ndarray[Any, np.dtype[np.float64]]:  # fmt: skip
    """The score of every neuron at the last token of a prompt, for the first token of what follows, (layers, in).

    A layer's scores sum to p(token) less what it is with the layer's neurons at zero there, the better the more steps.

    Args:
        anatomy: Of the model.
        tokenizer: Of the model.
        prompt: What is read.
        target: What follows, without its leading blank.
        steps: In which activations are raised (midpoints).
        start: From where, (layers, in); zero when left out.
    """
    ids, token = _read(anatomy, tokenizer, prompt, target)
    modules = [anatomy.written(layer) for layer in range(len(anatomy))]
    with frozen(anatomy.model), torch.no_grad(), recording(modules, inputs=True) as kept:
        anatomy.model(input_ids=ids, use_cache=False)
    shares = (torch.arange(steps, device=anatomy.device, dtype=kept[0].dtype) + 0.5) / steps
    found = []
    for layer, (module, states) in enumerate(zip(modules, kept, strict=True)):
        full = states.reshape(ids.shape[1], -1)[-1]
        begin = torch.zeros_like(full) if start is None else torch.from_numpy(start[layer]).to(full)
        summed = torch.zeros_like(full, dtype=torch.float64)
        for chunk in torch.split(shares, ROWS):
            raised = torch.lerp(begin, full, chunk[:, None]).requires_grad_(True)
            with frozen(anatomy.model), _given(module, ids.shape[1], raised):
                run = anatomy.model(input_ids=ids.expand(len(chunk), -1), use_cache=False, logits_to_keep=1)
            chance = run.logits[:, -1].float().softmax(-1)[:, token].sum()
            summed += torch.autograd.grad(chance, raised)[0].double().sum(0)
        found.append(((full - begin).double() * summed / steps).cpu().numpy())
    return np.stack(found)


def shared_neurons(
    scores: Sequence[np.ndarray[Any, np.dtype[np.float64]]], *, share: float = 0.2, among: float = 0.7
) -> list[tuple[int, int]]:
    """The (layer, neuron) with at least a share of the largest score, in so many of several prompts of one fact.

    Args:
        scores: One `neuron_scores` a prompt.
        share: Of the largest score of the prompt.
        among: Share of the prompts.
    """
    votes = np.mean([one >= share * one.max() for one in scores], axis=0)
    return [(int(layer), int(neuron)) for layer, neuron in np.argwhere(votes >= among)]


@contextmanager
def scaled(anatomy: Anatomy, neurons: Neurons, factor: float) -> Iterator[None]:
    """While it lasts, some neurons are `factor` times as active at every token: 0 suppresses, 2 enhances."""
    by_layer: dict[int, list[int]] = {}
    for layer, neuron in neurons:
        by_layer.setdefault(layer, []).append(neuron)
    handles = []
    try:
        for layer, ones in by_layer.items():
            handles.append(anatomy.written(layer).register_forward_pre_hook(_scaling(ones, factor)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def chance(anatomy: Anatomy, tokenizer: Any, prompt: str, target: str) -> float:
    """The probability of the first token of what follows a prompt."""
    ids, token = _read(anatomy, tokenizer, prompt, target)
    with torch.no_grad():
        logits = anatomy.model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[0, -1]
    return float(logits.float().softmax(-1)[token])


def _scaling(neurons: Sequence[int], factor: float) -> Callable[[Any, tuple[Any, ...]], tuple[Any, ...]]:
    def hook(_module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        states = given[0].clone()
        states[..., list(neurons)] *= factor
        return (states, *given[1:])

    return hook


@contextmanager
def _given(module: Any, tokens: int, states: torch.Tensor) -> Iterator[None]:
    """While it lasts, the module is given these states, (rows, in), at the last token of each row."""

    def hook(_module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        shaped = given[0].reshape(-1, tokens, given[0].shape[-1])
        last = states[:, None].to(shaped.dtype)
        return (torch.cat([shaped[:, :-1], last], dim=1).reshape(given[0].shape), *given[1:])

    handle = module.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _read(anatomy: Anatomy, tokenizer: Any, prompt: str, target: str) -> tuple[torch.Tensor, int]:
    read = read_tokens(tokenizer, prompt, len(prompt), f" {target}")
    return torch.tensor([read.ids[: read.target]], device=anatomy.device), read.ids[read.target]
