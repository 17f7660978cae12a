"""Of statements that contradict one another and are both in force, the newer goes first, and never the older alone.

What a Fact says by subject and relation is settled when it is added (`memory.conflicts`), or shown
(`methods.agreement`). This is for plain statements, whose contradiction only reading them shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from memedit.edits import Fact
from memedit.gate.port import Verdict, When
from memedit.memory import Recalled
from memedit.memory.comparing import are_parallel, corrects, said, worded_alike
from memedit.memory.contradictions import ALIKE, LIKELY, NEAR, SURE

if TYPE_CHECKING:
    from memedit.memory.statements import StatementJudge

BEHIND = 0.999  # of the older one's probability, for a newer one that may be of something else: it goes second
READ = 4  # pairs of statements that are read at most for one look-up

Pair = tuple[Verdict, Verdict]
"""Newer and older."""


def with_the_latest(recalled: Recalled, verdicts: Sequence[Verdict], judge: StatementJudge) -> list[Verdict]:
    """The verdicts of one look-up, most probable first, with newer statements let through where an older one is. Both
    are marked, so that they are shown with their dates.
    """
    found = list(verdicts)
    pairs = _pairs(recalled, found)
    if not pairs:
        return found
    texts = [(newer.edit.text, older.edit.text) for (newer, older), _ in pairs]
    likely = judge.contradiction(texts, [cosine for _, cosine in pairs])
    by_id = {one.edit.id: one for one in found}
    for ((newer, older), cosine), both, read in zip(pairs, texts, likely, strict=True):
        newer, older = by_id[newer.edit.id], by_id[older.edit.id]
        if _goes_along(newer, older, cosine, read):
            first = newer.passed or newer.doubtful or read >= SURE or corrects(*both)
            most = max(newer.probability, older.probability) if first else older.probability * BEHIND
            when: When = newer.noted or "later"
            by_id[newer.edit.id] = replace(newer, probability=most, passed=True, doubtful=False, noted=when)
            by_id[older.edit.id] = replace(older, noted="earlier")
    place = {one.edit.id: at for at, one in enumerate(found)}
    return sorted(by_id.values(), key=lambda one: (-one.probability, *_newest_first(one), place[one.edit.id]))


def _goes_along(newer: Verdict, older: Verdict, cosine: float, read: float) -> bool:
    """Whether the older is not to be shown without the newer: more than where the one takes the other's place."""
    texts = newer.edit.text, older.edit.text
    if corrects(*texts):
        return True
    if are_parallel(*texts):  # they may be of two things, unless the message is about both
        bears = newer.passed and older.passed and read >= LIKELY
        return bears or (read >= SURE and not worded_alike(*texts))
    return read >= LIKELY or (cosine >= ALIKE and said(texts[0]).changes)


def _pairs(recalled: Recalled, verdicts: Sequence[Verdict]) -> list[tuple[Pair, float]]:
    """Statements of which one at least is let through and that may contradict one another, and their cosine; nearest
    first.
    """
    plain = [one for one in verdicts if isinstance(one.edit, Fact) and one.edit.slot is None]
    vectors = {one.edit.id: one.vector for one in recalled.candidates if one.vector is not None}
    near = []
    for one, other in combinations((one for one in plain if one.edit.id in vectors), 2):
        if (one.passed or other.passed) and one.edit.created_at != other.edit.created_at:
            cosine = float(np.dot(vectors[one.edit.id], vectors[other.edit.id]))
            if cosine >= NEAR:
                pair = (one, other) if one.edit.created_at > other.edit.created_at else (other, one)
                near.append((pair, cosine))
    return sorted(near, key=lambda each: -each[1])[:READ]


def _newest_first(verdict: Verdict) -> tuple[float, ...]:
    return (-verdict.edit.created_at.timestamp(),) if verdict.noted else (0.0,)
