"""A gate of a small learned model over evidence that is there anyway; no further pass of a language model."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np

from memedit.edits import AnyEdit, Fact
from memedit.embedders import Embedder, Vectors
from memedit.encoder.network import Network, softmax
from memedit.errors import GateUnusable
from memedit.gate import scorer
from memedit.gate.features import CONTRASTS, FEATURES, IN_WORDS, TEXT, Head, competition, geometry, text_features
from memedit.gate.likeness import facts, with_the_others
from memedit.gate.port import Gate, Role, Verdict
from memedit.gate.reading import Known, know, read, rules_out
from memedit.gate.scorer import Scorer, deciding
from memedit.memory import Candidate, Recalled

logger = logging.getLogger(__name__)

SHOWN = 4  # sorts of features that are told


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What speaks for and against an edit being in scope of a query.

    Args:
        network: Judged it.
        features: In the order of `FEATURES`.
        name: The subject's first name, as it was looked for.
        bridge: How likely the edit lies on the way to the answer.
        direct: How likely it is the answer.
        ruled_out: Whether the query rules out what the edit says, which then is not let through.
    """

    network: Network
    features: Vectors
    name: str
    direct: float
    bridge: float
    ruled_out: bool = False

    def numbers(self) -> dict[str, float]:
        """The measured features, and the probabilities of both roles."""
        measured = {name: float(value) for name, value in zip(FEATURES, self.features, strict=True)}
        return {"p(direct)": self.direct, "p(bridge)": self.bridge, **measured}

    def reasons(self) -> tuple[str, ...]:
        """The evidence in words: the subject, then what spoke most for it and against it."""
        named, exact = (float(self.features[TEXT.index(feature)]) for feature in ("named", "exact"))
        if not self.name:
            said = "no known subject"
        elif not named:
            said = f"subject “{self.name}” is not named"
        elif exact:
            said = f"subject “{self.name}” is named"
        else:
            said = f"subject “{self.name}” is named in part, or within a longer name ({named:.0%})"
        if self.ruled_out:
            said = f"{said}; its object is ruled out"
        added: dict[str, float] = defaultdict(float)
        for name, odds in deciding(self.network, self.features):
            added[IN_WORDS[name]] += odds
        strongest = sorted(added, key=lambda one: -abs(added[one]))[:SHOWN]
        sides = {
            "for": [one for one in strongest if added[one] > 0],
            "against": [one for one in strongest if added[one] < 0],
        }
        return (said, *(f"{side} it: {', '.join(of)}" for side, of in sides.items() if of))


