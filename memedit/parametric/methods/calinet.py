"""CaliNet (Dong et al. 2022, arXiv:2210.03329): a few slots beside the last feed-forward layer calibrate many facts.

FFN(x) + V · max(0, K a + b): a small key-value memory of its own, taught on a batch of facts while the model stays
frozen; with V = 0, where it starts, nothing changes. The authors read what the feed-forward part is given, by a gated
unit; here it is what its last matrix is given, by ReLU, so that a slot that is off adds nothing. A term of ours holds
what the slots add at running text small, which the publication leaves to the facts' own loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from memedit.parametric.beside import Beside
from memedit.parametric.method import Local, frozen
from memedit.parametric.methods.transformer_patcher import LENGTH, TEXTS, answer
from memedit.parametric.reading import inputs_of
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.slots import Rule, SlotBank, Slots, attached
from memedit.parametric.teaching import Lesson, descend

FEW = 8  # texts by which keys are scaled


@dataclass(frozen=True, slots=True)
class Calinet:
    """What can be set.

    Args:
        layer: Beside which; None for `depth` of the model's.
        depth: As a share of all layers.
        slots: How many.
        batch: Facts in a step.
        steps: Of Adam, at most.
        rate: Its learning rate, as a share of the size of what moves.
        still: Weight of what is added at running text, as a share of what the matrix gives there, squared.
        enough: A bank is taught below this loss.
        seed: Of the keys that it begins with, and of the batches.
    """

    layer: int | None = None
    depth: float = 1.0
    slots: int = 64
    batch: int = 16
    steps: int = 200
    rate: float = 0.05
    still: float = 10.0
    enough: float = 0.02
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Batched(Beside):
    """An attached method whose edits share their slots and are taught together."""

    def write(self, local: Local, rewrites: Sequence[Rewrite], before: SlotBank | None = None) -> SlotBank:
        """The bank with these rewrites, all taught at once, on from what it held.

        Raises:
            EditDiverged: The descent broke down; `before` is as it was.
        """
        bank = before or self.empty(local)
        if not rewrites:
            return bank
        with frozen(local.anatomy.model):
            slots = taught(local, bank.layer, bank.slots, rewrites, self.how)
        ids = [*bank.rewrites, *(one.id for one in rewrites)]
        return replace(bank, slots=slots, made=dict(bank.made) | {"rewrites": ids})


def start(local: Local, layer: int, how: Calinet) -> Slots:
    """Keys that are drawn, so that what a slot reads is of size 1 at usual inputs, and values that add nothing."""
    wide, inner = local.anatomy.weight(layer).shape
    drawn = torch.randn(how.slots, inner, generator=torch.Generator().manual_seed(how.seed))
    keys = drawn / usual_inputs(local, layer, FEW).square().sum(1).mean().sqrt()
    return {"keys": keys, "biases": torch.full((how.slots,), -1.0), "values": torch.zeros(how.slots, wide)}


def usual_inputs(local: Local, layer: int, texts: int) -> torch.Tensor:
    """What the matrix of a layer is given at tokens of running text, (tokens, in)."""
    given, real = inputs_of(local.anatomy, local.tokenizer, layer, local.stats.texts[:texts], LENGTH)
    return given[real]


def taught(local: Local, layer: int, slots: Slots, rewrites: Sequence[Rewrite], how: Calinet) -> Slots:
    """The slots after a descent on the rewrites, in batches that are drawn."""
    anatomy, draw = local.anatomy, torch.Generator().manual_seed(how.seed)
    usual = usual_inputs(local, layer, TEXTS)
    gives = (usual @ anatomy.weight(layer).float().T).square().sum(1).mean()
    moving = {name: one.clone().requires_grad_(True) for name, one in slots.items()}
    lessons = [
        Lesson.of(anatomy, local.tokenizer, [rewrites[at] for at in rows.tolist()]).above(anatomy, layer)
        for rows in torch.split(torch.randperm(len(rewrites), generator=draw), how.batch)
    ]
    done = 0

    def loss() -> torch.Tensor:
        nonlocal done
        told = lessons[done % len(lessons)].losses(anatomy)[0].mean()
        done += 1
        added = (usual @ moving["keys"].T + moving["biases"]).relu() @ moving["values"]
        return told + how.still * added.square().sum(1).mean() / gives

    size = float((gives / slots["values"].shape[1]).sqrt())
    spread = float(slots["keys"].square().mean().sqrt())
    # Values begin by moving alike, so that what they add grows with how many there are.
    sizes = {"keys": spread, "biases": 1.0, "values": 2 * size / how.slots}
    adam = torch.optim.Adam([{"params": [moving[name]], "lr": how.rate * one} for name, one in sizes.items()])
    with attached(anatomy, layer, lambda given, gave, seen: answer(moving, given, gave, seen)):
        descend(list(moving.values()), adam, loss, steps=how.steps, enough=how.enough)
    return {name: one.detach() for name, one in moving.items()}


def add(local: Local, layer: int, slots: Slots, rewrite: Rewrite, owner: int, how: Calinet) -> Slots:
    """The slots after a descent on one rewrite."""
    return taught(local, layer, slots, [rewrite], how)


CALINET = Batched("calinet", "Dong et al. 2022", Calinet(), Rule("calinet", answer), start, add)
