"""Writing trained encoders as they are shipped: graphs in int8 (dynamic quantisation, Jacob et al. 2018,
arXiv:1712.05877), and the word embeddings that they share beside them, one scale a word.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from memedit.encoder.change import CHANGE
from memedit.encoder.graph import CARD, FORMAT, INPUTS, TOKENIZER, WORDS
from memedit.errors import MissingExtra, RunRejected

try:
    import onnx
    import onnxscript  # noqa: F401  (torch.onnx asks for it)
    import torch

    from memedit.plumbing.onnx import in_int8
except ModuleNotFoundError as missing:
    raise MissingExtra("fast", package=missing.name or "onnx") from missing


class Embedded(torch.nn.Module):
    """From embedded words on, by any encoder that takes them; some tell no first text from a second by their kind."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.tells_kinds = "token_type_ids" in inspect.signature(model.forward).parameters

    def read(self, words: torch.Tensor, kinds: torch.Tensor, mask: torch.Tensor) -> Any:
        """The model's output."""
        given = {"token_type_ids": kinds} if self.tells_kinds else {}
        return self.model(inputs_embeds=words, attention_mask=mask, **given)


class Pooled(Embedded):
    """The mean over the tokens of the last layer. Result (1, dimension)."""

    def forward(self, words: torch.Tensor, kinds: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.read(words, kinds, mask).last_hidden_state.mean(dim=1)  # one text, no padding
        return pooled


class Labelled(Embedded):
    """The logits of the labels. Result (1, labels)."""

    def forward(self, words: torch.Tensor, kinds: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.read(words, kinds, mask).logits
        return logits


def write_graph(model: Pooled | Labelled, path: Path) -> None:
    """Write `Pooled` or `Labelled` as an int8 graph."""
    width = model.model.config.hidden_size
    tokens = torch.export.Dim("tokens", min=2, max=512)
    example = (torch.randn(1, 12, width), torch.zeros(1, 12, dtype=torch.int64), torch.ones(1, 12, dtype=torch.int64))
    whole = path.with_suffix(".float32.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own exporter, about itself
        torch.onnx.export(
            model.eval(), example, whole, dynamo=True, verbose=False, input_names=list(INPUTS), output_names=["given"],
            dynamic_shapes=tuple({1: tokens} for _ in INPUTS), external_data=False,
        )  # fmt: skip
    in_int8(whole, path, only=["MatMul"])
    onnx.save(_bare(onnx.load(path)), path)


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without what its export noted of where it was made: lines of code, and the paths of their files."""
    graph = model.graph
    for held in (graph.node, graph.initializer, graph.value_info, graph.input, graph.output, (graph, model)):
        for one in held:
            del one.metadata_props[:]
            one.doc_string = ""
    return model


def write_words(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write what graphs share: the word embeddings of a model, and its tokenizer."""
    weights = model.get_input_embeddings().weight.detach().float().numpy()
    scales = np.abs(weights).max(axis=1) / 127
    words = np.round(weights / np.maximum(scales, 1e-12)[:, None]).astype(np.int8)
    np.savez(folder / WORDS, words=words, scales=scales.astype(np.float32))
    tokenizer.backend_tokenizer.save(str(folder / TOKENIZER))


def write_card(folder: Path) -> dict[str, str]:
    """Write the card of a folder of graphs, or of a change: which they are, by their hashes. Gives these by name."""
    files = sorted((*folder.glob("*.onnx"), *folder.glob(CHANGE)))
    made = {file.stem: hashlib.sha256(file.read_bytes()).hexdigest()[:12] for file in files}
    (folder / CARD).write_text(json.dumps({"format": FORMAT, "made": made}, indent=1) + "\n", encoding="utf-8")
    return made


def check_shared(first: Any, second: Any) -> None:
    """Check that two models have the same word embeddings.

    Raises:
        RunRejected: They have not, so that they cannot be shipped together.
    """
    one, other = (model.get_input_embeddings().weight for model in (first, second))
    if not torch.equal(one, other):
        raise RunRejected("The two encoders have other word embeddings.", do="train both with them frozen")
