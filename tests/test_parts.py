"""Messages that ask several things."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

import pytest

from memedit import EditableLLM, EditMemory
from memedit.gate import read_conversation
from memedit.gate.parts import parts
from memedit.testing import FakeLLM

EDITS = (
    "The gym opens at 6 am.",
    "Our CEO is Carol Diaz.",
    "Parking costs 3 euros an hour.",
    "The trial lasts 21 days.",
)
GYM, CEO, PARKING, TRIAL = EDITS


@pytest.fixture(scope="module")
def llm() -> Iterator[EditableLLM]:
    with EditMemory(languages=None) as memory:
        made = EditableLLM(FakeLLM(), memory, doubt="leave")
        for edit in EDITS:
            made.edit(edit)
        yield made


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("When does the gym open and who is our CEO?", ["When does the gym open?", "who is our CEO?"]),
        ("When does the gym open? And how much is parking?", ["When does the gym open?", "how much is parking?"]),
        ("I am new. Who is our CEO? Is tea free?", ["I am new. Who is our CEO?", "I am new. Is tea free?"]),
        ("1. gym hours?\n2. how long is the trial?\n", ["gym hours?", "how long is the trial?"]),
        ("I need the hours of the gym. Also, who's our CEO?", ["I need the hours of the gym.", "who's our CEO?"]),
        ("hey, whats the wifi password and does parking cost anything",
         ["hey, whats the wifi password", "does parking cost anything"]),
        ("Two things: a) when does the gym open b) who is our CEO",
         ["Two things: when does the gym open", "Two things: who is our CEO"]),
        ("please tell me: the gym's hours, the rate of parking and our CEO's name.",
         ["please tell me the gym's hours", "please tell me the rate of parking", "please tell me our CEO's name"]),
        ("Tell me:\n- the gym's hours\n- who our CEO is", ["Tell me the gym's hours", "Tell me who our CEO is"]),
        ("Tell me: is tea free?", []),
        ("Give me a recipe: eggs, old bread and milk", []),
        ("Tell me a story: a fox, a gym and our CEO.", []),
        ("Tell me: the gym's hours.", []),
        ("Shopping list: milk, eggs and the CEO's cake", []),
        ("When does the gym open?", []),
        ("Who is our CEO? When was she born?", []),  # who she is stands in the other
        ("Who is our CEO? When was she born? Is tea free?", ["Who is our CEO? When was she born?", "Is tea free?"]),
        ("Two things: what is the rate limit, what is the port, and when is standup?",
         ["Two things: what is the rate limit?", "what is the port?", "when is standup?"]),
        ("When does the gym open? And the pool?", []),
        ("Do Tom and Ann know when and where it is?", []),
        ("Translate: When does the gym open? Who is our CEO?", []),
        ("Please translate. When does the gym open? Who is our CEO?", []),
        ('What does "When does it open? Who is there?" mean? Is it rude?', []),
        ("Thanks! Bye!", []),
        ("Who is our CEO? Is tea free? And thanks!", ["Who is our CEO?", "Is tea free?"]),
        ("Which country is the origin of the sport which 2. Bundesliga is a part of?", []),
        ("What -- or who -- is the head of Acme?", []),
        ("", []),
    ],
)  # fmt: skip
def test_what_is_asked_one_by_one(text: str, asked: list[str]) -> None:
    assert parts(text) == asked


@pytest.mark.parametrize(
    "text",
    ["a, ", "and ", "who ", "? ", "I need the ", "x: ", "1. ", "who is, and who is ", "tell me: ", "a) ", "tell me "],
)
def test_odd_messages_are_read_fast(text: str) -> None:
    start = perf_counter()
    parts((text * 700)[:700])
    assert perf_counter() - start < 0.1


def test_what_was_said_before_stands_before_each() -> None:
    turns = [
        ("user", "I start on Monday."),
        ("assistant", "Welcome!"),
        ("user", "Who is our CEO? How long is the trial?"),
    ]
    said = read_conversation(turns)
    assert [one.whole for one in said.parts] == [
        "Who is our CEO? < bot: Welcome! < user: I start on Monday.",
        "How long is the trial? < bot: Welcome! < user: I start on Monday.",
    ]
    assert all(not one.parts for one in said.parts)


@pytest.mark.parametrize(
    ("message", "edits"),
    [
        ("When does the gym open and who is our CEO?", {GYM, CEO}),
        ("When does the gym open? And how much is parking?", {GYM, PARKING}),
        ("1. Who is our CEO?\n2. How much is parking?\n3. How long is the trial?", {CEO, PARKING, TRIAL}),
        ("When does the gym open, and how do I cook rice?", {GYM}),
        ("How do I cook rice? And what is two and two?", set()),
        ("When does the pool open? Who founded Acme?", set()),
    ],
)
def test_each_thing_that_is_asked_finds_its_edit(llm: EditableLLM, message: str, edits: set[str]) -> None:
    assert {edit.text for edit in llm.invoke(message).citations} == edits


def test_the_trace_tells_what_was_looked_up_by_itself(llm: EditableLLM) -> None:
    trace = llm.invoke("When does the gym open and who is our CEO?").trace
    assert "  and by itself “who is our CEO?”" in list(trace.lines())
    assert trace.to_dict()["lookups"][0]["parts"] == ["When does the gym open?", "who is our CEO?"]


def test_a_small_model_is_not_asked_where_edits_answer_all_and_is_where_they_do_not() -> None:
    class Small(FakeLLM):
        kind = "instruct"

    with EditMemory(languages=None) as memory:
        llm = EditableLLM(Small(), memory)
        for edit in EDITS:
            llm.edit(edit)
        both = llm.invoke("When does the gym open and who is our CEO?")
        assert (GYM in both.text, CEO in both.text, len(both.trace.calls)) == (True, True, 0)
        assert len(llm.invoke("When does the gym open, and how do I cook rice?").trace.calls) == 1
