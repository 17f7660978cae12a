"""What a local model says now: how likely continuations are, what it would say next, and perplexity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import torch

from memedit.llms import Likelihood
from memedit.parametric.layout import Anatomy
from memedit.parametric.reading import right_padded
from memedit.parametric.rewrites import begin

ROWS, WINDOW = 16, 256
Row = TypeVar("Row")


def likelihoods(anatomy: Anatomy, tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
    """How likely each continuation is behind its text (a leading blank is put before it)."""
    rows = [(_tokens(tokenizer, text, first=True), _tokens(tokenizer, f" {ending}")) for text, ending in pairs]
    found = []
    for chunk in _chunks(rows):
        logits = _logits(anatomy, tokenizer, [text + ending for text, ending in chunk])
        for said, (text, ending) in zip(logits, chunk, strict=True):
            foretold = said[len(text) - 1 : len(text) + len(ending) - 1].float().log_softmax(-1)
            wanted = torch.tensor(ending, device=said.device)
            chosen = foretold.gather(-1, wanted[:, None])
            found.append(Likelihood(float(chosen.sum()), tuple((foretold.argmax(-1) == wanted).tolist())))
    return found


def next_logprobs(anatomy: Anatomy, tokenizer: Any, texts: Sequence[str]) -> torch.Tensor:
    """Log-probabilities of the next token behind each text, (texts, vocabulary), in float32."""
    found = []
    for chunk in _chunks([_tokens(tokenizer, text, first=True) for text in texts]):
        logits = _logits(anatomy, tokenizer, chunk)
        found += [said[len(row) - 1].float().log_softmax(-1) for said, row in zip(logits, chunk, strict=True)]
    return torch.stack(found)


def first_choices(anatomy: Anatomy, tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """The likeliest next token behind each text."""
    return [int(one.argmax()) for one in next_logprobs(anatomy, tokenizer, texts)] if texts else []


def goes_on(anatomy: Anatomy, tokenizer: Any, texts: Sequence[str], tokens: Sequence[int]) -> list[str]:
    """What the model says behind each text, greedily, of so many tokens."""
    rows = [_tokens(tokenizer, text, first=True) for text in texts]
    begun = [len(row) for row in rows]
    for _ in range(max(tokens, default=0)):
        for chunk in _chunks(rows):
            logits = _logits(anatomy, tokenizer, chunk)
            for said, row in zip(logits, chunk, strict=True):
                row.append(int(said[len(row) - 1].argmax()))
    written = [row[start : start + count] for row, start, count in zip(rows, begun, tokens, strict=True)]
    return [str(tokenizer.decode(one, skip_special_tokens=True)).strip() for one in written]


def perplexity(anatomy: Anatomy, tokenizer: Any, texts: Sequence[str]) -> float:
    """Of running text, the beginning of each text read by itself."""
    summed, count = 0.0, 0
    for chunk in _chunks([_tokens(tokenizer, text, first=True)[:WINDOW] for text in texts]):
        logits = _logits(anatomy, tokenizer, chunk)
        for said, row in zip(logits, chunk, strict=True):
            foretold = said[: len(row) - 1].float().log_softmax(-1)
            summed -= float(foretold.gather(-1, torch.tensor(row[1:], device=said.device)[:, None]).sum())
            count += len(row) - 1
    return float(torch.tensor(summed / max(count, 1), dtype=torch.float64).exp())


def _logits(anatomy: Anatomy, tokenizer: Any, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    ids, mask = right_padded(anatomy, rows, tokenizer)
    with torch.no_grad():
        logits: torch.Tensor = anatomy.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return logits


def _tokens(tokenizer: Any, text: str, *, first: bool = False) -> list[int]:
    ids = list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
    return [*begin(tokenizer), *ids] if first else ids


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), ROWS):
        yield rows[start : start + ROWS]
