"""What a run asks: the draw, whose edits lie in which memory, and which probes are set aside."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memedit.edits import Fact
from memedit.errors import FileRejected, RunRejected
from memedit.eval.benchmarks import find_benchmark, read
from memedit.eval.benchmarks.ids import read_ids
from memedit.eval.cases import Case, Kind, Probe, ask
from memedit.eval.overlap import Overlaps
from memedit.eval.plan import Plan, make_plan

DATA = Path(__file__).parent / "data"
COUNTERFACT, MQUAKE = DATA / "counterfact_20.jsonl", DATA / "benchmarks/mquake.jsonl"
PLACES = ("Oslo", "Lima", "Cairo", "Quito", "Hanoi", "Accra", "Dakar", "Tunis", "Paris", "Rabat")


def case(
    name: str, subject: str | None = None, place: str = "Rome", *probes: Probe, relation: str | None = None, **edit: Any
) -> Case:
    """Somebody lives somewhere, which one probe asks after; and more probes."""
    if subject is None:
        return Case(id=name, probes=probes)
    fact = Fact(id=f"edit-{name}", subject=subject, prompt="{} lives in", object=place, relation=relation, **edit)
    own = ask(
        Kind.EFFICACY, fact.cloze or "", answers=(place,), rests_on=((subject, relation or "{} lives in", place),)
    )
    return Case(id=name, edits=(fact,), probes=(*own, *probes))


def people(count: int) -> list[Case]:
    return [case(f"c{number}", f"Person {number}", PLACES[number % 10]) for number in range(count)]


def outside(prompt: str, relation: str | None = None, kind: Kind = Kind.LOCALITY) -> Probe:
    return Probe(id="outside", kind=kind, prompt=prompt, answers=("x",), relation=relation)


def aside(*cases: Case, **how: Any) -> dict[tuple[str, str], str]:
    return {(one.case, one.probe): one.why for one in make_plan(cases, **how).set_aside}


def edits_of(plan: Plan) -> dict[str, list[str]]:
    return {namespace: [edit.id for edit in edits] for namespace, edits in plan.memories.items()}


# ---- the draw -------------------------------------------------------------------------------------------------------


def test_the_sample_is_drawn_by_the_seed_and_keeps_the_order() -> None:
    cases = people(50)
    drawn = {seed: list(make_plan(cases, limit=10, seed=seed).cases) for seed in (0, 0, 1, 2)}
    assert drawn[0] == list(make_plan(cases, limit=10, seed=0).cases)
    assert len({tuple(ids) for ids in drawn.values()}) == 3
    for ids in drawn.values():
        assert len(ids) == 10
        assert ids == sorted(ids, key=lambda name: int(name[1:]))


@pytest.mark.parametrize("limit", [None, 5, 6, 10**9])
def test_a_limit_that_takes_all_takes_all(limit: int | None) -> None:
    assert list(make_plan(people(5), limit=limit).cases) == ["c0", "c1", "c2", "c3", "c4"]


def test_the_limit_is_of_the_cases_that_are_listed() -> None:
    cases = people(20)
    wanted = {f"c{number}" for number in range(0, 20, 2)}
    plan = make_plan(cases, only=wanted, limit=4, seed=3)
    assert len(plan.cases) == 4
    assert set(plan.cases) <= wanted
    assert len(plan.memories["all"]) == 20  # the others' edits are in memory all the same


@pytest.mark.parametrize(
    "how", [{"limit": 0}, {"only": ()}, {"only": {"nobody"}}], ids=["limit 0", "no ids", "unknown ids"]
)
def test_nothing_left_to_ask_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(RunRejected, match="Nothing is left to ask"):
        make_plan(people(3), **how)


def test_cases_without_probes_are_refused() -> None:
    with pytest.raises(RunRejected, match="Nothing is left to ask"):
        make_plan([])
    with pytest.raises(RunRejected, match="Nothing is left to ask"):
        make_plan([Case(id="a", edits=(Fact("A is B."),))])


def test_a_plan_whose_every_probe_is_set_aside_is_refused() -> None:
    with pytest.raises(RunRejected):
        make_plan([case("a", "Ann Lee", "Oslo"), case("b", "Ann Lee", "Lima")])


# ---- memories -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "groups"),
    [
        (1, [["c0"], ["c1"], ["c2"], ["c3"], ["c4"]]),
        (2, [["c0", "c1"], ["c2", "c3"], ["c4"]]),
        (5, [["c0", "c1", "c2", "c3", "c4"]]),
        (99, [["c0", "c1", "c2", "c3", "c4"]]),
    ],
)
def test_groups_have_a_memory_each(size: int, groups: list[list[str]]) -> None:
    plan = make_plan(people(5), edits_in_memory=size)
    expected = {f"group-{place}": [f"edit-{name}" for name in names] for place, names in enumerate(groups)}
    assert edits_of(plan) == expected
    assert [(one.case, one.namespace) for one in plan.asked] == [
        (name, f"group-{place}") for place, names in enumerate(groups) for name in names
    ]


def test_all_means_every_edit_of_every_file() -> None:
    fill = [case("f", "Filler", "Minsk"), *people(1)]  # c0 stands in both
    plan = make_plan(people(5), fill=fill, limit=2)
    assert edits_of(plan) == {"all": ["edit-c0", "edit-c1", "edit-c2", "edit-c3", "edit-c4", "edit-f"]}
    assert {one.namespace for one in plan.asked} == {"all"}
    assert len(plan.asked) == 2


def test_groups_hold_the_sample_only() -> None:
    plan = make_plan(people(20), limit=4, edits_in_memory=2)
    held = [edit for edits in edits_of(plan).values() for edit in edits]
    assert held == [f"edit-{name}" for name in plan.cases]


def test_an_edit_of_several_cases_is_loaded_once() -> None:
    shared = Fact(id="shared", subject="Ann Lee", prompt="{} lives in", object="Oslo")
    cases = [Case(id=name, edits=(shared,), probes=tuple(ask(Kind.EFFICACY, "Where?"))) for name in "ab"]
    plan = make_plan(cases)
    assert edits_of(plan) == {"all": ["shared"]}
    assert [one.edits for one in plan.asked] == [("shared",), ("shared",)]


def test_a_stream_loads_nothing_and_sets_nothing_aside() -> None:
    plan = make_plan([case("a", "Ann Lee", "Oslo"), case("b", "Ann Lee", "Lima")], stream=True)
    assert edits_of(plan) == {"all": []}
    assert not plan.set_aside
    assert [one.edits for one in plan.asked] == [(), ()]  # none of them is in memory when its case is asked


# ---- what is set aside ----------------------------------------------------------------------------------------------


def test_cases_that_contradict_one_another_are_both_set_aside_and_counted() -> None:
    cases = [case("a", "Ann Lee", "Oslo"), case("b", "ANN  lee", "Lima"), case("c", "Bo Chan", "Cairo")]
    plan = make_plan(cases)
    assert {(one.case, one.probe, one.why) for one in plan.set_aside} == {
        ("a", "efficacy-0", "another case says: ANN lee lives in Lima"),
        ("b", "efficacy-0", "another case says: Ann Lee lives in Oslo"),
    }
    assert [one.case for one in plan.asked] == ["c"]
    assert len(plan.asked) + len(plan.set_aside) == 3
    assert aside(*cases, edits_in_memory=1) == {}  # in a memory of its own nothing contradicts it


def test_cases_that_say_the_same_stay() -> None:
    assert aside(case("a", "Ann Lee", "Oslo"), case("b", "Ann Lee", "oslo")) == {}


def test_relations_are_compared_by_all_their_names() -> None:
    chief, other = case("a", "Acme", "Ann", relation="P169"), case("b", "Acme", "Bo", relation="CEO")
    assert set(aside(chief, other, *people(1))) == {("a", "efficacy-0"), ("b", "efficacy-0")}
    assert aside(chief, case("b", "Acme", "Oslo", relation="headquarters location")) == {}


def test_a_hop_of_another_case_is_a_contradiction_too() -> None:
    hop = Probe(id="q", kind=Kind.MULTI_HOP, prompt="?", answers=("x",), rests_on=(("Bo", "{} lives in", "Cairo"),))
    assert aside(case("a", "Ann", "Oslo", hop), case("b", "Bo", "Cairo")) == {}
    assert set(aside(case("a", "Ann", "Oslo", hop), case("b", "Bo", "Lima"))) == {("a", "q")}


def test_edits_that_fill_the_memory_count_and_are_not_asked() -> None:
    plan = make_plan([case("a", "Ann Lee", "Oslo"), *people(2)], fill=[case("f", "Ann Lee", "Lima")])
    assert [one.case for one in plan.set_aside] == ["a"]
    assert {one.case for one in plan.asked} == {"c0", "c1"}


def test_cases_that_are_not_asked_set_aside_all_the_same() -> None:
    cases = [case("a", "Ann Lee", "Oslo"), case("b", "Ann Lee", "Lima"), case("c", "Bo Chan", "Cairo")]
    plan = make_plan(cases, only={"a", "c"})
    assert [one.case for one in plan.set_aside] == ["a"]


@pytest.mark.parametrize(
    ("prompt", "relation", "edit", "is_answered"),
    [
        ("Ann Lee lives in", None, {}, True),
        ("ann LEE, lives in!", None, {}, True),
        ("Ann Lee lives in", "P551", {"relation": "P551"}, True),
        ("The place where Ann Lee lives is", None, {}, True),
        ("Annie lives in", None, {"aliases": ("Annie",)}, True),
        ("Ann Lee was born in", "P19", {"relation": "P551"}, False),
        ("Ann Lee plays the", None, {}, False),
        ("Ann Leech lives in", None, {}, False),
        ("Bo Chan lives in", None, {}, False),
    ],
)
def test_an_out_of_scope_probe_that_another_edit_answers(
    prompt: str, relation: str | None, edit: dict[str, Any], is_answered: bool
) -> None:
    asker = case("a", None, "", outside(prompt, relation))
    other = case("b", "Ann Lee", "Oslo", **edit)
    found = aside(asker, other)
    assert set(found) == ({("a", "outside")} if is_answered else set())
    if is_answered:
        assert found["a", "outside"].endswith("edit answers it: Ann Lee lives in Oslo")


@pytest.mark.parametrize("relation", [None, "P19"])
def test_an_out_of_scope_probe_that_is_the_question_of_another_edit(relation: str | None) -> None:
    question = "What is the home town of Ann Lee?"
    asker = case("a", None, "", outside(question, relation))
    assert set(aside(asker, case("b", "Ann Lee", "Oslo", question=question, relation="P551"))) == {("a", "outside")}


@pytest.mark.parametrize("kind", [Kind.NEIGHBOURHOOD, Kind.SAME_SUBJECT, Kind.PASSAGE, Kind.LOCALITY])
def test_what_asks_the_edits_own_relation_is_not_out_of_scope(kind: Kind) -> None:
    """zsRE's “The constellation of Messier 23 is”, with the edit “Of which constellation is Messier 23 a part?”."""
    for prompt in ("Ann Lee lives in", "The name of the place in which Ann Lee lives is the place"):
        own = case("a", "Ann Lee", "Oslo", outside(prompt, kind=kind))
        assert set(aside(own)) == ({("a", "outside")} if prompt == "Ann Lee lives in" else set())
    assert aside(case("a", "Ann Lee", "Oslo", outside("Ann Lee was born in", kind=kind))) == {}


