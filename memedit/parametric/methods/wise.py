"""WISE (Wang et al. 2024, arXiv:2405.14768): a side memory beside one matrix, and a router that reads how they differ.

The side memory is the matrix with a change D. A token whose input a has ‖D a‖ above a threshold is read by the side
memory, any other by the matrix itself. An edit is taught together with margins: ‖D a‖ is to be small at texts out of
scope, large where the edit is to be said, and far apart. Every so many edits begin a new shard, of which a random part
of the entries may move; shards are merged by TIES (Yadav et al. 2023, arXiv:2306.01708). The authors decide by the mean
over a prompt; in a small model these means are alike, so here each token decides for itself. Their margins (5, 20, 10)
are of one model; here they are shares of what the matrix usually gives, and no threshold falls below the first. They
leave it to the shards to keep earlier edits; here D is also held where those were taught. And shards are learned for
inputs that were made white (D = B L⁻¹, C = L Lᵀ being usual inputs' statistics): else D answers to all alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from memedit.parametric.beside import Beside
from memedit.parametric.method import Local
from memedit.parametric.reading import inputs_of
from memedit.parametric.rewrites import Rewrite, outside
from memedit.parametric.slots import Pass, Rule, Slots, attached
from memedit.parametric.teaching import Lesson, descend

TEXTS, LENGTH = 64, 48  # beginnings of running text, in tokens, that are out of every edit's scope
TINY = 1e-12  # so that a root has a gradient at zero


@dataclass(frozen=True, slots=True)
class Wise:
    """What can be set.

    Args:
        layer: Beside which; None for `depth` of the model's.
        depth: As a share of all layers.
        part: Of the entries that move in a shard.
        per_shard: Edits of a shard.
        density: Of a shard's entries that merging keeps.
        margins: What ‖D a‖ is to be at most out of scope, at least in scope, and at least in between, as shares of what
            the matrix usually gives.
        weight: Of the margins in the loss.
        reach: The threshold, as a share of the least ‖D a‖ of an edit.
        each: Prefixes of each start that an edit is taught behind, besides the bare one.
        steps: Of Adam, at most.
        rate: Its learning rate: what a step can change at the end of the prompt, as a share of what is usual there.
        enough: An edit is taught below this loss, margins among it.
        seed: Of the entries and the prefixes.
    """

    layer: int | None = None
    depth: float = 0.83
    part: float = 0.2
    per_shard: int = 10
    density: float = 0.53
    margins: tuple[float, float, float] = (0.25, 1.0, 0.5)
    weight: float = 5.0
    reach: float = 0.88
    each: int = 1
    steps: int = 100
    rate: float = 0.2
    enough: float = 0.05
    seed: int = 0


def start(local: Local, layer: int, how: Wise) -> Slots:
    """No shard, and what the matrix usually gives."""
    weight = local.anatomy.weight(layer)
    usual = (weight.double().cpu() @ local.stats.of([layer])[layer].factor).norm().float()
    return {
        "shards": torch.zeros(0, *weight.shape), "matrix": torch.zeros(weight.shape), "usual": usual,
        "whiten": whitening(local, layer), "taught": torch.zeros(0, weight.shape[1]),
        "threshold": torch.tensor(torch.inf),
    }  # fmt: skip


def answer(
    slots: Slots, given: torch.Tensor, gave: torch.Tensor, now: Pass, always: torch.Tensor | None = None
) -> torch.Tensor:
    """What the side memory gives, where an input is in its scope, and where `always` says, (rows, tokens)."""
    if not len(slots["shards"]):
        return gave
    hit = activation(slots, given) >= slots["threshold"]
    if always is not None:
        hit = hit | always
    if not bool(hit.any()):
        return gave
    more = torch.nn.functional.linear(given.float(), slots["matrix"]).to(gave.dtype)
    return torch.where(hit[..., None], gave + more, gave)


def activation(slots: Slots, given: torch.Tensor) -> torch.Tensor:
    """‖D a‖ of each input, as a share of what the matrix usually gives."""
    more = torch.nn.functional.linear(given.float(), slots["matrix"])
    return (more.square().sum(-1) + TINY).sqrt() / slots["usual"]


def whitening(local: Local, layer: int) -> torch.Tensor:
    """L⁻¹ of C = L Lᵀ, by which what the matrix is usually given has unit covariance, (in, in)."""
    root = local.stats.of([layer])[layer].factor
    inverse: torch.Tensor = torch.linalg.solve_triangular(root, torch.eye(len(root), dtype=root.dtype), upper=False)
    return inverse.float()


def add(local: Local, layer: int, slots: Slots, rewrite: Rewrite, owner: int, how: Wise) -> Slots:
    """The side memory with an edit taught to its shard."""
    anatomy, weight = local.anatomy, local.anatomy.weight(layer)
    shard, shards = owner // how.per_shard, slots["shards"]
    if shard == len(shards):
        shards = torch.cat([shards, torch.zeros(1, *weight.shape)])
    moves = torch.rand(weight.shape, generator=torch.Generator().manual_seed(how.seed + shard)) < how.part
    moving = shards[shard].clone().requires_grad_(True)
    before = local.prefixes.of(each=how.each, seed=how.seed)
    lesson = Lesson.of(anatomy, local.tokenizer, [rewrite], before).above(anatomy, layer)
    answering = torch.arange(lesson.ids.shape[1]) >= lesson.places[:, :1]
    texts = [*local.stats.texts[:TEXTS], *outside(rewrite)]
    read, real = inputs_of(anatomy, local.tokenizer, layer, texts, LENGTH)
    apart, earlier = read[real], slots["taught"]
    most, least, between = how.margins
    others = ties(torch.cat([shards[:shard], shards[shard + 1 :]]), how.density)
    near, mine, side = torch.zeros(0), torch.zeros(0), dict(slots)

    def taught() -> torch.Tensor:
        return torch.where(moves, moving, shards[shard])

    def threshold(sizes: torch.Tensor) -> torch.Tensor:
        return torch.minimum(slots["threshold"], how.reach * sizes.detach().min()).clamp(min=most)

    def change(given: torch.Tensor, gave: torch.Tensor, seen: Pass) -> torch.Tensor:
        nonlocal near, mine, side
        side = dict(slots) | {"shards": shards, "matrix": (others + taught()) @ slots["whiten"]}
        mine = given[answering & seen.seen].float()
        near = activation(side, mine)
        return answer(side | {"threshold": threshold(near)}, given, gave, seen, answering)

    def loss() -> torch.Tensor:
        said = lesson.losses(anatomy)[0].mean()
        far = activation(side, apart)
        margins = [far - most, least - near, between - (near[:, None] - far)]
        moved = activation({**side, "matrix": side["matrix"] - slots["matrix"]}, earlier)
        return said + how.weight * sum((violated(one) for one in (*margins, moved)), torch.zeros(()))

    here, _ = inputs_of(anatomy, local.tokenizer, layer, [rewrite.text])
    step = float(slots["usual"] / len(weight) ** 0.5 / (slots["whiten"] @ here[0, -1]).abs().sum() / how.part)
    with attached(anatomy, layer, change):
        descend([moving], torch.optim.Adam([moving], lr=how.rate * step), loss, steps=how.steps, enough=how.enough)
    learned = torch.cat([shards[:shard], taught().detach()[None], shards[shard + 1 :]])
    whole = {"shards": learned, "matrix": ties(learned, how.density) @ slots["whiten"], "threshold": threshold(near)}
    return dict(slots) | whole | {"taught": torch.cat([earlier, mine])}


def violated(margin: torch.Tensor) -> torch.Tensor:
    """By how much a margin is violated, in the mean of where it is."""
    over = margin.relu()
    return over.sum() / (over > 0).sum().clamp(min=1)


def ties(shards: torch.Tensor, density: float) -> torch.Tensor:
    """Shards as one: of each its largest entries; of these at every place the mean of those of the greater sign."""
    if len(shards) < 2:
        return shards.sum(0)
    kept = torch.stack([_trimmed(one, density) for one in shards])
    agrees = (kept.sign() == kept.sum(0).sign()) & (kept != 0)
    return torch.where(agrees, kept, 0.0).sum(0) / agrees.sum(0).clamp(min=1)


def _trimmed(shard: torch.Tensor, density: float) -> torch.Tensor:
    sizes = shard.detach().abs()
    least = sizes.flatten().kthvalue(max(1, round((1 - density) * sizes.numel()))).values
    return torch.where(sizes > least, shard, 0.0)


WISE = Beside("wise", "Wang et al. 2024", Wise(), Rule("wise", answer), start, add)
