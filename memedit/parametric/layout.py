"""Where the edited matrix lies in each family of transformers 5: data, and a model's parts found by it."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from memedit.errors import UnsupportedModel


@dataclass(frozen=True, slots=True)
class Layout:
    """The names of a family's parts.

    Args:
        blocks: The list of blocks, from the model down.
        written: The last matrix of the feed-forward part, from a block down: the one that edits change.
        attention: The attention part, from a block down; hybrids have one of several.
        transposed: Whether the matrix is stored (in, out), as GPT-2's `Conv1D` is, and not (out, in).
        plain: Whether what the matrix gives is added to the stream as it is. Where a norm lies between, no closed form
            can spread a change over several layers.
        recurrent: Whether some layers have a state that cannot be continued by several tokens at once.
    """

    blocks: str
    written: str
    attention: tuple[str, ...] = ("self_attn",)
    transposed: bool = False
    plain: bool = True
    recurrent: bool = False


_LLAMA = Layout("model.layers", "mlp.down_proj")
_GPT2 = Layout("transformer.h", "mlp.c_proj", ("attn",), transposed=True)
_BLOOM = Layout("transformer.h", "mlp.dense_4h_to_h", ("self_attention",))
LAYOUTS: dict[str, Layout] = {
    "bloom": _BLOOM,
    "falcon": _BLOOM,
    "gemma": _LLAMA,
    "gemma2": replace(_LLAMA, plain=False),
    "gemma3_text": replace(_LLAMA, plain=False),
    "gpt2": _GPT2,
    "gpt_neo": replace(_GPT2, transposed=False),
    "gpt_neox": Layout("gpt_neox.layers", "mlp.dense_4h_to_h", ("attention",)),
    "gptj": Layout("transformer.h", "mlp.fc_out", ("attn",)),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "opt": Layout("model.decoder.layers", "fc2"),
    "phi": Layout("model.layers", "mlp.fc2"),
    "phi3": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "qwen3_5_text": replace(_LLAMA, attention=("self_attn", "linear_attn"), recurrent=True),
    "smollm3": _LLAMA,
    "starcoder2": Layout("model.layers", "mlp.c_proj"),
}
"""By `config.model_type`."""

SAMPLED = 4096  # values of a tensor that go into a model's hash


class Anatomy:
    """A model with its parts by their role.

    Args:
        model: A causal language model of transformers.
        layout: Of its family; taken from `LAYOUTS` when left out.

    Raises:
        UnsupportedModel: The family is not known, or its weights cannot be edited; the message says why.
    """

    def __init__(self, model: Any, layout: Layout | None = None) -> None:
        self.model = model
        self.layout = layout or _known(model)
        self.blocks: Sequence[Any] = _part(model, self.layout.blocks)
        _part(self.blocks[0], self.layout.written)

    def __len__(self) -> int:
        return len(self.blocks)

    def written(self, layer: int) -> Any:
        """The module of a layer whose weight is edited."""
        return _part(self.blocks[layer], self.layout.written)

    def attention(self, layer: int) -> Any:
        """The attention part of a layer."""
        name = next((name for name in self.layout.attention if hasattr(self.blocks[layer], name)), None)
        if name is None:
            raise UnsupportedModel(
                f"Layer {layer} has no {' or '.join(self.layout.attention)}.", do="give layout= with its attention"
            )
        return getattr(self.blocks[layer], name)

    def parameter(self, layer: int) -> str:
        """The name of the edited weight, as the state dict has it."""
        return f"{self.layout.blocks}.{layer}.{self.layout.written}.weight"

    def weight(self, layer: int) -> torch.Tensor:
        """The edited weight as it lies in the model, seen as (out, in)."""
        stored: torch.Tensor = self.written(layer).weight.data
        return stored.T if self.layout.transposed else stored

    @property
    def device(self) -> torch.device:
        device: torch.device = self.model.device
        return device

    @cached_property
    def takes_positions(self) -> bool:
        """Whether the model is told the position of each token; else it reads them from the mask."""
        return "position_ids" in inspect.signature(self.model.forward).parameters

    def require_plain(self, *, by: str) -> None:
        """Raise `UnsupportedModel` where a norm lies between the edited matrix and the stream."""
        if not self.layout.plain:
            raise UnsupportedModel(
                f"`{by}` spreads an edit over layers, which models of type `{self.model.config.model_type}` do not "
                "allow: they put a norm behind the feed-forward part.",
                do="choose method `rome` or `emmet`, which write one layer",
            )


def model_hash(model: Any) -> str:
    """The same for two models of the same weights: of every tensor its name, form and some of its values. 16 digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        flat = tensor.detach().reshape(-1)
        sample = flat[:: max(1, len(flat) // SAMPLED)].cpu().contiguous().view(torch.uint8)
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode() + sample.numpy().tobytes())
    return digest.hexdigest()[:16]


def require_causal(config: Any) -> None:
    """Raise `UnsupportedModel` for an encoder-decoder."""
    if config.is_encoder_decoder:
        raise UnsupportedModel(
            f"`{config.model_type}` is an encoder-decoder: it reads a subject in one half and speaks in the other; "
            "edits are written into causal models alone.",
            do="keep the edits in memory, or take a causal model",
        )


def _known(model: Any) -> Layout:
    config = model.config
    kind = config.model_type
    require_causal(config)
    if any(getattr(config, name, None) for name in ("num_experts", "num_local_experts", "n_routed_experts")):
        raise UnsupportedModel(
            f"`{kind}` has experts, and a router decides which of them reads a token: no one matrix holds a fact.",
            do="keep the edits in memory, or take a model without experts",
        )
    if kind not in LAYOUTS:
        raise UnsupportedModel(
            f"Where a model of type `{kind}` keeps its facts is not known; known are {', '.join(LAYOUTS)}.",
            do="give layout=Layout(blocks=…, written=…), the names of its blocks and of the feed-forward's last matrix",
        )
    layout = LAYOUTS[kind]
    if not getattr(config, "do_layer_norm_before", True):  # OPT-350m
        layout = replace(layout, plain=False)
    return layout


def _part(module: Any, path: str) -> Any:
    for name in path.split("."):
        if not hasattr(module, name):
            raise UnsupportedModel(
                f"The model has no `{path}`: there is no `{name}` in its {type(module).__name__}.",
                do="give layout=Layout(blocks=…, written=…) with the names that it has",
            )
        module = getattr(module, name)
    return module
