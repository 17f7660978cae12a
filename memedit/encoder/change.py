"""A change of an encoder's weights as it is shipped: of large ones two narrow matrices in int8, of small ones what was
added in float16, and what is new by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memedit.encoder.network import Vectors
from memedit.errors import EncoderUnusable, GateUnusable

CHANGE = "change.npz"
LEFT, RIGHT, SCALES, ADDED, NEW, SEEN = "left", "right", "scales", "added", "new", "seen"
LOOKED_AT = 64  # weights of each changed matrix by which the base is recognised
NEAR = 0.0015  # how far they may be off, since bases are kept in halves, too


@dataclass(frozen=True)
class Change:
    """What is added to the weights of one encoder, and the head that it gets.

    Args:
        kept: By `NAME:PART`, NAME of a weight. Parts: `left` (out, rank) and `right` (rank, in), int8, with `scales`
            (2, rank) of both; or `added`, of the weight's own shape; or `new`, likewise. Of each weight that has the
            first, `seen` are the first values that it had.
    """

    kept: Mapping[str, NDArray[Any]]

    @classmethod
    def between(cls, before: Mapping[str, Vectors], after: Mapping[str, Vectors], rank: int) -> Change:
        """The change from the one to the other, by the weights' names, large matrices to this rank (Eckart and Young
        1936).
        """
        kept: dict[str, NDArray[Any]] = {}
        for name, weight in after.items():
            if name not in before:
                kept[f"{name}:{NEW}"] = weight.astype(np.float16)
            elif (added := weight - before[name]).any():
                if added.ndim == 2 and min(added.shape) > 2 * rank:
                    kept |= {f"{name}:{part}": value for part, value in _narrow(added, rank).items()}
                    kept[f"{name}:{SEEN}"] = before[name].ravel()[:LOOKED_AT].astype(np.float32)
                else:
                    kept[f"{name}:{ADDED}"] = added.astype(np.float16)
        return cls(kept)

    def of(self, weights: Mapping[str, Vectors]) -> dict[str, Vectors]:
        """The weights that it makes, by name, of those of the encoder that it is of.

        Raises:
            GateUnusable: They are another encoder's.
        """
        made: dict[str, Vectors] = {}
        for key, value in self.kept.items():
            name, _, part = key.rpartition(":")
            if part == NEW:
                made[name] = value.astype(np.float32)
            elif part in (ADDED, LEFT):
                self._check(name, weights)
                made[name] = weights[name] + (value.astype(np.float32) if part == ADDED else self._wide(name))
        return made

    @property
    def labels(self) -> int:
        """How many its head tells apart."""
        return min(len(value) for key, value in self.kept.items() if key.endswith(f":{NEW}") and value.ndim == 1)

    def _wide(self, name: str) -> Vectors:
        left, right, scales = (self.kept[f"{name}:{part}"].astype(np.float32) for part in (LEFT, RIGHT, SCALES))
        wide: Vectors = (left * scales[0]) @ (right * scales[1][:, None])
        return wide

    def _check(self, name: str, weights: Mapping[str, Vectors]) -> None:
        seen = self.kept.get(f"{name}:{SEEN}")
        own = weights.get(name)
        if own is None or (seen is not None and not np.allclose(own.ravel()[: len(seen)], seen, atol=NEAR)):
            raise GateUnusable(
                f"The change is not of this encoder: its weight `{name}` is another.",
                do="give the encoder that the change was made of",
            )


def write_change(change: Change, path: Path) -> None:
    """Write it into a file."""
    np.savez_compressed(path, allow_pickle=False, **change.kept)


def read_change(path: Path) -> Change:
    """Read it from a file.

    Raises:
        EncoderUnusable: It cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as kept:
            return Change(dict(kept))
    except Exception as error:  # numpy and zip raise plain exceptions of their own
        raise EncoderUnusable(f"`{path}` cannot be read: {error}.", do="install memedit again") from error


def _narrow(added: Vectors, rank: int) -> dict[str, NDArray[Any]]:
    left, sizes, right = np.linalg.svd(added.astype(np.float32), full_matrices=False)
    halves = np.sqrt(sizes[:rank])
    left, right = left[:, :rank] * halves, right[:rank] * halves[:, None]
    scales = np.stack([np.abs(left).max(axis=0), np.abs(right).max(axis=1)]) / 127 + np.float32(1e-12)
    return {
        LEFT: np.round(left / scales[0]).astype(np.int8),
        RIGHT: np.round(right / scales[1][:, None]).astype(np.int8),
        SCALES: scales.astype(np.float32),
    }
