"""The learned part of the default gate: features of a pair in, probabilities of its roles out; kept as plain arrays.

A small network over `features.FEATURES`. There are two of them in a file: one for vectors of the embedder it was
trained with, whose features go through the learned head, and one that knows no head and serves any other embedder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from memedit.embedders.port import Vectors
from memedit.encoder.network import Network, network_in, packed
from memedit.errors import GateUnusable
from memedit.gate.features import FEATURES, Head

FORMAT = 1
HEAD = ("contrasts", "asked", "subject", "known", "prior")  # kept in half precision
CARD, WEIGHTS = "gate.json", "weights.npz"


@dataclass(frozen=True, eq=False)
class Scorer:
    """What a gate file holds.

    Args:
        head: The learned head, for vectors of `embedder`.
        network: For features made with the head.
        headless: For features made without one, from vectors of any other embedder.
        embedder: Id of the embedder in whose `space` the head was trained.
        thresholds: Probability from which an edit is let through as `direct`, and as `bridge`.
        card: Recipe, data, scores: whatever was written beside the weights.
    """

    head: Head
    network: Network
    headless: Network
    embedder: str
    thresholds: Mapping[str, float]
    card: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: str | Path) -> Path:
        """Write card and weights into a folder, which is made."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {
            f"head.{name}": one.astype(np.float16) for name in HEAD if (one := getattr(self.head, name)) is not None
        }
        arrays |= packed("network", self.network) | packed("headless", self.headless)
        file = BytesIO()
        np.savez_compressed(file, allow_pickle=False, **arrays)
        card = {
            "kind": "evidence",
            "format": FORMAT,
            "embedder": self.embedder,
            "features": list(FEATURES),
            "members": len(self.network.members),
            "thresholds": dict(self.thresholds),
            "temperature": {"network": self.network.temperature, "headless": self.headless.temperature},
            "weights": hashlib.sha256(file.getvalue()).hexdigest(),
            **{name: value for name, value in self.card.items() if name not in RESERVED},
        }
        (folder / WEIGHTS).write_bytes(file.getvalue())
        (folder / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        return folder


RESERVED = frozenset({"kind", "format", "embedder", "features", "members", "thresholds", "temperature", "weights"})


def kind(folder: str | Path) -> str:
    """Of what kind the gate in a folder is, as its card says.

    Raises:
        GateUnusable: The card cannot be read.
    """
    card = _card(Path(folder))
    return str(card.get("kind")) if isinstance(card, dict) else ""


def load(folder: str | Path) -> Scorer:
    """The scorer of a gate folder.

    Raises:
        GateUnusable: There is none, it is damaged, or another version of memedit made it.
    """
    folder = Path(folder)
    card = _card(folder)
    try:
        weights = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise GateUnusable(f"The gate in `{folder}` lacks its weights: {error}.", do=RETRAIN) from error
    return _unpack(str(folder), card, weights)


def _card(folder: Path) -> Any:
    try:
        return json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GateUnusable(f"There is no gate in `{folder}`: {error}.", do=RETRAIN) from error


@cache
def shipped() -> Scorer:
    """The one that comes with memedit."""
    files = resources.files("memedit.data").joinpath("gate")
    return _unpack(
        "memedit", json.loads(files.joinpath(CARD).read_text(encoding="utf-8")), files.joinpath(WEIGHTS).read_bytes()
    )


def _unpack(where: str, card: Any, weights: bytes) -> Scorer:
    if not isinstance(card, dict) or card.get("kind") != "evidence":
        kind = card.get("kind") if isinstance(card, dict) else type(card).__name__
        raise GateUnusable(f"`{where}` holds a gate of kind `{kind}`, not of kind `evidence`.", do=RETRAIN)
    if card.get("format") != FORMAT or card.get("features") != list(FEATURES):
        made = card.get("memedit", "another version")
        raise GateUnusable(f"The gate in `{where}` was made by memedit {made}, whose features are others.", do=RETRAIN)
    if card.get("weights") != hashlib.sha256(weights).hexdigest():
        raise GateUnusable(f"The weights in `{where}` are not those its card describes.", do=RETRAIN)
    with np.load(BytesIO(weights), allow_pickle=False) as arrays:
        held = dict(arrays)
    networks = [network_in(held, name, card["members"], card["temperature"][name]) for name in ("network", "headless")]
    head = Head(**{name: held[f"head.{name}"].astype(np.float32) for name in HEAD if f"head.{name}" in held})
    return Scorer(head, networks[0], networks[1], card["embedder"], card["thresholds"], card)


RETRAIN = "train it again (`memedit gate train`), or leave the gate out to use the one that comes with memedit"


def in_scope_odds(logits: Vectors) -> Vectors:
    """Log-odds of `direct` or `bridge` against `out`. logits (..., 3); result (...)."""
    odds: Vectors = np.logaddexp(logits[..., 1], logits[..., 2]) - logits[..., 0]
    return odds


def deciding(network: Network, features: Vectors) -> list[tuple[str, float]]:
    """What each feature of one pair adds to its log-odds of being in scope, against its mean; largest first.

    features (features,). Each is set back to its mean alone, so that what they add does not sum up.
    """
    changed = np.tile(features, (len(features) + 1, 1))
    np.fill_diagonal(changed[1:], network.mean)
    odds = in_scope_odds(network.logits(changed))
    added = [(name, float(odds[0] - other)) for name, other in zip(FEATURES, odds[1:], strict=True)]
    return sorted(added, key=lambda one: -abs(one[1]))
