"""GRACE (Hartvigsen et al. 2023, arXiv:2211.11031): a codebook beside one layer, of keys with a radius, and values.

Where what the matrix is given lies within the radius of the nearest key, it gives that key's value. A key that meets
one with the same label widens it; one with another label parts the space between them. Here a target of several tokens
has a key for each, and the first radius is a share of the distance to texts out of scope (the same prompt about
strangers, and others), not the published 1.0, which fits no other model or layer. Holds behind an edit's own words, and
hardly behind others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from memedit.edits import SLOT
from memedit.parametric.beside import Beside, joined
from memedit.parametric.hooks import ending_at, recording
from memedit.parametric.method import Local
from memedit.parametric.reading import right_padded
from memedit.parametric.rewrites import Rewrite, read_tokens
from memedit.parametric.slots import Pass, Rule, Slots, attached
from memedit.parametric.teaching import Lesson, descend
from memedit.probes import STRANGERS, UNRELATED

SAME = 1e-3  # of a key's norm: nearer than this lies only the same text
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
    nearest = distances(given, slots["keys"]).min(-1)
    hit = nearest.values <= slots["radii"][nearest.indices]
    if not bool(hit.any()):
        return gave
    return torch.where(hit[..., None], slots["values"][nearest.indices].to(gave.dtype), gave)


def distances(given: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Euclid's, (…, keys). Not by products, which round away what is small."""
    return torch.cdist(given.float(), keys, compute_mode="donot_use_mm_for_euclid_dist")


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
    reach = how.radius * distances(outside(local, layer, rewrite), keys).min(0).values
    fresh: list[int] = []
    for place in range(len(keys)):
        slots, takes = make_room(slots, keys[place], float(reach[place]), int(labels[place]))
        if takes is None:
            continue
        fresh.append(place)
        more = {"keys": keys[place : place + 1], "values": first[place : place + 1], "radii": torch.tensor([takes])}
        slots = joined(slots, more | {"labels": labels[place : place + 1], "owner": torch.tensor([owner])})
    return taught(local, layer, slots, lesson, len(fresh), how) if fresh else slots


def outside(local: Local, layer: int, rewrite: Rewrite) -> torch.Tensor:
    """What the matrix is given at the end of texts out of scope, (texts, in)."""
    about = [(rewrite.prompt.replace(SLOT, one), one) for one in STRANGERS] + [(one, one) for one in UNRELATED]
    rows = [read_tokens(local.tokenizer, text, len(text)).ids for text, _ in about]
    return last_inputs(local, layer, rows)


def last_inputs(local: Local, layer: int, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """What the matrix is given at the last token of each row, (rows, in), in float32."""
    anatomy, module = local.anatomy, local.anatomy.written(layer)
    ids, mask = right_padded(anatomy, rows, local.tokenizer)
    with torch.no_grad(), recording([module], inputs=True) as read, ending_at(module):
        anatomy.model(input_ids=ids, attention_mask=mask, use_cache=False)
    ends: Any = mask.sum(1) - 1
    return read[0].reshape(*ids.shape, -1)[torch.arange(len(ids)), ends].float()


def make_room(slots: Slots, key: torch.Tensor, reach: float, label: int) -> tuple[Slots, float | None]:
    """The codebook in which a key has its place, and its radius; None where another key of its label takes it in."""
    if not len(slots["keys"]):
        return slots, reach
    nearest = distances(key[None], slots["keys"])[0].min(0)
    apart, which = float(nearest.values), int(nearest.indices)
    if apart <= SAME * float(key.norm()):  # the same text: what was said of it before holds no longer
        stays = torch.arange(len(slots["keys"])) != which
        return {name: one[stays] for name, one in slots.items()}, reach
    radii = slots["radii"].clone()
    if apart > float(radii[which]) + reach:
        return slots, reach
    if int(slots["labels"][which]) == label:
        radii[which] = max(float(radii[which]), apart)
        return dict(slots) | {"radii": radii}, None
    radii[which] = min(float(radii[which]), apart / 2)
    return dict(slots) | {"radii": radii}, min(reach, apart / 2)


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
