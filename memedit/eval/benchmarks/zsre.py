"""zsRE (Levy et al. 2017, arXiv:1706.04115) as an editing benchmark: MEND's, KnowEdit's and postEdit's form.

MEND (Mitchell et al. 2022, arXiv:2110.11309) added the rephrases and, as locality, unrelated questions of Natural
Questions; EasyEdit (Yao et al. 2023, arXiv:2305.13172) a portability question.
"""

from __future__ import annotations

from memedit.eval.benchmarks import knowedit, postedit
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.facts import accepted, fact_of, follows, stays, text
from memedit.eval.cases import Case, Kind, ask


def mend(record: Record, place: Place) -> Case:
    """A record with a rephrase and an unrelated question, with or without a portability question."""
    prompt, old = text(record, "src"), accepted(record["answers"])
    fact = fact_of("zsre", prompt, text(record, "subject"), text(record, "alt"), old, source="zsRE")
    told = follows(fact, rejected=old)
    unrelated = text(record, "loc").removeprefix("nq question: ").rstrip("?").rstrip() + "?"
    probes = [
        *ask(Kind.EFFICACY, prompt, **told),
        *ask(Kind.PARAPHRASE, text(record, "rephrase"), **told),
        *ask(Kind.LOCALITY, unrelated, **stays(fact, accepted(record["loc_ans"]))),
    ]
    if hop := record.get("portability"):
        gold = follows(fact, accepted(hop["New Answer"]))
        probes += ask(Kind.PORTABILITY, text(hop, "New Question"), **gold)
    return Case(id=f"zsre:{digest(record)}", edits=(fact,), probes=tuple(probes))


ZSRE = Benchmark(
    name="zsre",
    title="zsRE",
    measures="efficacy, paraphrase, locality and portability of question-answer edits",
    paper="Levy et al. 2017, arXiv:1706.04115; Mitchell et al. 2022, arXiv:2110.11309",
    published="https://rome.baulab.info/data/dsets/zsre_mend_eval.json",
    licence="MIT",
    forms=(Form("MEND", ("src", "alt", "loc"), mend), knowedit.form("zsre"), postedit.form("zsre")),
)
