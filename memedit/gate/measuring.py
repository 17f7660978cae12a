"""Judging a scope set with any gate."""

from __future__ import annotations

from dataclasses import dataclass, field

from memedit.embedders.port import Vectors


@dataclass(frozen=True, slots=True)
class Judged:
    """A question and what a gate said of each candidate.

    Args:
        set: Name of its set.
        group: Of the question.
        question: Its text.
        direct, bridges, unsure: As in `Question`.
        candidates: Ids of the edits that were proposed, nearest first.
        probabilities: Of `direct` and of `bridge`, (candidates, 2).
    """

    set: str
    group: str
    question: str
    direct: frozenset[str]
    bridges: frozenset[str]
    unsure: frozenset[str]
    candidates: tuple[str, ...]
    probabilities: Vectors = field(repr=False)
