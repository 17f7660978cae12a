"""CRAFT (Tang et al. 2025, arXiv:2508.01302): figures of companies and of a country, which go on changing.

A record holds two edits that belong together. Asked are each with its figure's English name (alias portability), what
follows from both, mostly a difference or a share (composite portability), the same figures of other times (temporal
locality), and questions on a text, by letter (common-sense locality). A time is the relation of its edit, so that the
same figure of another time is told apart. What is unknown as yet is not asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.facts import accepted, ask_each, fact_of, follows, rests, text
from memedit.eval.cases import Case, Kind

TIME = re.compile(r"\d{4}年(?:\d{1,2}月)?")
OPTION = re.compile(r"^([A-Z])\. ", re.MULTILINE)
UNKNOWN = "未知"
Query = tuple[str, tuple[str, ...]]


def craft(record: Record, place: Place) -> Case:
    """Two edits, and what is asked of them."""
    told = list(zip(record["prompt"], record["subject"], record["target_new"], strict=True))
    facts = tuple(_fact(*one) for one in told)
    inside, outside = record["portability"], record["locality"]
    values = tuple(str(fact.object) for fact in facts)
    both = tuple(triple for fact in facts for triple in rests(fact))
    aliases = list(zip(facts, _queries(inside.get("Subject_Aliasing", ())), strict=True))
    times = [*_queries(outside.get("Relation_Specificity", ())), *_queries(outside.get("Temporal", ()))]
    probes = [
        *ask_each(Kind.EFFICACY, [(prompt, follows(fact)) for fact, (prompt, _, _) in zip(facts, told, strict=True)]),
        *ask_each(Kind.ALIAS, [(prompt, follows(fact, gold)) for fact, (prompt, gold) in aliases if gold]),
        *ask_each(Kind.PORTABILITY, [
            (prompt, {"answers": gold, "form": "number", "rests_on": both})
            for prompt, gold in _queries(inside.get("Reasoning", ())) if gold
        ]),
        *ask_each(Kind.SAME_SUBJECT, [
            (prompt, {"answers": gold, "rejected": tuple(one for one in values if one not in gold),
                      "relation": _time(prompt)}) for prompt, gold in times if gold
        ]),
        *ask_each(Kind.LOCALITY, [
            (prompt, {"answers": gold, "choices": tuple(OPTION.findall(prompt)), "form": "choice", "max_tokens": 5})
            for prompt, gold in _queries(outside.get("common_sense", ())) if gold
        ]),
    ]  # fmt: skip
    return Case(id=f"craft:{digest(*told, [one.prompt for one in probes])}", edits=facts, probes=tuple(probes))


def _fact(prompt: str, subject: str, value: str) -> Fact:
    return fact_of("craft", prompt, subject, value, question=prompt, relation=_time(prompt), source="CRAFT")


def _time(prompt: str) -> str | None:
    found = TIME.match(prompt)
    return found[0] if found else None


def _queries(listed: Iterable[Mapping[str, Any]]) -> Iterator[Query]:
    """Each prompt with its answers, of which there are none where it is not known yet."""
    for one in listed:
        yield text(one, "prompt"), tuple(answer for answer in accepted(one["ground_truth"]) if answer != UNKNOWN)


CRAFT = Benchmark(
    name="craft",
    title="CRAFT",
    measures="figures that change: by other names, what two of them say together, and those of other times",
    paper="Tang et al. 2025, arXiv:2508.01302",
    published="https://github.com/JamyDon/CRAFT-KEDAS",
    licence="see the repository",
    forms=(Form("pairs of edits", ("subject", "prompt", "target_new", "portability", "locality"), craft),),
)
