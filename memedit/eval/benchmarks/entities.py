"""ECBD (Onoe et al. 2022, arXiv:2205.02832) and Entity Inferences (Onoe et al. 2023, arXiv:2305.01651): new entities.

Both mark a span of a sentence with T5's sentinel. The edit is the entity's definition with its span put back.
"""

from __future__ import annotations

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.gather import numbered, together
from memedit.eval.cases import Case, Kind, ask

PUBLISHED = "https://github.com/yasumasaonoe/entity_knowledge_propagation"
PAPER = "Onoe et al. 2023, arXiv:2305.01651"
SENTINEL, CLOSING = "<extra_id_0>", "<extra_id_1>"


def ecbd(record: Record, place: Place) -> Case:
    """A sentence about a new entity. The specificity file, told by its name only, has known ones and no edit."""
    known = "specificity" in place.file
    probes = []
    for sentence in record["probe_sentences"].values():
        left, right = _cut(sentence["probe_sentence"])
        prompt = left.rstrip()
        span = left[len(prompt) :] + _span(sentence["label"])
        kind = Kind.LOCALITY if known else Kind.PORTABILITY
        probes += ask(kind, prompt, answers=(span,), after=right, form="span")
    fact = _definition(record, "ecbd", "ECBD")
    return Case(id=f"ecbd:{digest(fact.text)}", edits=() if known else (fact,), probes=numbered(probes))


def entity_inferences(record: Record, place: Place) -> Case:
    """A sentence about a new entity, and the spans of which one follows from its definition."""
    probes = []
    for sentence in record["probe_sentences"].values():
        left, right = _cut(sentence["probe_sentence"])
        spans = tuple(map(_span, sentence["labels"]))
        if record["label"] not in spans:
            raise ValueError(f"the label {record['label']} is none of the spans {', '.join(spans)}")
        probes += ask(
            Kind.PORTABILITY, left.rstrip(), answers=(record["label"],), choices=spans, after=right, form="pick"
        )
    fact = _definition(record, "entity-inferences", "Entity Inferences")
    return Case(id=f"entity_inferences:{digest(fact.text)}", edits=(fact,), probes=numbered(probes))


def _definition(record: Record, prefix: str, source: str) -> Fact:
    left, right = _cut(record["definition"])
    statement = left + _span(record["def_target"]) + right
    return Fact(statement, id=f"{prefix}-{digest(statement)}", subject=record["ent_str"], source=source)


def _cut(sentence: str) -> tuple[str, str]:
    if sentence.count(SENTINEL) != 1:
        raise ValueError(f"a sentence has {sentence.count(SENTINEL)} spans, not one: {sentence:.80}")
    left, _, right = sentence.partition(SENTINEL)
    return left, right


def _span(target: str) -> str:
    return target.strip().removeprefix(SENTINEL).removesuffix(CLOSING).strip()


ECBD = Benchmark(
    name="ecbd",
    title="ECBD",
    measures="likelihood of a span about a new entity, once its definition is told",
    paper=f"Onoe et al. 2022, arXiv:2205.02832; {PAPER}",
    published=f"{PUBLISHED}/tree/main/data/ecbd",
    licence="none stated",
    forms=(Form("cloze", ("ex_id", "definition", "def_target", "probe_sentences", "ent_str"), ecbd, ("label",)),),
    assemble=together,
)
ENTITY_INFERENCES = Benchmark(
    name="entity_inferences",
    title="Entity Inferences",
    measures="inferences about a new entity by multiple choice, explicit and implicit",
    paper=PAPER,
    published=f"{PUBLISHED}/tree/main/data/entity_inferences",
    licence="none stated",
    forms=(Form("choices", ("ex_id", "definition", "def_target", "probe_sentences", "label"), entity_inferences),),
    assemble=together,
)
