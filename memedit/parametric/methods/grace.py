"""GRACE (Hartvigsen et al. 2023, arXiv:2211.11031): a codebook beside one layer, of keys with a radius, and values.

Where what the matrix is given lies within the radius of the nearest key, it gives that key's value. A key that meets
one with the same label widens it; one with another label parts the space between them. Here a target of several tokens
has a key for each, and the first radius is a share of the distance to texts out of scope (the same prompt about
strangers, and others), not the published 1.0, which fits no other model or layer. Holds behind an edit's own words, and
hardly behind others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from memedit.parametric.beside import Beside, joined
from memedit.parametric.codebook import make_room, met, reach
from memedit.parametric.hooks import recording
from memedit.parametric.method import Local
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.slots import Pass, Rule, Slots, attached
from memedit.parametric.teaching import Lesson, descend

PARTS = ("keys", "values", "radii", "labels", "owner")


@dataclass(frozen=True, slots=True)
class Grace:
    """What can be set.

    Args:
        layer: Beside which; None for `depth` of the model's.
        depth: As a share of all layers.
        radius: The first radius, as a share of the distance to the nearest text out of scope.
        steps: Of Adam, at most.
        rate: Its learning rate, as a share of a value's root mean square.
        enough: A value is found below this loss.
    """

    layer: int | None = None
    depth: float = 0.83
    radius: float = 0.5
    steps: int = 100
    rate: float = 0.3
    enough: float = 0.05


def start(local: Local, layer: int, how: Grace) -> Slots:
    """A codebook without keys."""
    wide, inner = local.anatomy.weight(layer).shape
    return {
        "keys": torch.zeros(0, inner), "values": torch.zeros(0, wide), "radii": torch.zeros(0),
        "labels": torch.zeros(0, dtype=torch.long), "owner": torch.zeros(0, dtype=torch.long),
    }  # fmt: skip


def answer(slots: Slots, given: torch.Tensor, gave: torch.Tensor, now: Pass) -> torch.Tensor:
    """The value of the nearest key, where it is near enough."""
    if not len(slots["keys"]):
        return gave
    hit, which = met(slots, given)
    if not bool(hit.any()):
        return gave
    return torch.where(hit[..., None], slots["values"][which].to(gave.dtype), gave)


def add(local: Local, layer: int, slots: Slots, rewrite: Rewrite, owner: int, how: Grace) -> Slots:
    """The codebook with a key for each token of the target that the model does not say yet."""
    anatomy = local.anatomy
    lesson = Lesson.of(anatomy, local.tokenizer, [rewrite])
    modules, now = [anatomy.written(layer)], slots
    with (
        torch.no_grad(), recording(modules, inputs=True) as read, recording(modules) as made,
        attached(anatomy, layer, lambda given, gave, seen: answer(now, given, gave, seen)),
    ):  # fmt: skip
        _, said = lesson.losses(anatomy)
    if bool(said.all()):
        return slots
    places, labels = lesson.places[0], lesson.wanted[0]
    keys = read[0].reshape(*lesson.ids.shape, -1)[0, places].float()
    first = made[0].reshape(*lesson.ids.shape, -1)[0, places].float()
    radii = reach(local, layer, rewrite, keys, how.radius)
    fresh: list[int] = []
    for place in range(len(keys)):
        slots, takes = make_room(slots, keys[place], float(radii[place]), int(labels[place]))
        if takes is None:
            continue
        fresh.append(place)
        more = {"keys": keys[place : place + 1], "values": first[place : place + 1], "radii": torch.tensor([takes])}
        slots = joined(slots, more | {"labels": labels[place : place + 1], "owner": torch.tensor([owner])})
    return taught(local, layer, slots, lesson.above(anatomy, layer), len(fresh), how) if fresh else slots


def taught(local: Local, layer: int, slots: Slots, lesson: Lesson, fresh: int, how: Grace) -> Slots:
    """The codebook with the values of its last keys so moved that the target follows."""
    fixed, moving = slots["values"][:-fresh], slots["values"][-fresh:].clone().requires_grad_(True)
    adam = torch.optim.Adam([moving], lr=how.rate * float(moving.detach().square().mean().sqrt()))

    def now() -> dict[str, torch.Tensor]:
        return dict(slots) | {"values": torch.cat([fixed, moving])}

    def loss() -> torch.Tensor:
        return lesson.losses(local.anatomy)[0].mean()

    with attached(local.anatomy, layer, lambda given, gave, seen: answer(now(), given, gave, seen)):
        descend([moving], adam, loss, steps=how.steps, enough=how.enough)
    return dict(slots) | {"values": torch.cat([fixed, moving.detach()])}


GRACE = Beside("grace", "Hartvigsen et al. 2023", Grace(), Rule("grace", answer, PARTS), start, add)
