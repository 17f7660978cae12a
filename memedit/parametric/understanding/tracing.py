"""Causal tracing (Meng et al. 2022, arXiv:2202.05262): which states carry what is said of a subject.

The subject's embeddings are spoiled by noise, and one state at a time is given back as it was: how much of the target's
probability comes back is that state's effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from memedit.parametric.hooks import recording, replacing
from memedit.parametric.layout import Anatomy
from memedit.parametric.method import frozen
from memedit.parametric.rewrites import Rewrite

NOISE = 3.0
"""Standard deviations of the embeddings."""
Part = Literal["block", "feed_forward", "attention"]


@dataclass(frozen=True, slots=True)
class Traced:
    """What came back.

    Args:
        effects: Probability with one state given back, less that without, (layers, tokens).
        clean: Probability of the target's first token.
        spoiled: The same with the subject spoiled.
        tokens: What was read, token by token.
    """

    effects: np.ndarray[Any, np.dtype[np.float64]]
    clean: float
    spoiled: float
    tokens: tuple[str, ...]


def trace(
    anatomy: Anatomy, tokenizer: Any, rewrite: Rewrite, *, part: Part = "block", window: int = 1, samples: int = 10,
    noise: float = NOISE, seed: int = 0, layers: Sequence[int] | None = None, places: Sequence[int] | None = None,
) -> Traced:  # fmt: skip
    """The effect of every state of a prompt on what follows it.

    Args:
        anatomy: Of the model.
        tokenizer: Of the model.
        rewrite: Prompt, subject, and what follows.
        part: Whose states are given back.
        window: Layers around each that are given back together.
        samples: Of the noise, over which probabilities are averaged.
        noise: Its size, in standard deviations of the model's embeddings.
        seed: Of the noise.
        layers: Whose states are given back; None for all. Elsewhere effects are 0.
        places: Tokens whose states are given back; None for all.
    """
    read = rewrite.read(tokenizer)
    begin = subject_begin(tokenizer, rewrite)
    ids = torch.tensor([read.ids[: read.target]], device=anatomy.device)
    embedding: Any = anatomy.model.get_input_embeddings()
    drawn = _drawn(embedding, samples, read.subject + 1 - begin, noise, seed).to(ids.device)
    modules = [_module(anatomy, layer, part) for layer in range(len(anatomy))]

    def chance(*, spoil: bool, layers: Sequence[int] = (), token: int = 0) -> float:
        """Of the target's first token, with the states of some layers at one token as they were."""
        with ExitStack() as held:
            if spoil:
                held.enter_context(replacing(embedding, lambda states: _spoiled(states, drawn, begin)))
            for layer in layers:
                held.enter_context(replacing(modules[layer], _restored(kept[layer], token, ids.shape[1])))
            run = anatomy.model(input_ids=ids.expand(samples, -1), use_cache=False, logits_to_keep=1)
            logits = run.logits[:, -1]
        return float(logits.double().softmax(-1)[:, read.ids[read.target]].mean())

    with frozen(anatomy.model), torch.no_grad():
        with recording(modules) as kept:
            clean = chance(spoil=False)
        spoiled = chance(spoil=True)
        effects = np.zeros((len(anatomy), ids.shape[1]))
        # What stands before the subject is as it was anyway.
        at = range(begin, ids.shape[1]) if places is None else [one for one in places if one >= begin]
        for layer in range(len(anatomy)) if layers is None else layers:
            near = range(max(0, layer - (window - 1) // 2), min(len(anatomy), layer + window // 2 + 1))
            for token in at:
                effects[layer, token] = chance(spoil=True, layers=near, token=token) - spoiled
    return Traced(effects, clean, spoiled, tuple(tokenizer.decode([one]) for one in ids[0].tolist()))


def spoiled_choice(
    anatomy: Anatomy, tokenizer: Any, rewrite: Rewrite, *, samples: int = 10, noise: float = NOISE, seed: int = 0
) -> str:
    """The word that the model says next with the subject spoiled, by the mean over samples of the noise."""
    read, begin = rewrite.read(tokenizer), subject_begin(tokenizer, rewrite)
    ids = torch.tensor([read.ids[: read.target]], device=anatomy.device)
    embedding: Any = anatomy.model.get_input_embeddings()
    drawn = _drawn(embedding, samples, read.subject + 1 - begin, noise, seed).to(ids.device)
    with torch.no_grad(), replacing(embedding, lambda states: _spoiled(states, drawn, begin)):
        said = anatomy.model(input_ids=ids.expand(samples, -1), use_cache=False).logits[:, -1].double()
    order = said.softmax(-1).mean(0).argsort(descending=True).tolist()
    return next(word for one in order if (word := str(tokenizer.decode([one])).strip()))


def _drawn(embedding: Any, samples: int, tokens: int, noise: float, seed: int) -> torch.Tensor:
    """Noise for the subject's embeddings, (samples, tokens, width)."""
    weight = embedding.weight
    drawn = torch.randn(samples, tokens, weight.shape[1], generator=torch.Generator().manual_seed(seed))
    return drawn.to(weight.dtype) * (noise * float(weight.detach().float().std()))


def subject_begin(tokenizer: Any, rewrite: Rewrite) -> int:
    """The place of the subject's first token."""
    before = Rewrite(rewrite.id, rewrite.prompt, rewrite.subject[:1], rewrite.target)
    read = rewrite.read(tokenizer, with_target=False)
    start = before.text.index(rewrite.subject[:1], rewrite.prompt.index("{}"))
    offsets = tokenizer(rewrite.text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    first = next(place for place, (_, end) in enumerate(offsets) if end > start)
    return first + len(read.ids) - len(offsets)


def _module(anatomy: Anatomy, layer: int, part: Part) -> Any:
    if part == "block":
        return anatomy.blocks[layer]
    return anatomy.written(layer) if part == "feed_forward" else anatomy.attention(layer)


def _spoiled(states: torch.Tensor, drawn: torch.Tensor, begin: int) -> torch.Tensor:
    spoiled = states.clone()
    spoiled[:, begin : begin + drawn.shape[1]] += drawn
    return spoiled


def _restored(clean: torch.Tensor, token: int, tokens: int) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(states: torch.Tensor) -> torch.Tensor:
        shaped = states.reshape(-1, tokens, states.shape[-1]).clone()
        shaped[:, token] = clean.reshape(shaped.shape)[:, token]
        return shaped.reshape(states.shape)

    return change
