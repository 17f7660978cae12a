"""UnKE (Deng et al. 2024, arXiv:2405.15349): unstructured edits, whose target is a paragraph."""

from __future__ import annotations

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.gather import numbered
from memedit.eval.cases import Case, Kind, ask

SHORT = 6
"""Words up to which a sub-answer is compared as an answer, not as a text."""


def unke(record: Record, place: Place) -> Case:
    """A question answered by a paragraph, its paraphrase, and questions about single facts of the paragraph."""
    question, answer = record["question"], record["answer"]
    fact = Fact(answer, id=f"unke-{digest(question, answer)}", question=question, source="UnKE")
    text = {"answers": (answer,), "form": "text"}
    probes = ask(Kind.EFFICACY, question, **text)
    probes += ask(Kind.PARAPHRASE, record["para_question"], **text)
    for asked, told in zip(record["sub_question"], record["sub_answer"], strict=True):
        form = "answer" if len(told.split()) <= SHORT else "text"
        probes += ask(Kind.PORTABILITY, asked, answers=(told,), form=form, max_tokens=40)
    return Case(id=f"unke:{record['id']}", edits=(fact,), probes=numbered(probes))


UNKE = Benchmark(
    name="unke",
    title="UnKE",
    measures="edits whose target is a paragraph: the paragraph, under a paraphrase, and its single facts",
    paper="Deng et al. 2024, arXiv:2405.15349",
    published="https://github.com/TrustedLLM/UnKE",
    licence="none stated",
    forms=(Form("paragraph", ("id", "question", "para_question", "answer", "sub_question", "sub_answer"), unke),),
    max_tokens=256,
)
