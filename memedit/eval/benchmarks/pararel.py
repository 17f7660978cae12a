"""ParaRel (Elazar et al. 2021, arXiv:2102.01017): facts of T-REx (LAMA) edited, and asked after in many wordings.

Patterns and facts stand in files of their own, which are read together. The published files hold one relation each and
are named after it. A fact makes a case where its relation has a pattern with the object at the end, which a
left-to-right model can go on with (P31 and P527 have no pattern at all).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from memedit.edits import Fact
from memedit.errors import FileRejected
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.cases import Case, Kind, ask
from memedit.text.relations import PROPERTY_ID

CLOZE = re.compile(r"([^\[\]]*\[X\][^\[\]]*?)\s*\[Y\]\s*[.,]?\s*")
ARTICLES = (" a", " an")
PARAPHRASES = 5


class Pattern(NamedTuple):
    """A wording of a relation; the template is None where the object is not at the end."""

    relation: str
    template: str | None


class Known(NamedTuple):
    """A fact as it is in the world."""

    id: str
    relation: str
    subject: str
    object: str


def pattern(record: Record, place: Place) -> Pattern:
    """A pattern with `[X]` for the subject and `[Y]` for the object."""
    text = record["pattern"]
    if text.count("[X]") != 1 or text.count("[Y]") != 1:
        raise ValueError(f"the pattern needs [X] and [Y] once each: {text}")
    cloze = CLOZE.fullmatch(text)
    # Behind an article, only half of the objects are grammatical.
    template = cloze[1].replace("[X]", "{}") if cloze and not cloze[1].endswith(ARTICLES) else None
    return Pattern(_relation(record, place), template)


def known(record: Record, place: Place) -> Known:
    """A fact of T-REx."""
    relation, subject, true = _relation(record, place), record["sub_label"].strip(), record["obj_label"].strip()
    if not subject or not true:
        raise ValueError("the subject or the object is empty")
    return Known(record.get("uuid") or digest(relation, subject, true), relation, subject, true)


def counterfacts(parts: Iterable[Pattern | Known]) -> Iterator[Case]:
    """One case a fact: its object becomes another one of the relation, drawn by the fact's id."""
    templates: dict[str, dict[str, None]] = defaultdict(dict)
    objects: dict[str, set[str]] = defaultdict(set)
    true: dict[tuple[str, str], set[str]] = defaultdict(set)
    facts = []
    for part in parts:
        if isinstance(part, Known):
            facts.append(part)
            objects[part.relation].add(part.object)
            true[part.relation, part.subject].add(part.object)
        elif part.template:
            templates[part.relation][part.template] = None
    if not facts or not templates:
        missing = "facts (trex_lms_vocab)" if not facts else "patterns"
        raise FileRejected(f"ParaRel's {missing} are missing.", do="give the files of patterns and of facts together")
    ordered = {relation: sorted(named) for relation, named in objects.items()}
    for fact in facts:
        others = [name for name in ordered[fact.relation] if name not in true[fact.relation, fact.subject]]
        if others and templates[fact.relation]:
            new = others[int(digest(fact.id), 16) % len(others)]
            yield _case(fact, new, list(templates[fact.relation]))


def _case(known: Known, new: str, templates: list[str]) -> Case:
    fact = Fact(
        id=f"pararel-{known.id}",
        subject=known.subject,
        relation=known.relation,
        prompt=templates[0],
        object=new,
        previous_object=known.object,
        source="ParaRel",
    )
    prompts = [template.replace("{}", known.subject) for template in templates[: PARAPHRASES + 1]]
    told = {
        "answers": (new,),
        "rejected": (known.object,),
        "rests_on": ((known.subject, known.relation, new),),
    }
    probes = ask(Kind.EFFICACY, prompts[0], **told) + ask(Kind.PARAPHRASE, prompts[1:], **told)
    return Case(id=f"pararel:{known.id}", edits=(fact,), probes=tuple(probes))


def _relation(record: Record, place: Place) -> str:
    relation = record.get("relation") or place.file
    if not PROPERTY_ID.fullmatch(relation):
        raise ValueError(f"no relation is given, and the file's name {place.file} is none")
    return str(relation)


PARAREL = Benchmark(
    name="pararel",
    title="ParaRel",
    measures="counterfactual edits of T-REx facts under up to five other wordings of the relation",
    paper="Elazar et al. 2021, arXiv:2102.01017",
    published="https://github.com/yanaiela/pararel/tree/main/data",
    licence="MIT; T-REx CC BY-SA 4.0",
    forms=(Form("patterns", ("pattern",), pattern), Form("facts", ("sub_label", "obj_label"), known)),
    assemble=counterfacts,
)
