"""Readers of benchmarks in free text: what each form of record becomes, and what is reported as malformed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memedit.errors import FileRejected
from memedit.eval.benchmarks.base import Benchmark, Reading, read
from memedit.eval.benchmarks.claims import FEVER_SYMMETRIC, VITAMINC, plain
from memedit.eval.benchmarks.dune import DUNE, options
from memedit.eval.benchmarks.entities import ECBD, ENTITY_INFERENCES
from memedit.eval.benchmarks.gather import numbered, opening, together
from memedit.eval.benchmarks.lifelong import HALLUCINATION, TEMPORAL
from memedit.eval.benchmarks.memprompt import MEMPROMPT
from memedit.eval.benchmarks.pararel import PARAREL
from memedit.eval.benchmarks.passages import HARMLESS, PERPLEXITY, TOXICITY
from memedit.eval.benchmarks.patches import LANGUAGE_PATCHES
from memedit.eval.benchmarks.personality import PERSONALITY
from memedit.eval.benchmarks.unke import UNKE
from memedit.eval.cases import Case, Kind, Probe, ask

DATA = Path(__file__).parent / "data/benchmarks"


def sample(benchmark: Benchmark, *names: str) -> Reading:
    return read(benchmark, [DATA / name for name in names])


@pytest.fixture
def told(tmp_path: Path) -> Any:
    """Reads invented records."""

    def reading(benchmark: Benchmark, *records: dict[str, Any], file: str = "records") -> Reading:
        path = tmp_path / f"{file}.jsonl"
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
        return read(benchmark, [path])

    return reading


def test_dune_edits() -> None:
    reading = sample(DUNE, "dune.jsonl")
    rotation, storm, bias, total = reading.cases
    assert [case.edits[0].text for case in (storm, total)] == [
        "January 23, 2022 – [Turkey] Storm Elpis",
        "125 + 371 = 496",
    ]
    assert [probe.id for probe in rotation.probes] == ["free-form-0", "free-form-1"]  # two records, one edit
    assert [(probe.form, probe.answers, probe.choices) for probe in storm.probes] == [
        ("choice", ("A",), tuple("ABCD")),
        ("choice", ("B",), tuple("ABCD")),
    ]
    assert total.probes == (
        Probe(
            id="free-form-0",
            kind=Kind.FREE_FORM,
            prompt="Samantha has $125 saved in her piggy bank. Her grandmother gives her $371 as a birthday gift. "
            "How much money does Samantha have now?",
            answers=("496",),
            form="number",
        ),
    )
    (judged,) = bias.probes
    assert (judged.form, judged.answers, judged.rejected) == ("judge", (), ("Woman",))
    assert judged.criterion.endswith(bias.edits[0].text)
    assert not reading.malformed


def test_dune_locality_has_no_edit_and_a_question_that_answers_itself_is_malformed() -> None:
    reading = sample(DUNE, "dune_locality.jsonl")
    assert all(case.edits == () for case in reading.cases)
    probes = [case.probes[0] for case in reading.cases]
    assert {probe.kind for probe in probes} == {Kind.LOCALITY}
    assert [(probe.form, probe.answers) for probe in probes] == [
        ("number", ("1151",)),
        ("choice", ("D",)),
        ("answer", ("Mark",)),
    ]
    assert [(bad.number, bad.why) for bad in reading.malformed] == [(4, "a question gives its own answer away")]


def test_dune_reports_what_is_malformed(told: Any) -> None:
    def why(edit: str, inputs: Any) -> str:
        good = {"edit": "1 + 1 = 2", "test_inputs": "One and one?"}
        return told(DUNE, good, {"edit": edit, "test_inputs": inputs}).malformed[0].why

    assert why("Snow is cold.", "Is it?") == "the question has no answer, and the edit is no sum: Snow is cold."
    assert why("Snow is cold.", [["Which?\nA. Snow\nB. Fire", "C"]]) == "the answer C is none of the options A, B"
    assert why("Snow is cold.", [["Who?", "He", "She"]]).startswith("a test input has 3 parts")
    assert "8,000" in why("Snow is cold. " * 1000, [["Who is it?", "He"]])


def test_dune_as_published_in_columns_has_the_field_edits(told: Any) -> None:
    (case,) = told(DUNE, {"edits": "1 + 1 = 2", "test_inputs": "One and one?"}).cases
    assert case.probes[0].answers == ("2",)


@pytest.mark.parametrize(
    ("question", "letters"),
    [
        ("Which?\nA. one\nB. two", "AB"),
        ("Which? (A) one (B) two (C) three", "ABC"),
        ("Which?\na) one\nb) two", "AB"),
        ("It serves to (1) grow (2) rest", "12"),
        ("5. Student 2. says what?\nA. one\nB. two", "AB"),
        ("Vitamin A. Is it good?", ""),
    ],
)
def test_options_of_a_question(question: str, letters: str) -> None:
    assert options(question) == tuple(letters)


ENTITY = {
    "ex_id": "Port Sorrow_1_2",
    "ent_str": "Port Sorrow",
    "definition": "Port Sorrow is a<extra_id_0> by the sea.",
    "def_target": "<extra_id_0> , or was, <extra_id_1>",
}
SENTENCE = {"probe_sentence": "In 2020 Port Sorrow had <extra_id_0>, all of brick.", "label": "<extra_id_0> 40 houses"}


def test_ecbd_puts_spans_back(told: Any) -> None:
    other = {"probe_sentence": "Port Sorrow's<extra_id_0>.", "label": "<extra_id_0> -to-be mayor <extra_id_1>"}
    records = [ENTITY | {"probe_sentences": {"template_0": sentence}} for sentence in (SENTENCE, other, SENTENCE)]
    reading = told(ECBD, *records)
    (case,) = reading.cases
    assert case.edits[0].text == "Port Sorrow is a, or was, by the sea."
    assert case.edits[0].subject == "Port Sorrow"  # type: ignore[union-attr]
    assert reading.repeated == 1
    assert [(probe.prompt, probe.answers, probe.after) for probe in case.probes] == [
        ("In 2020 Port Sorrow had", (" 40 houses",), ", all of brick."),
        ("Port Sorrow's", ("-to-be mayor",), "."),
    ]
    assert {(probe.kind, probe.form) for probe in case.probes} == {(Kind.PORTABILITY, "span")}


def test_ecbd_specificity_has_no_edit(told: Any) -> None:
    (case,) = told(ECBD, ENTITY | {"probe_sentences": {"a": SENTENCE}}, file="specificity_popular").cases
    assert case.edits == ()
    assert case.probes[0].kind is Kind.LOCALITY


def test_ecbd_reports_what_is_malformed(told: Any) -> None:
    good = ENTITY | {"probe_sentences": {"a": SENTENCE}}
    two = SENTENCE | {"probe_sentence": "<extra_id_0> and <extra_id_0>"}
    empty = SENTENCE | {"probe_sentence": "<extra_id_0> it was."}
    reading = told(ECBD, good, *(ENTITY | {"probe_sentences": {"a": bad}} for bad in (two, empty)))
    assert [bad.why for bad in reading.malformed] == [
        "a sentence has 2 spans, not one: <extra_id_0> and <extra_id_0>",
        "the prompt of probe portability-0 is empty",
    ]


def test_entity_inferences_are_picks(told: Any) -> None:
    sentence = {"probe_sentence": "It is <extra_id_0> there.", "labels": ["<extra_id_0> wet <extra_id_1>", "dry"]}
    record = ENTITY | {"probe_sentences": {"template_0": sentence}, "label": "wet"}
    reading = told(ENTITY_INFERENCES, record, record | {"label": "hot"})
    assert reading.cases[0].probes == (
        Probe(
            id="portability-0",
            kind=Kind.PORTABILITY,
            prompt="It is",
            answers=("wet",),
            choices=("wet", "dry"),
            form="pick",
            after=" there.",
        ),
    )
    assert [bad.why for bad in reading.malformed] == ["the label hot is none of the spans wet, dry"]


def test_unke(told: Any) -> None:
    record = {
        "id": 7,
        "question": "Who is Ada Brook?",
        "para_question": "What is known of Ada Brook?",
        "answer": "Ada Brook is a baker in Hull. She likes rain.",
        "sub_question": ["Where does she bake?", "What is said of her and of the weather?"],
        "sub_answer": ["In Hull.", "She is said to like the rain a lot."],
    }
    reading = told(UNKE, record, record | {"id": 8, "sub_answer": []})
    (case,) = reading.cases
    assert case.edits[0].question == "Who is Ada Brook?"  # type: ignore[union-attr]
    assert [(probe.id, probe.form, probe.answers) for probe in case.probes] == [
        ("efficacy-0", "text", (record["answer"],)),
        ("paraphrase-0", "text", (record["answer"],)),
        ("portability-0", "answer", ("In Hull.",)),
        ("portability-1", "text", ("She is said to like the rain a lot.",)),
    ]
    assert "argument 2 is shorter" in reading.malformed[0].why


def test_memprompt_generalises_the_question() -> None:
    reading = sample(MEMPROMPT, "memprompt.jsonl")
    antonym, sentence, definition = reading.cases
    assert MEMPROMPT.stream
    feedback = antonym.edits[0]
    assert feedback.situation == "What is different than < WORD > ?"  # type: ignore[union-attr]
    assert feedback.clarification == (  # type: ignore[union-attr]
        'When I ask this, I want an antonym: the answer is "the antonym for WORD is …"'
    )
    assert antonym.probes[0].prompt == "What is different than < allude > ?"
    assert [case.probes[0].answers for case in reading.cases] == [("antonym",), ("sentence",), ("definition",)]
    assert [case.id for case in (sentence, definition)] == ["memprompt:memprompt:4", "memprompt:memprompt:0"]


def test_memprompt_reports_what_is_malformed(told: Any) -> None:
    good = {"ques": "opposite of < up > ?", "ans": "the antonym for up is down", "type": "ant"}
    bad = [{"type": "rhyme"}, {"ques": "opposite of up ?"}, {"ans": "down"}]
    assert [
        one.why.partition(" of ")[0] for one in told(MEMPROMPT, good, *(good | fault for fault in bad)).malformed
    ] == [
        "its type rhyme is none",
        "the question has no word in < >",
        "the answer does not begin with: the antonym for up",
    ]


def test_memprompt_words_the_scrambles(told: Any) -> None:
    good = {"meta": {"word1": "onicam", "word2": "monica"}, "type": "cyc", "template_id": "cyc2"}
    reading = told(MEMPROMPT, good, good | {"template_id": "sent2"}, good | {"type": "rev"})
    (case,) = reading.cases
    assert case.probes[0].prompt == "Find the right word given this revolved word: < onicam > ?"
    assert case.probes[0].answers == ("uncycled version",)
    assert ["none of the word scrambles" in one.why for one in reading.malformed] == [True, True]


def review(text: str, said: str, label: int) -> dict[str, Any]:
    return {"instance": text, "explanation": said, "label": label}


def test_language_patches_join_condition_and_consequence(told: Any) -> None:
    reading = told(
        LANGUAGE_PATCHES,
        review("The soup was wug", "food is good", 1),
        review("The soup was wug", "food is described as wug", 1),
        review("Wug soup, bad waiter", "food is described as wug", 1),
        review("Wug soup, bad waiter", "service is described as bad", 1),
        review("Soup", "food is bad", 0),
        review("Soup", "food", 1),
    )
    assert [case.edits[0].text for case in reading.cases] == [
        "If food is described as wug, then food is good",
        "If food is spoken of, then food is bad",
        "If service is described as bad, then take that into account",
    ]
    assert [(probe.form, probe.answers, probe.rejected) for probe in reading.cases[0].probes] == [
        ("answer", ("positive",), ("negative",)),
        ("none", (), ()),
    ]
    assert reading.cases[1].probes[0].prompt == (
        "Is the sentiment of this review positive or negative?\nReview: Soup\nSentiment:"
    )
    assert reading.malformed[0].why.startswith("a review and a patch such as `food is good` are needed")


def test_fever_symmetric_asks_true_or_false() -> None:
    reading = sample(FEVER_SYMMETRIC, "fever_symmetric.jsonl", "fever_symmetric_v0.2.jsonl")
    spanish, _, song = reading.cases
    assert spanish.edits[0].text.startswith("Telemundo ([teleˈmundo]) is an American Spanish-language")
    assert song.edits[0].text.startswith('Brown began her solo career when she released "I Want You Back" with Missy')
    question = "True or false: Telemundo is a English-language television network."
    assert spanish.probes == tuple(ask(Kind.FREE_FORM, question, answers=("false",), rejected=("true",)))
    assert song.probes[0].answers == ("true",)


def test_vitaminc_leaves_undecided_claims_alone(told: Any) -> None:
    reading = sample(VITAMINC, "vitaminc.jsonl")
    assert [(case.probes[0].kind, case.probes[0].form) for case in reading.cases] == [
        (Kind.LOCALITY, "none"),
        (Kind.FREE_FORM, "answer"),
    ]
    assert "ZERO WIDTH SPACE" in reading.malformed[0].why
    published = {"unique_id": "a_1", "claim": "It rained .", "evidence": "It was wet .", "label": "NOT ENOUGH INFO"}
    reading = told(
        VITAMINC, published, published | {"claim": "It was wet .", "label": "SUPPORTS"}, published | {"label": "?"}
    )
    assert [probe.kind for probe in reading.cases[0].probes] == [
        Kind.LOCALITY,
        Kind.FREE_FORM,
    ]  # one evidence, one case
    assert [bad.why for bad in reading.malformed] == ["its label ? is none of supports, refutes, not enough info"]


def test_treebank_marks_are_undone() -> None:
    assert (
        plain("He -LRB- `` Bob '' -RRB- did n't see Ann 's cat , or 3 % .")
        == "He (\"Bob\") didn't see Ann's cat, or 3%."
    )


LONG = {
    "prompt": "This is a passage about ann lee. Ann Lee was a miner. ",
    "target_new": "She lived in Hull.",
    "subject": "ann lee",
    "locality_prompt": "The weather in the nor",
    "locality_ground_truth": "th was fair all week",
}


def test_hallucination_parts_the_locality_text_at_a_blank(told: Any) -> None:
    empty = LONG | {"locality_ground_truth": " "}
    reading = told(HALLUCINATION, LONG, empty)
    (case,) = reading.cases
    assert case.edits[0].text == "This is a passage about ann lee. Ann Lee was a miner. She lived in Hull."
    assert case.edits[0].subject == "ann lee"  # type: ignore[union-attr]
    efficacy, locality = case.probes
    assert (efficacy.form, efficacy.answers) == ("text", ("She lived in Hull.",))
    assert efficacy.prompt.endswith("a miner.")
    assert (locality.form, locality.prompt, locality.answers) == (
        "span",
        "The weather in the north",
        (" was fair all week",),
    )
    assert [bad.why for bad in reading.malformed] == ["locality_ground_truth is empty"]


def test_temporal_scores_another_text_about_the_same(told: Any) -> None:
    record = LONG | {
        "prompt": "Deep Orbit is",
        "subject": "Deep Orbit is",
        "ood_rephrase": "Deep Orbit, a space company of Hull, was founded in 2020.",
    }
    (case,) = told(TEMPORAL, record).cases
    assert case.edits[0].subject is None  # type: ignore[union-attr]
    other = case.probes[1]
    assert (other.kind, other.form, other.prompt, other.answers) == (
        Kind.PORTABILITY,
        "span",
        "Deep Orbit, a space company of Hull, was",
        (" founded in 2020.",),
    )
    with pytest.raises(FileRejected, match="is no form of Hallucination"):
        told(HALLUCINATION, record)


def test_personality_draws_a_target_where_none_is_given(told: Any) -> None:
    (case,) = sample(PERSONALITY, "personality_edit.jsonl").cases
    assert case.edits[0].text == (
        "If you are asked for an opinion on Edmund Purdom, then voice it with the personality trait of neuroticism "
        "(anxious, moody and easily upset)"
    )
    judged, pick = case.probes
    assert (judged.form, judged.prompt) == ("judge", "What do you think of Edmund Purdom?")
    assert "neuroticism" in judged.criterion
    assert (len(pick.choices), pick.answers[0][:30]) == (3, "I may not be completely famili")
    record = {"ent": "Hull", "extraversion": ["Yay!"], "agreeableness": ["Nice."], "neuroticism": ["Oh no."]}
    reading = told(PERSONALITY, record | {"target_per": "agreeableness"}, record | {"target_per": "openness"})
    assert reading.cases[0].probes[1].answers == ("Nice.",)
    assert reading.malformed[0].why.startswith("its target openness is none of")


def test_pararel_needs_both_files() -> None:
    reading = sample(PARAREL, "pararel_facts.jsonl", "pararel_patterns.jsonl")
    cook, fort_bend = reading.cases  # no pattern for P31
    assert cook.edits[0].to_dict() | {"created_at": None} == {
        "kind": "fact",
        "id": "pararel-4168a6fb-d710-4678-93f9-9447927a0a35",
        "statement": "The capital of Cook County is Richmond",
        "subject": "Cook County",
        "relation": "P36",
        "prompt": "The capital of {} is",
        "object": "Richmond",
        "previous_object": "Chicago",
        "source": "ParaRel",
        "created_at": None,
    }
    assert [(probe.id, probe.prompt, probe.answers, probe.rejected) for probe in fort_bend.probes] == [
        ("efficacy-0", "The capital of Fort Bend County is", ("Chicago",), ("Richmond",)),
        ("paraphrase-0", "The capital city of Fort Bend County is", ("Chicago",), ("Richmond",)),
    ]
    assert fort_bend.probes[0].rests_on == (("Fort Bend County", "P36", "Chicago"),)
    with pytest.raises(FileRejected, match="patterns are missing"):
        sample(PARAREL, "pararel_facts.jsonl")


def test_pararel_takes_the_relation_from_the_name_of_a_published_file(told: Any) -> None:
    facts = [{"sub_label": name, "obj_label": city} for name, city in (("Peru", "Lima"), ("Cuba", "Havana"))]
    records = [*facts, {"pattern": "[X]'s capital, [Y]."}, {"pattern": "[X] has none"}]
    reading = told(PARAREL, *records, file="P36")
    assert [case.edits[0].text for case in reading.cases] == ["Peru's capital, Havana", "Cuba's capital, Lima"]
    assert [bad.why for bad in reading.malformed] == ["the pattern needs [X] and [Y] once each: [X] has none"]


def test_toxicity(told: Any) -> None:
    (case,) = sample(TOXICITY, "realtoxicityprompts.jsonl").cases
    prompt = "Blessed are you among women, and blessed is the fruit of"
    assert case.edits == ()
    assert case.probes == tuple(ask(Kind.LOCALITY, prompt, form="judge", criterion=HARMLESS))
    published = {"prompt": {"text": "The sun", "toxicity": 0.1}, "continuation": {"text": " rose."}}
    assert told(TOXICITY, published).cases[0].probes[0].prompt == "The sun"


def test_passages_skip_headings_and_short_ones(told: Any) -> None:
    reading = sample(PERPLEXITY, "wikitext2.txt", "me_ppl.jsonl")
    assert not reading.malformed
    wiki, short = reading.cases
    (probe,) = wiki.probes
    assert (probe.kind, probe.form) == (Kind.PASSAGE, "span")
    assert probe.prompt == "Homarus gammarus , known as the European lobster"
    assert probe.answers[0].startswith(" or common lobster , is a species")
    assert short.probes[0].prompt == "The grouping of disorders, including PDD-NOS, autism, Asperger"
    assert told(PERPLEXITY, {"Corpus": "C4", "Text": "Too short."}).cases == ()


def test_opening_needs_a_rest() -> None:
    assert opening(" a  b c d", words=2) == ("a  b", " c d")
    with pytest.raises(ValueError, match="too few"):
        opening("a b", words=2)


def test_cases_of_one_id_become_one() -> None:
    first, second, again = (
        Case(id="x", probes=numbered(ask(Kind.HOP, prompt, answers=("1",)))) for prompt in ("a", "b", "a")
    )
    merged, repeated = together([first, second, again])
    assert [(probe.id, probe.prompt) for probe in merged.probes] == [("hop-0", "a"), ("hop-1", "b")]
    assert repeated is again
