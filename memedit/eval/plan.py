"""What a run asks: the sample, whose edits lie in which namespace, and what is set aside."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from memedit.edits import AnyEdit
from memedit.errors import RunRejected
from memedit.eval.cases import Case
from memedit.eval.overlap import Overlaps
from memedit.eval.runs import Asked, SetAside

EditsInMemory = int | Literal["all", "group"]


@dataclass(frozen=True)
class Plan:
    """What is loaded and what is asked.

    Args:
        memories: The edits of each namespace, in the order in which they are put in force.
        asked: Every probe, in order.
        cases: The sample, by id.
        set_aside: Probes that cannot be scored.
    """

    memories: dict[str, tuple[AnyEdit, ...]]
    asked: tuple[Asked, ...]
    cases: dict[str, Case]
    set_aside: tuple[SetAside, ...]


def make_plan(
    cases: Sequence[Case],
    *,
    fill: Sequence[Case] = (),
    only: Collection[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
    edits_in_memory: EditsInMemory = "all",
    stream: bool = False,
) -> Plan:
    """Plan a run.

    Args:
        cases: What the benchmark's files hold.
        fill: Cases whose edits only fill the memory; with `edits_in_memory="all"` alone.
        only: Ids of the cases to ask; the edits of the others are in memory all the same.
        limit: Ask at most so many cases, drawn by `seed`.
        seed: Of the draw.
        edits_in_memory: `all`: every edit of every file. `group`: those of cases that the benchmark puts together. A
            number: groups of so many cases, each with a memory of its own.
        stream: Whether edits come while the run goes; then nothing is loaded.

    Raises:
        RunRejected: Nothing is left to ask.
    """
    if fill and (stream or edits_in_memory != "all"):
        raise RunRejected(
            "Files that only fill the memory go with all edits in one memory.",
            do="leave out --fill or --edits-in-memory",
        )
    sample = _sample([case for case in cases if only is None or case.id in only], limit, seed)
    if not any(case.probes for case in sample):
        raise RunRejected("Nothing is left to ask.", do="check --ids and --limit against the data")
    if edits_in_memory == "all":
        known = {case.id for case in cases}
        groups = [("all", sample, [*cases, *(case for case in fill if case.id not in known)])]
    elif edits_in_memory == "group":
        groups = _as_grouped(sample, cases)
    else:
        size = edits_in_memory
        groups = [
            (f"group-{start // size}", sample[start : start + size], sample[start : start + size])
            for start in range(0, len(sample), size)
        ]
    memories: dict[str, tuple[AnyEdit, ...]] = {}
    asked, aside = [], []
    for namespace, chosen, loaded in groups:
        memories[namespace] = () if stream else _unique(loaded)
        overlaps = Overlaps(() if stream else loaded)
        for case in chosen:
            for probe in case.probes:
                if why := overlaps.why_not(case, probe):
                    aside.append(SetAside(case.id, probe.id, why))
                else:
                    ids = () if stream else tuple(edit.id for edit in case.edits)
                    asked.append(Asked(case=case.id, namespace=namespace, probe=probe, edits=ids))
    if not asked:
        raise RunRejected(
            f"All {len(aside)} probes are set aside, because other edits in memory answer or contradict them.",
            do="give --edits-in-memory 1",
        )
    return Plan(memories, tuple(asked), {case.id: case for case in sample}, tuple(aside))


def _as_grouped(sample: Sequence[Case], cases: Sequence[Case]) -> list[tuple[str, list[Case], list[Case]]]:
    """By memory: its name, the cases asked and the cases loaded."""
    if any(case.memory is None for case in cases):
        raise RunRejected("The benchmark's cases are in no groups.", do="give --edits-in-memory all, or a number")
    names = dict.fromkeys(str(case.memory) for case in sample)
    return [
        (name, *([case for case in part if case.memory == name] for part in (sample, cases)))  # type: ignore[misc]
        for name in names
    ]


def _sample(cases: Sequence[Case], limit: int | None, seed: int) -> list[Case]:
    if limit is None or limit >= len(cases):
        return list(cases)
    places = sorted(random.Random(seed).sample(range(len(cases)), limit))  # noqa: S311 - a sample, no secret
    return [cases[place] for place in places]


def _unique(cases: Sequence[Case]) -> tuple[AnyEdit, ...]:
    """The edits of all cases, each once."""
    return tuple({edit.id: edit for case in cases for edit in case.edits}.values())
