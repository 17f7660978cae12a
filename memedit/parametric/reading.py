"""Passing rewrites through a model: in rows, each cut before its subject's last token, the beginning read only once.

What stands before that token cannot see it, so a search that changes nothing but its state needs only what follows.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from memedit.parametric.hooks import ending_at, recording
from memedit.parametric.layout import Anatomy
from memedit.parametric.rewrites import Rewrite, Tokens, read_tokens

ROWS = 64
"""In one pass; bounds the memory that a search takes."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of tokens, read up to the subject's last token.

    Args:
        ids: What follows from there, right-padded, (rows, longest).
        mask: Of beginnings (padded behind) and what follows, (rows, all).
        places: Where in `ids` the subject's last token stands, (rows,); all 0 unless the model is recurrent.
        cache: Of the beginnings; None where there are none.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    places: torch.Tensor
    cache: Any

    def logits(self, anatomy: Anatomy, columns: torch.Tensor) -> torch.Tensor:
        """Of some columns of `ids`, (rows, columns, vocabulary)."""
        run = anatomy.model(
            input_ids=self.ids,
            attention_mask=self.mask,
            past_key_values=copy.deepcopy(self.cache),
            use_cache=self.cache is not None,
            logits_to_keep=columns,
            **_positions(anatomy, self.mask, self.ids.shape[1]),
        )
        logits: torch.Tensor = run.logits
        return logits

    def only(self, keep: torch.Tensor) -> Rows:
        """Some of the rows, by a mask over them."""
        cache = copy.deepcopy(self.cache)
        if cache is not None:
            cache.batch_select_indices(keep.nonzero()[:, 0])
        return Rows(self.ids[keep], self.mask[keep], self.places[keep], cache)


def cut_rows(anatomy: Anatomy, read: Sequence[Tokens], pad: int) -> Rows:
    """Rows of tokens, their beginnings passed through the model."""
    cuts = [0 if anatomy.layout.recurrent else one.subject for one in read]
    heads = [one.ids[:cut] for one, cut in zip(read, cuts, strict=True)]
    tails = [one.ids[cut:] for one, cut in zip(read, cuts, strict=True)]
    before, behind = max(map(len, heads)), max(map(len, tails))
    device = anatomy.device
    ids = torch.tensor([[*tail, *[pad] * (behind - len(tail))] for tail in tails], device=device)
    mask = torch.tensor([_seen(head, before) + _seen(tail, behind) for head, tail in zip(heads, tails, strict=True)])
    mask, cache = mask.to(device), None
    if before:
        # Padded behind, so that no token sees nothing but padding, of which some families make no number. For the same
        # reason an empty beginning sees itself; nothing sees it afterwards.
        begun = torch.tensor([list(head) + [pad] * (before - len(head)) for head in heads], device=device)
        seen = torch.tensor([_seen(head or (pad,), before) for head in heads], device=device)
        with torch.no_grad():
            run = anatomy.model(
                input_ids=begun, attention_mask=seen, use_cache=True, **_positions(anatomy, seen, before)
            )
        cache = run.past_key_values
    places = torch.tensor([one.subject - cut for one, cut in zip(read, cuts, strict=True)], device=device)
    return Rows(ids, mask, places, cache)


def states_at_subjects(
    anatomy: Anatomy, tokenizer: Any, rewrites: Sequence[Rewrite], prefixes: Sequence[str], module: Any, *,
    inputs: bool = False,
) -> torch.Tensor:  # fmt: skip
    """What a module gives (or is given) at the last token of each subject, (rewrites, prefixes, width), in float64."""
    read = [one.read(tokenizer, prefix, with_target=False) for one in rewrites for prefix in prefixes]
    found = []
    for chunk in _chunks(read):
        ids, mask = right_padded(anatomy, [one.ids[: one.subject + 1] for one in chunk], tokenizer)
        with torch.no_grad(), recording([module], inputs=inputs) as kept, ending_at(module):
            anatomy.model(
                input_ids=ids, attention_mask=mask, use_cache=False, **_positions(anatomy, mask, ids.shape[1])
            )
        states = kept[0].reshape(*ids.shape, -1)
        ends = mask.sum(1) - 1
        found.append(states[torch.arange(len(ids)), ends].double().cpu())
    return torch.cat(found).reshape(len(rewrites), len(prefixes), -1)


def inputs_of(
    anatomy: Anatomy, tokenizer: Any, layer: int, texts: Sequence[str], most: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the written matrix of a layer is given at the tokens of texts, and which of them are no padding.

    Args:
        anatomy: Of the model.
        tokenizer: Of the model.
        layer: Which.
        texts: One a row.
        most: Tokens of each that are read at most.

    Returns:
        (texts, longest, in) in float32, and (texts, longest).
    """
    module = anatomy.written(layer)
    ids, mask = right_padded(anatomy, [read_tokens(tokenizer, text, 1).ids[:most] for text in texts], tokenizer)
    with torch.no_grad(), recording([module], inputs=True) as read, ending_at(module):
        anatomy.model(input_ids=ids, attention_mask=mask, use_cache=False)
    return read[0].reshape(*ids.shape, -1).float(), mask.bool()


def right_padded(anatomy: Anatomy, rows: Sequence[Sequence[int]], tokenizer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, (rows, longest), on the model's device."""
    longest, pad = max(map(len, rows)), tokenizer.pad_token_id or 0
    ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], device=anatomy.device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=anatomy.device)
    return ids, mask


def _seen(row: Sequence[int], length: int) -> list[int]:
    return [1] * len(row) + [0] * (length - len(row))


def _positions(anatomy: Anatomy, mask: torch.Tensor, last: int) -> dict[str, torch.Tensor]:
    if not anatomy.takes_positions:
        return {}
    return {"position_ids": (mask.cumsum(-1) - 1).clamp(min=0)[:, -last:]}


def _chunks(read: Sequence[Tokens]) -> Iterator[Sequence[Tokens]]:
    for start in range(0, len(read), ROWS):
        yield read[start : start + ROWS]
