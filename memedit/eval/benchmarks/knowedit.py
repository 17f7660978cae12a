"""KnowEdit (Zhang et al. 2024, arXiv:2401.01286): three of its sets, and its form of record, which zsRE shares.

WikiData-recent and WikiData-counterfact are RippleEdits in KnowEdit's form; WikiBio corrects sentences that a model
made up about a person (Manakul et al. 2023, arXiv:2303.08896; as edits, Hartvigsen et al. 2023, arXiv:2211.11031).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.facts import accepted, ask_each, fact_of, follows, stays, text
from memedit.eval.cases import Case, Kind, Probe, ask

PAPER = "Zhang et al. 2024, arXiv:2401.01286"
PUBLISHED = "https://huggingface.co/datasets/zjunlp/KnowEdit"
CRITERIA = {
    "subject_aliasing": Kind.ALIAS,
    "reasoning": Kind.PORTABILITY,
    "logical_generalization": Kind.LOGICAL,
    "relation_specificity": Kind.SAME_SUBJECT,
    "forgetfulness": Kind.PRESERVATION,
}


def criteria(record: Record, fact: Fact, old: Iterable[str] = ()) -> list[Probe]:
    """The probes under `portability` and `locality`. Queries without an answer are left out."""
    probes: list[Probe] = []
    for part in ("portability", "locality"):
        for criterion, queries in record.get(part, {}).items():
            kind = CRITERIA.get(criterion.casefold())
            if kind is None:
                raise ValueError(f"{criterion} is no criterion of KnowEdit")
            rejected = old if kind is Kind.ALIAS else ()
            gold = [(text(query, "prompt"), accepted(query["ground_truth"])) for query in queries]
            probes += ask_each(
                kind,
                (
                    (prompt, stays(fact, answers) if part == "locality" else follows(fact, answers, rejected))
                    for prompt, answers in gold
                    if answers
                ),
            )
    return probes


def read(benchmark: str, record: Record, place: Place) -> Case:
    """A record with a prompt, its new answer, and probes by criterion."""
    prompt, old = text(record, "prompt"), accepted(record.get("ground_truth", ()))
    fact = fact_of(benchmark, prompt, text(record, "subject"), text(record, "target_new"), old, source="KnowEdit")
    told = follows(fact, rejected=old)
    probes = [
        *ask(Kind.EFFICACY, prompt, **told),
        *ask(Kind.PARAPHRASE, accepted(record.get("rephrase_prompt", ())), **told),
        *criteria(record, fact, old),
    ]
    return Case(id=f"{benchmark}:{digest(record)}", edits=(fact,), probes=tuple(probes))


def biography(record: Record, place: Place) -> Case:
    """A WikiBio record: the sentence (`labels`) with which a passage (`text`) about a person shall go on."""
    person, passage, sentence = (text(record, name) for name in ("concept", "text", "labels"))
    # The sentence says "he" or "the band": only with the name before it does it stand by itself.
    fact = Fact(
        f"{person}: {sentence}", id=f"wiki_bio-{digest(passage, sentence)}", subject=person, source="KnowEdit WikiBio"
    )
    probes = [
        *ask(Kind.EFFICACY, passage, answers=(sentence,), form="text", max_tokens=100),
        *criteria(record, fact),
    ]
    return Case(id=f"wiki_bio:{digest(record)}", edits=(fact,), probes=tuple(probes))


def form(benchmark: str) -> Form:
    """KnowEdit's form of record, for a benchmark of this name."""
    return Form("KnowEdit", ("prompt", "target_new", "portability", "locality"), partial(read, benchmark))


WIKI_RECENT = Benchmark(
    name="wiki_recent",
    title="WikiData-recent",
    measures="new facts: what follows from them, and what they leave alone",
    paper=PAPER,
    published=PUBLISHED,
    licence="MIT",
    forms=(form("wiki_recent"),),
)
WIKI_COUNTERFACT = Benchmark(
    name="wiki_counterfact",
    title="WikiData-counterfact",
    measures="counterfactual edits: what follows from them, and what they leave alone",
    paper=PAPER,
    published=PUBLISHED,
    licence="MIT",
    forms=(form("wiki_counterfact"),),
)
WIKI_BIO = Benchmark(
    name="wiki_bio",
    title="WikiBio",
    measures="correction of made-up biography sentences, and other facts about the same person",
    paper=PAPER,
    published=PUBLISHED,
    licence="MIT",
    forms=(Form("biography", ("text", "labels", "concept"), biography),),
)
