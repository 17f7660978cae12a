"""Multi-hop questions: how they are read, and the walk along their hops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from memedit import EditableLLM, EditMemory, Erasure, Fact
from memedit.gate import Hits, Verdict
from memedit.gate.port import Role
from memedit.llms import Capability, Likelihood
from memedit.memory import Recalled
from memedit.messages import Request
from memedit.methods.multihop import multihop
from memedit.multihop.asking import answer_in
from memedit.multihop.lessons import lessons
from memedit.multihop.naming import name_in
from memedit.multihop.planning import plan_in, written
from memedit.multihop.reading import asked_kind, read_hops
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

READ = [
    ("Who is the CEO of Acme?", "Acme", ["the CEO of {}"]),
    ("Where was Ann Lee born?", "Ann Lee", ["Where was {} born?"]),
    (
        "Which currency is used where Acme's headquarters are?",
        "Acme",
        ["the headquarters of {}", "Which currency is used in {}?"],
    ),
    (
        "Which currency is used where Acme has its headquarters?",
        "Acme",
        ["the place where {} has its headquarters", "Which currency is used in {}?"],
    ),
    (
        "Who is the head of state of the country where Ann Lee holds citizenship?",
        "Ann Lee",
        ["the country where {} holds citizenship", "the head of state of {}"],
    ),
    (
        "What is the capital of the country of citizenship of the author of “Misery”?",
        "Misery",
        ["the author of {}", "the country of citizenship of {}", "the capital of {}"],
    ),
    (
        "Where did the founder of Ann Lee's religion work?",
        "Ann Lee",
        ["the religion of {}", "the founder of {}", "Where did {} work?"],
    ),
    (
        "Which city is the capital of the country that the company that made Falcon belongs to?",
        "Falcon",
        ["the company that made {}", "the country that {} belongs to", "the capital of {}"],
    ),
    (
        "On what continent is the country where Ann Lee is a citizen located?",
        "Ann Lee",
        ["the country where {} is a citizen", "On what continent is {} located?"],
    ),
    (
        "The language of the country of citizenship of Ann Lee is",
        "Ann Lee",
        ["the country of citizenship of {}", "The language of {}"],
    ),
    ("The CEO of Acme is named what?", "Acme", ["The CEO of {}"]),
    ("The law in Ghana declares the language", "Ghana", ["The law in {} declares the language"]),
    ("The headquarter of Acme is located in", "Acme", ["The headquarter of {} is located in"]),
    ("Which country does the sports team Rovers come from?", "Rovers", ["Which country does {} come from?"]),
    (
        "The country to which Ann Lee belongs has which capital?",
        "Ann Lee",
        ["The country to which {} belongs", "{} has which capital?"],
    ),
    (
        "In which city is the headquarters of Ann Lee's broadcaster's owner located?",
        "Ann Lee",
        ["the broadcaster of {}", "the owner of {}", "the headquarters of {}"],
    ),
    (
        "In which city is the capital of the country where the sport, linked with Ann Lee's occupation, originated?",
        "Ann Lee",
        ["the occupation of {}", "the sport linked with {}", "the country where {} originated", "the capital of {}"],
    ),
    (
        "Which city, in the country where Rovers was first established, is its capital?",
        "Rovers",
        ["the country where {} was first established", "Which city, in {} is its capital?"],
    ),
    (
        "Which language does the wife of the Misery author speak?",
        "Misery",
        ["the author of {}", "the wife of {}", "Which language does {} speak?"],
    ),
    ("Which city is the headquarter of Acme located in?", "Acme", ["the headquarter of {}"]),
    ("Which country is the origin of Acme?", "Acme", ["the origin of {}"]),
    ("In which city is the owner of Acme located?", "Acme", ["the owner of {}", "In which city is {} located?"]),
    ("Which continent is the country of Acme?", "Acme", ["the country of {}", "Which continent is {}?"]),
    ("The league of the team that Ann Lee plays for is", "Ann Lee", ["the team that {} plays for", "The league of {}"]),
    ("The official language of the country Ghana is", "Ghana", ["The official language of {}"]),
    (
        "The name of the continent which the country Acme is associated with is part of is",
        "Acme",
        ["the country {} is associated with", "the continent which {} is part of"],
    ),
    (
        "What is the currency of the country the Blue Lodge is associated with?",
        "Blue Lodge",
        ["the country {} is associated with", "the currency of {}"],
    ),
    (
        "Which continent is the country that Acme is associated with part of?",
        "Acme",
        ["the country that {} is associated with", "Which continent is {} part of?"],
    ),
    (
        "Which city is the firm that Ann Lee owns based in?",
        "Ann Lee",
        ["the firm that {} owns", "Which city is {} based in?"],
    ),
    (
        "In which city is the capital of the country where the sport Ann Lee played in was first played?",
        "Ann Lee",
        ["the sport {} played in", "the country where {} was first played", "the capital of {}"],
    ),
    (
        "From which language does the word that the firm Ann Lee owns uses come?",
        "Ann Lee",
        ["the firm {} owns", "the word that {} uses", "From which language does {} come?"],
    ),
    (
        "What is the origin of the sport which Rovers is a part of?",
        "Rovers",
        ["the sport which {} is a part of", "the origin of {}"],
    ),
    ("Can you name the capital of Ghana?", "Ghana", ["the capital of {}"]),
    (
        "Name the founder of the religion followed by Ann Lee.",
        "Ann Lee",
        ["the religion followed by {}", "the founder of {}"],
    ),
    (
        "Who holds the office of mayor of the city hosting the Rovers?",
        "Rovers",
        ["the city hosting {}", "the mayor of {}"],
    ),
    (
        "Who leads the country whose citizenship Ann Lee holds?",
        "Ann Lee",
        ["the country whose citizenship {} holds", "Who leads {}?"],
    ),
    (
        "Where was the person who founded the firm that Ann Lee worked for born?",
        "Ann Lee",
        ["the firm that {} worked for", "the person who founded {}", "Where was {} born?"],
    ),
    (
        "In what language do they conduct business in the country that invented the sport Ann Lee plays?",
        "Ann Lee",
        ["the sport {} plays", "the country that invented {}", "In what language do they conduct business in {}?"],
    ),
    (
        "What is the location of the headquarters of the company responsible for developing 'The Falcon'?",
        "The Falcon",
        ["the company responsible for developing {}", "the headquarters of {}"],
    ),
    (
        "Who is the director / manager of the organizing country of the Nile Cup?",
        "Nile Cup",
        ["the organizing country of {}", "the director/manager of {}"],
    ),
    ("The name of the father in law of Ann Lee is", "Ann Lee", ["the father-in-law of {}"]),
]


@pytest.mark.parametrize(("question", "name", "hops"), READ)
def test_reading(question: str, name: str, hops: list[str]) -> None:
    assert list(read_hops(question, name)) == hops


def test_what_is_not_read() -> None:
    assert read_hops("Who is the CEO?", "Acme") == ()
    assert read_hops("Who is the CEO?", "") == ()
    assert read_hops("word " * 200 + "Acme", "Acme") == ()


@pytest.mark.parametrize(
    "question", ["", "?", "Acme", "Acme's", "Acme's Acme of the", "of the where Acme", "the {} of Acme {}"]
)
def test_no_question_breaks_the_reading(question: str) -> None:
    assert all("{}" in hop for hop in read_hops(question, "Acme"))


def test_kinds() -> None:
    assert asked_kind("On which continent is Oslo?") == "continent"
    assert asked_kind("Which person is it?") is None


def hits(query: str, *facts: Fact) -> Hits:
    return Hits(query, tuple(Verdict(fact, 0.0, passed=False) for fact in facts))


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("Who owns the maker of “Falcon Heavy”?", "Falcon Heavy"),
        ("Which country does the owner of acme come from?", "acme"),
        ("Where does the CEO of Globex Corp live?", "Globex Corp"),
        ("Where does Acme Hardware's CEO live?", "Acme Hardware"),
        ("where is it?", None),
    ],
)
def test_the_name_it_starts_from(query: str, name: str | None) -> None:
    assert name_in(query, hits(query, Fact(subject="Acme", relation="CEO", object="Eve Moss"))) == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Diyarbakır", "DIYARBAKIR"),
        ("İzmir", "izmir"),
        ("Straße", "STRAßE"),
        ("o'neil & co. (uk)", "O'Neil & Co. (UK)"),
    ],
)
def test_a_name_is_found_in_whatever_case_it_stands(name: str, said: str) -> None:
    query = f"what is the mayor of {said} called?"
    assert name_in(query, hits(query, Fact(subject=name, relation="mayor", object="Eve Moss"))) == said
    assert name_in(query, hits(query, Fact(subject=name[:3], relation="mayor", object="Eve Moss"))) != said[:3]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" Oslo\n", "Oslo"),
        ("“Oslo”.", "Oslo"),
        ("unknown", None),
        ("I don't know that.", None),
        ("", None),
        ("x" * 500, None),
    ],
)
def test_the_answer_in_what_a_model_says(text: str, answer: str | None) -> None:
    assert answer_in(text) == answer


class Small(FakeLLM):
    kind = "instruct"


class Doubting(NamedGate):
    """Lets through what the query names, as lying on the way where it asks for several; finds nothing impossible."""

    def decide(self, recalled: Recalled) -> list[Verdict]:
        several = recalled.query.count(" of ") > 1 or " where " in recalled.query
        role: Role = "bridge" if several else "direct"
        return [replace(one, probability=max(one.probability, 0.1), role=role) for one in super().decide(recalled)]


def editable(llm: FakeLLM, *, models: dict[str, FakeLLM] | None = None, **options: Any) -> EditableLLM:
    memory = EditMemory(embedder=HashEmbedder())
    return EditableLLM(llm, memory, gate=Doubting(), method=multihop(**options), models=models)


class Literal(NamedGate):
    """Lets through what names the subject and, word for word, the relation."""

    def decide(self, recalled: Recalled) -> list[Verdict]:
        verdicts = super().decide(recalled)
        return [
            one
            if isinstance(one.edit, Fact) and str(one.edit.relation) in recalled.query
            else replace(one, probability=0.0, passed=False)
            for one in verdicts
        ]


HEADQUARTERS = Fact(subject="Acme", relation="headquarters", object="Oslo", object_aliases=("Kristiania",))
CURRENCY = Fact(subject="Kristiania", relation="currency", object="krone")
QUESTION = "What is the currency of the headquarters of Acme?"


def test_edits_alone_answer() -> None:
    base = Small()
    llm = editable(base)
    llm.edit_many([HEADQUARTERS, CURRENCY])
    answer = llm.invoke(QUESTION)
    assert answer.text == "krone"
    assert [edit.id for edit in answer.citations] == [HEADQUARTERS.id, CURRENCY.id]
    assert [hop.answer for hop in answer.trace.hops] == ["Oslo", "krone"]
    assert base.requests == []
    assert "hop 1: the headquarters of Acme → Oslo" in str(llm.explain(QUESTION))
    assert llm.llm is base


def test_a_composed_relation_is_walked_in_its_parts() -> None:
    llm = editable(Small())
    mothers = [
        Fact(subject="Ann", relation="mother", object="Bea"),
        Fact(subject="Bea", relation="mother", object="Di"),
    ]
    llm.edit_many(mothers)
    answer = llm.invoke("Who is the maternal grandmother of Ann?")
    assert answer.text == "Di"
    assert [hop.question for hop in answer.trace.hops] == ["the mother of Ann", "the mother of Bea"]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Who is the friend of the king of Acme?", ["the king of Acme → Olaf"]),
        ("Where is the home of the ruler of the king of Acme?", ["the king of Acme → Olaf", "the ruler of Olaf → Bo"]),
    ],
)
def test_hops_that_one_edit_answers_together(question: str, said: list[str]) -> None:
    base = Small()
    llm = EditableLLM(base, EditMemory(embedder=HashEmbedder()), gate=Literal(), method="multihop")
    llm.edit_many(
        [
            Fact(subject="Acme", relation="king", object="Olaf"),
            Fact(subject="Olaf", relation="ruler", object="Bo"),
        ]
    )
    answer = llm.invoke(question)
    assert [f"{hop.question} → {hop.answer}" for hop in answer.trace.hops] == said
    assert answer.text == said[-1].split(" → ")[1]
    assert base.requests == []


@pytest.mark.parametrize(
    ("question", "answer"),
    [("Is Bo the king of Acme?", "The king of Acme is Olaf."), ("Why is she the king of Acme?", "generated")],
)
def test_whether_and_why_are_no_hops(question: str, answer: str) -> None:
    base = Small(lambda prompt: "generated")
    llm = EditableLLM(base, EditMemory(embedder=HashEmbedder()), gate=Literal(), method="multihop")
    llm.edit(Fact(subject="Acme", relation="king", object="Olaf"))
    found = llm.invoke(question)
    assert (found.text, found.trace.hops) == (answer, [])


class Careless(NamedGate):
    """Takes an edit for an answer wherever subject and relation are named; surest where nothing else is."""

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return [
            replace(
                one, passed=one.passed and said, probability=1 / len(recalled.query) if one.passed and said else 0.0
            )
            for one in super().decide(recalled)
            if isinstance(one.edit, Fact)
            for said in [str(one.edit.relation) in recalled.query]
        ]


@pytest.mark.parametrize("name", ["auto", "multihop"])
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who is the mother of the wife of Ann?", "generated"),
        ("Who is the mother of Ann's wife?", "generated"),
        ("Who is the mother of Ann?", "Bea"),
    ],
)
def test_an_edit_is_no_answer_about_another_thing(question: str, answer: str, name: str) -> None:
    base = Small(lambda prompt: "unknown" if prompt.endswith("\nAnswer:") and "Question:" in prompt else "generated")
    llm = EditableLLM(base, EditMemory(embedder=HashEmbedder()), gate=Careless(), method=name)
    llm.edit(Fact(subject="Ann", relation="mother", object="Bea"))
    said = llm.invoke(question)
    assert said.text == answer
    left_out = [note for note in said.trace.notes if "another thing" in note]
    assert len(left_out) == (answer == "generated")
    assert bool(said.citations) == (answer == "Bea")


def test_the_model_gives_what_no_edit_does() -> None:
    base = Small(lambda prompt: " Oslo\n" if prompt.endswith("What is the headquarters of Globex?\nAnswer:") else "?")
    llm = editable(base)
    llm.edit(Fact(subject="Oslo", relation="currency", object="krone"))
    answer = llm.invoke("What is the currency of the headquarters of Globex?")
    assert answer.text == "krone"
    assert [hop.by for hop in answer.trace.hops] == ["base", "edit"]
    assert [hop["by"] for hop in answer.trace.to_dict()["hops"]] == ["base", "edit"]
    assert len(base.requests) == 1


def test_nothing_is_asked_where_no_later_hop_can_be_edited() -> None:
    base = Small()
    llm = EditableLLM(base, EditMemory(embedder=HashEmbedder()), gate=NamedGate(), method="multihop")
    llm.edit(Fact(subject="Oslo", relation="currency", object="krone"))
    llm.invoke("What is the currency of the headquarters of Globex?")
    assert len(base.requests) == 1


def test_another_model_knows() -> None:
    known = Small(lambda prompt: "Oslo")
    llm = editable(Small(), models={"knowledge": known})
    llm.edit(Fact(subject="Oslo", relation="currency", object="krone"))
    answer = llm.invoke("What is the currency of the headquarters of Globex?")
    assert answer.text == "krone"
    assert [hop.by for hop in answer.trace.hops] == ["knowledge", "edit"]
    assert len(known.requests) == 1


def test_where_no_edit_lies_on_the_way_the_request_is_untouched() -> None:
    base = Small(lambda prompt: "unknown")
    llm = editable(base)
    llm.edit(Fact(subject="Oslo", relation="currency", object="krone"))
    answer = llm.invoke("What is the capital of the country of Globex?", temperature=0.5)
    assert answer.trace.untouched
    assert answer.citations == ()
    assert base.requests[-1].options == {"temperature": 0.5}


def test_a_chat_model_is_told_the_way() -> None:
    llm = editable(FakeLLM())
    llm.edit_many([HEADQUARTERS, CURRENCY])
    answer = llm.invoke(QUESTION)
    assert "krone" in answer.text
    assert QUESTION in answer.text
    assert len(answer.citations) == 2


def test_what_a_model_guessed_on_the_way_is_told_as_a_guess() -> None:
    llm = editable(FakeLLM(lambda prompt: "Oslo" if "headquarters" in prompt and "krone" not in prompt else prompt))
    llm.edit(Fact(subject="Oslo", relation="currency", object="krone"))
    answer = llm.invoke("What is the currency of the headquarters of Globex?")
    assert [hop.by for hop in answer.trace.hops] == ["base", "edit"]
    assert "the headquarters of Globex — Oslo (as you said yourself, unchecked)" in answer.text
    assert "Globex? — krone" not in answer.text


@pytest.mark.parametrize(
    "asked",
    [
        "Who is the CEO of Tallis Robotics at the moment?", "Who is still the CEO of Tallis Robotics, if you know it?",
        "Why is the CEO of Tallis Robotics in the news?", "What is the name of the founder of the city of Bern?",
        "How wide is the door of the office of Tallis Robotics?", "Write a postcard from the coast of Iceland.",
    ],
)  # fmt: skip
def test_around_plain_statements_no_word_becomes_a_question_to_the_model(asked: str) -> None:
    base = FakeLLM()
    llm = EditableLLM(base, EditMemory())
    llm.edit_many(["The CEO of Tallis Robotics is Carol Diaz.", "The office of Tallis Robotics has a green door."])
    answer = llm.invoke(asked)
    assert len(base.requests) == 1
    assert all(hop.by == "edit" for hop in answer.trace.hops)


def test_loops_end() -> None:
    llm = editable(Small(lambda prompt: "unknown"))
    llm.edit(Fact(subject="Ann", relation="friend", object="Ben"))
    llm.edit(Fact(subject="Ben", relation="friend", object="Ann"))
    answer = llm.invoke("Who is the friend of the friend of the friend of the friend of Ann?")
    assert answer.text


def test_a_limit_of_calls_is_kept() -> None:
    base = Small(lambda prompt: "Oslo")
    llm = editable(base, max_calls=0)
    llm.edit(Fact(subject="Oslo", relation="currency", object="krone"))
    answer = llm.invoke("What is the currency of the headquarters of Globex?")
    assert answer.trace.untouched
    assert any("0 calls" in note for note in answer.trace.notes)


def test_tools_are_left_alone() -> None:
    base = Small()
    llm = editable(base)
    llm.edit_many([HEADQUARTERS, CURRENCY])
    answer = llm.invoke(QUESTION, tools=[{"type": "function"}])
    assert answer.trace.hops == []
    assert base.requests[-1].options["tools"]


def test_lockstep_and_stream_say_the_same() -> None:
    llm = editable(Small())
    llm.edit_many([HEADQUARTERS, CURRENCY])
    one, other = llm.batch([QUESTION, "What is the headquarters of Acme?"])
    assert (one.text, other.text) == ("krone", "Oslo")
    assert "".join(llm.stream(QUESTION)) == "krone"


def test_what_was_found_when_a_limit_is_reached_is_given_to_the_model() -> None:
    llm = editable(Small(), max_calls=0)
    llm.edit(HEADQUARTERS)
    answer = llm.invoke("What is the currency of the country of the headquarters of Acme?")
    assert [edit.id for edit in answer.citations] == [HEADQUARTERS.id]
    assert "The headquarters of Acme is Oslo." in answer.text
    assert any("0 calls" in note for note in answer.trace.notes)


@pytest.mark.model
def test_plain_statements_are_chained_by_the_gate_itself() -> None:
    llm = EditableLLM(Small(lambda prompt: "unknown"), EditMemory())
    llm.edit_many(["The headquarters of Acme is in Oslo.", "The currency of Oslo is the krone."])
    for asked in (
        "Which currency is used where Acme has its headquarters?",
        "What is the currency of the city where Acme has its headquarters?",
    ):
        answer = llm.invoke(asked)
        assert answer.text == "the krone"
        assert [hop.answer for hop in answer.trace.hops] == ["Oslo", "the krone"]
        assert len(answer.citations) == 2


def test_a_planner_plans_what_the_grammar_does_not() -> None:
    planner = Small(lambda prompt: " Acme\n1. the headquarters of #\n2. the currency of #\n")
    llm = editable(Small(lambda prompt: "unknown"), models={"planner": planner})
    llm.edit_many([HEADQUARTERS, CURRENCY])
    answer = llm.invoke("Acme pays, where its headquarters stand, in what?")
    assert answer.text == "krone"
    assert "headquarters" in planner.requests[0].text


class Weighing(Small):
    """Finds the plans likelier that have these words in them."""

    capabilities = frozenset({Capability.TEXT, Capability.LOGPROBS})

    def __init__(self, plan: str, likelier: str) -> None:
        super().__init__(lambda prompt: plan)
        self.likelier = likelier

    def score(self, requests: Sequence[Request], continuations: Sequence[Sequence[str]]) -> list[list[Likelihood]]:
        return [
            [Likelihood(-1.0 if self.likelier in text else -9.0, (True,)) for text in texts] for texts in continuations
        ]


BY_GRAMMAR, BY_PLANNER = "the currency of #", "the money of #"


@pytest.mark.parametrize(
    ("plan", "likelier", "answer", "note"),
    [
        (f" Acme\nthe headquarters of #\n{BY_GRAMMAR}", "", "krone", "planner made the same plan"),
        (f" Acme\nthe head office of #\n{BY_GRAMMAR}", "", "krone", "two plans agree on krone"),
        (" Acme\nthe headquarters of #", BY_GRAMMAR, "krone", "two plans differ: krone was taken, not Oslo"),
        (" Acme\nthe headquarters of #\n", "Acme\nthe headquarters of #\n\n", "Oslo",
         "two plans differ: Oslo was taken, not krone"),
        (" Globex\nthe owner of #", "", "krone", "planner made no plan"),
    ],
)  # fmt: skip
def test_a_second_plan_is_weighed_where_that_is_wanted(plan: str, likelier: str, answer: str, note: str) -> None:
    llm = editable(Small(), models={"planner": Weighing(plan, likelier)}, agree=True)
    llm.edit_many([HEADQUARTERS, CURRENCY])
    found = llm.invoke(QUESTION)
    assert found.text == answer
    assert note in found.trace.notes
    assert not llm.invoke("Who is Acme's head?").trace.calls[:-1]


def test_lessons_are_plans_that_can_be_read_and_of_no_benchmark() -> None:
    made = lessons(300)
    assert made == lessons(300)
    assert len({one.question for one in made}) == 300
    assert {len(one.steps) for one in made} == {1, 2, 3, 4}
    for one in made:
        assert plan_in(written((one.name, one.steps)), one.question), one
        for known in ("chief executive of", "spouse of", "currency of"):
            assert not any(known in step for step in one.steps)


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("Name: Acme\nthe owner of #", ("Acme", ("the owner of {}",))),
        ("Acme\n- the capital of the country of #", ("Acme", ("the country of {}", "the capital of {}"))),
        ("Globex\nthe owner of #", None),
        ("Acme\nthe owner", None),
        ("Acme", None),
        ("", None),
    ],
)
def test_a_plan_is_checked(text: str, plan: tuple[str, tuple[str, ...]] | None) -> None:
    assert plan_in(text, "Who owns Acme?") == plan


def test_what_is_erased_is_refused_on_the_way_as_well() -> None:
    llm = editable(Small())
    llm.edit_many([HEADQUARTERS, Erasure("krone", subject="Oslo", relation="currency", reply="No comment.")])
    answer = llm.invoke(QUESTION)
    assert answer.text == "No comment."
    assert "krone" not in str(answer.trace.to_dict())


def test_a_question_may_hold_what_no_edit_may() -> None:
    llm = editable(FakeLLM())
    llm.edit_many([HEADQUARTERS, CURRENCY])
    assert "krone" in llm.invoke("What is the currency\u202e of the headquarters of Acme?").text
