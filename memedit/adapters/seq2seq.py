"""Local encoder-decoders (T5, BART): the encoder reads the request, the decoder writes the answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from memedit.adapters._contexts import Contexts, likelihood
from memedit.adapters._options import Options
from memedit.adapters._prefix import PrefixCache
from memedit.adapters.causal import LocalLLM
from memedit.llms import Capability, Likelihood
from memedit.messages import Reply, Request
from memedit.plumbing.threads import closed_after


class Seq2SeqLLM(LocalLLM):
    """A transformers encoder-decoder on this machine. Greedy unless sampling is asked for."""

    capabilities = frozenset({Capability.TEXT, Capability.LOGPROBS})

    def __init__(self, model: Any, tokenizer: Any, **options: Any) -> None:
        super().__init__(model, tokenizer, **options)
        self._prefix = NoPrefix(model)

    def encode(self, request: Request) -> list[int]:
        return super().encode(request) + self._closing

    def stream(self, request: Request) -> Iterator[Reply]:
        with closed_after(super().stream(request)) as pieces:
            yield from map(_by_itself, pieces)

    def _answers(self, requests: Sequence[Request], abandoned: threading.Event) -> list[Reply]:
        return [_by_itself(reply) for reply in super()._answers(requests, abandoned)]

    @property
    def _closing(self) -> list[int]:
        """What the tokenizer ends a text with."""
        last = self.tokenizer("x")["input_ids"][-1]
        return [last] if last in self.tokenizer.all_special_ids else []

    def padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Right-padded ids and mask, (rows, longest): an encoder counts positions from the left."""
        longest = max(len(row) for row in rows)
        pad = self.tokenizer.pad_token_id
        ids = [list(row) + [pad] * (longest - len(row)) for row in rows]
        mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
        return torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device)

    def _room(self, read: int, options: Options) -> int:
        """How many tokens may be written, of those that were asked for: the decoder has a context of its own."""
        self._check_length(read, 1)
        return options.max_new_tokens if self._context is None else min(options.max_new_tokens, self._context - 1)

    def _check_length(self, read: int, written: int) -> None:
        if self._context is not None and max(read, written) > self._context:
            raise self._too_long(max(read, written), self._context)

    def _contexts(self, ids: torch.Tensor, mask: torch.Tensor, cache: Any = None, begun: int = 0) -> Contexts:
        return ReadContexts(self.model, ids, mask)

    def _read(self, ids: torch.Tensor) -> int:
        return 1  # the token that the decoder begins with

    def _score(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[Likelihood]:
        ids, mask = self.padded([context for context, _ in pairs])
        written = begun(self.model, [ending for _, ending in pairs])
        with self.lock, torch.inference_mode():
            logits = self.model(input_ids=ids, attention_mask=mask, decoder_input_ids=written).logits.float()
        return [likelihood(row[: len(ending)], ending) for row, (_, ending) in zip(logits, pairs, strict=True)]


class ReadContexts(Contexts):
    """Several texts that the encoder read; each `step` lets the decoder write on behind all of them."""

    def __init__(self, model: Any, ids: torch.Tensor, mask: torch.Tensor) -> None:
        super().__init__(model, ids.new_full((len(ids), 1), model.config.decoder_start_token_id), mask)
        with torch.inference_mode():
            self._encoded = model.get_encoder()(input_ids=ids, attention_mask=mask)

    def step(self) -> torch.Tensor:
        out = self._model(
            encoder_outputs=self._encoded,
            attention_mask=self._mask,
            decoder_input_ids=self._ids,
            past_key_values=self._cache,
            use_cache=True,
        )
        self._cache = out.past_key_values
        logprobs: torch.Tensor = out.logits[:, -1].float().log_softmax(-1)
        return logprobs

    def put(self, token: int) -> None:
        self._ids = self._mask.new_full((len(self._mask), 1), token)


class NoPrefix(PrefixCache):
    """Keeps nothing: what an encoder reads, it reads as a whole."""

    def shared(self, rows: Sequence[Sequence[int]]) -> list[int]:
        return []


def _by_itself(reply: Reply) -> Reply:
    """A reply that writes nothing on: a decoder begins a text of its own."""
    return replace(reply, lead=None)


def begun(model: Any, endings: Sequence[Sequence[int]]) -> torch.Tensor:
    """What the decoder is given before each token of these endings, (endings, longest); right-padded."""
    start, longest = model.config.decoder_start_token_id, max(map(len, endings))
    rows = [[start, *ending[:-1]] for ending in endings]
    return torch.tensor([row + [start] * (longest - len(row)) for row in rows], device=model.device)
