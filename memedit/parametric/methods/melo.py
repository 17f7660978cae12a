"""MELO (Yu et al. 2024, arXiv:2312.11795): small LoRA blocks beside a layer, and a codebook that says which is on.

A key is what the matrix is given at the end of an edit's prompt. A text that comes within a key's radius is read on
with the block of that key, until it ends or meets another; keys that meet part the space between them. The authors look
keys up in one layer, put blocks of rank 2 beside the next ones, and let four edits share a block. Here both lie at one
matrix, and an edit has a block of its own, so that edits can be taken out one by one; and the radius is a share of the
distance to texts out of scope, not the published 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from memedit.parametric.beside import Beside, joined
from memedit.parametric.codebook import make_room, met, reach
from memedit.parametric.method import Local
from memedit.parametric.reading import inputs_of
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.slots import Pass, Rule, Slots, attached
from memedit.parametric.teaching import Lesson, descend

PARTS = ("keys", "radii", "labels", "left", "right", "owner")


@dataclass(frozen=True, slots=True)
class Melo:
    """What can be set.

    Args:
        layer: Beside which; None for `depth` of the model's.
        depth: As a share of all layers.
        rank: Of a block.
        radius: The first radius, as a share of the distance to the nearest text out of scope.
        steps: Of Adam, at most.
        rate: Its learning rate.
        enough: An edit is taught below this loss.
        seed: Of what a block begins with.
    """

    layer: int | None = None
    depth: float = 0.75
    rank: int = 2
    radius: float = 0.5
    steps: int = 100
    rate: float = 0.02
    enough: float = 0.05
    seed: int = 0


def start(local: Local, layer: int, how: Melo) -> Slots:
    """A codebook without keys."""
    wide, inner = local.anatomy.weight(layer).shape
    return {
        "keys": torch.zeros(0, inner), "radii": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.long),
        "left": torch.zeros(0, how.rank, wide), "right": torch.zeros(0, how.rank, inner),
        "owner": torch.zeros(0, dtype=torch.long),
    }  # fmt: skip


def answer(slots: Slots, given: torch.Tensor, gave: torch.Tensor, now: Pass) -> torch.Tensor:
    """What the block adds that was met last."""
    count = len(slots["keys"])
    if not count:
        return gave
    hit, which = met(slots, given)
    block = now.last_so_far("melo", (which + 1) * hit) - 1
    if not bool((block >= 0).any()):
        return gave
    on = torch.nn.functional.one_hot(block.clamp(min=0), count).repeat_interleave(slots["right"].shape[1], -1)
    inner = torch.nn.functional.linear(given.float(), slots["right"].flatten(0, 1)) * on
    more = (inner @ slots["left"].flatten(0, 1)).to(gave.dtype)
    return torch.where(block[..., None] >= 0, gave + more, gave)


def add(local: Local, layer: int, slots: Slots, rewrite: Rewrite, owner: int, how: Melo) -> Slots:
    """The codebook with a key at the end of the prompt, and a block that was taught the target."""
    anatomy = local.anatomy
    given, _ = inputs_of(anatomy, local.tokenizer, layer, [rewrite.text])
    key = given[0, -1:]
    radius = float(reach(local, layer, rewrite, key, how.radius)[0])
    slots, takes = make_room(slots, key[0], radius, owner)
    wide, inner = anatomy.weight(layer).shape
    drawn = torch.randn(how.rank, inner, generator=torch.Generator().manual_seed(how.seed + owner)) / inner**0.5
    left = torch.zeros(1, how.rank, wide, requires_grad=True)
    right = drawn[None].requires_grad_(True)
    lesson = Lesson.of(anatomy, local.tokenizer, [rewrite]).above(anatomy, layer)
    more = {"keys": key, "radii": torch.tensor([takes]), "labels": torch.tensor([owner])}

    def now() -> dict[str, torch.Tensor]:
        return joined(slots, more | {"left": left, "right": right, "owner": torch.tensor([owner])})

    def loss() -> torch.Tensor:
        return lesson.losses(anatomy)[0].mean()

    with attached(anatomy, layer, lambda given, gave, seen: answer(now(), given, gave, seen)):
        descend([left, right], torch.optim.Adam([left, right], lr=how.rate), loss, steps=how.steps, enough=how.enough)
    return {name: one.detach() for name, one in now().items()}


MELO = Beside("melo", "Yu et al. 2024", Melo(), Rule("melo", answer, PARTS), start, add)
