"""Reading benchmark files: forms known by content, every way of packing records, and what is said of bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memedit.edits import Fact
from memedit.errors import FileRejected
from memedit.eval.benchmarks import Benchmark, all_benchmarks, find_benchmark, read
from memedit.eval.benchmarks.base import Form, Place, Record
from memedit.eval.cases import Case, Kind, ask


def toy(record: Record, place: Place) -> Case:
    return Case(
        id=place.id(record.get("id")), probes=tuple(ask(Kind.EFFICACY, record["ask"], answers=(record["say"],)))
    )


TOY = Benchmark(
    name="toy", title="Toy", measures="nothing", paper="none", published="nowhere", licence="none",
    forms=(Form("plain", ("ask", "say"), toy),),
)  # fmt: skip
RECORDS: list[dict[str, Any]] = [{"ask": "One?", "say": "1"}, {"ask": "Two?", "say": "2"}]
LINES = "\n".join(map(json.dumps, RECORDS))


@pytest.mark.parametrize(
    "content",
    [LINES, LINES + "\n\n", "\ufeff" + LINES, json.dumps(RECORDS), json.dumps(RECORDS, indent=2),
     json.dumps({"ask": ["One?", "Two?"], "say": ["1", "2"]}, indent=1)],
    ids=["lines", "blank line at the end", "byte order mark", "array", "indented array", "columns"],
)  # fmt: skip
def test_records_are_read_however_they_are_packed(content: str, tmp_path: Path) -> None:
    (tmp_path / "toy.json").write_text(content, encoding="utf-8")
    reading = read(TOY, [tmp_path / "toy.json"])
    assert [(case.id, case.probes[0].prompt) for case in reading.cases] == [("toy:1", "One?"), ("toy:2", "Two?")]
    assert reading.sources[0].records == {"plain": 2}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "no valid JSON"),
        ("[1]", "a list stands where an object should"),
        ('{"ask": "x"}', "its fields are ask"),
        ('{"ask": 1, "say": "2"}', "not iterable"),
        ('{"ask": " ", "say": "2"}', "is empty"),
        ('{"ask": "x\\ud800", "say": "2"}', "half a character"),
    ],
)
def test_a_bad_record_is_counted_with_its_reason(line: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "toy.jsonl").write_text(f"{LINES}\n{line}", encoding="utf-8")
    reading = read(TOY, [tmp_path / "toy.jsonl"])
    (bad,) = reading.malformed
    assert (len(reading.cases), bad.file, bad.number) == (2, "toy.jsonl", 3)
    assert why in bad.why


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"[{", "no valid JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"other": 1}', "its fields are other"),
    ],
)
def test_a_file_that_holds_nothing_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "toy.json").write_bytes(content)
    with pytest.raises(FileRejected, match=why):
        read(TOY, [tmp_path / "toy.json"])


def test_a_missing_file_and_an_unknown_benchmark_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileRejected, match="No such file"):
        read(TOY, [tmp_path / "none.json"])
    with pytest.raises(FileRejected, match="Did you mean `counterfact`"):
        find_benchmark("counterfacts")


def test_of_two_cases_with_one_id_the_first_is_kept_and_the_other_counted(tmp_path: Path) -> None:
    (tmp_path / "toy.jsonl").write_text("\n".join(json.dumps(record | {"id": 7}) for record in RECORDS))
    reading = read(TOY, [tmp_path / "toy.jsonl"])
    assert ([case.probes[0].prompt for case in reading.cases], reading.repeated) == (["One?"], 1)


@pytest.mark.parametrize("family", all_benchmarks(), ids=lambda family: family.name)
def test_every_benchmark_says_where_it_comes_from(family: Benchmark) -> None:
    assert family.published.startswith("https://") or family.shipped
    assert all((family.title, family.measures, family.paper, family.licence, family.forms))


def test_own_edits_lie_in_the_memory_without_probes(tmp_path: Path) -> None:
    edit = Fact(subject="Oslo", relation="currency", object="krone")
    (tmp_path / "known.jsonl").write_text(json.dumps(edit.to_dict()), encoding="utf-8")
    reading = read(TOY, [tmp_path / "known.jsonl"])
    assert [(case.edits[0].id, case.probes) for case in reading.cases] == [(edit.id, ())]
