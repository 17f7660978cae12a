"""The logit lens: what a model would say if it ended behind each layer, and what single neurons say (Geva et al. 2022).

A state is read by the model's last norm and its vocabulary; a neuron's value, a column of the written matrix, by the
vocabulary alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from memedit.errors import UnsupportedModel
from memedit.parametric.hooks import recording
from memedit.parametric.layout import Anatomy
from memedit.parametric.method import frozen
from memedit.parametric.rewrites import read_tokens

NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm")
"""How families call the norm behind their last block; it lies beside the blocks."""


def lens(anatomy: Anatomy, tokenizer: Any, prompt: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Log-probabilities of the next token behind each layer, at every token, (layers, tokens, vocabulary).

    The last layer's are the model's own.

    Raises:
        UnsupportedModel: No norm is found behind the last block.
    """
    ids = torch.tensor([read_tokens(tokenizer, prompt, len(prompt)).ids], device=anatomy.device)
    norm, head = last_norm(anatomy), anatomy.model.get_output_embeddings()
    with frozen(anatomy.model), torch.no_grad(), recording(list(anatomy.blocks)) as kept, recording([head]) as made:
        anatomy.model(input_ids=ids, use_cache=False)
        own = made[0][0]
        said = [head(norm(states))[0] for states in kept]
    # What a family does behind the vocabulary (Gemma caps it) changes no order; the last layer shows that all fits.
    if not torch.allclose(said[-1].float(), own.float(), rtol=1e-2, atol=1e-2):
        raise UnsupportedModel(
            f"What `{type(anatomy.model).__name__}` reads of its last block is not the norm and the vocabulary alone.",
            do="look at the states themselves: `recording(anatomy.blocks)`",
        )
    return torch.stack(said).float().log_softmax(-1).cpu().numpy()


def neuron_words(
    anatomy: Anatomy, tokenizer: Any, layer: int, neuron: int, *, most: int = 10
) -> list[tuple[str, float]]:
    """The tokens that a neuron promotes most, with their logits."""
    value = anatomy.weight(layer)[:, neuron]
    with torch.no_grad():
        found = (anatomy.model.get_output_embeddings().weight @ value).float().topk(most)
    pairs = zip(found.indices.tolist(), found.values.tolist(), strict=True)
    return [(str(tokenizer.decode([token])), float(logit)) for token, logit in pairs]


def last_norm(anatomy: Anatomy) -> Any:
    """The norm behind the last block.

    Raises:
        UnsupportedModel: There is none of a known name.
    """
    beside: Any = anatomy.model
    for name in anatomy.layout.blocks.split(".")[:-1]:
        beside = getattr(beside, name)
    found = next((getattr(beside, name) for name in NORMS if getattr(beside, name, None) is not None), None)
    if found is None:
        raise UnsupportedModel(
            f"No norm behind the last block of `{type(anatomy.model).__name__}` is known: not {', '.join(NORMS)}.",
            do="look at the states themselves: `recording(anatomy.blocks)`",
        )
    return found
