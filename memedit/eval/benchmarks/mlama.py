"""mLAMA (Kassner et al. 2021, arXiv:2102.00894): facts in 53 languages; edited in one, asked in all others.

A fact's records, one a language, have its id in common. Its object becomes that of another fact of the relation, in
each language in its own words; the edit is in the first language of `FIRST` that the fact has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.facts import ask_each, text
from memedit.eval.cases import Case, Kind

FIRST = ("en", "de", "fr", "es")
OBJECT = "[Y]"


class Known(NamedTuple):
    """A fact in a language."""

    id: str
    relation: str
    language: str
    subject: str
    object: str
    prompt: str | None


def known(record: Record, place: Place) -> Known:
    """A record with its template; one whose object is not at the end has no prompt, and is only another's object."""
    template = text(record, "template")
    if "[X]" not in template or OBJECT not in template:
        raise ValueError(f"the template needs [X] and [Y]: {template:.60}")
    before, _, behind = template.rpartition(OBJECT)
    prompt = before.rstrip().replace("[X]", "{}") if behind.strip(" .。।") == "" and "[X]" in before else None
    return Known(
        f"{record['predicate_id']} {record['sub_uri']} {record['obj_uri']}", text(record, "predicate_id"),
        text(record, "language"), text(record, "sub_label").strip(), text(record, "obj_label").strip(), prompt,
    )  # fmt: skip


def across(facts: Iterable[Known]) -> Iterator[Case]:
    """One case a fact that can be asked in two languages or more."""
    by_id: dict[str, dict[str, Known]] = defaultdict(dict)
    of_relation: dict[str, list[str]] = defaultdict(list)
    for one in facts:
        if one.id not in by_id:
            of_relation[one.relation].append(one.id)
        by_id[one.id].setdefault(one.language, one)
    for fact_id, told in by_id.items():
        asked = {language: one for language, one in told.items() if one.prompt}
        relation = next(iter(told.values())).relation
        others = [
            by_id[other] for other in of_relation[relation]
            if other != fact_id and asked.keys() <= by_id[other].keys()
            and all(by_id[other][language].object != one.object for language, one in asked.items())
        ]  # fmt: skip
        if len(asked) < 2 or not others:
            continue
        other = others[int(digest(fact_id), 16) % len(others)]
        language = next(one for one in (*FIRST, *sorted(asked)) if one in asked)
        first, key = asked[language], digest(fact_id)
        new = other[language].object
        fact = Fact(id=f"mlama-{key}", subject=first.subject, prompt=first.prompt, object=new, source="mLAMA",
                    previous_object=first.object)  # fmt: skip
        rests = ((first.subject, str(first.prompt), new),)
        probes = [
            *_ask(Kind.EFFICACY, [first], other, rests),
            *_ask(Kind.PORTABILITY, [one for name, one in sorted(asked.items()) if name != language], other, rests),
        ]
        yield Case(id=f"mlama:{key}", edits=(fact,), probes=tuple(probes))


def _ask(kind: Kind, asked: Iterable[Known], other: dict[str, Known], rests: tuple[tuple[str, str, str], ...]) -> list:  # type: ignore[type-arg]
    return ask_each(kind, (
        (str(one.prompt).replace("{}", one.subject),
         {"answers": (other[one.language].object,), "rejected": (one.object,), "rests_on": rests})
        for one in asked
    ))  # fmt: skip


MLAMA = Benchmark(
    name="mlama",
    title="mLAMA",
    measures="facts edited in one language and asked in the others",
    paper="Kassner et al. 2021, arXiv:2102.00894",
    published="https://github.com/norakassner/mlama",
    licence="CC BY-NC-SA 4.0",
    forms=(Form("facts", ("sub_label", "obj_label", "predicate_id", "language", "template"), known),),
    assemble=across,
)
