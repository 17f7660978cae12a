"""How other edits are judged, whatever gate judges the Facts: Feedback by likeness, Patches by the learned patch gate,
what is scoped by a topic in `topics`.

A situation (MemPrompt, Madaan et al. 2022) and a condition (language patches, Murty et al. 2022) are no statements
about a subject. What counts for a situation is how like the input is to it; for a condition, whether the text says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from memedit.edits import Erasure, Fact
from memedit.gate import patch_scorer
from memedit.gate.port import Verdict
from memedit.gate.topics import judged_by_topic, with_erasures
from memedit.memory import Candidate, Recalled

ALIKE = {"feedback": 0.70}
"""Cosine at which a situation applies with probability 0.5."""
STEEPNESS = 20.0  # how fast the probability rises with the cosine around that


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like the input is to what an edit is kept under (cosine)."""

    similarity: float

    def reasons(self) -> tuple[str, ...]:
        """In words."""
        return (f"similarity {self.similarity:.2f} to its situation",)

    def numbers(self) -> dict[str, float]:
        """By name."""
        return {"similarity": self.similarity}


def likeness(candidate: Candidate) -> Verdict:
    """The verdict on Feedback."""
    kind = candidate.edit.kind
    probability = 1 / (1 + math.exp(-STEEPNESS * (candidate.similarity - ALIKE[kind])))
    return Verdict(candidate.edit, probability, probability >= 0.5, Likeness(candidate.similarity))


def facts(recalled: Recalled) -> list[Candidate]:
    """The candidates that are judged as Facts, nearest first; of an Erasure, the Fact that it would answer."""
    given = (
        replace(found, edit=found.edit.asked) if isinstance(found.edit, Erasure) and found.edit.asked else found
        for found in recalled.candidates
    )
    return [found for found in given if isinstance(found.edit, Fact)]


def with_the_others(recalled: Recalled, verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The verdicts on its `facts` and on its other kinds of edit; most probable first."""
    others = judged_by_topic(recalled)
    others += [likeness(found) for found in recalled.candidates if found.edit.kind in ALIKE]
    if patches := [found for found in recalled.candidates if found.edit.kind == "patch"]:
        others += patch_scorer.shipped().judge(recalled, patches)
    return sorted([*with_erasures(recalled, verdicts), *others], key=lambda verdict: -verdict.probability)
