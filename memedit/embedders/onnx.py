"""A sentence-transformers model run by ONNX Runtime, as it is or with int8 weights; torch only exports it.

The int8 weights are those of dynamic quantisation (Jacob et al. 2018, arXiv:1712.05877), one scale an output channel.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from memedit.embedders.folders import find_model, made_once
from memedit.embedders.port import Embedder, Vectors
from memedit.errors import EmbedderError, MissingExtra

try:
    from onnxruntime import InferenceSession, SessionOptions
    from tokenizers import Tokenizer
except ModuleNotFoundError as missing:
    raise MissingExtra("fast", package=missing.name or "onnxruntime") from missing

logger = logging.getLogger(__name__)

FORMAT = 1  # of a folder
GRAPH, TOKENIZER, CARD = "model.onnx", "tokenizer.json", "card.json"
FEEDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
"""Inputs of a graph, and what an encoding calls them."""


class OnnxEmbedder(Embedder):
    """A graph from tokens to vectors, and its tokenizer.

    Args:
        folder: Holds both.
        id: Identity beside stored vectors.
        space: Id of the embedder whose vectors these nearly are.
        alone: Whether each text has a forward pass of its own. Int8 activations share one scale a pass, so that in a
            batch a text's vector would depend on its neighbours.
        batch_size: Texts a forward pass, else.
        threads: Of ONNX Runtime; as many as there are cores when left out.

    Raises:
        EmbedderError: The folder does not hold them whole.
    """

    def __init__(
        self,
        folder: Path,
        *,
        id: str,
        space: str | None = None,
        alone: bool = False,
        batch_size: int = 16,
        threads: int | None = None,
    ) -> None:
        self.id = id
        self._space = space or id
        self._batch_size = 1 if alone else batch_size
        options = SessionOptions()
        options.intra_op_num_threads = threads or 0
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
            self._session = InferenceSession(folder / GRAPH, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # both raise plain exceptions of their own
            raise damaged(folder, error) from error
        self._feeds = {given.name: FEEDS[given.name] for given in self._session.get_inputs()}

    @property
    def space(self) -> str:
        return self._space

    def _embed(self, texts: list[str]) -> Vectors:
        order = np.argsort([len(text) for text in texts], kind="stable")  # those of one length need no padding
        starts = range(0, len(texts), self._batch_size)
        vectors = np.concatenate(
            [self._pass([texts[at] for at in order[one : one + self._batch_size]]) for one in starts]
        )
        back = np.empty_like(vectors)
        back[order] = vectors
        return back

    def _pass(self, texts: list[str]) -> Vectors:
        encoded = self._tokenizer.encode_batch(texts)
        feed = {
            name: np.array([getattr(one, field) for one in encoded], dtype=np.int64)
            for name, field in self._feeds.items()
        }
        vectors: Vectors = self._session.run(None, feed)[0]
        return vectors


def load(source: str = "", *, cache: str | Path | None = None, threads: int | None = None) -> OnnxEmbedder:
    """`onnx:bundled` or `onnx:FOLDER`: exported at the first use, which takes some ten seconds for MiniLM.

    The vectors are those of the model to 1e-5, or the export is refused; so it has the model's own id, and serves what
    either has stored.

    Args:
        source: `bundled`, or the folder of a sentence-transformers model.
        cache: Where the export is kept: else MEMEDIT_CACHE, else `~/.cache/memedit`.
        threads: As for the class.

    Raises:
        EmbedderError: There is no such model, it cannot be exported, or the export is damaged or cannot be kept.
        MissingExtra: Something of the extra `fast` is not installed.
    """
    return _load(source, cache, threads, int8=False)


def load_int8(source: str = "", *, cache: str | Path | None = None, threads: int | None = None) -> OnnxEmbedder:
    """`int8:bundled` or `int8:FOLDER`: as `load`, smaller and faster, and not quite the same vectors.

    Their mean cosine with the model's is at least 0.99, or the export is refused. They have an id of their own, and
    their space is the model's: a gate that was trained with the model serves them, too.
    """
    return _load(source, cache, threads, int8=True)


def _load(source: str, cache: str | Path | None, threads: int | None, *, int8: bool) -> OnnxEmbedder:
    model = find_model(source)
    kind = "int8" if int8 else "onnx"

    def make(folder: Path) -> None:
        from memedit.embedders.onnx_export import export

        logger.info("exporting %s for ONNX Runtime (%s); this happens once", model.name, kind)
        export(model, folder, int8=int8)

    folder = made_once(model, f"{kind}-{FORMAT}", make, cache=cache)
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
        name, space, alone = card["id"], card["space"], card["alone"]
    except (OSError, ValueError, KeyError) as error:
        raise damaged(folder, error) from error
    return OnnxEmbedder(folder, id=name, space=space, alone=alone, threads=threads)


def damaged(folder: Path, error: Exception) -> EmbedderError:
    """The error of a folder that does not hold what it should."""
    return EmbedderError(f"The export in `{folder}` is damaged: {error}.", do="delete that folder; it is made anew")
