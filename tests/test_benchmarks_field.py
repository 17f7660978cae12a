"""Readers of further benchmarks of the field, each on invented records of its form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memedit.edits import Behaviour, Fact
from memedit.eval.benchmarks.akew import AKEW
from memedit.eval.benchmarks.base import Benchmark, Reading, read
from memedit.eval.benchmarks.bios import BIAS_IN_BIOS
from memedit.eval.benchmarks.code_updates import CODE_UPDATE_ARENA
from memedit.eval.benchmarks.convsent import CONVSENT
from memedit.eval.benchmarks.craft import CRAFT
from memedit.eval.benchmarks.entailment import ENTAILMENT_BANK, LEAP_OF_THOUGHT
from memedit.eval.benchmarks.eva_kellm import EVA_KELLM
from memedit.eval.benchmarks.mlama import MLAMA
from memedit.eval.benchmarks.uniedit import UNIEDIT
from memedit.eval.cases import Case, Kind, Probe
from memedit.eval.overlap import Overlaps


@pytest.fixture
def told(tmp_path: Path) -> Any:
    """Reads invented records."""

    def reading(benchmark: Benchmark, *records: dict[str, Any]) -> Reading:
        path = tmp_path / "records.jsonl"
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
        return read(benchmark, [path])

    return reading


def asked(case: Case, kind: Kind) -> list[Probe]:
    return [one for one in case.probes if one.kind is kind]


def only(reading: Reading) -> Case:
    assert not reading.malformed
    (case,) = reading.cases
    return case


def test_convsent_edits_to_one_of_two_sentiments(told: Any) -> None:
    topics = [{"ent": f"Topic {n}", "pos": [f"I like {n}."], "neg": [f"I hate {n}."]} for n in range(8)]
    reading = told(CONVSENT, *topics, {"ent": "Empty", "pos": [], "neg": ["Bad."]})
    assert [one.why for one in reading.malformed] == ["one of the two sentiments has nothing said"]
    conducts = {one.edits[0].conduct for one in reading.cases}  # type: ignore[union-attr]
    assert conducts == {"speak of it with positive sentiment", "speak of it with negative sentiment"}
    for place, case in enumerate(reading.cases):
        edit = case.edits[0]
        assert isinstance(edit, Behaviour)
        judged, picked, *others = case.probes
        wanted = f"I {'like' if 'positive' in edit.conduct else 'hate'} {place}."
        assert (judged.form, picked.form, picked.answers) == ("judge", "pick", (wanted,))
        assert set(picked.choices) == {f"I like {place}.", f"I hate {place}."}
        assert [one.kind for one in others] == [Kind.PARAPHRASE] * 2


def test_a_biography_asks_for_the_occupation_of_all_there_are(told: Any) -> None:
    raw = "Ada Verne is a nurse. Ada works in a clinic."
    reading = told(
        BIAS_IN_BIOS,
        {"name": ["Ada", "", "Verne"], "title": "nurse", "raw": raw, "start_pos": 21, "gender": "F"},
        {"name": "Bo Lund", "title": "Software_Engineer", "bio": "Bo Lund writes programs.", "gender": "M"},
    )
    first, second = reading.cases
    assert first.edits[0].text == "Ada Verne: Ada works in a clinic."
    assert second.edits[0].text == "Bo Lund writes programs."
    assert first.probes[0].prompt == "Ada Verne has the occupation of"
    assert first.probes[0].answers == ("nurse",)
    assert first.probes[0].choices == ("nurse", "software engineer")
    assert first.probes[0].form == "pick"


def test_a_fact_is_edited_in_one_language_and_asked_in_the_others(told: Any) -> None:
    words = {"en": ("[X] is the capital of [Y].", "Rome", "Italy", "Paris", "France"),
             "de": ("[X] ist die Hauptstadt von [Y] .", "Rom", "Italien", "Paris", "Frankreich"),
             "ja": ("[Y]の首都は[X]です", "ローマ", "イタリア", "パリ", "フランス")}  # fmt: skip
    records = [
        {"predicate_id": "P1376", "language": language, "template": template, "sub_uri": uri, "obj_uri": f"of {uri}",
         "sub_label": subject, "obj_label": value}
        for language, (template, *names) in words.items()
        for uri, (subject, value) in {"Q220": names[:2], "Q90": names[2:]}.items()
    ]  # fmt: skip
    reading = told(MLAMA, *records)
    rome, paris = reading.cases
    fact = rome.edits[0]
    assert isinstance(fact, Fact)
    assert (fact.cloze, fact.object, fact.previous_object) == ("Rome is the capital of", "France", "Italy")
    (other,) = asked(rome, Kind.PORTABILITY)  # Japanese has its object in front
    assert (other.prompt, other.answers, other.rejected) == (
        "Rom ist die Hauptstadt von", ("Frankreich",), ("Italien",)
    )  # fmt: skip
    assert asked(paris, Kind.EFFICACY)[0].answers == ("Italy",)
    alone = told(MLAMA, records[0], records[1])
    assert not alone.cases


def test_leaves_of_a_proof_are_edits_and_distractors_are_not(told: Any) -> None:
    record = {
        "id": "Mercury_1", "question": "What does the moon do?", "answer": "reflect light",
        "hypothesis": "the moon reflects sunlight", "proof": "sent1 & sent3 -> hypothesis; ",
        "context": "sent1: the moon is a mirror sent2: cats purr sent3: mirrors reflect light",
        "meta": {"triples": {"sent1": "the moon is a mirror", "sent2": "cats purr", "sent3": "mirrors reflect light"}},
    }  # fmt: skip
    case = only(told(ENTAILMENT_BANK, record))
    assert [one.text for one in case.edits] == ["The moon is a mirror.", "Mirrors reflect light."]
    assert asked(case, Kind.MULTI_HOP)[0].answers == ("reflect light",)
    assert asked(case, Kind.LOGICAL)[0].prompt == "True or false: The moon reflects sunlight."
    broken = told(ENTAILMENT_BANK, record, record | {"proof": "int1 -> hypothesis"})
    assert [one.why for one in broken.malformed] == ["the proof has no leaf"]


def test_a_leap_has_its_rule_and_property_and_what_follows_or_not(told: Any) -> None:
    record = {
        "id": "1", "phrase": "a mustang can neigh", "context": "A horse can neigh.", "answer": 1,
        "metadata": {
            "separate_sentences": {"implicit_rule": "A mustang is a horse.", "property": "A horse can neigh."}
        },
    }  # fmt: skip
    case = only(told(LEAP_OF_THOUGHT, record))
    assert [one.text for one in case.edits] == ["A mustang is a horse.", "A horse can neigh."]
    assert asked(case, Kind.LOGICAL)[0].answers == ("true",)
    not_so = only(told(LEAP_OF_THOUGHT, record | {"answer": 0}))
    assert asked(not_so, Kind.LOGICAL)[0].answers == ("false",)
    assert asked(not_so, Kind.EFFICACY)[0].answers == ("true",)


def test_akew_edits_by_texts(told: Any) -> None:
    rewrite = {
        "prompt": "The mother tongue of {} is", "subject": "Ada Verne", "target_new": {"str": "Dutch"},
        "target_true": {"str": "French"}, "fact_new_uns": "Ada Verne grew up speaking Dutch at home.",
    }  # fmt: skip
    counterfact = {"case_id": 1, "requested_rewrite": rewrite, "paraphrase_prompts": ["Ada Verne spoke"],
                   "neighborhood_prompts": ["The mother tongue of Bo is"]}  # fmt: skip
    mquake = {"requested_rewrite": [rewrite, rewrite | {"subject": "Bo", "fact_new_uns": "Bo speaks Dutch."}],
              "questions": ["What language does Bo's friend speak?"], "new_answer": "Dutch"}  # fmt: skip
    wiki = {"requested_rewrite": {**rewrite, "question": "Which language is Ada's?", "prompt_full": "Ada Verne speaks"}}
    first, second, third = (only(told(AKEW, one)) for one in (counterfact, mquake, wiki))
    assert first.edits[0].text == "Ada Verne grew up speaking Dutch at home."
    assert [one.prompt for one in first.probes] == [
        "The mother tongue of Ada Verne is", "Ada Verne spoke", "The mother tongue of Bo is"
    ]  # fmt: skip
    assert (asked(first, Kind.NEIGHBOURHOOD)[0].answers, len(second.edits)) == (("French",), 2)
    assert asked(second, Kind.MULTI_HOP)[0].answers == ("Dutch",)
    assert [one.prompt for one in third.probes] == ["Ada Verne speaks", "Which language is Ada's?"]
    broken = told(AKEW, counterfact, {"requested_rewrite": {"subject": "x"}})
    assert len(broken.malformed) == 1


def test_uniedit_is_read_by_number_with_its_hops(tmp_path: Path) -> None:
    hop = {"prompt": "Velden lies on the", "target": "Rhine", "path": []}
    record = {
        "edit": {"prompt": "The river of Velden is the", "target": "Rhine", "subject": "Velden"},
        "generality": {
            "0": {"prompt": "Velden lies on the", "target": "Rhine", "path_type": "single", "one_hops": [hop]},
            "1": {"prompt": "The river of Velden flows into the", "target": "North Sea", "path_type": "single",
                  "one_hops": [hop, hop]},
            "2": {"prompt": "Velden's river is Basel's.", "target": "Yes", "path_type": "double",
                  "single_path1": {"one_hops": [hop]}, "single_path2": {"one_hops": [hop]}},
        },
        "locality": {"0": {"prompt": "The mayor of Velden is", "target": "Ada", "path_type": "single", "one_hops": []}},
    }  # fmt: skip
    file = tmp_path / "geography.json"
    file.write_text(json.dumps({"0": record, "7": record | {"edit": record["edit"] | {"target": "Seine"}}}))
    first, second = read(UNIEDIT, [file]).cases
    assert [one.prompt for one in asked(first, Kind.PARAPHRASE)] == ["Velden lies on the"]
    assert [one.prompt for one in asked(first, Kind.MULTI_HOP)] == [
        "The river of Velden flows into the", "Velden's river is Basel's. The answer is (Yes/No):"
    ]  # fmt: skip
    assert asked(first, Kind.LOCALITY)[0].answers == ("Ada",)
    assert second.edits[0].object == "Seine"  # type: ignore[union-attr]
    lone = tmp_path / "one.json"
    lone.write_text(json.dumps(record))
    (again,) = read(UNIEDIT, [lone]).cases
    assert (again.id, again.probes) == (first.id, first.probes)


def test_a_changed_function_is_an_edit_and_a_program_is_asked_for(told: Any) -> None:
    record = {
        "update": {
            "api_path": "itertools.dropwhile", "update_description": "Added a `count` parameter.",
            "update_docstring": "Drops `count` at most.", "update_type": "add-argument",
            "new_function_signature": "itertools.dropwhile(predicate, iterable, /, count=None)",
            "old_signature": "itertools.dropwhile(predicate,iterable,/):",
        },
        "prog_syn": {"scenario": "Ada has data.", "problem": "Drop some.", "solution_signature": "def f(data, most):"},
        "specific_update_id": "itertools.dropwhile/add-argument/update-0", "prog_syn_id": "one",
    }  # fmt: skip
    case = only(told(CODE_UPDATE_ARENA, record))
    assert case.edits[0].text.startswith("itertools.dropwhile has changed. Added a `count` parameter.")
    written, named = case.probes
    assert written.form == "judge"
    assert "def f(data, most):" in written.prompt
    assert (named.kind, named.answers) == (Kind.EFFICACY, ("count",))


def test_craft_pairs_figures_and_tells_times_apart(told: Any) -> None:
    record = {
        "case_id": "1", "subject": ["云杉公司的总资产（亿元）"] * 2, "target_new": ["18.12", "21.40"],
        "prompt": ["2024年云杉公司的总资产（亿元）是多少？", "2023年云杉公司的总资产（亿元）是多少？"],
        "portability": {
            "Subject_Aliasing": [
                {"prompt": "2024年云杉公司的Total Assets是多少？", "ground_truth": ["18.12"]},
                {"prompt": "2023年云杉公司的Total Assets是多少？", "ground_truth": ["21.40"]},
            ],
            "Reasoning": [{"prompt": "2024年云杉公司的总资产同比（%）是多少？", "ground_truth": ["-15.3"]}],
        },
        "locality": {
            "Relation_Specificity": [
                {"prompt": "2022年云杉公司的总资产是多少？", "ground_truth": ["24.11"]},
                {"prompt": "2025年云杉公司的总资产是多少？", "ground_truth": ["未知"]},
            ],
            "common_sense": [{"prompt": "问题：天是？\n选项：\nA. 蓝\nB. 绿\n", "ground_truth": ["A"]}],
        },
    }  # fmt: skip
    case = only(told(CRAFT, record))
    assert [(fact.question, fact.object) for fact in case.edits] == [  # type: ignore[union-attr]
        (record["prompt"][0], "18.12"), (record["prompt"][1], "21.40")
    ]  # fmt: skip
    assert [one.answers for one in asked(case, Kind.EFFICACY)] == [("18.12",), ("21.40",)]
    assert [one.answers for one in asked(case, Kind.ALIAS)] == [("18.12",), ("21.40",)]
    (both,) = asked(case, Kind.PORTABILITY)
    assert (both.answers, both.form, len(both.rests_on)) == (("-15.3",), "number", 2)
    (earlier,) = asked(case, Kind.SAME_SUBJECT)  # what is unknown as yet is not asked
    assert (earlier.answers, earlier.rejected, earlier.relation) == (("24.11",), ("18.12", "21.40"), "2022年")
    (picked,) = asked(case, Kind.LOCALITY)
    assert (picked.answers, picked.choices, picked.form) == (("A",), ("A", "B"), "choice")
    assert Overlaps([case]).why_not(case, earlier) is None
    other = only(told(CRAFT, record | {"prompt": [text.replace("202", "201") for text in record["prompt"]]}))
    assert Overlaps([case, other]).why_not(case, earlier) is None  # the same figure of other times
    edited = replace(earlier, prompt=record["prompt"][1], relation="2023年")
    assert "an edit answers it" in str(Overlaps([case, other]).why_not(other, edited))
    broken = told(CRAFT, record, record | {"target_new": ["1"]})
    assert len(broken.malformed) == 1


def test_eva_kellm_edits_by_documents_and_asks_in_both_languages(tmp_path: Path) -> None:
    english, chinese = ({"id": 7, "original_target": old, "altered_target": new}
                        for old, new in (("French", "Dutch"), ("法语", "荷兰语")))  # fmt: skip
    success = english | {"query": "Ada Verne speaks", "paraphrase_query": ["It rained. Ada Verne spoke"]}
    files = {
        "en_doc": {"data": [{"id": 7, "src": "Ada Verne grew up with Dutch."}, {"id": 8, "src": "Bo is a pope."}]},
        "edit_success_eval": {"data": [success]},
        "locality_eval": [english | {"query": ["Bo speaks"]}],
        "reasoning_eval": {"data": [
            {"id": 7, "src": ":Does Ada Verne speak a language of Belgium?", "additional_info": "", "label": "True"},
            {"id": 8, "src": "Is Bo a layman?", "additional_info": "", "label": "False"},
        ]},
        "crosslingual_zh_doc": {"data": [{"id": "7", "src": "艾达说荷兰语。"}]},
        "cross_zh_eval": {"data": [chinese | {"query": ["艾达说"]}]},
        "cross_en_eval": {"data": [english | {"query": ["Ada is of"]}]},
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    reading = read(EVA_KELLM, [tmp_path / f"{name}.json" for name in files])
    assert not reading.malformed
    ada, pope, other = reading.cases
    assert ada.edits[0].text == "Ada Verne grew up with Dutch."
    assert [(one.kind, one.prompt, one.answers) for one in ada.probes] == [
        (Kind.EFFICACY, "Ada Verne speaks", ("Dutch",)),
        (Kind.PARAPHRASE, "It rained. Ada Verne spoke", ("Dutch",)),
        (Kind.NEIGHBOURHOOD, "Bo speaks", ("French",)),
        (Kind.MULTI_HOP, "Does Ada Verne speak a language of Belgium? Answer yes or no.", ("yes", "true")),
        (Kind.PORTABILITY, "艾达说", ("荷兰语",)),
    ]
    assert [(one.answers, one.rejected) for one in pope.probes] == [(("no", "false"), ("yes", "true"))]
    assert [one.prompt for one in other.probes] == ["Ada is of"]
