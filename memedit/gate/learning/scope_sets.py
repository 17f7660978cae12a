"""What a gate is trained and measured on: edits, and questions of which it is known which edits they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

from memedit.edits import AnyEdit
from memedit.memory import EditMemory

OUT, DIRECT, BRIDGE, UNKNOWN = 0, 1, 2, -1  # what an edit is to a question; places in `LABELS`, save the last


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

    def role(self, edit_id: str) -> int:
        """What an edit is to it: `OUT`, `DIRECT`, `BRIDGE` or `UNKNOWN`."""
        if edit_id in self.direct:
            return DIRECT
        if edit_id in self.bridges:
            return BRIDGE
        return UNKNOWN if edit_id in self.unsure else OUT

    def renamed(self, stored: Mapping[str, str]) -> Self:
        """With these ids of its edits; edits without one are left out."""
        direct, bridges, unsure = (
            frozenset(stored[edit_id] for edit_id in ids if edit_id in stored)
            for ids in (self.direct, self.bridges, self.unsure)
        )
        return replace(self, direct=direct, bridges=bridges, unsure=unsure)


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


@contextmanager
def in_memory(scope_set: ScopeSet, embedder: Any) -> Iterator[tuple[EditMemory, list[Question]]]:
    """A memory that holds the edits of a set, and its questions, which name the edits as the memory does.

    Nothing displaces anything; but of several edits that say the same, the first stands for all.
    """
    edits = [edit.model_copy(update={"namespace": None}) for edit in scope_set.edits]
    with EditMemory(embedder=embedder, languages=None) as memory:
        receipts = memory.add_many(edits, on_conflict="keep")
        stored = {edit.id: receipt.id for edit, receipt in zip(edits, receipts, strict=True)}
        yield memory, [question.renamed(stored) for question in scope_set.questions]