def test_the_own_edit_answers_a_neighbour_that_names_its_subject_and_relation() -> None:
    """“Kingdom of Egypt, which has the capital city” is a neighbour of Egypt's capital in CounterFact."""
    probe = outside("The kingdom of Ann Lee lives in", "P551", Kind.NEIGHBOURHOOD)
    assert set(aside(case("a", "Ann Lee", "Oslo", probe, relation="P551"))) == {("a", "outside")}
    assert aside(case("a", "Ann Lee", "Oslo", probe, relation="P19")) == {}


@pytest.mark.parametrize("kind", [Kind.PARAPHRASE, Kind.PORTABILITY, Kind.MULTI_HOP, Kind.FLUENCY])
def test_probes_that_an_edit_may_answer_stay(kind: Kind) -> None:
    asker = case("a", "Bo Chan", "Lima", outside("Ann Lee lives in", kind=kind))
    assert aside(asker, case("b", "Ann Lee", "Oslo")) == {}


def test_another_group_sets_nothing_aside() -> None:
    cases = [case("a", "Bo Chan", "Lima", outside("Ann Lee lives in")), *people(1), case("b", "Ann Lee", "Oslo")]
    assert set(aside(*cases)) == {("a", "outside")}
    assert set(aside(*cases, edits_in_memory=3)) == {("a", "outside")}
    assert aside(*cases, edits_in_memory=2) == {}


