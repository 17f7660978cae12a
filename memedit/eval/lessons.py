"""What a counterfactual model is trained on: an edit, a text in its scope, and the answer that follows (SERAC)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from memedit.adapters.counterfactual import Lesson
from memedit.edits import Fact
from memedit.errors import FileRejected
from memedit.eval.benchmarks.base import find_benchmark, read
from memedit.eval.cases import Case
from memedit.memory.files import read_edits

LONGEST = 400  # characters of an answer; a longer one is a text, not what an edit says


def read_lessons(specs: Sequence[str]) -> list[Lesson]:
    """The lessons of files, in order.

    Args:
        specs: Each a file of edits (`.jsonl`, `.yaml`), or `NAME=FILE[,FILE…]` for a benchmark.

    Raises:
        FileRejected: A file cannot be read, or holds nothing to learn from.
    """
    found: list[Lesson] = []
    for spec in specs:
        name, equals, files = spec.partition("=")
        if equals and not Path(spec).exists():
            made = list(lessons_of(read(find_benchmark(name), [file for file in files.split(",") if file]).cases))
        else:
            made = list(lessons_of_facts(edit for edit in read_edits(Path(spec)) if isinstance(edit, Fact)))
        if not made:
            raise FileRejected(
                f"{spec} holds no edit with a text in its scope and its answer.",
                do="give Facts with an object and a prompt, a question or probes, or a benchmark with one edit a case",
            )
        found += made
    return found


def lessons_of(cases: Iterable[Case]) -> Iterator[Lesson]:
    """The probes in scope of cases with one Fact, whose answer is known."""
    for case in cases:
        if len(case.edits) != 1 or not isinstance(case.edits[0], Fact):
            continue
        fact = case.edits[0]
        for probe in case.probes:
            told = probe.kind.in_scope and probe.form in ("answer", "number") and probe.answers
            if told and len(probe.answers[0]) <= LONGEST:
                yield Lesson(fact.text, probe.prompt, probe.answers[0], fact.subject or fact.text)


def lessons_of_facts(facts: Iterable[Fact]) -> Iterator[Lesson]:
    """The cloze, question and probes of Facts whose object is known."""
    for fact in facts:
        if fact.answer is None:
            continue
        asked = [(prompt, fact.answer) for prompt in (fact.cloze, fact.question) if prompt]
        asked += [
            (probe.prompt, probe.expect[0] if probe.expect else fact.answer)
            for probe in fact.probes
            if probe.must == "change"
        ]
        for prompt, answer in asked:
            yield Lesson(fact.text, prompt, answer, fact.subject or fact.text)
