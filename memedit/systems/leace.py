"""LEACE (Belrose et al. 2023, arXiv:2306.03819): a concept is taken out of states, and nothing else is moved further.

r(x) = x − Σ^½ U Uᵀ Σ^−½ (x − μ), with U the left singular vectors of Σ^−½ Σ_xz: behind it no linear probe tells the
concept better than by its frequency, and no affine map that achieves this changes the states less. The guarantee is of
the states that it was fitted on; for others it wants some ten times as many of them as they have dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from memedit.errors import MissingExtra
from memedit.parametric.hooks import ending_at, recording, replacing
from memedit.parametric.layout import Anatomy
from memedit.parametric.reading import right_padded
from memedit.parametric.rewrites import read_tokens
from memedit.parametric.running_text import shipped
from memedit.systems.ground import Ground
from memedit.systems.registry import Finding

OTHERS = ("de", "es", "fr", "it", "nl", "pt")
SMALL = 1e-9  # of the largest eigenvalue, or singular value: what is no direction


@dataclass(frozen=True, slots=True, eq=False)
class Eraser:
    """x − L R (x − μ).

    Args:
        mean: μ, (width,), float64.
        left: L, (width, rank).
        right: R, (rank, width); R L is the identity.
    """

    mean: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """States without the concept, (…, width), of their own dtype."""
        mean, left, right = (one.to(states.device) for one in (self.mean, self.left, self.right))
        away = (states.double() - mean) @ right.T @ left.T
        return (states.double() - away).to(states.dtype)

    def over(self, anatomy: Anatomy, layer: int) -> AbstractContextManager[None]:
        """While it lasts, what a block gives is without the concept."""
        return replacing(anatomy.blocks[layer], self)


def fit(states: torch.Tensor, concept: torch.Tensor) -> Eraser:
    """The eraser of a concept.

    Args:
        states: (n, width).
        concept: One label a state, (n,), or one column a class, (n, classes).
    """
    x = states.double()
    z = concept.double().reshape(len(x), -1)
    mean = x.mean(0)
    x, z = x - mean, z - z.mean(0)
    values, vectors = torch.linalg.eigh(x.T @ x / len(x))
    real = values > SMALL * values[-1]
    root, vectors = values[real].sqrt(), vectors[:, real]
    told, size, _ = torch.linalg.svd((vectors / root).T @ (x.T @ z / len(x)), full_matrices=False)
    told = told[:, size > SMALL * size[0].clamp(min=SMALL)]
    return Eraser(mean, vectors @ (root[:, None] * told), (told.T / root) @ vectors.T)


def drawn(like: Eraser, seed: int = 0) -> Eraser:
    """An eraser of as many directions that are drawn: what erasing costs by itself."""
    width, rank = like.left.shape
    basis = torch.linalg.qr(
        torch.randn(width, rank, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    )[0]
    return Eraser(like.mean, basis, basis.T)


def token_states(anatomy: Anatomy, tokenizer: Any, layer: int, texts: Sequence[str]) -> list[torch.Tensor]:
    """What a block gives at every token of each text, (tokens, width) each."""
    found = []
    for text in texts:
        ids, mask = right_padded(anatomy, [read_tokens(tokenizer, text, 1).ids], tokenizer)
        with torch.no_grad(), recording([anatomy.blocks[layer]]) as kept, ending_at(anatomy.blocks[layer]):
            anatomy.model(input_ids=ids, attention_mask=mask, use_cache=False)
        found.append(kept[0].reshape(ids.shape[1], -1).double().cpu())
    return found


def probe(train: torch.Tensor, labels: torch.Tensor, test: torch.Tensor, wanted: torch.Tensor) -> float:
    """The accuracy on other states of a logistic probe.

    Raises:
        MissingExtra: Scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    except ImportError as missing:
        raise MissingExtra("eval", package="scikit-learn") from missing
    scale = train.std(0).clamp(min=1e-6)
    fitted = LogisticRegression(solver="newton-cholesky").fit((train / scale).numpy(), labels.numpy())
    return float(np.mean(fitted.predict((test / scale).numpy()) == wanted.numpy()))


def check(ground: Ground, depth: float = 0.5, texts: int = 480) -> Finding:
    """Whether a token is of an English text, told from its state before and after; and what erasing costs."""
    anatomy, tokenizer = ground.parts
    layer = round(depth * (len(anatomy) - 1))
    told = [text[:120] for pair in zip(shipped(), shipped(OTHERS), strict=False) for text in pair][:texts]
    states = token_states(anatomy, tokenizer, layer, told)
    rows, labels = _rows(states, [place % 2 == 0 for place in range(len(told))])
    half = sum(map(len, states[: len(states) // 2]))
    (train, test), (known, wanted) = (rows[:half], rows[half:]), (labels[:half], labels[half:])
    eraser = fit(train, known)
    before, after = probe(train, known, test, wanted), probe(eraser(train), known, eraser(test), wanted)
    fitted = probe(eraser(train), known, eraser(train), known)
    majority, own = (max(float(one.double().mean()), 1 - float(one.double().mean())) for one in (wanted, known))
    usual = ground.usual
    with eraser.over(anatomy, layer):
        cost = ground.perplexity() / usual - 1
    with drawn(eraser).over(anatomy, layer):
        chance = ground.perplexity() / usual - 1
    figure = (
        f"“is of an English text”, layer {layer}, {half} states of width {rows.shape[1]}: probe {before:.3f} → "
        f"{after:.3f} on other texts (majority {majority:.3f}), {fitted:.3f} on its own (majority {own:.3f}); "
        f"perplexity {cost:+.2%}, a drawn direction {chance:+.2%}"
    )
    reached = before >= majority + 0.1 and fitted <= own + 0.005 and after <= majority + 0.03
    return Finding(figure, reached, {"before": before, "after": after, "majority": majority, "cost": cost})


def _rows(states: Sequence[torch.Tensor], labels: Sequence[bool]) -> tuple[torch.Tensor, torch.Tensor]:
    told = [torch.full((len(one),), label, dtype=torch.long) for one, label in zip(states, labels, strict=True)]
    return torch.cat(list(states)), torch.cat(told)
