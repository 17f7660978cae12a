"""Transformer-Patcher (Huang et al. 2023, arXiv:2301.09785): a neuron in the last layer for each token to be corrected.

A neuron adds v · max(0, k·a + b). It is taught its token, to be active there, and to be off, by a margin, at texts out
of scope: beginnings of running text, and the edit's prompt about strangers. Off is exactly off. The published key
begins as h / ‖h‖², which in a small model lies near every text; here as C⁻¹h, which tells h from what is usual
(C being the statistics of usual inputs). The authors read what the feed-forward part is given; here it is what its last
matrix is given. Their exponential losses are hinges here, which come to an end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from memedit.parametric.beside import Beside, joined
from memedit.parametric.hooks import recording
from memedit.parametric.method import Local
from memedit.parametric.reading import inputs_of
from memedit.parametric.rewrites import Rewrite, outside
from memedit.parametric.slots import Pass, Rule, Slots, attached
from memedit.parametric.teaching import Lesson, descend

TEXTS, LENGTH = 64, 48  # beginnings of running text, in tokens, at which a neuron is to be off
PARTS = ("keys", "biases", "values", "owner")


@dataclass(frozen=True, slots=True)
class Patcher:
    """What can be set.

    Args:
        layer: Beside which; None for the last.
        depth: As a share of all layers.
        half: At which share of its own activation, before the bias, a neuron begins to be active.
        margin: By which it is to be active at its token, and off at others.
        weight: Of the margins in the loss.
        most: Tokens out of scope that count, the most active ones.
        steps: Of Adam, at most.
        rate: Its learning rate, as a share of the size of what moves.
        enough: An edit is taught below this loss, margins among it.
    """

    layer: int | None = None
    depth: float = 1.0
    half: float = 0.5
    margin: float = 0.2
    weight: float = 1.0
    most: int = 1000
    steps: int = 200
    rate: float = 0.1
    enough: float = 0.05


def start(local: Local, layer: int, how: Patcher) -> Slots:
    """No neuron."""
    wide, inner = local.anatomy.weight(layer).shape
    return {
        "keys": torch.zeros(0, inner), "biases": torch.zeros(0), "values": torch.zeros(0, wide),
        "owner": torch.zeros(0, dtype=torch.long),
    }  # fmt: skip


def answer(slots: Slots, given: torch.Tensor, gave: torch.Tensor, now: Pass) -> torch.Tensor:
    """What active neurons add."""
    active = (given.float() @ slots["keys"].T + slots["biases"]).relu()
    on = (active > 0).any(-1, keepdim=True)
    if not bool(on.any()):
        return gave
    return torch.where(on, gave + (active @ slots["values"]).to(gave.dtype), gave)


def add(local: Local, layer: int, slots: Slots, rewrite: Rewrite, owner: int, how: Patcher) -> Slots:
    """The neurons with one for each token of the target, unless the model says it already."""
    anatomy = local.anatomy
    lesson = Lesson.of(anatomy, local.tokenizer, [rewrite])
    modules = [anatomy.written(layer)]
    with (
        torch.no_grad(), recording(modules, inputs=True) as read, recording(modules) as made,
        attached(anatomy, layer, lambda given, gave, seen: answer(slots, given, gave, seen)),
    ):  # fmt: skip
        _, said = lesson.losses(anatomy)
    if bool(said.all()):
        return slots
    at = lesson.places[0]
    here = read[0].reshape(*lesson.ids.shape, -1)[0, at].float()
    size = float(made[0].reshape(*lesson.ids.shape, -1)[0, at].float().square().mean().sqrt())
    texts = [*local.stats.texts[:TEXTS], *outside(rewrite)]
    given, real = inputs_of(anatomy, local.tokenizer, layer, texts, LENGTH)
    apart = given[real]
    keys = first_keys(local, layer, here).requires_grad_(True)
    biases = torch.full((len(here),), -how.half, requires_grad=True)
    values = torch.zeros(len(here), anatomy.weight(layer).shape[0], requires_grad=True)
    more = {"keys": keys, "biases": biases, "values": values, "owner": torch.full((len(here),), owner)}

    def loss() -> torch.Tensor:
        told = lesson.losses(anatomy)[0].mean()
        mine = (here * keys).sum(1) + biases
        others = (apart @ keys.T + biases).flatten()
        worst = others.topk(min(how.most, len(others))).values
        return told + how.weight * ((how.margin - mine).relu().mean() + (worst + how.margin).relu().sum())

    lesson = lesson.above(anatomy, layer)
    adam = torch.optim.Adam(
        [
            {"params": [keys], "lr": how.rate * float(keys.detach().square().mean().sqrt())},
            {"params": [biases], "lr": how.rate * how.half}, {"params": [values], "lr": how.rate * size},
        ]
    )  # fmt: skip
    with attached(anatomy, layer, lambda given, gave, seen: answer(joined(slots, more), given, gave, seen)):
        descend([keys, biases, values], adam, loss, steps=how.steps, enough=how.enough)
    return {name: one.detach() for name, one in joined(slots, more).items()}


def first_keys(local: Local, layer: int, here: torch.Tensor) -> torch.Tensor:
    """C⁻¹h for each input h, so scaled that h itself gives 1, (tokens, in)."""
    spread = local.stats.of([layer])[layer].solve(here.double().T).T
    return (spread / (here.double() * spread).sum(1, keepdim=True)).float()


PATCHER = Beside(
    "transformer_patcher", "Huang et al. 2023", Patcher(), Rule("transformer_patcher", answer, PARTS), start, add
)
