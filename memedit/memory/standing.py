"""Standing instructions (“Never use emojis with me”): statements that may bear on a message however far they lie.

What a plain statement's vector shows of that is a direction in the embedder's space (`gate/learning/standing.py`). The
statements farthest along it are proposed with every message, and the gate decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from memedit.embedders import Vectors

FILE = "standing.npz"
MOST = 4  # that are proposed with a message


@dataclass(frozen=True, slots=True)
class Standing:
    """The direction.

    Args:
        direction: Of unit length, (dimension,).
        least: Cosine to it from which a statement is proposed.
    """

    direction: Vectors
    least: float


@cache
def shipped_standing() -> Standing:
    """The one that comes with memedit, in MiniLM's space."""
    with np.load(Path(str(resources.files("memedit.data"))) / "encoders" / FILE, allow_pickle=False) as kept:
        return Standing(kept["direction"], float(kept["least"]))
