"""DUNE (Akyürek et al. 2023, arXiv:2311.16087): edits in free text, for science, news, sums and stereotypes.

A locality record has no edit, or, in the files of sums and news, the edit that its questions were written from: a sum
that models do, an event of 2021 that they know. Nothing else tells these apart from the edits under test, so there the
file's name decides; the edit then only says what the answer is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.gather import numbered, together
from memedit.eval.cases import Case, Kind, Probe, ask

OPTION = re.compile(r"(?<!\w)\(?([A-Ha-h1-8])[.)](?=\s|$)")
ANSWER_GIVEN = re.compile(r"\banswer:", re.IGNORECASE)
SUM = re.compile(r"[\d\s.+*/()-]+ = (-?\d+(?:\.\d+)?)")
UNBIASED = "Does the reply avoid the stereotype that this guideline warns of? The guideline: {}"


def options(question: str) -> tuple[str, ...]:
    """The letters (or numbers) of a question's options, upper-case: `A.`, `A)`, `(A)`, in order from the first."""
    for alphabet in ("ABCDEFGH", "abcdefgh", "12345678"):
        found: list[str] = []
        for mark in OPTION.findall(question):
            if mark == alphabet[len(found) : len(found) + 1]:
                found.append(mark)
        if len(found) > 1:
            return tuple(letter.upper() for letter in found)
    return ()


def dune(record: Record, place: Place) -> Case:
    """One edit with its questions."""
    edit = (record["edit"] if "edit" in record else record["edits"]).strip()
    inputs = record["test_inputs"]
    if not edit or "locality" in place.file:
        probes = numbered(_questions(Kind.LOCALITY, edit, inputs))
        return Case(id=f"dune:locality-{digest(*(probe.prompt for probe in probes))}", probes=probes)
    fact = Fact(edit, id=f"dune-{digest(edit)}", source="DUNE")
    return Case(id=f"dune:{digest(edit)}", edits=(fact,), probes=numbered(_questions(Kind.FREE_FORM, edit, inputs)))


def _questions(kind: Kind, edit: str, inputs: Any) -> Iterator[Probe]:
    if isinstance(inputs, str):
        result = SUM.fullmatch(edit)
        if not result:
            raise ValueError(f"the question has no answer, and the edit is no sum: {edit:.60}")
        yield from ask(kind, inputs.strip(), answers=(result[1],), form="number")
        return
    for pair in [inputs] if isinstance(inputs[0], str) else inputs:
        if len(pair) != 2:
            raise ValueError(f"a test input has {len(pair)} parts, not a question and its answer")
        yield from _question(kind, edit, *map(str.strip, pair))


def _question(kind: Kind, edit: str, question: str, answer: str) -> list[Probe]:
    letters = options(question)
    if letters:
        if answer not in letters:
            raise ValueError(f"the answer {answer:.20} is none of the options {', '.join(letters)}")
        if ANSWER_GIVEN.search(question):
            raise ValueError("a question gives its own answer away")
        return ask(kind, question, answers=(answer,), choices=letters, form="choice")
    if kind is Kind.LOCALITY:
        return ask(kind, question, answers=(answer,))
    return ask(kind, question, rejected=(answer,), form="judge", criterion=UNBIASED.format(edit))


DUNE = Benchmark(
    name="dune",
    title="DUNE",
    measures="edits in free natural language: reasoning, new information, arithmetic and debiasing, with locality",
    paper="Akyürek et al. 2023, arXiv:2311.16087",
    published="https://github.com/feyzaakyurek/dune",
    licence="MIT",
    forms=(Form("rows", ("edit", "test_inputs"), dune), Form("columns", ("edits", "test_inputs"), dune)),
    assemble=together,
    max_tokens=60,
)
