"""CounterFact in its official schema (Meng et al. 2022, arXiv:2202.05262), asked by free generation."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from memedit.editable import EditableLLM
from memedit.edits import Fact
from memedit.errors import FileRejected
from memedit.eval.stats import Share
from memedit.text import says, words

ProbeKind = Literal["edit prompt", "paraphrase", "neighbourhood"]
MAX_TOKENS = 20


@dataclass(frozen=True, slots=True)
class Case:
    """One record: an edit, and prompts that it must and must not change."""

    case_id: int
    fact: Fact
    paraphrases: tuple[str, ...]
    neighbours: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt of a case."""

    kind: ProbeKind
    case: Case
    prompt: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the model says to a question alone (`before`) and with the memory (`after`)."""

    question: Question
    before: str
    after: str
    edited: bool

    @property
    def good(self) -> bool:
        """In scope: the new object is said. Out of scope: the answer is identical."""
        if self.question.kind == "neighbourhood":
            return self.before == self.after
        return says(self.after, [self.question.case.fact.object or ""])

    @property
    def begins(self) -> bool:
        """Whether the answer begins with the new object."""
        wanted = words(self.question.case.fact.object or "")
        return words(self.after)[: len(wanted)] == wanted


def bundled_cases() -> list[Case]:
    """The 150 cases that come with memedit."""
    text = resources.files("memedit.data").joinpath("counterfact_150.jsonl").read_text(encoding="utf-8")
    return _cases(text, "counterfact_150.jsonl")


def load_cases(path: str | Path) -> list[Case]:
    """The cases of a file in CounterFact's official schema, one JSON object a line.

    Raises:
        FileRejected: The file or a record cannot be read; the message names the line.
    """
    try:
        return _cases(Path(path).read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise FileRejected(f"{path} cannot be read: {error.strerror}.", do="check the name") from error


def _cases(text: str, name: str) -> list[Case]:
    cases = []
    for number, line in enumerate(filter(None, text.split("\n")), start=1):
        try:
            record = json.loads(line)
            rewrite = record["requested_rewrite"]
            fact = Fact(
                id=f"counterfact-{record['case_id']}",
                subject=rewrite["subject"],
                relation=rewrite["relation_id"],
                prompt=rewrite["prompt"],
                object=rewrite["target_new"]["str"],
                previous_object=rewrite["target_true"]["str"],
                source="CounterFact",
            )
            cases.append(
                Case(
                    record["case_id"], fact, tuple(record["paraphrase_prompts"]), tuple(record["neighborhood_prompts"])
                )
            )
        except (ValueError, KeyError, TypeError) as error:
            raise FileRejected(f"{name}, line {number} is no CounterFact record: {error!r:.200}") from error
    return cases


def questions(cases: Iterable[Case]) -> list[Question]:
    """All prompts of the cases."""
    return [
        Question(kind, case, prompt) for case in cases for kind, prompts in _prompts(case).items() for prompt in prompts
    ]


def set_aside(asked: Sequence[Question], cases: Iterable[Case]) -> tuple[list[Question], int]:
    """(the questions to score, how many neighbourhood prompts were set aside because another loaded edit covers them).

    An edit covers a neighbourhood prompt when the prompt names its subject and its relation is the case's own.
    """
    subjects: dict[str | None, list[str]] = {}
    for case in cases:
        subjects.setdefault(case.fact.relation, []).append(case.fact.subject or "")
    kept = [
        question
        for question in asked
        if question.kind != "neighbourhood" or not says(question.prompt, subjects.get(question.case.fact.relation, ()))
    ]
    return kept, len(asked) - len(kept)


def sample(asked: Sequence[Question], each: dict[ProbeKind, int], *, seed: int) -> list[Question]:
    """At most so many questions of each kind, drawn by seed, in the order of the cases."""
    rng = random.Random(seed)  # noqa: S311 - a sample, no secret
    places: list[int] = []
    for kind, count in each.items():
        of_kind = [place for place, question in enumerate(asked) if question.kind == kind]
        places += rng.sample(of_kind, min(count, len(of_kind)))
    return [asked[place] for place in sorted(places)]


def ask(
    llm: EditableLLM,
    asked: Sequence[Question],
    *,
    namespace: str = "default",
    max_tokens: int = MAX_TOKENS,
    batch: int = 48,
    progress: Callable[[int], None] = lambda done: None,
    **options: Any,
) -> list[Outcome]:
    """Ask the model alone and with its memory, by free greedy generation.

    Args:
        llm: The model with its memory; the edits are in force already.
        asked: What to ask.
        namespace: Whose edits.
        max_tokens: Of each answer.
        batch: How many questions are asked together.
        progress: Called with the number of questions just done.
        options: Passed on to the model.
    """
    outcomes: list[Outcome] = []
    for start in range(0, len(asked), batch):
        part = asked[start : start + batch]
        prompts = [question.prompt for question in part]
        before = llm.ask_base(prompts, max_tokens=max_tokens, **options)
        after = llm.batch(prompts, namespace=namespace, max_tokens=max_tokens, **options)
        outcomes += [
            Outcome(question, old.text, new.text, new.edited)
            for question, old, new in zip(part, before, after, strict=True)
        ]
        progress(len(part))
    return outcomes


def shares(outcomes: Sequence[Outcome]) -> dict[str, Share]:
    """By kind of prompt: how many are good, how many begin with the new object, how often an edit was in scope."""
    table: dict[str, Share] = {}
    for kind in ("edit prompt", "paraphrase", "neighbourhood"):
        of_kind = [outcome for outcome in outcomes if outcome.question.kind == kind]
        table[kind] = Share(sum(outcome.good for outcome in of_kind), len(of_kind))
        table[f"{kind}, edit in scope"] = Share(sum(outcome.edited for outcome in of_kind), len(of_kind))
        if kind != "neighbourhood":
            table[f"{kind}, begins so"] = Share(sum(outcome.begins for outcome in of_kind), len(of_kind))
    return table


def _prompts(case: Case) -> dict[ProbeKind, Sequence[str]]:
    return {
        "edit prompt": [case.fact.cloze or case.fact.statement],
        "paraphrase": case.paraphrases,
        "neighbourhood": case.neighbours,
    }