class EvidenceGate(Gate):
    """Judges Facts by features of texts and vectors, and the other kinds of edit by likeness.

    Args:
        weights: What was learned; what comes with memedit when left out, which also serves embedders it was not
            trained with, less sharply.
        threshold: Probability from which an edit that answers is let through; that of the weights when left out.
        bridge_threshold: The same for an edit that lies on the way to the answer.
        or_shipped: Whether queries whose vectors are of another embedder are judged by what comes with memedit, instead
            of being refused.
    """

    name = "evidence"
    heeds_radius = True

    def __init__(
        self,
        weights: Scorer | None = None,
        *,
        threshold: float | None = None,
        bridge_threshold: float | None = None,
        or_shipped: bool = False,
    ) -> None:
        self.weights = weights or scorer.shipped()
        self._or_shipped = or_shipped or weights is None
        self.thresholds: dict[Role, float] = {
            "direct": self.weights.thresholds["direct"] if threshold is None else threshold,
            "bridge": self.weights.thresholds["bridge"] if bridge_threshold is None else bridge_threshold,
        }

    @classmethod
    def load(cls, folder: str | Path, *, or_shipped: bool = False, **thresholds: float) -> Self:
        """The gate that was trained into a folder.

        Args:
            or_shipped: Whether what comes with memedit is used where that gate cannot be, with a warning.
            thresholds: As for the class.

        Raises:
            GateUnusable: The folder holds none that this version can use.
        """
        try:
            weights = scorer.load(folder)
        except GateUnusable as error:
            if not or_shipped:
                raise
            logger.warning("%s The gate that comes with memedit is used.", error.what)
            weights = None
        return cls(weights, or_shipped=or_shipped, **thresholds)

    def decide(self, recalled: Recalled) -> list[Verdict]:
        found = facts(recalled)
        return with_the_others(recalled, self._judged(recalled, found) if found else ())

    def measure(self, recalled: Recalled, found: Sequence[Candidate]) -> list[tuple[Vectors, Evidence]]:
        """The logits of `LABELS` (3,), and what they rest on, for Facts among the candidates."""
        assert recalled.embedder is not None  # there are candidates, so the query was embedded
        head, network = self._model(recalled.embedder)
        known = [know(one.edit) for one in found if isinstance(one.edit, Fact)]
        features = _features(recalled, found, known, head)
        logits = network.logits(features)
        logits[:, 1:] += np.array([[one.edit.radius] for one in found if isinstance(one.edit, Fact)])
        shares = softmax(logits).tolist()
        measured = []
        for one, edit, row, (_, direct, bridge) in zip(found, known, features, shares, strict=True):
            ruled_out = isinstance(one.edit, Fact) and rules_out(recalled.query, one.edit)
            name = " ".join(edit.names[0]) if edit.names else ""
            measured.append(Evidence(network, row, name, direct, bridge, ruled_out))
        return list(zip(logits, measured, strict=True))

    def _judged(self, recalled: Recalled, found: Sequence[Candidate]) -> list[Verdict]:
        return [
            self.verdict(one.edit, said) for one, (_, said) in zip(found, self.measure(recalled, found), strict=True)
        ]

    def verdict(self, edit: AnyEdit, said: Evidence) -> Verdict:
        """The verdict that follows from what was measured."""
        role: Role = "direct" if said.direct >= said.bridge else "bridge"
        probability = max(said.direct, said.bridge)
        passed = probability >= self.thresholds[role] and not said.ruled_out
        return Verdict(edit, probability, passed, said, role)

    def reach(self, verdict: Verdict) -> float:
        ruled_out = isinstance(verdict.evidence, Evidence) and verdict.evidence.ruled_out
        return math.inf if ruled_out else super().reach(verdict)

    def _model(self, embedder: Embedder) -> tuple[Head, Network]:
        if embedder.space == self.weights.embedder:
            return self.weights.head, self.weights.network
        if self._or_shipped:
            shipped = scorer.shipped()
            if embedder.space == shipped.embedder:
                return shipped.head, shipped.network
            return _headless(embedder), shipped.headless
        raise GateUnusable(
            f"This gate was trained with the embedder `{self.weights.embedder}`; the memory's is `{embedder.id}`.",
            do="train it with this embedder (`memedit gate train --embedder …`), or leave the gate out to use the one "
            "that comes with memedit",
        )


def _features(recalled: Recalled, found: Sequence[Candidate], known: Sequence[Known], head: Head) -> Vectors:
    assert recalled.vector is not None
    query = read(recalled.query)
    text = np.array([text_features(query, one) for one in known], dtype=np.float32)
    keys = np.stack([_vector(one.vector) for one in found])
    relations = np.stack([_vector(one.relation_vector) for one in found])
    vectors = geometry(recalled.vector, keys, relations, head)
    joined: Vectors = np.hstack((text, vectors, competition([one.names for one in known], text, vectors)))
    return joined.astype(np.float32)


def _vector(vector: Vectors | None) -> Vectors:
    assert vector is not None  # the memory gives every Fact both of its vectors
    return vector


@lru_cache(maxsize=8)
def _headless(embedder: Embedder) -> Head:
    return Head(embedder.embed(CONTRASTS))
