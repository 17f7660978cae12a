"""Bias in Bios (De-Arteaga et al. 2019, arXiv:1901.09451) as REMEDI edits by it (arXiv:2304.00740).

What a biography tells is an edit, and the person's occupation, which it does not name, is asked for. Names and
biographies are gathered from the web by the publisher's own script; nothing of them comes with memedit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.facts import text
from memedit.eval.cases import Case, Kind, ask

LONGEST = 1_000  # characters of a biography


def bios(record: Record, place: Place) -> Case:
    """A person with a biography, behind whose first sentence (`start_pos`) the occupation is not named."""
    name = record["name"] if isinstance(record["name"], str) else " ".join(filter(None, record["name"]))
    told = record["raw"][int(record["start_pos"]) :] if "start_pos" in record else text(record, "bio")
    told, title = " ".join(told.split())[:LONGEST], text(record, "title").replace("_", " ").strip().lower()
    if not name or not told or not title:
        raise ValueError("the name, the biography or the occupation is empty")
    key = digest(name, told)
    fact = Fact(f"{name}: {told}" if name not in told else told, id=f"bios-{key}", subject=name, source="Bias in Bios")
    probes = ask(Kind.PORTABILITY, f"{name} has the occupation of", answers=(title,), form="pick")
    return Case(id=f"bios:{key}", edits=(fact,), probes=tuple(probes))


def with_choices(cases: Iterable[Case]) -> Iterator[Case]:
    """Each case with all occupations of the file to choose from."""
    read = list(cases)
    titles = tuple(sorted({answer for case in read for probe in case.probes for answer in probe.answers}))
    for case in read:
        yield replace(case, probes=tuple(replace(probe, choices=titles) for probe in case.probes))


BIAS_IN_BIOS = Benchmark(
    name="bias_in_bios",
    title="Bias in Bios",
    measures="a person's occupation, of all there are, after a biography that does not name it",
    paper="De-Arteaga et al. 2019, arXiv:1901.09451",
    published="https://github.com/microsoft/biosbias",
    licence="MIT (the script); biographies are their authors'",
    forms=(
        Form("raw", ("name", "title", "raw", "start_pos"), bios),
        Form("biographies", ("name", "title", "bio"), bios, without=("start_pos",)),
    ),
    assemble=with_choices,
)
