"""Exporting a sentence-transformers model for ONNX Runtime: the whole way from tokens to the vector, as one graph."""

from __future__ import annotations

import json
import warnings
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from memedit.embedders.folders import ModelFolder
from memedit.embedders.onnx_graph import CARD, FEEDS, GRAPH, TOKENIZER, OnnxEmbedder
from memedit.embedders.port import Vectors
from memedit.errors import EmbedderError, MissingExtra

try:
    import onnx  # noqa: F401  (both are what torch.onnx and the quantiser ask for)
    import onnxscript  # noqa: F401
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    from memedit.plumbing.onnx import in_int8
except ModuleNotFoundError as missing:
    raise MissingExtra("fast", package=missing.name or "onnx") from missing

SAME = 1e-5  # largest difference of a component of two unit vectors that count as one
ALIKE = 0.99  # mean cosine from which vectors lie in one space
EXAMPLES = ["a text of some words", "another"]  # what the graph is traced with: of two lengths


def export(source: ModelFolder, into: Path, *, int8: bool) -> None:
    """Graph, tokenizer and card of a model.

    The card says what the embedder is called, and how far its vectors are from the model's on prompts of CounterFact.

    Args:
        source: Of the model.
        into: An empty folder.
        int8: Whether the weights are quantised.

    Raises:
        EmbedderError: The model cannot be exported, or its export gives other vectors.
    """
    try:
        model = SentenceTransformer(str(source.path), device="cpu", local_files_only=True).eval()
        _tokenizer(model).save(str(into / TOKENIZER))
        _write_graph(model, into / GRAPH)
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise EmbedderError(
            f"`{source.name}` could not be exported: {str(error) or type(error).__name__}".split("\n")[0],
            do="use it as it is: `st:FOLDER`",
        ) from error
    if int8:
        whole = (into / GRAPH).rename(into / "float32.onnx")
        in_int8(whole, into / GRAPH)
    name = f"int8:{source.name}" if int8 else source.id
    texts = _prompts()
    made = OnnxEmbedder(into, id=name, alone=int8).embed(texts)
    given: Vectors = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    cosine, difference = float((made * given).sum(axis=1).mean()), float(np.abs(made - given).max())
    if cosine < ALIKE or not (int8 or difference <= SAME):
        raise EmbedderError(
            f"`{source.name}` gives other vectors when exported{' as int8' if int8 else ''}: mean cosine {cosine:.3f}, "
            f"largest difference {difference:.1g}.",
            do="use `onnx:`, which keeps its vectors" if int8 else "use it as it is: `st:FOLDER`",
        )
    card = {"id": name, "space": source.id, "alone": int8, "mean cosine": cosine, "largest difference": difference}
    (into / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


class _Whole(torch.nn.Module):
    """A model from tensors to the vector, instead of from dict to dict."""

    def __init__(self, model: Any, names: list[str]) -> None:
        super().__init__()
        self._model, self._names = model, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        vector: torch.Tensor = self._model(dict(zip(self._names, inputs, strict=True)))["sentence_embedding"]
        return vector


def _write_graph(model: Any, path: Path) -> None:
    features = model.preprocess(EXAMPLES)
    names = [name for name in FEEDS if name in features]
    sizes = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own exporter, about itself
        torch.onnx.export(
            _Whole(model, names).eval(), tuple(features[name] for name in names), path, dynamo=True, verbose=False,
            input_names=names, output_names=["vector"], dynamic_shapes=(tuple(sizes for _ in names),),
            external_data=False,
        )  # fmt: skip


def _tokenizer(model: Any) -> Tokenizer:
    """The model's tokenizer, which cuts and pads as the model does."""
    given = model.tokenizer
    tokenizer = Tokenizer.from_str(given.backend_tokenizer.to_str())
    tokenizer.enable_truncation(model.max_seq_length)
    tokenizer.enable_padding(pad_id=given.pad_token_id, pad_token=given.pad_token)
    return tokenizer


def _prompts() -> list[str]:
    """Two prompts of each bundled case of CounterFact: one short, one longer."""
    lines = resources.files("memedit.data").joinpath("counterfact_150.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [json.loads(line) for line in lines if line.strip()]
    short = [one["requested_rewrite"]["prompt"].format(one["requested_rewrite"]["subject"]) for one in cases]
    return [*short, *(one["paraphrase_prompts"][0] for one in cases)]
