"""A sentence-transformers model as a graph for ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from memedit.embedders.port import Embedder, Vectors
from memedit.errors import EmbedderError, MissingExtra

try:
    from tokenizers import Tokenizer

    from memedit.plumbing.onnx import InferenceSession, session_options
except ModuleNotFoundError as missing:
    raise MissingExtra("fast", package=missing.name or "onnxruntime") from missing

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
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
            self._session = InferenceSession(
                folder / GRAPH, session_options(threads or 0), providers=["CPUExecutionProvider"]
            )
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


def damaged(folder: Path, error: Exception) -> EmbedderError:
    """The error of a folder that does not hold what it should."""
    return EmbedderError(f"The export in `{folder}` is damaged: {error}.", do="delete that folder; it is made anew")
