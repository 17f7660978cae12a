"""Which probes cannot be scored, because another edit in the same memory answers them or says otherwise.

With many edits in one memory a locality prompt of one case may be the edit prompt of another (19 % of CounterFact's),
and two cases may contradict one another (998 of MQuAKE-CF-3k's 3,000).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from memedit.edits import Fact
from memedit.eval.cases import Case, Probe
from memedit.naming import without_subject
from memedit.relations import shipped_relations
from memedit.text import FUNCTION_WORDS, bare, one_line, same_key, words

ALIKE = 0.75
"""Share of the shorter relation text's content words that the longer one has to hold to count as the same relation,
where the benchmark names no relation."""


@dataclass(frozen=True, slots=True)
class _Edit:
    """What is compared of an edit in memory."""

    owner: str
    fact: Fact
    relation: str
    content: frozenset[str]
    object: str


class Overlaps:
    """The edits of one memory, by what they answer.

    Args:
        cases: All cases whose edits are in the memory.
    """

    def __init__(self, cases: Iterable[Case]) -> None:
        self._slots: dict[tuple[str, str], list[_Edit]] = {}
        self._subjects: dict[tuple[str, ...], list[_Edit]] = {}
        self._prompts: dict[tuple[str, ...], list[_Edit]] = {}
        for case in cases:
            for fact in case.edits:
                if isinstance(fact, Fact) and fact.subject:
                    self._add(case.id, fact)
        self._longest = max(map(len, self._subjects), default=0)

    def _add(self, owner: str, fact: Fact) -> None:
        named = fact.relation or fact.prompt or fact.question or fact.relation_text
        relation = shipped_relations().key(named)
        known = _Edit(owner, fact, relation, _content(fact.relation_text), same_key(fact.object or fact.statement))
        self._slots.setdefault((same_key(fact.subject or ""), relation), []).append(known)
        for name in fact.names:
            self._subjects.setdefault(words(name), []).append(known)
        for prompt in filter(None, (fact.cloze, fact.question)):
            self._prompts.setdefault(words(prompt), []).append(known)

    def why_not(self, case: Case, probe: Probe) -> str | None:
        """Why a probe cannot be scored; None when it can."""
        return self._contradicted(case, probe) or (self._answered(case, probe) if _is_outside(probe) else None)

    def _contradicted(self, case: Case, probe: Probe) -> str | None:
        for subject, relation, value in probe.rests_on:
            slot = same_key(subject), shipped_relations().key(relation)
            for edit in self._slots.get(slot, ()):
                if edit.owner != case.id and edit.object != same_key(value):
                    return f"another case says: {one_line(edit.fact.text, 80)}"
        return None

    def _answered(self, case: Case, probe: Probe) -> str | None:
        asked = words(probe.prompt)
        relation = shipped_relations().key(probe.relation) if probe.relation else None
        for edit in (*self._prompts.get(asked, ()), *self._named(asked)):
            if edit.owner == case.id and relation is None:
                continue  # another relation of the case's own subject
            if edit in self._prompts.get(asked, ()) or self._same(edit, relation, probe.prompt):
                return f"an edit answers it: {one_line(edit.fact.text, 80)}"
        return None

    def _named(self, asked: Sequence[str]) -> Iterable[_Edit]:
        """The edits whose subject stands in the words."""
        for start in range(len(asked)):
            for end in range(start + 1, min(start + self._longest, len(asked)) + 1):
                yield from self._subjects.get(tuple(asked[start:end]), ())

    @staticmethod
    def _same(edit: _Edit, relation: str | None, prompt: str) -> bool:
        if relation is not None and edit.fact.relation is not None:
            return relation == edit.relation
        rest = _content(without_subject(prompt, edit.fact.names) or prompt)
        fewer = min(len(rest), len(edit.content))
        return fewer > 0 and len(rest & edit.content) / fewer >= ALIKE


def _is_outside(probe: Probe) -> bool:
    return probe.kind.in_scope is False


def _content(text: str) -> frozenset[str]:
    return frozenset(words(bare(text))) - FUNCTION_WORDS
