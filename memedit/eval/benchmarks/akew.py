"""AKEW (Wu et al. 2024, arXiv:2402.18909): edits as texts, by which single facts are changed.

The three files are CounterFact, MQuAKE-CF and WikiUpdate, each rewrite with a text that tells the new fact
(`fact_new_uns`), which is the edit here. What follows from the text is asked by the benchmarks' own questions; the
triples that a model drew from the text are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.facts import accepted, text
from memedit.eval.benchmarks.gather import numbered
from memedit.eval.cases import Case, Kind, Probe, ask


def akew(record: Record, place: Place) -> Case:
    """A record of one rewrite, or of MQuAKE's one to four."""
    asked = record["requested_rewrite"]
    rewrites = list(asked) if isinstance(asked, list) else [asked]
    facts = tuple(_fact(one) for one in rewrites)
    probes = [probe for one in rewrites for probe in _own(one)]
    only = _told(rewrites[0])
    probes += ask(Kind.PARAPHRASE, record.get("paraphrase_prompts", ()), **only)
    if neighbours := record.get("neighborhood_prompts"):
        new, old = (text(rewrites[0][name], "str") for name in ("target_new", "target_true"))
        probes += ask(Kind.NEIGHBOURHOOD, neighbours, answers=(old,), rejected=(new,))
    if "questions" in record:
        new_answers = accepted([text(record, "new_answer"), record.get("new_answer_alias", ())])
        probes += ask(Kind.MULTI_HOP, accepted(record["questions"]), answers=new_answers, group="question")
    return Case(id=f"akew:{digest(*(one.id for one in facts))}", edits=facts, probes=numbered(probes))


def _fact(rewrite: Mapping[str, Any]) -> Fact:
    said = text(rewrite, "fact_new_uns")
    return Fact(said, id=f"akew-{digest(said)}", subject=text(rewrite, "subject"), source="AKEW",
                object=text(rewrite["target_new"], "str"))  # fmt: skip


def _own(rewrite: Mapping[str, Any]) -> list[Probe]:
    """Its prompt, and its question where it has one."""
    prompt = rewrite.get("prompt_full") or text(rewrite, "prompt").replace("{}", text(rewrite, "subject"))
    questions = [rewrite["question"]] if rewrite.get("question") else []
    return [*ask(Kind.EFFICACY, prompt, **_told(rewrite)), *ask(Kind.FREE_FORM, questions, **_told(rewrite))]


def _told(rewrite: Mapping[str, Any]) -> dict[str, Any]:
    new, old = text(rewrite["target_new"], "str"), rewrite.get("target_true", {}).get("str")
    return {"answers": (new,), "rejected": (old,) if old and old != new else ()}


AKEW = Benchmark(
    name="akew",
    title="AKEW",
    measures="facts that are told in a running text: by the edit's prompt, paraphrases and questions",
    paper="Wu et al. 2024, arXiv:2402.18909",
    published="https://github.com/TrustedLLM/AKEW",
    licence="see the repository",
    forms=(Form("CounterFact, MQuAKE and WikiUpdate", ("requested_rewrite",), akew),),
)
