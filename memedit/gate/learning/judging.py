"""Judging a scope set with any gate: its edits in one memory, its questions looked up as a request is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memedit.edits import Fact
from memedit.embedders.port import Vectors
from memedit.gate.conversation import Conversation, read_conversation
from memedit.gate.learning.scope_sets import Question, ScopeSet, in_memory
from memedit.gate.port import Gate, Verdict
from memedit.memory import EditMemory, Recalled


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

    @property
    def roles(self) -> NDArray[np.int64]:
        """What each candidate is: `OUT`, `DIRECT`, `BRIDGE` or `UNKNOWN`; (candidates,)."""
        asked = Question(self.question, self.direct, self.bridges, self.unsure)
        return np.array([asked.role(edit_id) for edit_id in self.candidates], dtype=np.int64)


def judge(
    gate: Gate,
    scope_set: ScopeSet,
    embedder: Any,
    *,
    batch: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> list[Judged]:
    """What a gate says of each question's candidates, with all edits of the set in one memory.

    A question in which nothing is asked has no candidates, as in use.

    Args:
        gate: Any.
        scope_set: Edits and questions. Of several edits that say the same, the first stands for all.
        embedder: Whatever `as_embedder` takes.
        batch: Questions that are embedded and judged together.
        progress: Told after each batch how many questions are done, of how many.
    """
    found: list[Judged] = []
    with in_memory(scope_set, embedder) as (memory, questions):
        for start in range(0, len(questions), batch):
            part = questions[start : start + batch]
            asked = [read_conversation((("user", question.text),)) for question in part]
            for question, verdicts in zip(part, verdicts_on(memory, gate, asked), strict=True):
                found.append(_judged(scope_set.name, question, verdicts))
            if progress:
                progress(len(found), len(questions))
    return found


def verdicts_on(
    memory: EditMemory, gate: Gate, asked: Sequence[Conversation], *, namespace: str = "default"
) -> list[list[Verdict]]:
    """A gate's verdicts on the candidates of each message, nearest first, as `EditableLLM.recall` has them judged."""
    memory.prepare([one.query for one in asked], [one.whole for one in asked], namespace=namespace)
    recalled = [_current(memory, memory.recall(one.query, namespace=namespace, whole=one.whole)) for one in asked]
    judged = iter(gate.decide_many([one for one in recalled if one.candidates]))
    return [_in_order(one, next(judged)) if one.candidates else [] for one in recalled]


def _current(memory: EditMemory, recalled: Recalled) -> Recalled:
    now = memory.clock()
    holding = (one for one in recalled.candidates if not isinstance(one.edit, Fact) or one.edit.holds_at(now))
    return replace(recalled, candidates=tuple(holding))


def _in_order(recalled: Recalled, verdicts: Iterable[Verdict]) -> list[Verdict]:
    known = {verdict.edit.id: verdict for verdict in verdicts}
    return [known[one.edit.id] for one in recalled.candidates if one.edit.id in known]


def _judged(name: str, question: Question, verdicts: Sequence[Verdict]) -> Judged:
    said = np.array([verdict.shares for verdict in verdicts], dtype=np.float32).reshape(len(verdicts), 2)
    ids = tuple(verdict.edit.id for verdict in verdicts)
    return Judged(
        name, question.group, question.text, question.direct, question.bridges, question.unsure, ids, said
    )  # fmt: skip
