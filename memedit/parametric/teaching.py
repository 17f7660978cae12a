"""Teaching a model by gradients: rows of prompts and targets, their loss, and the descent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from memedit.errors import EditDiverged
from memedit.parametric.contexts import BARE
from memedit.parametric.hooks import beginning_behind, output_of
from memedit.parametric.layout import Anatomy
from memedit.parametric.reading import right_padded
from memedit.parametric.rewrites import Rewrite


@dataclass(frozen=True, slots=True)
class Lesson:
    """Texts, and which token shall follow where.

    Args:
        ids: Right-padded, (rows, longest).
        mask: Of what is no padding, (rows, longest).
        places: Behind which tokens the wanted ones follow, (rows, most).
        wanted: The wanted tokens, -1 where there are fewer, (rows, most).
        begun: In what a pass is made: where the lower layers were read before, behind them.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    places: torch.Tensor
    wanted: torch.Tensor
    begun: Callable[[], AbstractContextManager[None]] = nullcontext

    @classmethod
    def of(
        cls, anatomy: Anatomy, tokenizer: Any, rewrites: Sequence[Rewrite], prefixes: Sequence[str] = (BARE,), *,
        blind: bool = False,
    ) -> Lesson:  # fmt: skip
        """Every rewrite behind every prefix.

        Args:
            anatomy: Of the model.
            tokenizer: Of the model.
            rewrites: What shall follow.
            prefixes: Texts before it.
            blind: Whether the target is not among what is read: all of its tokens are wanted behind the prompt.
        """
        read = [one.read(tokenizer, prefix) for one in rewrites for prefix in prefixes]
        rows = [one.ids[: one.target] if blind else one.ids[:-1] for one in read]
        ids, mask = right_padded(anatomy, rows, tokenizer)
        most = max(len(one.ids) - one.target for one in read)
        places, wanted = torch.zeros(len(rows), most, dtype=torch.long), torch.full((len(rows), most), -1)
        for row, one in enumerate(read):
            count = len(one.ids) - one.target
            places[row, :count] = one.target - 1 + (0 if blind else torch.arange(count))
            wanted[row, :count] = torch.tensor(one.ids[one.target :])
        return cls(ids, mask, places.to(ids.device), wanted.to(ids.device))

    def above(self, anatomy: Anatomy, layer: int) -> Lesson:
        """The same, with all layers below one read now and not again: for what changes in that layer and above."""
        return replace(self, begun=begun(anatomy, layer, self.ids, self.mask))

    def losses(self, anatomy: Anatomy) -> tuple[torch.Tensor, torch.Tensor]:
        """Of each row's wanted tokens the mean negative log-likelihood, and whether all are the first choice."""
        told = self._told(anatomy)
        real = self.wanted >= 0
        nll = -told.gather(-1, self.wanted.clamp(min=0)[..., None])[..., 0] * real
        return nll.sum(1) / real.sum(1), ((told.argmax(-1) == self.wanted) | ~real).all(1)

    def said(self, anatomy: Anatomy) -> torch.Tensor:
        """The first choice in the place of each wanted token, (rows, most)."""
        return self._told(anatomy).argmax(-1)

    def _told(self, anatomy: Anatomy) -> torch.Tensor:
        """Log-probabilities in the place of each wanted token, (rows, most, vocabulary)."""
        columns, at = torch.unique(self.places, return_inverse=True)
        with self.begun():
            run = anatomy.model(input_ids=self.ids, attention_mask=self.mask, use_cache=False, logits_to_keep=columns)
        told: torch.Tensor = run.logits.float()[torch.arange(len(at), device=at.device)[:, None], at].log_softmax(-1)
        return told


def begun(
    anatomy: Anatomy, layer: int, ids: torch.Tensor, mask: torch.Tensor
) -> Callable[[], AbstractContextManager[None]]:
    """What opens passes of the same tokens that begin at a layer, all below it being read now."""
    below = list(anatomy.blocks)[:layer]
    if not below:
        return nullcontext
    kept = output_of(below[-1], lambda: anatomy.model(input_ids=ids, attention_mask=mask, use_cache=False))
    return lambda: beginning_behind(below, kept)


def descend(
    parameters: Sequence[torch.Tensor], optimizer: torch.optim.Optimizer, loss: Callable[[], torch.Tensor], *,
    steps: int, enough: float, clip: float | None = None, after: Callable[[], None] | None = None,
) -> float:  # fmt: skip
    """Lower a loss until it is low enough, or for so many steps; gives the loss at the end.

    Args:
        parameters: What moves.
        optimizer: Of the parameters.
        loss: The loss now.
        steps: At most.
        enough: The descent ends below this loss.
        clip: Largest norm of the gradient.
        after: Called behind every step: what holds the parameters within bounds.

    Raises:
        EditDiverged: The loss is no number any more.
    """
    for step in range(steps + 1):
        now = loss()
        if not bool(now.isfinite()):
            raise EditDiverged("A descent diverged.", do="lower the learning rate, or leave the edit in memory")
        if step == steps or float(now.detach()) < enough:
            break
        optimizer.zero_grad()
        now.backward()  # type: ignore[no-untyped-call]
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        if after:
            with torch.no_grad():
                after()
    return float(now.detach())
