"""Tiny random models of every family whose weights can be edited, made from their configurations, and edits."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from memedit.parametric.rewrites import Rewrite

REWRITES = [Rewrite("one", "The capital of {} is", "Quillon", "XY"), Rewrite("two", "{} was born in", "Ada", "Z")]
TEXTS = ["The quick brown fox jumps over the lazy dog, and the dog does not mind at all."] * 4
WIDTH, INNER, LAYERS, WORDS = 32, 64, 3, 258
SIZES = {
    "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": 2,
    "num_key_value_heads": 2, "head_dim": 16, "vocab_size": WORDS, "max_position_embeddings": 128, "pad_token_id": 0,
    "n_embd": WIDTH, "n_layer": LAYERS, "n_head": 2, "n_positions": 128, "rotary_dim": 8, "ffn_dim": INNER,
    "word_embed_proj_dim": WIDTH, "num_layers": LAYERS, "ffn_hidden_size": INNER, "n_inner": INNER,
    "linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
    "bos_token_id": None, "eos_token_id": 1,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "qwen3_5_text": {"layer_types": ["linear_attention", "full_attention", "linear_attention"]},
    "gpt_neo": {"attention_types": [[["global", "local", "global"], 1]]},
}


@lru_cache
def tiny_of(family: str, **own: Any) -> Any:
    """A random model in float64, so that identities can be seen to hold."""
    from transformers import AutoConfig, AutoModelForCausalLM

    known = AutoConfig.for_model(family)
    names = {*known.to_dict(), *type(known).attribute_map}
    sizes = {name: value for name, value in SIZES.items() if name in names}
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **sizes | OWN.get(family, {}) | own)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float64).eval()
    with torch.no_grad():  # what is drawn so small that a change would not be seen
        for one in model.parameters():
            if one.dim() > 1:
                one.normal_(0, 0.2)
    return model
