"""RippleEdits (Cohen et al. 2024, arXiv:2307.12976): six criteria of what one edit should and should not change.

As in the authors' evaluation, a test counts only where the unedited model passes all its condition queries, and a test
of several queries with the condition OR is passed by any of them. An answer list is read as alternatives; the authors
want every member of it to be named. The published condition of an alias test is the test itself, new object included,
so that few counterfactual ones count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.facts import fact_of, follows, stays, text
from memedit.eval.cases import Case, Kind, Probe, Triple, ask

CRITERIA = {
    "Logical_Generalization": (Kind.LOGICAL, "logical"),
    "Compositionality_I": (Kind.COMPOSITION, "composition-I"),
    "Compositionality_II": (Kind.COMPOSITION, "composition-II"),
    "Subject_Aliasing": (Kind.ALIAS, "alias"),
    "Relation_Specificity": (Kind.SAME_SUBJECT, "same-subject"),
    "Relation_Specifity": (Kind.SAME_SUBJECT, "same-subject"),  # as the authors' documentation spells it
    "Forgetfulness": (Kind.PRESERVATION, "preservation"),
}
SENTENCE = re.compile(
    r"(?:The [a-z ]+ (?:of|which|award|children|in|by) )?(?P<subject>.+?)"
    r"(?: is associated with is| is a member of is| is part of is| is the capital of is| plays in is| won is| has is"
    r"| is followed by| follows| is| are) (?P<object>.+)\."
)
"""The sentences of the benchmark: “The name of the award S won is O.”, “S is followed by O.”"""
UNNAMED = re.compile(r"^ |  | ,| \.$")
"""Where a label is empty: “The gender of  is female.”"""


def read(record: Record, place: Place) -> Case:
    """An edit, one probe for each query of its tests, and one for each condition of these."""
    edit = record["edit"]
    fact, cloze = _edit(edit)
    old = filter(None, [fact.previous_object])
    probes = ask(Kind.EFFICACY, cloze, **follows(fact, rejected=old))
    conditions: dict[tuple[str, tuple[str, ...]], Probe] = {}
    for criterion, (kind, name) in CRITERIA.items():
        numbers = count()
        for place_of_test, test in enumerate(record.get(criterion, ())):
            requires = []
            for prompt, answers, _ in _asked(test["condition_queries"]):
                one = Probe(id=f"condition-{len(conditions)}", kind=Kind.CONDITION, prompt=prompt, answers=answers)
                requires.append(conditions.setdefault((prompt, answers), one).id)
            asked = list(_asked(test["test_queries"]))
            any_will_do = len(asked) > 1 and test["test_condition"] == "OR"
            probes += (
                Probe(
                    id=f"{name}-{next(numbers)}",
                    kind=kind,
                    prompt=prompt,
                    requires=tuple(dict.fromkeys(requires)),
                    group=f"{name}-test-{place_of_test}" if any_will_do else None,
                    **_fields(kind, answers, query, edit, fact),
                )
                for prompt, answers, query in asked
            )
    return Case(id=f"ripple_edits:{digest(record)}", edits=(fact,), probes=(*probes, *conditions.values()))


def _edit(edit: Record) -> tuple[Fact, str]:
    """The Fact of an edit, and its sentence without the object."""
    subject, cloze, new = _parts(edit)
    original = edit.get("original_fact")
    old = () if original is None or UNNAMED.search(text(original, "prompt")) else _parts(original)[2:]
    relation = _relation(text(edit, "relation"))
    return fact_of("ripple_edits", cloze, subject, new, old, relation=relation, source="RippleEdits"), cloze


def _parts(fact: Record) -> tuple[str, str, str]:
    """Subject, sentence without object, and object."""
    sentence = text(fact, "prompt")
    found = SENTENCE.fullmatch(sentence)
    if found is None or UNNAMED.search(sentence):
        raise ValueError(f"its subject or object has no name: {sentence}")
    return found["subject"], sentence[: found.start("object")].rstrip(), found["object"]


def _asked(queries: Iterable[Record]) -> Iterator[tuple[str, tuple[str, ...], Record]]:
    """(prompt, answers, query) of the queries that have an answer and name what they ask about."""
    for query in queries:
        prompt = text(query, "prompt")
        names = (name for answer in query["answers"] for name in (text(answer, "value"), *answer["aliases"]))
        # The authors pass over single letters, which nearly every reply holds.
        answers = tuple(dict.fromkeys(name for name in names if len(name.strip()) > 1 or name.isdigit()))
        if answers and not UNNAMED.search(prompt):
            yield prompt, answers, query


def _fields(kind: Kind, answers: tuple[str, ...], query: Record, edit: Record, fact: Fact) -> dict[str, Any]:
    """Answers of a test query, and the facts they rest on: the edit, and what is known beside it."""
    old = filter(None, [fact.previous_object if kind is Kind.ALIAS else None])
    derived = kind in (Kind.ALIAS, Kind.LOGICAL, Kind.COMPOSITION)
    fields = follows(fact, answers, old) if derived else stays(fact, answers)
    beside: tuple[Triple, ...] = ()
    if _id(query) == _id(edit):
        if query["relation"] != edit["relation"]:
            beside = ((str(fact.subject), _relation(query["relation"]), answers[0]),)
        elif query.get("second_relation"):
            beside = ((str(fact.object), _relation(query["second_relation"]), answers[0]),)
    return fields | {"rests_on": (*fields.get("rests_on", ()), *beside)}


def _id(fact: Record) -> Any:
    subject = fact["subject_id"]
    return subject[0] if isinstance(subject, list) and subject else subject


def _relation(name: str) -> str:
    return name.replace("_", " ").lower()


RIPPLE_EDITS = Benchmark(
    name="ripple_edits",
    title="RippleEdits",
    measures="logical generalisation, composition, aliases, preservation and other facts about the subject",
    paper="Cohen et al. 2024, arXiv:2307.12976",
    published="https://github.com/edenbiran/RippleEdits",
    licence="MIT",
    forms=(Form("official", ("edit", "example_type"), read),),
)
