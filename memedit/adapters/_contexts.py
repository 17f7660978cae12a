"""Contexts of one model, read token by token: the step that decoding of several contexts, or models, repeats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from memedit.llms import Likelihood


class Contexts:
    """Several contexts of a model; each `step` reads the next token of all and gives what may follow.

    Args:
        model: A causal language model.
        ids: Left-padded tokens, (contexts, longest).
        mask: 1 where a token stands, of the same shape.
        cache: Keys and values of a beginning that all contexts share and `ids` leave out, for as many contexts.
        begun: Tokens of that beginning.
    """

    def __init__(self, model: Any, ids: torch.Tensor, mask: torch.Tensor, cache: Any = None, begun: int = 0) -> None:
        self._model, self._ids, self._cache = model, ids, cache
        self._mask = torch.cat([mask.new_ones(len(mask), begun), mask], dim=1)

    def step(self) -> torch.Tensor:
        """Log-probabilities of the next token, (contexts, vocabulary)."""
        out = self._model(
            input_ids=self._ids,
            attention_mask=self._mask,
            position_ids=positions(self._mask)[:, -self._ids.shape[1] :],
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = out.past_key_values
        logprobs: torch.Tensor = out.logits[:, -1].float().log_softmax(-1)
        return logprobs

    def put(self, token: int) -> None:
        """The token that all contexts go on with."""
        self._ids = self._mask.new_full((len(self._mask), 1), token)
        self._mask = torch.cat([self._mask, torch.ones_like(self._ids)], dim=1)


def positions(mask: torch.Tensor) -> torch.Tensor:
    """The position of each token, padding left out; of the mask's shape."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def likelihood(logits: torch.Tensor, ending: Sequence[int]) -> Likelihood:
    """Of an ending, from the logits (tokens, vocabulary) that foretell its tokens."""
    wanted = torch.tensor(ending, device=logits.device)
    logprobs = logits.log_softmax(-1).gather(-1, wanted[:, None])
    return Likelihood(float(logprobs.sum()), tuple((logits.argmax(-1) == wanted).tolist()))
