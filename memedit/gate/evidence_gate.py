"""The default gate: subject and relation evidence for Facts, similarity for the other kinds of edit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from memedit.edits import Fact
from memedit.embedders import Embedder, Vectors
from memedit.gate.evidence import CONTRASTS, THRESHOLD, measure, similarity_table
from memedit.gate.port import Gate, Verdict
from memedit.gate.reading import know, read
from memedit.memory import Candidate, Recalled

ALIKE = {"feedback": 0.70, "patch": 0.45}
"""Cosine at which a situation, or a condition, applies with probability 0.5. A condition is a property of a text, which
lies less near to it than a question does to its like."""
STEEPNESS = 20.0  # how fast the probability rises with the cosine around that


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like the input is to what an edit is kept under (cosine)."""

    similarity: float
    kind: str

    def reasons(self) -> tuple[str, ...]:
        """In words."""
        return (f"similarity {self.similarity:.2f} to its {'situation' if self.kind == 'feedback' else 'condition'}",)

    def numbers(self) -> dict[str, float]:
        """By name."""
        return {"similarity": self.similarity}


class EvidenceGate(Gate):
    """Judges by evidence that is there anyway; no further pass of a model.

    Args:
        threshold: Probability from which a Fact is let through.
    """

    name = "evidence"

    def __init__(self, *, threshold: float = THRESHOLD) -> None:
        self.threshold = threshold

    def decide(self, recalled: Recalled) -> list[Verdict]:
        facts = [found for found in recalled.candidates if isinstance(found.edit, Fact)]
        verdicts = self._facts(recalled, facts) if facts else []
        verdicts += [_likeness(found) for found in recalled.candidates if found.edit.kind in ALIKE]
        return sorted(verdicts, key=lambda verdict: -verdict.probability)

    def _facts(self, recalled: Recalled, facts: list[Candidate]) -> list[Verdict]:
        assert recalled.vector is not None  # there are candidates, so the query was embedded
        assert recalled.embedder is not None
        keys = np.stack([_vector(found.vector) for found in facts])
        relations = np.stack([_vector(found.relation_vector) for found in facts])
        table = similarity_table(recalled.vector, keys, relations, _contrasts(recalled.embedder))
        known = [know(found.edit) for found in facts if isinstance(found.edit, Fact)]
        verdicts = []
        for found, evidence in zip(facts, measure(read(recalled.query), known, table), strict=True):
            probability = evidence.probability
            passed = probability >= self.threshold
            verdicts.append(Verdict(found.edit, probability, passed, evidence))
        return verdicts


def _likeness(found: Candidate) -> Verdict:
    half = ALIKE[found.edit.kind]
    probability = 1 / (1 + math.exp(-STEEPNESS * (found.similarity - half)))
    return Verdict(found.edit, probability, probability >= 0.5, Likeness(found.similarity, found.edit.kind))


def _vector(vector: Vectors | None) -> Vectors:
    assert vector is not None  # the memory gives every Fact both of its vectors
    return vector


@lru_cache(maxsize=8)
def _contrasts(embedder: Embedder) -> Vectors:
    return embedder.embed(CONTRASTS)
