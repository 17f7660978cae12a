"""What the readers of fact benchmarks share: gold answers, and what a Fact does to a probe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from memedit.edits import SLOT, Fact
from memedit.eval.benchmarks.base import Record, digest
from memedit.eval.cases import Kind, Probe, Triple, ask


def text(record: Record, name: str) -> str:
    """A field that has to be text."""
    value = record[name]
    if not isinstance(value, str):
        raise TypeError(f"the field '{name}' is of type {type(value).__name__}, not text")
    return value


def accepted(truth: object) -> tuple[str, ...]:
    """All answers of a gold field, each once: it is text, a list of texts, or a list of lists of aliases."""
    if isinstance(truth, str):
        return (truth,) if truth.strip() else ()
    if not isinstance(truth, list | tuple):
        raise TypeError(f"an answer is of type {type(truth).__name__}, not text")
    return tuple(dict.fromkeys(answer for part in truth for answer in accepted(part)))


def fact_of(benchmark: str, prompt: str, subject: str | None, new: str, old: Iterable[str] = (), **fields: Any) -> Fact:
    """The Fact of a prompt that its object follows, with a template where the prompt names the subject exactly once.

    Args:
        benchmark: Begins the id; the rest is made of prompt and object, so that the same edit always has the same.
        prompt: With the subject in it.
        subject: None where the benchmark does not tell.
        new: The object.
        old: What was true before.
        fields: Further fields of the Fact, or others in place of these.
    """
    once = subject is not None and SLOT not in prompt and prompt.count(subject) == 1
    known = {
        "id": f"{benchmark}-{digest(prompt, new)}",
        "subject": subject,
        "object": new,
        "previous_object": next((value for value in old if value != new), None),
        "question": prompt if prompt.endswith("?") else None,
        "prompt": prompt.replace(str(subject), SLOT) if once else None,
        "statement": None if once else f"{prompt} {new}",
    }
    return Fact(**(known | fields))


def rests(fact: Fact) -> tuple[Triple, ...]:
    """The Fact as a triple, with its template where the benchmark names no relation; none where a part is unknown."""
    relation = fact.relation or fact.prompt
    return ((fact.subject, relation, fact.object),) if fact.subject and relation and fact.object else ()


def follows(fact: Fact, answers: Iterable[str] | None = None, rejected: Iterable[str] = ()) -> dict[str, Any]:
    """Fields of a probe whose answers (left out, the object) follow from the Fact."""
    right = tuple(answers if answers is not None else filter(None, [fact.object]))
    return {"answers": right, "rejected": _wrong(rejected, right), "rests_on": rests(fact)}


def stays(fact: Fact, answers: Iterable[str]) -> dict[str, Any]:
    """Fields of a probe whose answers the Fact leaves alone."""
    right = tuple(answers)
    return {"answers": right, "rejected": _wrong(filter(None, [fact.object]), right)}


def ask_each(kind: Kind, asked: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Probe]:
    """Probes of one kind, numbered as `ask` does, each prompt with fields of its own."""
    listed = list(asked)
    probes = ask(kind, [prompt for prompt, _ in listed])
    return [replace(probe, **fields) for probe, (_, fields) in zip(probes, listed, strict=True)]


def _wrong(candidates: Iterable[str], right: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(answer for answer in candidates if answer not in right))
