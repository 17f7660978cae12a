"""Questions, their candidates, and what each candidate is to its question: what a gate learns and is measured on.

The candidates are those the memory itself recalls, so that the edits out of scope are exactly those a gate has to tell
apart in use. SERAC draws its hard negatives from the nearest neighbours, too (Mitchell et al. 2022, arXiv:2206.06520).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from memedit.edits import AnyEdit, Fact
from memedit.gate.learning.scope_sets import OUT, UNKNOWN, Question, ScopeSet, in_memory
from memedit.gate.roles import LABELS, Label
from memedit.memory import Candidate, Recalled
from memedit.text import same_key

BATCH = 256  # questions that are embedded together


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, what the memory recalls for it, and what each candidate is to it.

    Args:
        question: The question.
        recalled: What the memory holds for it.
        subject: Of the edit in scope; where none is, of the nearest.
    """

    question: Question
    recalled: Recalled
    subject: str = ""

    @property
    def judged(self) -> list[tuple[Candidate, Label]]:
        """The candidates of which it is known what they are, nearest first."""
        roles = ((found, self.question.role(found.edit.id)) for found in self.recalled.candidates)
        return [(found, LABELS[role]) for found, role in roles if role != UNKNOWN]


def ask_all(sets: Iterable[ScopeSet], *, embedder: Any = None, k: int = 16) -> list[Asked]:
    """Ask each set's questions of a memory that holds its edits.

    Args:
        sets: One memory each.
        embedder: Whatever `as_embedder` takes; the bundled MiniLM when left out.
        k: Candidates a question, and as many again of those it names.
    """
    return [asked for one in sets for asked in _ask(one, embedder, k)]


def split_by_subject(asked: Sequence[Asked], *, share: float, seed: int = 0) -> tuple[list[Asked], list[Asked]]:
    """Two parts: to learn from, and held out. No subject of the held-out questions occurs in the first, on any side.

    Args:
        asked: All of them.
        share: About how much of them is held out, in [0, 1].
        seed: Draws the subjects.
    """
    learned = []
    for one in asked:
        if _draw(one.subject, seed) >= share:
            kept = (found for found in one.recalled.candidates if _draw(_subject(found.edit), seed) >= share)
            learned.append(replace(one, recalled=replace(one.recalled, candidates=tuple(kept))))
    return learned, [one for one in asked if _draw(one.subject, seed) < share]


def _ask(scope: ScopeSet, embedder: Any, k: int) -> list[Asked]:
    asked = []
    with in_memory(scope, embedder) as (memory, questions):
        for start in range(0, len(questions), BATCH):
            part = questions[start : start + BATCH]
            memory.prepare([question.text for question in part])
            asked += [_asked(question, memory.recall(question.text, k=k)) for question in part]
    return asked


def _asked(question: Question, recalled: Recalled) -> Asked:
    found = [one.edit for one in recalled.candidates]
    telling = [edit for edit in found if question.role(edit.id) > OUT] + found
    return Asked(question, recalled, _subject(telling[0]) if telling else question.text)


def _subject(edit: AnyEdit) -> str:
    return same_key(edit.names[0]) if isinstance(edit, Fact) and edit.names else same_key(edit.key_text)


def _draw(subject: str, seed: int) -> float:
    """A number in [0, 1) that is always the same for the same subject."""
    return int(hashlib.sha256(f"{seed}:{subject}".encode()).hexdigest()[:12], 16) / 16**12
