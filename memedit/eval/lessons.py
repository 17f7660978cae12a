"""What is learnt from edits.

By a counterfactual model (SERAC): texts in scope, and the answers that follow. By an editor of weights (MEND, KE):
texts in scope and out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from memedit.adapters.counterfactual import Lesson
from memedit.edits import SLOT, Fact
from memedit.edits.probes import STRANGERS, UNRELATED
from memedit.errors import EditRejected, FileRejected
from memedit.eval.benchmarks.base import find_benchmark, read
from memedit.eval.cases import Case
from memedit.memory.files import read_edits

if TYPE_CHECKING:
    from memedit.parametric.meta_training import Example

T = TypeVar("T")

MOST = 6  # texts on each side that an editor learns from
LONGEST = 400  # characters of an answer; a longer one is a text, not what an edit says


def read_lessons(specs: Sequence[str]) -> list[Lesson]:
    """The lessons of files, in order.

    Args:
        specs: Each a file of edits (`.jsonl`, `.yaml`), or `NAME=FILE[,FILE…]` for a benchmark.

    Raises:
        FileRejected: A file cannot be read, or holds nothing to learn from.
    """
    lacking = (
        "holds no edit with a text in its scope and its answer",
        "give Facts with an object and a prompt, a question or probes, or a benchmark with one edit a case",
    )
    return _read(specs, lessons_of, lessons_of_facts, lacking)


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


def read_examples(specs: Sequence[str]) -> list[Example]:
    """What an editor of weights learns from, of the files that `read_lessons` reads.

    Raises:
        FileRejected: A file cannot be read, or holds no edit that could be written into weights.
    """
    lacking = (
        "holds no edit that says what shall follow which words",
        "give Facts with a prompt, a subject and an object, or a benchmark with one such edit a case",
    )
    return _read(specs, examples_of, examples_of_facts, lacking)


def examples_of(cases: Iterable[Case]) -> Iterator[Example]:
    """Cases with one Fact, with their probes in scope and out of it."""
    for case in cases:
        if len(case.edits) == 1 and isinstance(case.edits[0], Fact):
            inside = [one.prompt for one in case.probes if one.kind.in_scope and one.form == "answer"]
            outside = [one.prompt for one in case.probes if one.kind.in_scope is False]
            yield from _example(case.edits[0], inside, outside)


def examples_of_facts(facts: Iterable[Fact]) -> Iterator[Example]:
    """Facts, with their own probes."""
    for fact in facts:
        inside = [one.prompt for one in fact.probes if one.must == "change"]
        yield from _example(fact, inside, [one.prompt for one in fact.probes if one.must == "stay"])


def _example(fact: Fact, inside: Sequence[str], outside: Sequence[str]) -> Iterator[Example]:
    from memedit.parametric.meta_training import Example
    from memedit.parametric.rewrites import as_rewrite

    try:
        rewrite = as_rewrite(fact)
    except EditRejected:
        return
    strangers = [*(rewrite.prompt.replace(SLOT, one) for one in STRANGERS), *UNRELATED]
    others = tuple(text for text in inside if text != rewrite.text)
    yield Example(rewrite, others[:MOST], tuple(outside or strangers)[:MOST], fact.relation or rewrite.prompt)


def _read(
    specs: Sequence[str], of_cases: Callable[[Sequence[Case]], Iterable[T]],
    of_facts: Callable[[Iterable[Fact]], Iterable[T]], lacking: tuple[str, str],
) -> list[T]:  # fmt: skip
    """What is made of files; lacking: what is wrong with one that gives nothing, and what to do."""
    found: list[T] = []
    for spec in specs:
        cases = _cases(spec)
        made = list(of_facts(_facts(spec)) if cases is None else of_cases(cases))
        if not made:
            raise FileRejected(f"{spec} {lacking[0]}.", do=lacking[1])
        found += made
    return found


def _cases(spec: str) -> Sequence[Case] | None:
    """The cases of `NAME=FILE[,FILE…]`; None for a file of edits."""
    name, equals, files = spec.partition("=")
    if not equals or Path(spec).exists():
        return None
    return read(find_benchmark(name), [file for file in files.split(",") if file]).cases


def _facts(spec: str) -> Iterator[Fact]:
    return (edit for edit in read_edits(Path(spec)) if isinstance(edit, Fact))
