"""The readers of fact benchmarks: every form of record gives exactly its probes, and what is broken is named."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memedit.edits import Fact
from memedit.errors import FileRejected
from memedit.eval.benchmarks import conflict, counterfact, knowedit, mquake, postedit, ripple, zsre
from memedit.eval.benchmarks.base import Benchmark, Reading, read
from memedit.eval.benchmarks.ids import read_ids
from memedit.eval.cases import Case, Kind, Probe

DATA = Path(__file__).parent / "data/benchmarks"
ALL = {
    "zsre": zsre.ZSRE,
    "counterfact_postedit": replace(counterfact.COUNTERFACT, forms=(postedit.form("counterfact"),)),
    "wiki_recent": knowedit.WIKI_RECENT,
    "wiki_counterfact": knowedit.WIKI_COUNTERFACT,
    "wiki_bio": knowedit.WIKI_BIO,
    "ripple_edits": ripple.RIPPLE_EDITS,
    "mquake": mquake.MQUAKE,
    "conflict_edit": conflict.CONFLICT_EDIT,
    "round_edit": conflict.ROUND_EDIT,
}


def records(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def cases(name: str) -> tuple[Case, ...]:
    reading = read(ALL[name], [DATA / f"{name}.jsonl"])
    assert not reading.malformed
    return reading.cases


def probe(case: Case, probe_id: str) -> Probe:
    return next(each for each in case.probes if each.id == probe_id)


def ids(case: Case) -> list[str]:
    return [each.id for each in case.probes]


def facts(case: Case) -> list[Fact]:
    return [edit for edit in case.edits if isinstance(edit, Fact)]


def read_one(benchmark: Benchmark, record: object, tmp_path: Path) -> Reading:
    """A broken record behind the first sample of its benchmark, read as one JSON array."""
    good = records(benchmark.name)[0]
    file = tmp_path / "broken.json"
    file.write_text(json.dumps([good, record]), encoding="utf-8")
    return read(benchmark, [file])


@pytest.mark.parametrize("name", ALL)
def test_a_json_array_gives_the_same_cases_and_probes_are_sound(name: str, tmp_path: Path) -> None:
    array = tmp_path / "published_name.json"
    array.write_text(json.dumps(records(name)), encoding="utf-8")
    found = cases(name)
    again = read(ALL[name], [array, DATA / f"{name}.jsonl"])
    assert [(case.id, case.probes) for case in again.cases] == [(case.id, case.probes) for case in found]
    assert again.repeated == len(records(name))
    for case in found:
        assert len(set(ids(case))) == len(case.probes)
        for each in case.probes:
            assert each.answers or each.form == "none"
            assert not set(each.answers) & set(each.rejected)
            assert set(each.requires) <= set(ids(case))


def test_zsre_of_mend_with_and_without_portability() -> None:
    with_hop, without = cases("zsre")[:2]
    (fact,) = facts(with_hop)
    question = "When was the inception of IAAF Combined Events Challenge?"
    assert (fact.subject, fact.object, fact.previous_object) == ("IAAF Combined Events Challenge", "2006", "1998")
    assert (fact.prompt, fact.question) == ("When was the inception of {}?", question)
    rests_on = ((fact.subject, fact.prompt, "2006"),)
    told: dict[str, Any] = {"answers": ("2006",), "rejected": ("1998",), "rests_on": rests_on}
    assert with_hop.probes == (
        Probe(id="efficacy-0", kind=Kind.EFFICACY, prompt=question, **told),
        Probe(
            id="paraphrase-0",
            kind=Kind.PARAPHRASE,
            prompt="When was the IAAF Combined Events Challenge launched?",
            **told,
        ),
        Probe(
            id="locality-0",
            kind=Kind.LOCALITY,
            prompt="what is the name of the last episode of spongebob?",
            answers=("The String",),
            rejected=("2006",),
        ),
        Probe(
            id="portability-0",
            kind=Kind.PORTABILITY,
            prompt="What type of sports event is the IAAF Combined Events Challenge, which was established in 2006?",
            answers=("Athletics",),
            rests_on=rests_on,
        ),
    )
    assert ids(without) == ["efficacy-0", "paraphrase-0", "locality-0"]


def test_zsre_of_knowedit() -> None:
    case = cases("zsre")[2]
    assert ids(case) == ["efficacy-0", "paraphrase-0", "portability-0", "same-subject-0", "same-subject-1"]
    assert probe(case, "same-subject-0").answers == ("genus",)
    assert probe(case, "same-subject-0").rejected == ("Noctuidae",)
    assert probe(case, "portability-0").answers == ("Owlet moths",)
    assert probe(case, "portability-0").rests_on == (("Epaspidoceras", "Which family does {} belong to?", "Noctuidae"),)


def test_zsre_of_postedit_has_one_fact_for_the_edit_and_its_queries() -> None:
    edit, paraphrase, neighbour = cases("zsre")[3:]
    assert edit.id == "zsre:postedit-70"
    assert paraphrase.id.startswith("zsre:postedit-70-")
    assert [fact.id for fact in facts(edit)] == [fact.id for fact in facts(paraphrase)]
    assert ids(edit) == ["efficacy-0"]
    assert probe(paraphrase, "paraphrase-0").prompt == "Which constellation does NGC 6604 belong to?"
    assert probe(paraphrase, "paraphrase-0").answers == ("Andromeda",)
    assert probe(paraphrase, "paraphrase-0").rejected == ("Serpens",)
    aside = probe(neighbour, "neighbourhood-0")
    assert aside.prompt == "who was the first to say i'm going to disney world?"
    assert (aside.answers, aside.rejected) == (("Phil Simms",), ("Def Jam Recordings",))


def test_one_edit_has_one_fact_id_in_every_form_of_zsre(tmp_path: Path) -> None:
    mend = records("zsre")[0]
    flat = {"edit_id": 5, "requested_rewrite": mend["src"], "target_new": mend["alt"], "target_old": "1998"}
    file = tmp_path / "both.json"
    file.write_text(json.dumps([mend, flat]), encoding="utf-8")
    first, second = read(zsre.ZSRE, [file]).cases
    assert first.id != second.id
    assert first.edits[0].id == second.edits[0].id


def test_counterfact_of_postedit_has_the_ids_of_counterfact() -> None:
    naive, paraphrase, neighbour = cases("counterfact_postedit")
    assert [case.edits[0].id for case in (naive, paraphrase, neighbour)] == [
        "counterfact-7",
        "counterfact-15",
        "counterfact-1",
    ]
    assert probe(naive, "efficacy-0").prompt == "Apple A5 was created by"
    assert naive.edits[0].text == "Apple A5 was created by Google"
    assert probe(neighbour, "neighbourhood-0").answers == ("Christianity",)
    assert probe(neighbour, "neighbourhood-0").rejected == ("Islam",)


def test_an_unknown_neighbour_of_zsre_is_for_retrieval_only(tmp_path: Path) -> None:
    record = {key: value for key, value in records("zsre")[5].items() if key != "query_target"}
    neighbour = read_one(zsre.ZSRE, record, tmp_path).cases[1].probes[0]
    assert (neighbour.form, neighbour.answers) == ("none", ())


def test_wiki_recent_flattens_aliases() -> None:
    kept, carried = cases("wiki_recent")
    assert ids(kept) == ["efficacy-0", "same-subject-0", "preservation-0"]
    assert probe(kept, "same-subject-0").answers == ("female", "woman")
    assert probe(kept, "preservation-0").answers == ("Egyptians", "Egyptian people")
    assert probe(kept, "preservation-0").rejected == ()  # the new object is right here
    assert facts(kept)[0].previous_object is None
    assert ids(carried) == ["efficacy-0", "logical-generalisation-0", "portability-0", "alias-0"]
    assert probe(carried, "alias-0").answers == ("Canada", "Dominion of Canada")
    rests_on = (("Royal Ontario Museum", "The name of the country which {} is associated with is", "Canada"),)
    assert {each.rests_on for each in carried.probes} == {rests_on}


def test_wiki_counterfact_rejects_the_old_object_in_scope_and_the_new_one_outside() -> None:
    first, second = cases("wiki_counterfact")
    assert ids(first) == ["efficacy-0", "portability-0", "alias-0", "same-subject-0"]
    wrong = {each.id: each.rejected for each in first.probes}
    assert wrong == {
        "efficacy-0": ("France",),
        "portability-0": (),
        "alias-0": ("France",),
        "same-subject-0": ("Franche-Comté",),
    }
    assert probe(second, "preservation-0").answers == ("writer",)


def test_wiki_bio_asks_for_the_sentence_as_text() -> None:
    (case,) = cases("wiki_bio")
    (fact,) = facts(case)
    (record,) = records("wiki_bio")
    assert fact.statement == f"matthew aylmer , 1st baron aylmer: {record['labels']}"
    told = probe(case, "efficacy-0")
    assert (told.prompt, told.answers, told.form) == (record["text"], (record["labels"],), "text")
    assert ids(case) == ["efficacy-0", "same-subject-0", "same-subject-1"]


def test_ripple_edits_has_six_criteria_and_their_conditions() -> None:
    popular, random, recent = cases("ripple_edits")
    (fact,) = facts(popular)
    assert fact.prompt == "The name of the country of citizenship of {} is"
    assert (fact.subject, fact.relation) == ("Leonardo DiCaprio", "country of citizenship")
    assert (fact.object, fact.previous_object) == ("Syria", "United States of America")
    assert ids(popular) == [
        "efficacy-0",
        "composition-I-0",
        "alias-0",
        "same-subject-0",
        "preservation-0",
        "condition-0",
        "condition-1",
        "condition-2",
        "condition-3",
    ]
    edit = ("Leonardo DiCaprio", "country of citizenship", "Syria")
    assert probe(popular, "composition-I-0") == Probe(
        id="composition-I-0",
        kind=Kind.COMPOSITION,
        prompt="The name of the currency in the country of citizenship of Leonardo DiCaprio is",
        answers=("Syrian pound", "SYP"),
        rests_on=(edit, ("Syria", "currency", "Syrian pound")),
        requires=("condition-0",),
    )
    assert probe(popular, "condition-0").prompt == "The name of the currency in Syria is"
    assert probe(popular, "same-subject-0").rests_on == (("Leonardo DiCaprio", "mother", "Irmelin DiCaprio"),)
    assert probe(popular, "preservation-0").rests_on == ()
    assert probe(popular, "alias-0").rejected == ("United States of America",)
    assert "logical-0" not in ids(random)  # its answers are empty
    assert probe(recent, "logical-0").answers == ("no", "incorrect")
    assert probe(recent, "logical-0").requires == ()


def test_ripple_edits_groups_a_test_that_any_of_its_queries_passes(tmp_path: Path) -> None:
    record = deepcopy(records("ripple_edits")[0])
    test = record["Compositionality_I"].pop()
    second = {**test["test_queries"][0], "prompt": "The money of Leonardo DiCaprio's country is"}
    test["test_queries"].append(second)
    record["Compositionality_II"] = [test, {**test, "test_condition": "AND"}]
    record["Relation_Specifity"] = record.pop("Relation_Specificity")
    case = read_one(ripple.RIPPLE_EDITS, record, tmp_path).cases[1]
    composed = [each for each in case.probes if each.kind is Kind.COMPOSITION]
    assert [each.id for each in composed] == [f"composition-II-{number}" for number in range(4)]
    assert [each.group for each in composed] == ["composition-II-test-0"] * 2 + [None] * 2
    assert {each.requires for each in composed} == {("condition-0",)}
    assert "same-subject-0" in ids(case)


@pytest.mark.parametrize(
    ("sentence", "subject", "object_"),
    [
        ("The name of the award Anjelica Huston won is star on Hollywood Walk of Fame.", "Anjelica Huston", None),
        ("The name of the position held by Thomas L. Ahern, Jr. is CIA Station Chief.", "Thomas L. Ahern, Jr.", None),
        ("The names of the cast members of It's a Sin are Callum Scott Howells.", "It's a Sin", None),
        ("365 Days is followed by 365 Days: This Day.", "365 Days", "365 Days: This Day"),
        ("The name of the employer of Vijaya Gadde is Twitter, Inc..", "Vijaya Gadde", "Twitter, Inc."),
        ("The name of the league which Mike Matthews plays in is MLB.", "Mike Matthews", "MLB"),
        ("The name of the country which bell hooks is associated with is Mali.", "bell hooks", "Mali"),
    ],
)
def test_ripple_edits_tells_subject_and_object_of_a_sentence_apart(
    sentence: str, subject: str, object_: str | None, tmp_path: Path
) -> None:
    record = deepcopy(records("ripple_edits")[2])
    record["edit"]["prompt"] = sentence
    (fact,) = facts(read_one(ripple.RIPPLE_EDITS, record, tmp_path).cases[1])
    assert fact.subject == subject
    assert fact.text == sentence[:-1]
    assert object_ is None or fact.object == object_


def test_mquake_has_edits_questions_and_hops() -> None:
    single, double, hard = cases("mquake")[:3]
    assert double.id == "mquake:1002"
    assert [fact.relation for fact in facts(double)] == ["P136", "P35"]
    assert ids(double) == [
        "efficacy-0",
        "efficacy-1",
        "multi-hop-0",
        "multi-hop-1",
        "multi-hop-2",
        "hop-0",
        "hop-1",
        "hop-2",
    ]
    chain = (
        ("Betty Carter", "P136", "instrumental rock"),
        ("instrumental rock", "P495", "United States of America"),
        ("United States of America", "P35", "Norodom Sihamoni"),
    )
    asked = probe(double, "multi-hop-0")
    assert asked.answers == ("Norodom Sihamoni", "Narottama Sīhamunī")
    assert (asked.rejected, asked.rests_on, asked.group) == (("Donald Trump",), chain, "question")
    assert [probe(double, f"hop-{number}").rests_on for number in range(3)] == [(triple,) for triple in chain]
    assert probe(double, "hop-1").answers == ("United States of America", "the States")
    assert probe(double, "efficacy-0") == Probe(
        id="efficacy-0",
        kind=Kind.EFFICACY,
        prompt="What type of music does Betty Carter play?",
        answers=("instrumental rock", "rock instrumental"),
        rejected=("jazz",),
        rests_on=chain[:1],
    )
    assert facts(double)[0].prompt == "The type of music that {} plays is"
    assert (len(single.edits), len(hard.edits)) == (1, 4)


def test_an_edit_of_several_mquake_cases_has_one_id(tmp_path: Path) -> None:
    record = {**records("mquake")[0], "case_id": 99_999}
    first, second = read_one(mquake.MQUAKE, record, tmp_path).cases
    assert first.id != second.id
    assert first.edits[0].id == second.edits[0].id


def test_mquake_remastered_is_read_too(tmp_path: Path) -> None:
    record = deepcopy(records("mquake")[0])
    record |= record.pop("orig")
    record["case_id"] = 5
    for rewrite in record["requested_rewrite"]:
        for which in ("target_new", "target_true"):
            rewrite[f"{which}_str"] = rewrite.pop(which)["str"]
    first, second = read_one(mquake.MQUAKE, record, tmp_path).cases
    assert first.probes == second.probes


def test_mquake_forms_without_answers_are_for_retrieval() -> None:
    known, unknown, pair = cases("mquake")[3:]
    assert ids(known) == ["efficacy-0", "multi-hop-0", "multi-hop-1", "multi-hop-2"]
    assert probe(known, "efficacy-0").answers == ("Eric Adams",)
    assert {each.form for each in known.probes[1:]} == {"none"}
    assert (unknown.id, unknown.edits, len(unknown.probes)) == ("mquake-t:2", (), 3)
    assert pair.edits[0].text == "Carl Sagan is employed by British Broadcasting Corporation"
    assert {(each.kind, each.form) for each in pair.probes} == {(Kind.PARAPHRASE, "none")}


@pytest.mark.parametrize(
    "content", ["[1, 1002]", "1\n1002\n", '{"case_id": 1}\n{"case_id": 1002}', '[{"case_id": 1}, 1002]']
)
def test_case_ids_are_those_of_the_cases(content: str, tmp_path: Path) -> None:
    file = tmp_path / "ids.json"
    file.write_text(content, encoding="utf-8")
    assert read_ids(file, cases("mquake")[:3]) == {"mquake:1", "mquake:1002"}


@pytest.mark.parametrize("content", ['{"ids": [1]}', "[1, null]", "one"])
def test_a_file_without_case_ids_is_rejected(content: str, tmp_path: Path) -> None:
    file = tmp_path / "ids.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(FileRejected, match=r"lists no|are cases of"):
        read_ids(file, cases("mquake"))


def test_conflict_edit_holds_the_later_edit_and_its_consequences() -> None:
    reverse, composite, coverage = cases("conflict_edit")
    victor, marie = "Victor Frederick, Prince of Anhalt-Bernburg", "Marie Prinzessin von Croÿ"
    assert [fact.object for fact in facts(reverse)] == [victor, marie]
    later = ((victor, "P40", marie),)
    assert probe(reverse, "efficacy-0").rejected == ("Ankhnesneferibre",)
    assert probe(reverse, "efficacy-0").rests_on == later
    assert probe(reverse, "logical-generalisation-0") == Probe(
        id="logical-generalisation-0",
        kind=Kind.LOGICAL,
        prompt=f"The father of {marie} is",
        answers=(victor,),
        rests_on=later,
    )

    assert ids(composite)[2:] == [
        "logical-generalisation-0",
        "logical-generalisation-1",
        "preservation-0",
        "preservation-1",
    ]
    assert probe(composite, "efficacy-0").rejected == ("Eärendil", "Blanche Gibbs")
    turned = probe(composite, "logical-generalisation-1")
    assert (turned.prompt, turned.answers) == ("Who is the spouse of Elwing?", ("John Todd",))
    assert turned.rejected == ("Blanche Gibbs",)
    assert turned.rests_on == (("Elrond", "P22", "John Todd"), ("Elrond", "P25", "Elwing"))
    tied = probe(composite, "preservation-0")
    assert (tied.prompt, tied.answers, tied.rests_on) == ("The mother of Elrond is", ("Elwing",), turned.rests_on[1:])

    assert ids(coverage) == ["efficacy-0", "paraphrase-0"]
    assert probe(coverage, "efficacy-0").answers == ("Heinz Prüfer",)
    assert probe(coverage, "efficacy-0").rejected == ("Mansour M'henni", "Ludwig Cromme")
    assert probe(coverage, "efficacy-0").rests_on == (("Jacqueline Arnaud", "P185", "Heinz Prüfer"),)


def test_round_edit_ends_where_it_began() -> None:
    case = cases("round_edit")[0]
    there, back = facts(case)
    assert there.slot == back.slot
    assert (there.object, back.object) == ("franking", "data migration")
    assert (there.previous_object, back.previous_object) == ("data migration", "franking")
    assert ids(case) == ["efficacy-0", "paraphrase-0", "preservation-0", "preservation-1"]
    assert probe(case, "paraphrase-0").prompt == "What use does fpart have?"
    assert probe(case, "preservation-1") == Probe(
        id="preservation-1",
        kind=Kind.PRESERVATION,
        prompt="fpart has use(s), such as",
        answers=("computer file management",),
        rejected=("franking",),
        choices=("computer file management", "franking"),
        form="pick",
    )


BROKEN = [
    (zsre.ZSRE, 0, {"alt": ""}, "object is empty"),
    (zsre.ZSRE, 0, {"rephrase": None}, "'rephrase' is missing"),
    (zsre.ZSRE, 0, {"answers": 1998}, "type int, not text"),
    (zsre.ZSRE, 3, {"query_type": "odd"}, "odd is no type of query"),
    (knowedit.WIKI_RECENT, 0, {"subject": None}, "'subject' is missing"),
    (knowedit.WIKI_RECENT, 0, {"prompt": 5}, "'prompt' is of type int, not text"),
    (knowedit.WIKI_RECENT, 0, {"locality": {"Fluency": []}}, "Fluency is no criterion"),
    (knowedit.WIKI_RECENT, 0, {"locality": []}, "items"),
    (knowedit.WIKI_BIO, 0, {"labels": ["a"]}, "'labels' is of type list, not text"),
    (ripple.RIPPLE_EDITS, 0, {"edit": {"prompt": "The gender of  is female."}}, "has no name"),
    (ripple.RIPPLE_EDITS, 0, {"edit": {"prompt": "The gender of Ann is ."}}, "has no name"),
    (ripple.RIPPLE_EDITS, 0, {"Forgetfulness": [{"test_queries": []}]}, "'condition_queries' is missing"),
    (mquake.MQUAKE, 0, {"new_single_hops": None}, "'new_single_hops' is missing"),
    (mquake.MQUAKE, 0, {"new_single_hops": []}, "zip"),
    (mquake.MQUAKE, 0, {"new_answer": 3}, "'new_answer' is of type int, not text"),
    (mquake.MQUAKE, 3, {"edit": {"statement": "It is so."}}, "'question' is missing"),
    (conflict.CONFLICT_EDIT, 0, {"edits": []}, "unpack"),
    (conflict.CONFLICT_EDIT, 0, {"type": "odd"}, "odd is no type of conflict"),
    (conflict.ROUND_EDIT, 0, {"true_objects": [{"id": "Q1"}]}, "'label' is missing"),
    (conflict.ROUND_EDIT, 0, {"edit": {}}, "is missing"),
]


@pytest.mark.parametrize(("family", "number", "change", "why"), BROKEN)
def test_a_broken_record_is_reported_with_its_reason(
    family: Benchmark, number: int, change: dict[str, Any], why: str, tmp_path: Path
) -> None:
    record = {key: value for key, value in {**records(family.name)[number], **change}.items() if value is not None}
    reading = read_one(family, record, tmp_path)
    assert len(reading.cases) == 1
    (malformed,) = reading.malformed
    assert malformed.number == 2
    assert why in malformed.why
