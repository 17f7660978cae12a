"""What a later statement is to an earlier one, by the judge's reading of both and by what their texts share.

The judge alone can hardly tell a change from another thing's like; with the words that both have, the figures in which
they differ, and the words that tell of a change, a small network can more often.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memedit.embedders import Vectors
from memedit.encoder.network import Network, network_in, softmax
from memedit.text import FUNCTION_WORDS, words

if TYPE_CHECKING:
    from memedit.encoder.judge import Judge

FILE = "statements.npz"
MEMBERS = 3
LATER = " < later: "
"""What stands before the later one where the judge reads two statements."""
OTHER, CONTRADICTS, SAME = range(3)
"""What a later statement is to an earlier one: it leaves it standing, takes its place, or says the same."""
CHANGE = re.compile(
    r"\b(now|no longer|any ?more|instead|from now on|since|moved|changed|stopped|gave up|just|new|renamed|replaced|"
    r"took over|stepped|not|never|former|used to|jetzt|nicht mehr|ab|seit|désormais|ne|plus|depuis|ya no|ahora|desde|"
    r"non|più|niet)\b|n't\b",
    re.IGNORECASE,
)
NUMBER = re.compile(r"\d+(?:[.:,]\d+)*")
NAME = re.compile(r"(?<!^)\b[A-ZÄÖÜ]\w+")


class StatementJudge:
    """Reads a statement beside an earlier one.

    Args:
        reader: Reads two texts together.
        network: Over `features`.
    """

    def __init__(self, reader: Judge, network: Network) -> None:
        self.reader = reader
        self._network = network

    def contradiction(self, pairs: Sequence[tuple[str, str]], cosines: Sequence[float]) -> list[float]:
        """Of pairs of a later and an earlier statement: how probably the later one takes the earlier one's place.

        cosines: Of each pair, by the memory's embedder.
        """
        if not pairs:
            return []
        read = self.reader.logits([(f"{LATER}{later}", earlier) for later, earlier in pairs])
        weights = softmax(self._network.logits(features(pairs, cosines, read)))
        return [float(value) for value in weights[:, CONTRADICTS]]


def features(pairs: Sequence[tuple[str, str]], cosines: Sequence[float], read: Vectors) -> Vectors:
    """One row a pair: cosine, the judge's logits (pairs, 3), and what the texts share and do not."""
    texts = np.array([_compared(later, earlier) for later, earlier in pairs], dtype=np.float32)
    rows: Vectors = np.column_stack([np.array(cosines, dtype=np.float32), read, texts]).astype(np.float32)
    return rows


@cache
def shipped_statement_judge() -> StatementJudge:
    """The one that comes with memedit."""
    from memedit.encoder.judge import shipped_judge

    with np.load(Path(str(resources.files("memedit.data"))) / "encoders" / FILE, allow_pickle=False) as arrays:
        return StatementJudge(shipped_judge(), network_in(dict(arrays), "statements", MEMBERS, arrays["temperature"]))


def _compared(later: str, earlier: str) -> list[float]:
    said, before = words(later), words(earlier)
    told, known = set(said) - FUNCTION_WORDS, set(before) - FUNCTION_WORDS
    alike = next((at for at, (one, other) in enumerate(zip(said, before, strict=False)) if one != other), None)
    begun = min(len(said), len(before)) if alike is None else alike
    figures, old_figures = set(NUMBER.findall(later)), set(NUMBER.findall(earlier))
    names, old_names = set(NAME.findall(later)), set(NAME.findall(earlier))
    shared = len(told & known)
    return [
        shared / max(len(told), 1), shared / max(len(known), 1), begun / max(len(said), 1), begun / max(len(before), 1),
        bool(CHANGE.search(later)), bool(CHANGE.search(earlier)), bool(figures), bool(old_figures),
        bool(figures - old_figures and old_figures - figures), bool(figures & old_figures), bool(names & old_names),
        bool(names - old_names), bool(old_names - names), float(np.log1p(len(said))), float(np.log1p(len(before))),
        len(known - told) / max(len(known), 1),
    ]  # fmt: skip
