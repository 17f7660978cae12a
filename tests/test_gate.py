"""The gate: subject and relation evidence, on written edits and on the dialogues."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memedit import EditableLLM, EditMemory, Fact
from memedit.embedders import Embedder, default_embedder
from memedit.gate.reading import mention, read
from memedit.testing import FakeLLM
from memedit.text import words
from memedit.text.naming import split_statement, without_subject

pytestmark = pytest.mark.model
DIALOGUES = [json.loads(line) for line in (Path(__file__).parent / "data/dialogues.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def minilm() -> Embedder:
    return default_embedder()


def fires(embedder: Embedder, edit: str | Fact, prompt: object) -> bool:
    llm = EditableLLM(FakeLLM(), EditMemory(embedder=embedder))
    llm.edit(edit)
    return bool(llm.invoke(prompt).citations)


@pytest.mark.parametrize("prompt", ["What is the capital city of Australia?", "Tell me the capital of Austrailia."])
def test_in_other_words_it_may_be_in_doubt_and_a_capable_model_is_shown_it(minilm: Embedder, prompt: str) -> None:
    llm = EditableLLM(FakeLLM(), EditMemory(embedder=minilm))
    edit = llm.edit("The capital of Australia is Melbourne.").edit
    answer = llm.invoke(prompt)
    assert edit in (*answer.citations, *answer.trace.in_doubt)


@pytest.mark.parametrize(
    ("edit", "prompt"),
    [
        ("The CEO of Acme is Carol Diaz.", "Who is the CEO of Acme?"),
        ("The CEO of Acme is Carol Diaz.", "Who is Acme's CEO?"),
        ("The capital of Australia is Melbourne.", "What is the capital of Australia?"),
        ("The capital of Australia is Melbourne.", "What is the capital city of Australia?"),
        ("The capital of Australia is Melbourne.", "Tell me the capital of Austrailia."),
        ("Ines Aalto chairs the board of Norvik Shipping.", "Who chairs the board of Norvik Shipping?"),
    ],
)
def test_in_scope(minilm: Embedder, edit: str, prompt: str) -> None:
    assert fires(minilm, edit, prompt)


def test_what_shares_no_word_for_it_is_let_through(minilm: Embedder) -> None:
    llm = EditableLLM(FakeLLM(), EditMemory(embedder=minilm), doubt="leave")
    llm.edit("The CEO of Acme is Carol Diaz.")
    (hits,) = llm.invoke("who runs acme?").trace.lookups[:1]
    assert [one.edit.text for one in hits.verdicts if one.passed] == ["The CEO of Acme is Carol Diaz."]


@pytest.mark.parametrize(
    ("edit", "prompt"),
    [
        ("The CEO of Acme is Carol Diaz.", "Who is the CEO of Globex?"),
        ("The CEO of Acme is Carol Diaz.", "Where is Acme based?"),
        ("The CEO of Acme is Carol Diaz.", "Write a poem about autumn."),
        ("The CEO of Acme is Carol Diaz.", "Where was Carol Diaz born?"),
        ("The CEO of Acme is Carol Diaz.", "What does print('Acme'.upper()) give in Python?"),
        ("The capital of Australia is Melbourne.", "What is the capital of Austria?"),
        ("The capital of Australia is Melbourne.", "What is the currency of Australia?"),
    ],
)
def test_out_of_scope(minilm: Embedder, edit: str, prompt: str) -> None:
    assert not fires(minilm, edit, prompt)


def test_dialogues(minilm: Embedder) -> None:
    outcomes = []
    for line in DIALOGUES:
        messages = [{"role": role, "content": text} for role, text in line["turns"]]
        outcomes.append((line["in_scope"], fires(minilm, line["edit"], messages)))
    assert len(outcomes) >= 50
    missed = sum(wanted and not got for wanted, got in outcomes)
    false = sum(got and not wanted for wanted, got in outcomes)
    assert missed <= 0.2 * sum(wanted for wanted, _ in outcomes)
    assert false <= 2


def test_the_best_of_several_edits_of_one_subject_wins(minilm: Embedder) -> None:
    llm = EditableLLM(FakeLLM(), EditMemory(embedder=minilm))
    llm.edit_many(
        [
            Fact(subject="Velden", relation="P36", object="Orrin", prompt="The capital of {} is"),
            Fact(subject="Velden", relation="P38", object="the crown", prompt="The currency of {} is"),
        ]
    )
    answer = llm.invoke("What is the currency of Velden?")
    assert [edit.object for edit in answer.citations if isinstance(edit, Fact)] == ["the crown"]


def test_explain_gives_probability_and_reasons(minilm: Embedder) -> None:
    llm = EditableLLM(FakeLLM(), EditMemory(embedder=minilm))
    llm.edit("The CEO of Acme is Carol Diaz.")
    (hits,) = llm.explain("Who is the CEO of Acme?").trace.lookups
    (verdict,) = hits.verdicts
    assert verdict.passed
    assert 0.4 < verdict.probability <= 1
    assert verdict.reasons[0].startswith("as it reads, it answers it")
    assert 0 < verdict.numbers["similarity"] <= 1


@pytest.mark.parametrize(
    ("statement", "subjects"),
    [
        ("The CEO of Acme is Carol Diaz.", ("Acme",)),
        ("Our refund window is 30 days.", ("refund window",)),
        ("Ann Lee chairs Acme.", ("Ann Lee", "Acme")),
        ("The Tessaly Cup in 2019 was won by Sporting Alba.", ("Tessaly Cup",)),
        ("Correction: the refund window is 5 days.", ("refund window",)),
        ("nothing here", ()),
        ("北京的市长是李明。", ()),
    ],
)
def test_guess_subjects(statement: str, subjects: tuple[str, ...]) -> None:
    assert Fact(statement).names == subjects


def test_statements_come_apart() -> None:
    assert split_statement("The CEO of Acme is Carol Diaz.") == ("The CEO of Acme is", "Carol Diaz")
    assert split_statement("Bin day is Wednesday now.") == ("Bin day is", "Wednesday")
    assert split_statement("Acme makes anvils.") is None
    assert without_subject("The CEO of Acme is", ["Acme"]) == "The CEO of is"


@pytest.mark.parametrize(
    ("query", "name", "least", "most"),
    [
        ("Who runs Acme?", "Acme", 1, 1),
        ("Where was Beyoncé's sister born?", "Beyonce", 1, 1),
        ("Who runs Acme Robotiks?", "Acme Robotics", 0.9, 0.99),
        ("Where was Obama born?", "Barack Obama", 0.3, 0.7),
        ("Where is Route 6?", "Route 66", 0, 0.5),
        ("Who runs Globex?", "Acme", 0, 0),
    ],
)
def test_mention(query: str, name: str, least: float, most: float) -> None:
    named, _ = mention(read(query), words(name))
    assert least <= named <= most


@pytest.mark.parametrize(
    ("query", "longer"), [("Where is Acme Robotics based?", True), ("Acme. Robotics is fun", False)]
)
def test_a_name_that_goes_on(query: str, longer: bool) -> None:
    reading = read(query)
    at = reading.words.index("acme")
    assert reading.goes_on(at, at, [at + 1]) is longer
