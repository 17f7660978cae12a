"""MEMOIR (Wang et al. 2025, arXiv:2506.07899): a matrix beside one layer, of which each edit uses some columns.

The columns of an edit are those of the inputs that its subject has most unlike other texts, scattered by a permutation.
A text that has enough of them in common with an edit is given that edit's columns, any other nothing. The published
method takes the mean over the prompt. Here the input at the subject's last token decides, and an edit that fired goes
on firing: in a small model the means over a paraphrase in other company and over another subject's prompt are alike.
Without weight decay, columns that no edit uses stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from memedit.parametric.beside import Beside, joined
from memedit.parametric.method import Local
from memedit.parametric.reading import inputs_of
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.slots import Pass, Rule, Slots, attached
from memedit.parametric.teaching import Lesson, descend

TEXTS, LENGTH = 32, 12  # beginnings of running text, in tokens, that make the background


@dataclass(frozen=True, slots=True)
class Memoir:
    """What can be set.

    Args:
        layer: Beside which; None for `depth` of the model's.
        depth: As a share of all layers.
        share: Of the columns that an edit uses.
        overlap: Least share of them that a text has to have.
        each: Prefixes of each start that an edit is taught behind, besides the bare one.
        steps: Of gradient descent, at most.
        rate: Its learning rate.
        clip: Largest norm of a gradient.
        enough: An edit is taught below this loss.
        seed: Of the permutation and the prefixes.
    """

    layer: int | None = None
    depth: float = 0.2
    share: float = 0.1
    overlap: float = 0.4
    each: int = 1
    steps: int = 20
    rate: float = 3.0
    clip: float = 1.0
    enough: float = 0.02
    seed: int = 0


def start(local: Local, layer: int, how: Memoir) -> Slots:
    """A matrix of zeros, the permutation, and what the layer is usually given."""
    out, inner = local.anatomy.weight(layer).shape
    usual, real = inputs_of(local.anatomy, local.tokenizer, layer, local.stats.texts[:TEXTS], LENGTH)
    return {
        "matrix": torch.zeros(out, inner), "masks": torch.zeros(0, inner, dtype=torch.bool),
        "permutation": torch.randperm(inner, generator=torch.Generator().manual_seed(how.seed)),
        "background": usual[real].mean(0),
        "overlap": torch.tensor(how.overlap), "used": torch.tensor(max(1, round(how.share * inner))),
    }  # fmt: skip


def answer(slots: Slots, given: torch.Tensor, gave: torch.Tensor, now: Pass) -> torch.Tensor:
    """What the matrix adds, through the columns of the edit that a text so far has most in common with."""
    if not len(slots["masks"]):
        return gave
    common = columns(slots, given.float()).float() @ slots["masks"].float().T / slots["used"]
    best = now.largest_so_far("common", common * now.seen.to(common.device)[..., None]).max(-1)
    hit = best.values >= slots["overlap"]
    if not bool(hit.any()):
        return gave
    used = given.float() * slots["masks"][best.indices]
    more = torch.nn.functional.linear(used, slots["matrix"]).to(gave.dtype)
    return torch.where(hit[..., None], gave + more, gave)


def columns(slots: Slots, given: torch.Tensor) -> torch.Tensor:
    """Which columns an input uses, (…, in)."""
    most = (given - slots["background"]).abs().topk(int(slots["used"]), dim=-1).indices
    return torch.zeros_like(given, dtype=torch.bool).scatter_(-1, slots["permutation"][most], True)


def add(local: Local, layer: int, slots: Slots, rewrite: Rewrite, owner: int, how: Memoir) -> Slots:
    """The matrix with an edit taught to its columns."""
    anatomy = local.anatomy
    given, _ = inputs_of(anatomy, local.tokenizer, layer, [rewrite.text])
    mask = columns(slots, given[0, rewrite.read(local.tokenizer, with_target=False).subject])
    slots = joined(slots, {"masks": mask[None]})
    matrix = slots["matrix"].clone().requires_grad_(True)
    lesson = Lesson.of(anatomy, local.tokenizer, [rewrite], local.prefixes.of(each=how.each, seed=how.seed))

    def loss() -> torch.Tensor:
        return lesson.losses(anatomy)[0].mean()

    def now() -> dict[str, torch.Tensor]:
        """What the prefixes or the prompt share with earlier edits fires those too; their columns are not to move."""
        return dict(slots) | {"matrix": torch.where(mask, matrix, slots["matrix"])}

    with attached(anatomy, layer, lambda given, gave, seen: answer(now(), given, gave, seen)):
        descend(
            [matrix], torch.optim.SGD([matrix], lr=how.rate), loss, steps=how.steps, enough=how.enough, clip=how.clip
        )
    return dict(slots) | {"matrix": matrix.detach()}  # where the mask is not, no gradient came


MEMOIR = Beside("memoir", "Wang et al. 2025", Memoir(), Rule("memoir", answer), start, add)
