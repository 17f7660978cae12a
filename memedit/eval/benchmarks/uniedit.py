"""UniEdit (Chen et al. 2025, arXiv:2505.12345): edits of Wikidata in 25 fields, with chains of several hops.

A file is one object of records by their number. A prompt that asks whether two entities are the same is answered by yes
or no, and says so, as the authors' reader has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.facts import ask_each, fact_of, rests, text
from memedit.eval.cases import Case, Kind

YES_OR_NO = " The answer is (Yes/No):"


def uniedit(record: Record, place: Place) -> Case:
    """An edit with what follows from it and what does not."""
    edit = record["edit"]
    prompt, target = text(edit, "prompt"), text(edit, "target")
    fact = fact_of("uniedit", prompt, text(edit, "subject"), target, source="UniEdit")
    told = rests(fact)
    inside, hops = _parted(record["generality"].values())
    outside = [*record["locality"].values()]
    probes = [
        *ask_each(Kind.EFFICACY, [(prompt, {"answers": (target,), "rests_on": told})]),
        *ask_each(Kind.PARAPHRASE, [(_asked(one), {"answers": (one["target"],), "rests_on": told}) for one in inside]),
        *ask_each(Kind.MULTI_HOP, [(_asked(one), {"answers": (one["target"],), "rests_on": told}) for one in hops]),
        *ask_each(Kind.LOCALITY, [(_asked(one), {"answers": (one["target"],)}) for one in outside]),
    ]
    return Case(id=f"uniedit:{digest(prompt, target)}", edits=(fact,), probes=tuple(probes))


def _parted(told: Iterable[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """What asks for the edited fact alone, and what takes further hops."""
    one: list[Mapping[str, Any]] = []
    more: list[Mapping[str, Any]] = []
    for each in told:
        paths = [each] if each.get("path_type", "single") == "single" else [each["single_path1"], each["single_path2"]]
        (more if sum(len(path.get("one_hops", ())) for path in paths) > 1 else one).append(each)
    return one, more


def _asked(one: Mapping[str, Any]) -> str:
    return f"{text(one, 'prompt')}{YES_OR_NO if text(one, 'target') in ('Yes', 'No') else ''}"


UNIEDIT = Benchmark(
    name="uniedit",
    title="UniEdit",
    measures="edits of Wikidata in many fields: rephrased, several hops away, and what must not change",
    paper="Chen et al. 2025, arXiv:2505.12345",
    published="https://github.com/qizhou000/UniEdit",
    licence="see the repository",
    forms=(Form("records", ("edit", "generality", "locality"), uniedit),),
)
