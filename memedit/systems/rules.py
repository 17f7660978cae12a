"""Editing a classifier by rewriting its prediction rules (Santurkar et al. 2021, arXiv:2112.01008).

One pair of an input and the same with a concept replaced makes a rule: where the concept stands (keys K, what a matrix
is given there in the replaced input), the matrix shall give what it gave of the original (values). The change stays
within the span of a few directions D, the main ones of the keys as C⁻¹ᐟ² whitens them, so that what is usual hardly
moves: Δ = R (DᵀK)⁺ Dᵀ, R being what is missing. The authors descend to it by 20,000 steps on an absolute loss; here the
squares have a closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from memedit.errors import EditRejected
from memedit.parametric.delta import Delta, Factors
from memedit.parametric.hooks import ending_at, recording
from memedit.parametric.method import Local
from memedit.parametric.rewrites import read_tokens
from memedit.parametric.stats import Stats


@dataclass(frozen=True, slots=True)
class Pair:
    """A text, and the same with a word in the place of another.

    Args:
        template: With `{}` for the word.
        known: The word whose meaning the model knows.
        strange: The word that shall mean the same.
    """

    template: str
    known: str
    strange: str


def rule(keys: torch.Tensor, residuals: torch.Tensor, stats: Stats, rank: int = 1) -> Factors:
    """The change, (out, rank) and (rank, in), that gives keys their values as nearly as a few directions allow.

    Args:
        keys: K, (in, n), float64.
        residuals: Values less what the matrix gives of the keys, (out, n).
        stats: C of usual keys.
        rank: Of the change.
    """
    white = torch.linalg.solve_triangular(stats.factor, keys, upper=False)
    main = torch.linalg.svd(white, full_matrices=False)[0][:, :rank]
    directions = torch.linalg.solve_triangular(stats.factor.T, main, upper=True)
    return residuals @ torch.linalg.pinv(directions.T @ keys), directions.T


def rewrite_rule(local: Local, pairs: Sequence[Pair], *, layers: Sequence[int], rank: int = 1) -> Delta:
    """The change by which a strange word is read as a known one, layer after layer, from pairs of texts.

    Args:
        local: The model; it is the same afterwards.
        pairs: One is enough.
        layers: That are written, each on what those before it changed.
        rank: Of each change.

    Raises:
        EditRejected: A template has no place for a word.
    """
    stats, parts = local.stats.of(list(layers)), dict[int, Factors]()
    for layer in sorted(layers):
        wanted = torch.stack([_at_word(local, pair, pair.known, layer)[1] for pair in pairs], 1)
        with local.overlay.over("rewriting a rule", Delta(parts)):
            read = [_at_word(local, pair, pair.strange, layer) for pair in pairs]
        keys, gave = (torch.stack(one, 1) for one in zip(*read, strict=True))
        left, right = rule(keys, wanted - gave, stats[layer], rank)
        parts[layer] = left.float(), right.float()
    return Delta(parts, {"method": "rule", "rewrites": [f"{one.strange} → {one.known}" for one in pairs]})


def _at_word(local: Local, pair: Pair, word: str, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What the matrix of a layer is given and gives at the word's last token, in float64."""
    before, slot, _ = pair.template.partition("{}")
    if not slot:
        raise EditRejected(f"“{pair.template:.60}” has no {{}} for the word.", do="write {} where the word stands")
    text = pair.template.replace("{}", word)
    read = read_tokens(local.tokenizer, text, len(before) + len(word))
    module = local.anatomy.written(layer)
    ids = torch.tensor([read.ids[: read.subject + 1]], device=local.anatomy.device)
    with torch.no_grad(), recording([module], inputs=True) as given, recording([module]) as gave, ending_at(module):
        local.anatomy.model(input_ids=ids, use_cache=False)
    given_last, gave_last = (one[0].reshape(ids.shape[1], -1)[-1].double().cpu() for one in (given, gave))
    return given_last, gave_last
