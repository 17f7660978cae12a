"""Benchmarks as scope sets: which edits of all cases each probe is in scope of, for training and measuring gates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from memedit.edits import Fact
from memedit.eval.cases import Case, Kind, Probe
from memedit.eval.overlap import Overlaps
from memedit.gate.learning.scope_sets import Question, ScopeSet
from memedit.index.mentions import LONGEST_NAME
from memedit.text import same_key, words
from memedit.text.relations import PROPERTY_ID, shipped_relations

BEARS_ON = {Kind.PORTABILITY, Kind.COMPOSITION, Kind.MULTI_HOP}
NOT_ASKED = {Kind.CONDITION, Kind.FLUENCY}


def scope_set(name: str, cases: Sequence[Case], *, fill: Sequence[Case] = ()) -> ScopeSet:
    """The edits of all cases in one memory, and their probes as questions; those that cannot be scored are left out.

    An edit of the probe's own subject and relation counts as in scope also where it belongs to another case. Unsure are
    edits of which the benchmark does not tell whether they answer: the case's own where the probe is a generation
    prompt, or follows from them by logic; and other cases' of the same subject, where either names no relation.

    Args:
        name: Of the set.
        cases: Whose probes are asked.
        fill: Cases whose edits only lie in the memory.
    """
    known = {case.id for case in cases}
    everyone = [*cases, *(case for case in fill if case.id not in known)]
    facts = {edit.id: edit for case in everyone for edit in case.edits if isinstance(edit, Fact)}
    slots, namesakes = defaultdict(set), defaultdict(set)
    for fact in facts.values():
        for slot in _slots(fact):
            slots[slot].add(fact.id)
        for alias in fact.names:
            namesakes[words(alias)].add(fact.id)
    overlaps = Overlaps(everyone)
    questions = [
        _with_namesakes(_question(case, probe, slots), case, probe, facts, namesakes)
        for case in cases
        for probe in case.probes
        if probe.kind not in NOT_ASKED and not overlaps.why_not(case, probe)
    ]
    return ScopeSet(name, tuple(facts.values()), tuple(questions))


def _question(case: Case, probe: Probe, slots: dict[tuple[str, str], set[str]]) -> Question:
    own = [edit for edit in case.edits if isinstance(edit, Fact)]
    resting = frozenset(edit_id for triple in probe.rests_on for edit_id in slots.get(_slot(*triple[:2]), ()))
    same = frozenset(fact.id for fact in own) | _same(own, slots)
    text, group = probe.prompt, str(probe.kind)
    if probe.kind in BEARS_ON:
        return Question(text, bridges=resting or same, unsure=same, group=group)
    if probe.kind is Kind.HOP:
        return Question(text, direct=resting, group=group)
    generated = probe.kind is Kind.FREE_FORM and any(fact.prompt for fact in own)
    if generated or probe.kind.in_scope is None:
        return Question(text, unsure=same, group=group)
    if probe.kind.in_scope:
        return Question(text, direct=resting or same, group=group)
    return Question(text, group=group)


def _with_namesakes(
    question: Question,
    case: Case,
    probe: Probe,
    facts: Mapping[str, Fact],
    namesakes: Mapping[tuple[str, ...], set[str]],
) -> Question:
    """With other cases' edits about a name in the prompt as unsure, where their relations cannot be compared."""
    known = bool(probe.relation) or any(PROPERTY_ID.fullmatch(relation) for _, relation, _ in probe.rests_on)
    own = {edit.id for edit in case.edits}
    asked = words(probe.prompt)
    named = {
        edit_id
        for start in range(len(asked))
        for end in range(start + 1, min(start + LONGEST_NAME, len(asked)) + 1)
        for edit_id in namesakes.get(asked[start:end], ())
    }
    unsure = {
        edit_id
        for edit_id in named - own - question.direct - question.bridges
        if not (known and PROPERTY_ID.fullmatch(facts[edit_id].relation or ""))
    }
    return replace(question, unsure=question.unsure | unsure)


def _same(facts: Iterable[Fact], slots: dict[tuple[str, str], set[str]]) -> frozenset[str]:
    return frozenset(edit_id for fact in facts for slot in _slots(fact) for edit_id in slots[slot])


def _slots(fact: Fact) -> set[tuple[str, str]]:
    """Subject and relation, by each of the names the Fact gives its relation."""
    if not fact.subject:
        return set()
    return {_slot(fact.subject, relation) for relation in (fact.relation, fact.prompt) if relation}


def _slot(subject: str, relation: str) -> tuple[str, str]:
    return same_key(subject), shipped_relations().key(relation)
