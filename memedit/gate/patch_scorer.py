"""The learned part of the patch gate and of the interpreter, kept as plain arrays with a card.

The gate is p(condition applies | text), the interpreter p(label | text, consequence) (Murty et al. 2022, section 3).
Theirs is one fine-tuned T5-large; here the gate is a small network over `patch_features`, and the interpreter weighs
what the wrapped model itself says (`methods.classification`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from memedit.embedders.port import QueryCache, Vectors
from memedit.encoder.network import through
from memedit.errors import GateUnusable
from memedit.gate.patch_features import FEATURES, read_text, rows, vectored
from memedit.gate.patch_reading import condition
from memedit.gate.port import Verdict
from memedit.memory import Candidate, Recalled

FORMAT = 1
CARD, ARRAYS = "gate.json", "weights.npz"
SHOWN = 4  # features that are put into words
VIEWS = ("text", "rewritten", "consequence")
"""What the interpreter weighs, where a text says more than the condition speaks of: the log-probabilities of the labels
behind the text, behind the text with the clause replaced by the consequence, and behind the consequence alone."""
RESERVED = frozenset({"kind", "format", "embedder", "features", "threshold", "temperature", "weights", "interpreter"})
RETRAIN = "train it again (`memedit patches train`), or leave it out to use what comes with memedit"


@dataclass(frozen=True, eq=False)
class Network:
    """A few small networks whose log-odds are averaged.

    Args:
        mean, scale: Of the features, (features,).
        members: Of each network, weight (out, in) and bias (out,) of each layer; the last has one output.
        temperature: The log-odds are divided by it, so that probabilities are calibrated (Guo et al. 2017).
    """

    mean: Vectors
    scale: Vectors
    members: tuple[tuple[tuple[Vectors, Vectors], ...], ...]
    temperature: float = 1.0

    def odds(self, features: Vectors) -> Vectors:
        """Log-odds that the condition applies. features (n, features); result (n,)."""
        inputs = np.clip((features - self.mean) / self.scale, -5, 5)
        found = np.zeros(len(features), dtype=np.float32)
        for layers in self.members:
            hidden = inputs
            for weight, bias in layers[:-1]:
                hidden = np.maximum(through(hidden, weight.T) + bias, 0)
            weight, bias = layers[-1]
            found += (through(hidden, weight.T) + bias)[:, 0]
        result: Vectors = found / np.float32(len(self.members) * self.temperature)
        return result

    def deciding(self, features: Vectors) -> list[tuple[int, float]]:
        """What each feature (features,) adds to the log-odds against its mean, largest first: (place, added)."""
        changed = np.tile(features, (len(features) + 1, 1))
        np.fill_diagonal(changed[1:], self.mean)
        odds = self.odds(changed)
        return sorted(((at, float(odds[0] - one)) for at, one in enumerate(odds[1:])), key=lambda found: -abs(found[1]))


@dataclass(frozen=True, slots=True, eq=False)
class PatchEvidence:
    """What speaks for and against a condition applying: the network and the features it judged."""

    network: Network
    features: Vectors

    def numbers(self) -> dict[str, float]:
        """The measured features, by name."""
        return dict(zip(FEATURES, self.features.tolist(), strict=False))

    def reasons(self) -> tuple[str, ...]:
        """The features that decided, with what they add to the log-odds."""
        deciding = self.network.deciding(self.features)[:SHOWN]
        return tuple(f"{FEATURES[at]} {self.features[at]:.2f} ({added:+.1f})" for at, added in deciding)


@dataclass(frozen=True, eq=False)
class PatchScorer:
    """What a folder of the patch gate holds.

    Args:
        network: Over `FEATURES`, for vectors of `embedder`.
        plain: Over `WORDS`, for every other embedder.
        embedder: Id of the embedder it was trained with.
        threshold: Probability from which a patch is let through.
        interpreter: Weights of `VIEWS`, (3,).
        card: Recipe, data, scores: whatever was written beside the weights.
    """

    network: Network
    plain: Network
    embedder: str
    threshold: float
    interpreter: Vectors
    card: Mapping[str, Any] = field(default_factory=dict)
    _cache: QueryCache = field(default_factory=QueryCache, repr=False)

    def judge(self, recalled: Recalled, found: Sequence[Candidate]) -> list[Verdict]:
        """One verdict a Patch, in their order. The text is what was looked up."""
        if not found:
            return []
        read = read_text(recalled.query)
        said = [condition(one.edit.key_text) for one in found]
        embedder = recalled.embedder
        known, network = None, self.plain
        if embedder is not None and embedder.space == self.embedder:
            known, network = vectored(read, said, embedder, self._cache), self.network
        features = rows(read, said, [one.similarity for one in found], known)
        probabilities = 1 / (1 + np.exp(-network.odds(features).astype(np.float64)))
        return [
            Verdict(one.edit, float(p), bool(p >= self.threshold), PatchEvidence(network, row))
            for one, p, row in zip(found, probabilities, features, strict=True)
        ]

    def save(self, folder: str | Path) -> Path:
        """Write card and weights into a folder, which is made."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {}
        for name, network in (("network", self.network), ("plain", self.plain)):
            arrays |= {f"{name}.mean": network.mean, f"{name}.scale": network.scale}
            for member, layers in enumerate(network.members):
                for at, (weight, bias) in enumerate(layers):
                    arrays |= {f"{name}.{member}.{at}.weight": weight, f"{name}.{member}.{at}.bias": bias}
        packed = BytesIO()
        np.savez_compressed(packed, allow_pickle=False, **arrays)
        card = {
            "kind": "patches",
            "format": FORMAT,
            "embedder": self.embedder,
            "features": list(FEATURES),
            "threshold": self.threshold,
            "temperature": {"network": self.network.temperature, "plain": self.plain.temperature},
            "interpreter": {
                name: round(float(one), 4) for name, one in zip(VIEWS, self.interpreter, strict=True)
            },
            "weights": hashlib.sha256(packed.getvalue()).hexdigest(),
            **{name: value for name, value in self.card.items() if name not in RESERVED},
        }  # fmt: skip
        (folder / ARRAYS).write_bytes(packed.getvalue())
        (folder / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        return folder

    def with_(self, **changes: Any) -> PatchScorer:
        """A copy with some fields changed."""
        return replace(self, **changes)


def load(folder: str | Path) -> PatchScorer:
    """What was trained into a folder.

    Raises:
        GateUnusable: There is none, it is damaged, or another version of memedit made it.
    """
    folder = Path(folder)
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        packed = (folder / ARRAYS).read_bytes()
    except (OSError, ValueError) as error:
        raise GateUnusable(f"There is no patch gate in `{folder}`: {error}.", do=RETRAIN) from error
    return _unpack(str(folder), card, packed)


@cache
def shipped() -> PatchScorer:
    """The one that comes with memedit."""
    files = resources.files("memedit.data").joinpath("patches")
    card = json.loads(files.joinpath(CARD).read_text(encoding="utf-8"))
    return _unpack("memedit", card, files.joinpath(ARRAYS).read_bytes())


def _unpack(where: str, card: Any, packed: bytes) -> PatchScorer:
    kind = card.get("kind") if isinstance(card, dict) else type(card).__name__
    if kind != "patches":
        raise GateUnusable(f"`{where}` holds a gate of kind `{kind}`, not of kind `patches`.", do=RETRAIN)
    if card.get("format") != FORMAT or card.get("features") != list(FEATURES):
        raise GateUnusable(f"The patch gate in `{where}` was made by another version of memedit.", do=RETRAIN)
    if card.get("weights") != hashlib.sha256(packed).hexdigest():
        raise GateUnusable(f"The weights in `{where}` are not those its card describes.", do=RETRAIN)
    with np.load(BytesIO(packed), allow_pickle=False) as arrays:
        held = dict(arrays)
    networks = {
        name: Network(
            held[f"{name}.mean"], held[f"{name}.scale"], _members(held, name), float(card["temperature"][name])
        )
        for name in ("network", "plain")
    }
    interpreter = np.array([card["interpreter"][name] for name in VIEWS], dtype=np.float32)
    return PatchScorer(
        networks["network"], networks["plain"], card["embedder"], float(card["threshold"]), interpreter, card
    )


def _members(held: Mapping[str, Vectors], name: str) -> tuple[tuple[tuple[Vectors, Vectors], ...], ...]:
    found: list[tuple[tuple[Vectors, Vectors], ...]] = []
    while f"{name}.{len(found)}.0.weight" in held:
        layers: list[tuple[Vectors, Vectors]] = []
        stem = f"{name}.{len(found)}"
        while f"{stem}.{len(layers)}.weight" in held:
            at = len(layers)
            layers.append((held[f"{stem}.{at}.weight"], held[f"{stem}.{at}.bias"]))
        found.append(tuple(layers))
    return tuple(found)
