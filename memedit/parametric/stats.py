"""What keys a layer is used to: the uncentred covariance C = E[k kᵀ] of the inputs of its edited matrix."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from memedit.parametric.delta import Overlay
from memedit.parametric.hooks import ending_at, recording
from memedit.parametric.layout import Anatomy, model_hash
from memedit.parametric.rewrites import begin
from memedit.plumbing.kept import cache_root

Progress = Callable[[int, int], None]
"""Is told (done, of how many)."""
TOKENS = 30_000
"""Of text that statistics are taken of: a minute for SmolLM2-135M on one core."""
WINDOW, ROWS = 128, 8
FLOOR = 1e-6  # of the mean variance


@dataclass(frozen=True)
class Stats:
    """The keys of a layer.

    Args:
        moment: C, (in, in), float64.
        tokens: That it is the mean of.
    """

    moment: torch.Tensor
    tokens: int

    @cached_property
    def firm(self) -> torch.Tensor:
        """C; of too few tokens, with a ridge that makes it positive."""
        if self.tokens > len(self.moment) and not int(torch.linalg.cholesky_ex(self.moment).info):
            return self.moment
        floor = FLOOR * self.moment.diagonal().mean()
        return self.moment + floor * torch.eye(len(self.moment), dtype=self.moment.dtype)

    @cached_property
    def factor(self) -> torch.Tensor:
        """The lower Cholesky factor of C."""
        factor: torch.Tensor = torch.linalg.cholesky(self.firm)
        return factor

    @cached_property
    def spectrum(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Eigenvalues of C, smallest first, (in,), and its eigenvectors as columns."""
        values, vectors = torch.linalg.eigh(self.moment)
        return values, vectors

    def solve(self, keys: torch.Tensor) -> torch.Tensor:
        """C⁻¹ K for keys as columns, (in, n)."""
        return torch.cholesky_solve(keys, self.factor)


def moments(keys: Iterable[torch.Tensor]) -> Stats:
    """The statistics of keys that come in chunks (tokens, in)."""
    total, count = torch.zeros(()), 0
    for chunk in keys:
        rows = chunk.double()
        total, count = total + rows.T @ rows, count + len(rows)
    return Stats(total / max(count, 1), count)


def gather(
    anatomy: Anatomy, tokenizer: Any, layers: Sequence[int], texts: Iterable[str], *, tokens: int = TOKENS,
    progress: Progress | None = None,
) -> dict[int, Stats]:  # fmt: skip
    """The statistics of layers over running text, by layer. Padding does not count.

    Args:
        anatomy: Of the model.
        tokenizer: Of the model.
        layers: Which.
        texts: Read until `tokens` of them were seen.
        tokens: How many.
        progress: Is told (tokens, of how many).
    """
    sums = {layer: torch.zeros((), dtype=torch.float64) for layer in layers}
    seen, modules = 0, [anatomy.written(layer) for layer in layers]
    for ids, mask in _batches(tokenizer, texts, tokens):
        with torch.no_grad(), recording(modules, inputs=True) as found, ending_at(anatomy.blocks[max(layers)]):
            anatomy.model(input_ids=ids.to(anatomy.device), attention_mask=mask.to(anatomy.device), use_cache=False)
        real = mask.bool().reshape(-1)
        for layer, given in zip(layers, found, strict=True):
            rows = given.reshape(-1, given.shape[-1])[real.to(given.device)].double().cpu()
            sums[layer] = sums[layer] + rows.T @ rows
        seen += int(real.sum())
        if progress:
            progress(min(seen, tokens), tokens)
    return {layer: Stats(total / max(seen, 1), seen) for layer, total in sums.items()}


@dataclass(frozen=True)
class StatsBook:
    """Statistics of a model's layers, made once of a text and kept by the hashes of weights and text.

    Args:
        overlay: Of the model; statistics are those of its base weights.
        tokenizer: Of the model.
        texts: The running text.
        tokens: Of it that are read.
        cache: Folder where they are kept: else MEMEDIT_CACHE, else `~/.cache/memedit`. A layer of SmolLM2-135M takes
            9 MB, half of the symmetric matrix in float64.
    """

    overlay: Overlay
    tokenizer: Any
    texts: Sequence[str]
    tokens: int = TOKENS
    cache: str | Path | None = None

    @property
    def root(self) -> Path:
        """The folder of what is kept of models."""
        return cache_root(self.cache)

    @cached_property
    def folder(self) -> Path:
        """Where they are kept."""
        told = hashlib.sha256("\n".join([str(self.tokens), *self.texts]).encode()).hexdigest()[:12]
        with self.overlay.lifted():
            return self.root / f"keys-{model_hash(self.overlay.anatomy.model)}-{told}"

    @cached_property
    def _read(self) -> dict[int, Stats]:
        return {}

    def of(self, layers: Sequence[int], progress: Progress | None = None) -> dict[int, Stats]:
        """The statistics of layers; what is not kept is made in one pass over the text."""
        for layer in layers:
            if layer not in self._read and self._file(layer).is_file():
                self._read[layer] = _load(self._file(layer))
        if missing := [layer for layer in layers if layer not in self._read]:
            with self.overlay.lifted():
                made = gather(
                    self.overlay.anatomy, self.tokenizer, missing, self.texts, tokens=self.tokens, progress=progress
                )
            for layer, stats in made.items():
                _save(stats, self._file(layer))
            self._read.update(made)
        return {layer: self._read[layer] for layer in layers}

    def _file(self, layer: int) -> Path:
        return self.folder / f"layer-{layer}.safetensors"


def _batches(tokenizer: Any, texts: Iterable[str], tokens: int) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    """Right-padded windows of texts, and their masks, (rows, longest), until there are so many tokens."""
    first, rows, left = begin(tokenizer), [], tokens
    pad = tokenizer.pad_token_id or 0
    for text in texts:
        ids = list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
        for start in range(0, len(ids), WINDOW):
            row = [*first, *ids[start : start + WINDOW]][:left]
            rows.append(row)
            left -= len(row)
            if len(rows) == ROWS or left <= 0:
                yield _padded(rows, pad)
                rows = []
            if left <= 0:
                return
    if rows:
        yield _padded(rows, pad)


def _padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask


def _save(stats: Stats, file: Path) -> None:
    """Whole or not at all: written beside, then put in its place."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    row, column = torch.tril_indices(*stats.moment.shape)
    kept = {"half": stats.moment[row, column].contiguous(), "tokens": torch.tensor(stats.tokens)}
    save_file(kept, draft)
    draft.replace(file)


def _load(file: Path) -> Stats:
    kept = load_file(file)
    half = kept["half"]
    size = round(((8 * len(half) + 1) ** 0.5 - 1) / 2)
    row, column = torch.tril_indices(size, size)
    moment = half.new_zeros(size, size)
    moment[row, column] = half
    moment[column, row] = half
    return Stats(moment, int(kept["tokens"]))
