"""The keys and values of a prompt's beginning, kept between calls: few-shot frames begin alike."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch

SHORTEST = 48  # tokens; a shorter beginning costs more to copy than to read again


class PrefixCache:
    """The key-value cache of the longest beginning that the last requests shared.

    Args:
        model: A causal language model whose weights do not change; after an edit of the weights call `clear`.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._tokens: list[int] = []
        self._values: Any = None
        self._last: list[int] = []

    def clear(self) -> None:
        """Forget everything, because the weights changed."""
        self._tokens, self._values, self._last = [], None, []

    def shared(self, rows: Sequence[Sequence[int]]) -> list[int]:
        """The beginning of all rows that is worth keeping; empty when there is none. Leaves each row a token."""
        limit = min(len(row) for row in rows) - 1
        known = _common([self._tokens, *rows])[:limit]
        if len(known) >= SHORTEST and len(known) == len(self._tokens):
            return known
        fresh = _common([self._last, *rows] if len(rows) == 1 else rows)[:limit]
        self._last = list(rows[0])
        return fresh if len(fresh) >= SHORTEST else []

    def cache(self, prefix: Sequence[int], *, rows: int) -> Any:
        """A copy of the prefix's cache for a batch of `rows`."""
        if list(prefix) != self._tokens:
            with torch.inference_mode():
                out = self._model(input_ids=torch.tensor([list(prefix)], device=self._model.device), use_cache=True)
            self._tokens, self._values = list(prefix), out.past_key_values
        values = copy.deepcopy(self._values)
        if rows > 1:
            values.batch_repeat_interleave(rows)
        return values


def _common(rows: Sequence[Sequence[int]]) -> list[int]:
    shared: list[int] = []
    for column in zip(*rows, strict=False):
        if any(token != column[0] for token in column):
            break
        shared.append(column[0])
    return shared
