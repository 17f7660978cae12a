"""What a gate is trained and measured on: edits, and questions of which it is known which edits they need."""

from __future__ import annotations

from dataclasses import dataclass, field

from memedit.edits import AnyEdit


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and which edits of its set are in scope of it.

    Args:
        text: What is asked.
        direct: Ids of the edits that answer it.
        bridges: Ids of the edits that lie on the way to its answer.
        unsure: Ids of edits nobody has judged; they count neither as in scope nor as out of it.
        group: What it shows (`paraphrase`, `same subject`, …), for reports.
    """

    text: str
    direct: frozenset[str] = frozenset()
    bridges: frozenset[str] = frozenset()
    unsure: frozenset[str] = frozenset()
    group: str = "question"


@dataclass(frozen=True, slots=True)
class ScopeSet:
    """Edits that lie in one memory, and questions asked of it.

    Args:
        name: Of the data, for reports.
        edits: All of them.
        questions: What is asked; an edit that a question does not name is out of its scope.
        only_training: Whether nothing is measured on it.
    """

    name: str
    edits: tuple[AnyEdit, ...] = field(repr=False)
    questions: tuple[Question, ...] = field(repr=False)
    only_training: bool = False
