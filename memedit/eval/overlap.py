"""Which probes cannot be scored, because another edit in the same memory answers them or says otherwise.

With many edits in one memory a locality prompt of one case may be the edit prompt of another (19 % of CounterFact's),
and two cases may contradict one another (998 of MQuAKE-CF-3k's 3,000).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from memedit.edits import SLOT, Fact
from memedit.eval.cases import Case, Probe
from memedit.text import FUNCTION_WORDS, bare, one_line, same_key, words
from memedit.text.naming import without_subject
from memedit.text.relations import shipped_relations

ALIKE = 0.75
"""Share of the shorter relation text's content words that the longer one has to hold to count as the same relation,
where the benchmark names no relation."""

SAYS_LITTLE = frozenset("name named called known part s".split())
"""Words by which two wordings of one relation may differ."""


@dataclass(frozen=True, slots=True)
class _Edit:
    """What is compared of an edit in memory."""

    owner: str
    fact: Fact
    relation: str | None
    content: frozenset[str]
    object: str


class Overlaps:
    """The edits of one memory, by what they answer.

    Args:
        cases: All cases whose edits are in the memory.
    """

    def __init__(self, cases: Iterable[Case]) -> None:
        owned = [(case.id, fact) for case in cases for fact in case.edits if isinstance(fact, Fact) and fact.subject]
        # One file may name the relation of a template that another file uses without naming it.
        self._relations = {
            _template(fact.prompt): shipped_relations().key(fact.relation)
            for _, fact in owned
            if fact.prompt and fact.relation
        }
        self._slots: dict[tuple[str, str], list[_Edit]] = {}
        self._subjects: dict[tuple[str, ...], list[_Edit]] = {}
        self._prompts: dict[tuple[str, ...], list[_Edit]] = {}
        for owner, fact in owned:
            self._add(owner, fact)
        self._longest = max(map(len, self._subjects), default=0)

    def _add(self, owner: str, fact: Fact) -> None:
        relation = self._relation(fact.relation or fact.prompt)
        slot = relation or shipped_relations().key(fact.prompt or fact.question or fact.relation_text)
        known = _Edit(owner, fact, relation, _content(fact.relation_text), same_key(fact.object or fact.statement))
        self._slots.setdefault((same_key(fact.subject or ""), slot), []).append(known)
        for name in fact.names:
            self._subjects.setdefault(words(name), []).append(known)
        for prompt in filter(None, (fact.cloze, fact.question)):
            self._prompts.setdefault(words(prompt), []).append(known)

    def why_not(self, case: Case, probe: Probe) -> str | None:
        """Why a probe cannot be scored; None when it can."""
        return self._contradicted(case, probe) or (self._answered(case, probe) if _is_outside(probe) else None)

    def _contradicted(self, case: Case, probe: Probe) -> str | None:
        for subject, relation, value in probe.rests_on:
            slot = same_key(subject), self._relation(relation) or shipped_relations().key(relation)
            for edit in self._slots.get(slot, ()):
                if edit.owner != case.id and edit.object != same_key(value):
                    return f"another case says: {one_line(edit.fact.text, 80)}"
        return None

    def _answered(self, case: Case, probe: Probe) -> str | None:
        asked = words(probe.prompt)
        relation = self._relation(probe.relation)
        for edit in (*self._prompts.get(asked, ()), *self._named(asked)):
            if edit.owner == case.id and relation is None:
                if self._says_the_same(edit, probe.prompt):
                    return f"the case's own edit answers it: {one_line(edit.fact.text, 80)}"
                continue  # another relation of the case's own subject
            if edit in self._prompts.get(asked, ()) or self._same(edit, relation, probe.prompt):
                return f"an edit answers it: {one_line(edit.fact.text, 80)}"
        return None

    def _named(self, asked: Sequence[str]) -> Iterable[_Edit]:
        """The edits whose subject stands in the words."""
        for start in range(len(asked)):
            for end in range(start + 1, min(start + self._longest, len(asked)) + 1):
                yield from self._subjects.get(tuple(asked[start:end]), ())

    def _relation(self, named: str | None) -> str | None:
        """The relation that a name or a template stands for; None where no edit tells."""
        if named is None or SLOT not in named:
            return None if named is None else shipped_relations().key(named)
        return self._relations.get(_template(named))

    @staticmethod
    def _same(edit: _Edit, relation: str | None, prompt: str) -> bool:
        if relation is not None and edit.relation is not None:
            return relation == edit.relation
        rest = _content(without_subject(prompt, edit.fact.names) or prompt)
        fewer = min(len(rest), len(edit.content))
        return fewer > 0 and len(rest & edit.content) / fewer >= ALIKE

    @staticmethod
    def _says_the_same(edit: _Edit, prompt: str) -> bool:
        """Whether a prompt about the edit's subject asks for its relation in the very words."""
        rest = _content(without_subject(prompt, edit.fact.names) or prompt) - SAYS_LITTLE
        return bool(rest) and rest == edit.content - SAYS_LITTLE


def _is_outside(probe: Probe) -> bool:
    return probe.kind.in_scope is False


def _template(prompt: str) -> tuple[str, ...]:
    return words(prompt.replace(SLOT, " "))


def _content(text: str) -> frozenset[str]:
    return frozenset(words(bare(text))) - FUNCTION_WORDS
