"""An encoder as it is shipped: word embeddings in int8, and a graph from embedded words to its output."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from memedit.encoder.network import Vectors
from memedit.errors import EncoderUnusable, MissingExtra
from memedit.plumbing.threads import kept_pool

try:
    from tokenizers import Tokenizer

    from memedit.plumbing.onnx import InferenceSession, session_options
except ModuleNotFoundError as missing:
    raise MissingExtra("hosted", package=missing.name or "onnxruntime") from missing

FORMAT = 1
WORDS, TOKENIZER, CARD = "words.npz", "tokenizer.json", "card.json"
INPUTS = ("words", "kinds", "mask")
"""Of a graph: word embeddings (1, tokens, 384) float32; of which text each token is, and ones, (1, tokens) int64."""

Name = Literal["minilm", "finder", "judge"]
Texts = str | tuple[str, str]
"""One text, or two that are read together."""


class Encoder:
    """A graph with its tokenizer. Each text has a pass of its own: in int8, neighbours in a batch would change it.

    Args:
        folder: Holds tokenizer, word embeddings and graphs.
        name: Of the graph.
        tokens: Of a text, or of two together, that are read; of what is longer the end is cut off.

    Raises:
        EncoderUnusable: The folder does not hold them whole, or was made for another version.
    """

    def __init__(self, folder: Path, name: Name, *, tokens: int) -> None:
        options = session_options(1)  # a text is too short to be shared out; many texts are
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False  # they keep 30 MB, and save no time
        try:
            self.card: dict[str, Any] = _card(folder)
            self._words, self._scales = _words(folder)
            self._tokenizer = _tokenizer(folder, tokens)
            self._session = InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the libraries raise plain exceptions of their own
            raise EncoderUnusable(
                f"The encoder `{name}` in `{folder}` cannot be used: {error}.",
                do="install memedit again, or make the folder anew: python bench/encoders.py",
            ) from error

    def run(self, texts: Sequence[Texts]) -> Vectors:
        """What the graph gives for each. Result (len(texts), outputs)."""
        encoded = self._tokenizer.encode_batch(list(texts))
        if len(encoded) == 1:
            return self._pass(encoded[0])
        return np.concatenate(list(kept_pool("memedit-encode", os.cpu_count() or 1).map(self._pass, encoded)))

    def _pass(self, encoded: Any) -> Vectors:
        ids = np.array(encoded.ids)
        embedded = self._words[ids].astype(np.float32) * self._scales[ids, None]
        kinds = np.array([encoded.type_ids], dtype=np.int64)
        feed = dict(zip(INPUTS, (embedded[None], kinds, np.ones_like(kinds)), strict=True))
        given: Vectors = self._session.run(None, feed)[0]
        return given


def shipped_folder() -> Path:
    """The folder that comes with memedit."""
    return Path(str(resources.files("memedit.data"))) / "encoders"


@cache
def _words(folder: Path) -> tuple[NDArray[np.int8], Vectors]:
    """The word embeddings, which all graphs of a folder share, and the scale of each."""
    with np.load(folder / WORDS, allow_pickle=False) as kept:
        return kept["words"], kept["scales"].astype(np.float32)


@cache
def _tokenizer(folder: Path, tokens: int) -> Tokenizer:
    """Graphs that read as much share one: it takes 9 MB."""
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.enable_truncation(tokens, strategy="longest_first")
    return tokenizer


def _card(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    if card["format"] != FORMAT:
        raise ValueError(f"it has format {card['format']}, and this memedit reads {FORMAT}")
    return card
