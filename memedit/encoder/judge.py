"""The judge: a small encoder that reads conversation and statement together, and says what the edit is to it; and two
statements, and says what the later one is to the earlier.

SERAC's cross-attention scope classifier (Mitchell et al. 2022, arXiv:2206.06520) on a whole conversation, with a third
answer besides in scope and out: that the edit lies on the way. Trained by `gate/learning/judge.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np

from memedit.encoder.graph import Encoder, shipped_folder
from memedit.encoder.network import Vectors

TOKENS = 208
KEPT = 4_096  # pairs whose reading is remembered, by their digest: what is purged is in no cache


class Reads(Protocol):
    """What reads pairs of texts."""

    def run(self, texts: Sequence[tuple[str, str]]) -> Vectors:
        """The logits of `roles.LABELS` of each. Result (pairs, 3)."""


class Judge:
    """The judge of a folder.

    Args:
        folder: As `bench/encoders.py` makes it; what comes with memedit when left out.
        encoder: What reads, in place of what lies in the folder.

    Raises:
        EncoderUnusable: The folder holds none that this version can use.
        MissingExtra: What runs it is not installed.
    """

    def __init__(self, folder: str | Path | None = None, *, encoder: Reads | None = None) -> None:
        self._encoder = encoder or Encoder(Path(folder or shipped_folder()), "judge", tokens=TOKENS)
        self._kept: OrderedDict[bytes, Vectors] = OrderedDict()
        self._lock = Lock()

    def logits(self, pairs: Sequence[tuple[str, str]]) -> Vectors:
        """Of pairs of a conversation (`conversation.whole`) and an edit's text. Result (pairs, `roles.LABELS`)."""
        keys = {pair: _digest(pair) for pair in pairs}
        with self._lock:
            known = {pair: self._kept[key] for pair, key in keys.items() if key in self._kept}
        if lacking := [pair for pair in keys if pair not in known]:
            known |= dict(zip(lacking, self._encoder.run(lacking), strict=True))
            with self._lock:
                self._kept.update({keys[pair]: known[pair] for pair in lacking})
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return np.stack([known[pair] for pair in pairs]) if pairs else np.zeros((0, 3), dtype=np.float32)


def _digest(pair: tuple[str, str]) -> bytes:
    return blake2b(repr(pair).encode("utf-8", "surrogatepass"), digest_size=16).digest()


@cache
def shipped_judge() -> Judge:
    """The one that comes with memedit."""
    return Judge()
