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
from memedit.gate.learning.scope_sets import Question, ScopeSet
from memedit.gate.roles import Label
from memedit.memory import Candidate, EditMemory, Recalled
from memedit.text import same_key

BATCH = 256  # questions that are embedded together


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, what the memory recalls for it, and what each candidate is to it.

    Args:
        question: The question.
        recalled: What the memory holds for it.
        labels: One a candidate; None where nobody has judged it.
        subject: Of the edit in scope; where none is, of the nearest.
    """

    question: Question
    recalled: Recalled
    labels: tuple[Label | None, ...]
    subject: str = ""

    @property
    def judged(self) -> list[tuple[Candidate, Label]]:
        """The candidates of which it is known what they are, nearest first."""
        return [(found, label) for found, label in zip(self.recalled.candidates, self.labels, strict=True) if label]


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
            kept = [_draw(_subject(found.edit), seed) >= share for found in one.recalled.candidates]
            candidates = tuple(found for found, keep in zip(one.recalled.candidates, kept, strict=True) if keep)
            labels = tuple(label for label, keep in zip(one.labels, kept, strict=True) if keep)
            learned.append(replace(one, recalled=replace(one.recalled, candidates=candidates), labels=labels))
    return learned, [one for one in asked if _draw(one.subject, seed) < share]


def _ask(scope: ScopeSet, embedder: Any, k: int) -> list[Asked]:
    first: dict[str, str] = {}  # the memory keeps one of several edits that say the same
    same = {edit.id: first.setdefault(edit.content_hash, edit.id) for edit in scope.edits}
    asked = []
    with EditMemory(embedder=embedder) as memory:
        for _ in memory.add_many((edit for edit in scope.edits if same[edit.id] == edit.id), on_conflict="keep"):
            pass
        for start in range(0, len(scope.questions), BATCH):
            part = scope.questions[start : start + BATCH]
            memory.prepare([question.text for question in part])
            asked += [_labelled(question, memory.recall(question.text, k=k), same) for question in part]
    return asked


def _labelled(question: Question, recalled: Recalled, same: dict[str, str]) -> Asked:
    direct, bridges, unsure = (
        {same[edit_id] for edit_id in ids if edit_id in same}
        for ids in (question.direct, question.bridges, question.unsure)
    )

    def label(edit_id: str) -> Label | None:
        if edit_id in direct:
            return "direct"
        if edit_id in bridges:
            return "bridge"
        return None if edit_id in unsure else "out"

    labels = tuple(label(found.edit.id) for found in recalled.candidates)
    found = [one.edit for one in recalled.candidates]
    telling = [edit for edit, one in zip(found, labels, strict=True) if one in ("direct", "bridge")] + found
    return Asked(question, recalled, labels, _subject(telling[0]) if telling else question.text)


def _subject(edit: AnyEdit) -> str:
    return same_key(edit.names[0]) if isinstance(edit, Fact) and edit.names else same_key(edit.key_text)


def _draw(subject: str, seed: int) -> float:
    """A number in [0, 1) that is always the same for the same subject."""
    return int(hashlib.sha256(f"{seed}:{subject}".encode()).hexdigest()[:12], 16) / 16**12