# ---- real records ---------------------------------------------------------------------------------------------------


def write(file: Path, records: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return file


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_a_neighbour_of_counterfact_that_is_edited_elsewhere(tmp_path: Path) -> None:
    first, second = records(COUNTERFACT)[:2]
    rewrite = first["requested_rewrite"]
    neighbour = first["neighborhood_prompts"][0]
    second["requested_rewrite"] |= {
        "relation_id": rewrite["relation_id"],
        "prompt": rewrite["prompt"],
        "subject": neighbour.replace(rewrite["prompt"].replace("{}", "").strip(), "").strip(),
    }
    cases = read(find_benchmark("counterfact"), [write(tmp_path / "two.jsonl", [first, second])]).cases
    found = aside(*cases)
    assert (f"counterfact:{first['case_id']}", "neighbourhood-0") in found
    assert all("edit answers it" in why for why in found.values())
    assert (f"counterfact:{first['case_id']}", "neighbourhood-0") not in aside(*cases, edits_in_memory=1)


def test_the_neighbours_of_counterfact_plus_stay() -> None:
    """They begin with the case's own statement, which does not answer them."""
    plan = make_plan(read(find_benchmark("counterfact_plus"), [COUNTERFACT]).cases)
    assert sum(one.probe.kind is Kind.NEIGHBOURHOOD for one in plan.asked) > 150


def test_cases_of_mquake_that_contradict_one_another(tmp_path: Path) -> None:
    first = next(record for record in records(MQUAKE) if "requested_rewrite" in record)
    other = json.loads(json.dumps(first)) | {"case_id": 10**6}
    target = other["requested_rewrite"][0]["target_new"]["str"]
    other = json.loads(json.dumps(other).replace(json.dumps(target), json.dumps("Atlantis")))
    cases = read(find_benchmark("mquake"), [write(tmp_path / "two.jsonl", [first, other])]).cases
    plan = make_plan(cases)
    kinds = {(one.case, one.probe) for one in plan.set_aside}
    for one in cases:
        assert {(one.id, probe.id) for probe in one.probes if probe.kind is Kind.MULTI_HOP} <= kinds
        assert (one.id, "efficacy-0") in kinds
    assert make_plan(cases, only={cases[0].id}).set_aside == tuple(
        each for each in plan.set_aside if each.case == cases[0].id
    )


def test_the_same_arguments_give_the_same_plan() -> None:
    """Also in another process, where hashes fall differently."""
    code = (
        "from memedit.eval.benchmarks import find_benchmark, read; from memedit.eval.plan import make_plan\n"
        f"plan = make_plan(read(find_benchmark('counterfact'), [{str(COUNTERFACT)!r}]).cases, limit=7, seed=4)\n"
        "print((plan.asked, plan.set_aside, [edit.id for edit in plan.memories['all']]))"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    cases = read(find_benchmark("counterfact"), [COUNTERFACT]).cases
    for seed, is_same in ((4, True), (5, False)):
        plan = make_plan(cases, limit=7, seed=seed)
        here = f"{(plan.asked, plan.set_aside, [edit.id for edit in plan.memories['all']])}\n"
        assert (done.stdout == here) is is_same


# ---- files of ids ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["[1, 3]", '["1", "3"]', "1\n3\n", '{"case_id": 1}\n{"case_id": 3}\n', '[{"case_id": "b:3"}, 1]', "\ufeff1\n3"],
)
def test_ids_may_be_written_in_several_ways(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ids"
    file.write_text(text, encoding="utf-8")
    assert read_ids(file, [Case(id=f"b:{number}") for number in range(5)]) == {"b:1", "b:3"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "are cases of"),
        (b"[99]", "are cases of"),
        (b"one\ntwo", "lists no case ids"),
        (b'[{"id": 1}]', "lists no case ids"),
        (b"[[1]]", "lists no case ids"),
        (b"\xff\xfe", "lists no case ids"),
        (b"7.5", "lists no case ids"),
    ],
)
def test_a_file_that_lists_no_ids(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "ids"
    file.write_bytes(content)
    with pytest.raises(FileRejected, match=why):
        read_ids(file, [Case(id="b:1")])
    with pytest.raises(FileRejected, match="cannot be read"):
        read_ids(tmp_path / "absent", [Case(id="b:1")])


def test_a_template_has_the_relation_that_another_edit_names() -> None:
    """CounterFact's flat schema names no relations; its templates are those of the official one."""
    told = Fact(id="a", subject="Chad", relation="P37", prompt="In {}, an official language is", object="Thai")
    untold = Fact(id="b", subject="Peru", prompt="In {}, an official language is", object="Danish")
    probe = Probe(id="q", kind=Kind.NEIGHBOURHOOD, prompt="The law in Peru declares the language", relation="P37")
    cases = [Case(id="a", edits=(told,), probes=(probe,)), Case(id="b", edits=(untold,))]
    assert Overlaps(cases).why_not(cases[0], probe) == "an edit answers it: In Peru, an official language is Danish"
    assert Overlaps(cases[:1]).why_not(cases[0], probe) is None
    rests = Probe(id="r", kind=Kind.EFFICACY, prompt="?", answers=("Thai",), rests_on=(("Peru", "P37", "Thai"),))
    assert Overlaps(cases).why_not(cases[0], rests) == "another case says: In Peru, an official language is Danish"


# ---- groups ---------------------------------------------------------------------------------------------------------


def test_a_benchmark_may_group_its_cases_into_memories() -> None:
    cases = [replace(one, memory=f"m{at % 2}") for at, one in enumerate(people(6))]
    plan = make_plan(cases, edits_in_memory="group", limit=3)
    assert set(plan.memories) <= {"m0", "m1"}
    assert all(len(edits) == 3 for edits in plan.memories.values())
    assert {one.namespace for one in plan.asked} == set(plan.memories)
    with pytest.raises(RunRejected, match="in no groups"):
        make_plan(people(2), edits_in_memory="group")


def test_everyday_comes_with_memedit_and_is_read_whole() -> None:
    benchmark = find_benchmark("everyday")
    assert benchmark.shipped is not None
    reading = read(benchmark, [str(benchmark.shipped())])
    assert len(reading.cases) == 120
    assert not reading.malformed
    probes = [probe for case in reading.cases for probe in case.probes]
    assert {probe.kind.in_scope for probe in probes} == {True, False}
    talk = next(probe for probe in probes if probe.turns)
    assert talk.turns[-1] == ("user", talk.prompt)
    plan = make_plan(reading.cases, edits_in_memory="group")
    assert len(plan.memories) == 6
    assert not plan.set_aside
