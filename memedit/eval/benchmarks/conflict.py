"""ConflictEdit and RoundEdit (Li et al. 2024, arXiv:2310.02129): edits that contradict one another, and edits undone.

What has to hold after two conflicting edits is taken from the authors' evaluation:

- coverage: the second edit is of the same subject and relation, and its object holds.
- reverse: after “the father of A is B” and “the child of B is C”, the father of C is B.
- composite: with the tied fact “the mother of A is M”, after “the spouse of M is S” and “the father of A is F”, the
  spouse of M is F, and the tied fact still holds.
"""

from __future__ import annotations

from typing import Any

from memedit.edits import SLOT, Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.facts import ask_each, follows, stays, text
from memedit.eval.cases import Case, Kind, Probe, Triple, ask

PAPER = "Li et al. 2024, arXiv:2310.02129"
PUBLISHED = "https://github.com/zjunlp/PitfallsKnowledgeEditing"


def conflict(record: Record, place: Place) -> Case:
    """Two edits, of which the later holds, with what follows from it."""
    first, last = record["edits"]
    facts = (_fact(first), _fact(last))
    of_slot = [edit for edit in (first, last) if _slot(edit) == _slot(last)]
    old = [_name(edit, which) for edit in of_slot for which in ("object", "true_object") if which in edit]
    probes = [*_efficacy(last, facts[1], old), *_consequences(record, *facts)]
    return Case(
        id=f"conflict_edit:{digest(record['type'], _ids(first), _ids(last))}", edits=facts, probes=tuple(probes)
    )


def round_trip(record: Record, place: Place) -> Case:
    """An edit and the edit back. The other true objects have to stay likelier than the one that came and went."""
    edit = record["edit"]
    back = {**edit, "new_object": edit["object"], "object": edit["new_object"]}
    facts = (_fact(edit), _fact(back))
    passing = _name(edit, "new_object")
    others = [label for other in record["true_objects"] if (label := text(other, "label")) != facts[1].object]
    kept = (
        (
            _put(edit, "prompt"),
            {"answers": (other,), "rejected": (passing,), "choices": (other, passing), "form": "pick"},
        )
        for other in others
    )
    probes = [*_efficacy(back, facts[1], [passing]), *ask_each(Kind.PRESERVATION, kept)]
    return Case(id=f"round_edit:{digest(_ids(edit), _ids(back))}", edits=facts, probes=tuple(probes))


def _consequences(record: Record, first: Fact, last: Fact) -> list[Probe]:
    earlier, later = record["edits"]
    match record["type"]:
        case "coverage":
            return []
        case "reverse":
            turned = {**earlier, "subject": later["new_object"]}
            return ask(Kind.LOGICAL, _wordings(turned), **follows(last, [str(first.object)]))
        case "composite":
            tied = [record["triples"][number] for number in record["prerequisites"]]
            known = tuple(_triple(fact, "object") for fact in tied)
            told = follows(last, rejected=[str(first.object)])
            told["rests_on"] += known
            kept = (
                (wording, stays(last, triple[2:]) | {"rests_on": (triple,)})
                for fact, triple in zip(tied, known, strict=True)
                for wording in _wordings(fact)
            )
            return ask(Kind.LOGICAL, _wordings(earlier), **told) + ask_each(Kind.PRESERVATION, kept)
        case other:
            raise ValueError(f"{other} is no type of conflict")


def _fact(edit: Record) -> Fact:
    subject, relation, new = _triple(edit, "new_object")
    return Fact(
        id=f"pitfalls-{digest(*_ids(edit))}",
        subject=subject,
        relation=relation,
        prompt=edit["relation"]["prompt"],
        object=new,
        previous_object=_name(edit, "object"),
        question=_put(edit, "query"),
        source="ConflictEdit and RoundEdit",
    )


def _efficacy(edit: Record, fact: Fact, old: list[str]) -> list[Probe]:
    told: dict[str, Any] = follows(fact, rejected=old)
    cloze, question = _wordings(edit)
    return ask(Kind.EFFICACY, cloze, **told) + ask(Kind.PARAPHRASE, question, **told)


def _wordings(fact: Record) -> list[str]:
    """A fact without its object, as a cloze and as a question."""
    return [_put(fact, "prompt"), _put(fact, "query")]


def _put(fact: Record, wording: str) -> str:
    return text(fact["relation"], wording).replace(SLOT, _name(fact, "subject"))


def _triple(fact: Record, which: str) -> Triple:
    return _name(fact, "subject"), text(fact["relation"], "id"), _name(fact, which)


def _name(fact: Record, which: str) -> str:
    return text(fact[which], "label")


def _slot(fact: Record) -> tuple[str, str]:
    return text(fact["subject"], "id"), text(fact["relation"], "id")


def _ids(edit: Record) -> tuple[str, str, str]:
    return *_slot(edit), text(edit["new_object"], "id")


CONFLICT_EDIT = Benchmark(
    name="conflict_edit",
    title="ConflictEdit",
    measures="whether the later of two contradicting edits holds, and what follows from it",
    paper=PAPER,
    published=PUBLISHED,
    licence="MIT",
    forms=(Form("conflict", ("edits", "triples", "type"), conflict),),
)
ROUND_EDIT = Benchmark(
    name="round_edit",
    title="RoundEdit",
    measures="whether an edit that is taken back leaves what was true before",
    paper=PAPER,
    published=PUBLISHED,
    licence="MIT",
    forms=(Form("round", ("edit", "true_objects"), round_trip),),
)
