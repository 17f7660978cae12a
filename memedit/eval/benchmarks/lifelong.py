"""Long edits one after the other, as WISE uses them (Wang et al. 2024, arXiv:2405.14768).

Hallucination: sentences of GPT-3's biographies set right (SelfCheckGPT; GRACE, Hartvigsen et al. 2023,
arXiv:2211.11031). Temporal: descriptions of new entities; the text that tells of the same entity out of distribution
says other things than the edit does, so the edit only bears on it, and it is scored by its likelihood, as in WISE.
"""

from __future__ import annotations

import re

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.gather import opening
from memedit.eval.cases import Case, Kind, Probe, ask

PUBLISHED = "https://drive.google.com/file/d/1YtQvv4WvTa4rJyDYQR2J-uK8rnrt0kTA/view (of EasyEdit)"
FIELDS = ("prompt", "target_new", "subject", "locality_prompt", "locality_ground_truth")


def hallucination(record: Record, place: Place) -> Case:
    """A biography so far, and the sentence that goes on with it."""
    return _case(record, "hallucination", "Hallucination", [])


def temporal(record: Record, place: Place) -> Case:
    """The beginning of a description, the rest of it, and another text about the same."""
    prompt, rest = opening(record["ood_rephrase"])
    return _case(record, "temporal", "Temporal", ask(Kind.PORTABILITY, prompt, answers=(rest,), form="span"))


def _case(record: Record, name: str, title: str, other: list[Probe]) -> Case:
    prompt, target = record["prompt"].strip(), record["target_new"].strip()
    if not target:
        raise ValueError("target_new is empty")
    stays, truth = _whole_words(record["locality_prompt"], record["locality_ground_truth"])
    subject = record["subject"] if record["subject"].strip() != prompt else None  # temporal repeats the prompt there
    key = digest(prompt, target)
    fact = Fact(f"{prompt} {target}", id=f"{name}-{key}", subject=subject, source=title)
    probes = [
        *ask(Kind.EFFICACY, prompt, answers=(target,), form="text"),
        *other,
        *ask(Kind.LOCALITY, stays, answers=(truth,), form="span"),
    ]
    return Case(id=f"{name}:{key}", edits=(fact,), probes=tuple(probes))


def _whole_words(text: str, rest: str) -> tuple[str, str]:
    """The texts parted at a blank; they are cut after 150 characters, mostly within a word."""
    if not rest.strip():
        raise ValueError("locality_ground_truth is empty")
    half, tail = re.fullmatch(r"(\S*)(.*)", rest.rstrip(), re.DOTALL).groups()  # type: ignore[union-attr]
    return ((text + half).rstrip(), tail) if tail else (text, rest)


HALLUCINATION = Benchmark(
    name="hallucination",
    title="Hallucination",
    measures="long corrections of biographies, one after the other, with running text as locality",
    paper="Hartvigsen et al. 2023, arXiv:2211.11031; Wang et al. 2024, arXiv:2405.14768",
    published=PUBLISHED,
    licence="MIT",
    forms=(Form("wise", FIELDS, hallucination, ("ood_rephrase", "rephrase_prompt", "ground_truth")),),
    max_tokens=100,
)
TEMPORAL = Benchmark(
    name="temporal",
    title="Temporal",
    measures="descriptions of new entities, and how likely another text about them becomes",
    paper="Wang et al. 2024, arXiv:2405.14768",
    published=PUBLISHED,
    licence="MIT",
    forms=(Form("wise", (*FIELDS, "ood_rephrase"), temporal),),
    max_tokens=256,
)
