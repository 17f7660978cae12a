"""The published Backpack (Hewitt et al. 2023, arXiv:2305.16765; `stanfordnlp/backpack-gpt2`), read from its folder.

There the contextualiser is a GPT-2 of its own, a word's senses come from two layers of its embedding behind a residual,
and α has a width of its own for each sense. The folder is downloaded by whoever wants it; here it was tried on small
weights of the same names and shapes alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file
from torch.nn.functional import layer_norm
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.activations import ACT2FN

from memedit.errors import UnsupportedModel
from memedit.parametric.layout import Anatomy
from memedit.systems.backpack import Backpack

WHOLE, CONTEXT, SENSES, WEIGHING = "backpack.", "gpt2_model.", "sense_network.", "sense_weight_net.c_attn."
FILES = ("model.safetensors", "pytorch_model.bin")
Weights = dict[str, torch.Tensor]


class Published(Backpack):
    """A Backpack with the weights that its authors trained; edited as any (`edited`, `topic`).

    Args:
        anatomy: Of its contextualiser, a GPT-2 whose output embeddings are its words'.
        weights: Of senses and weighing, by the authors' names without what goes before them.
        senses: Of a word.
    """

    def __init__(self, anatomy: Anatomy, weights: Weights, senses: int) -> None:
        torch.nn.Module.__init__(self)
        self.anatomy, self.senses, self.changed = anatomy, senses, None
        self._weights = weights
        self._act, self._eps = ACT2FN[anatomy.model.config.activation_function], anatomy.model.config.layer_norm_epsilon

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read `config.json` and the weights of a folder.

        Raises:
            UnsupportedModel: It holds no Backpack.
        """
        try:
            told = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
            held = {name.removeprefix(WHOLE): one.float() for name, one in _weights_of(Path(folder)).items()}
            model = GPT2LMHeadModel(GPT2Config(**{name: one for name, one in told.items() if name != "model_type"}))
            context = {name.removeprefix(CONTEXT): one for name, one in held.items() if name.startswith(CONTEXT)}
            model.transformer.load_state_dict(context, strict=True)
            model.tie_weights()
            made = cls(Anatomy(model.eval().requires_grad_(False)), held, int(told["num_senses"]))
            made.sense(torch.zeros(1, dtype=torch.long))
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            raise UnsupportedModel(
                f"`{folder}` holds no Backpack: {type(error).__name__}: {str(error)[:200]}",
                do="give the folder of stanfordnlp/backpack-gpt2, with config.json and model.safetensors",
            ) from error
        return made

    def sense(self, ids: torch.Tensor) -> torch.Tensor:
        """C: the senses of words, (…, senses, width)."""
        residual = self.anatomy.model.get_input_embeddings().weight[ids]
        residual = residual + self._normed("ln", residual)
        residual = residual + self._layer("block.mlp", self._normed("block.ln_1", residual))
        made = self._layer("final_mlp", self._normed("block.ln_2", residual)).unflatten(-1, (self.senses, -1))  # type: ignore[no-untyped-call]
        return torch.as_tensor(made if self.changed is None else made * self.changed.factors[ids][..., None])

    def weights(self, states: torch.Tensor) -> torch.Tensor:
        """α, as of any Backpack."""
        held = self._weights
        both = states @ held[f"{WEIGHING}weight"].T + held[f"{WEIGHING}bias"]
        asked, answered = both.unflatten(-1, (2, self.senses, -1)).permute(2, 0, 3, 1, 4)  # type: ignore[no-untyped-call]
        scores = asked @ answered.transpose(-1, -2) / asked.shape[-1] ** 0.5
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        shares: torch.Tensor = scores.masked_fill(future, -torch.inf).softmax(-1)
        return shares

    def _normed(self, name: str, given: torch.Tensor) -> torch.Tensor:
        weight, bias = (self._weights[f"{SENSES}{name}.{part}"] for part in ("weight", "bias"))
        return layer_norm(given, weight.shape, weight, bias, self._eps)

    def _layer(self, name: str, given: torch.Tensor) -> torch.Tensor:
        """Two matrices, (in, out) each, with the activation between."""
        for part in ("c_fc", "c_proj"):
            weight, bias = (self._weights[f"{SENSES}{name}.{part}.{one}"] for one in ("weight", "bias"))
            given = given @ weight + bias
            if part == "c_fc":
                given = self._act(given)
        return given


def _weights_of(folder: Path) -> dict[str, Any]:
    for name in FILES:
        if (file := folder / name).exists():
            return load_file(file) if name == FILES[0] else torch.load(file, map_location="cpu", weights_only=True)
    raise FileNotFoundError(f"none of {', '.join(FILES)} is there")
