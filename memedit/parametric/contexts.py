"""Texts that are put before a rewrite, so that what is written holds wherever the subject is named (ROME, MEMIT)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from memedit.parametric.delta import Overlay
from memedit.parametric.layout import Anatomy
from memedit.parametric.rewrites import begin

STARTS = ("The", "Therefore", "Because", "I", "You")
BARE = ""


@dataclass(frozen=True)
class PrefixBook:
    """Prefixes that a model wrote, made once.

    Args:
        overlay: Of the model; its base weights write them, so that they stay the same as edits come and go.
        tokenizer: Of the model.
    """

    overlay: Overlay
    tokenizer: Any
    _written: dict[tuple[int, int], tuple[str, ...]] = field(default_factory=dict, init=False)

    def of(self, *, each: int, seed: int) -> tuple[str, ...]:
        """The bare prefix, and texts that the model goes on with, each ended by a full stop.

        Args:
            each: Texts of each of `STARTS`.
            seed: Of the sampling.
        """
        if (each, seed) not in self._written:
            with self.overlay.lifted():
                self._written[each, seed] = prefixes(self.overlay.anatomy, self.tokenizer, each=each, seed=seed)
        return self._written[each, seed]


def prefixes(
    anatomy: Anatomy, tokenizer: Any, *, each: int = 1, length: int = 10, seed: int = 0, starts: Sequence[str] = STARTS
) -> tuple[str, ...]:
    """The bare prefix, and texts that the model itself goes on with, each ended by a full stop.

    Args:
        anatomy: Of the model.
        tokenizer: Of the model.
        each: Texts of each start.
        length: Tokens of each text.
        seed: Of the sampling; nothing else's random state is touched.
        starts: What they begin with.
    """
    rows = [[*begin(tokenizer), *tokenizer(start, add_special_tokens=False)["input_ids"]] for start in starts]
    found = [BARE]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for row in rows:
            written = anatomy.model.generate(
                input_ids=torch.tensor([row], device=anatomy.device),
                attention_mask=torch.ones(1, len(row), dtype=torch.long, device=anatomy.device),
                do_sample=True, top_k=5, num_return_sequences=each, min_new_tokens=length, max_new_tokens=length,
                pad_token_id=tokenizer.pad_token_id or 0,
            )  # fmt: skip
            for one in written.tolist():
                said = tokenizer.decode(one, skip_special_tokens=True)
                found.append(f"{' '.join(said.split())}. ")
    return tuple(found)
