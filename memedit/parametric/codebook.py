"""Keys with a radius, beside a layer: which of them an input meets, and how a new one finds its room (GRACE)."""

from __future__ import annotations

import torch

from memedit.parametric.method import Local
from memedit.parametric.reading import inputs_of
from memedit.parametric.rewrites import Rewrite, outside
from memedit.parametric.slots import Slots

SAME = 1e-3  # of a key's norm: nearer than this lies only the same text


def distances(given: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Euclid's, (…, keys). Not by products, which round away what is small."""
    return torch.cdist(given.float(), keys, compute_mode="donot_use_mm_for_euclid_dist")


def met(slots: Slots, given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each input whether it lies within the radius of the nearest key, and which that is, (…,)."""
    nearest = distances(given, slots["keys"]).min(-1)
    return nearest.values <= slots["radii"][nearest.indices], nearest.indices


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


def reach(local: Local, layer: int, rewrite: Rewrite, keys: torch.Tensor, share: float) -> torch.Tensor:
    """The first radius of each key: a share of the distance to the nearest end of a text out of scope, (keys,)."""
    given, mask = inputs_of(local.anatomy, local.tokenizer, layer, outside(rewrite))
    ends = given[torch.arange(len(given)), mask.sum(1) - 1]
    return share * distances(ends, keys).min(0).values
