"""What is asked in a house that the system message names, and whose name nobody there says."""

import json
from pathlib import Path

import numpy as np
import pytest

from memedit import EditableLLM, EditMemory
from memedit.gate import read_conversation
from memedit.gate.house import DISCOUNT, at_home, least
from memedit.testing import FakeLLM

CEO = "The CEO of Brightleaf is Ingrid Solberg."
BOT = "You are the assistant of Brightleaf, a maker of plant pots. Answer briefly."


@pytest.mark.parametrize(
    ("statement", "system", "name"),
    [
        (CEO, BOT, "Brightleaf"),
        ("Brightleaf's offices are in Leeds.", BOT, "Brightleaf"),
        ("Norvik Logistics has 42 trucks.", "Help the staff of Norvik Logistics. Be polite.", "Norvik Logistics"),
        (CEO, "Brightleaf's assistant. Be kind.", "Brightleaf"),
        (CEO, "", None),
        (CEO, "You are a helpful assistant.", None),
        ("Use the side door.", "Use the tools you have. Be polite.", None),  # which its sentence gives the capital
        ("The gym opens at 6.", "The assistant of the gym. Answer briefly.", None),
    ],
)
def test_the_name_is_what_both_share(statement, system, name):
    ways = at_home("who runs it", statement, system)
    assert ways == ((f"{name}: who runs it", f"who runs it < user: I am with {name}.") if name else ())


def test_who_says_the_name_needs_no_other_reading():
    assert at_home("who is brightleaf's CEO", CEO, BOT) == ()


def test_the_least_likely_reading_counts_less_something():
    read = np.array([[0.0, 3.0, -9.0], [0.0, 5.0, -9.0]], dtype=np.float32)
    assert least(read) == pytest.approx([0.0, 3.0 - DISCOUNT, -9.0 - DISCOUNT])


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ("Who is our CEO?", True),
        ("who's the ceo", True),
        ("Who is the CEO of Acme?", False),
        ("Who is our head of marketing?", False),
        ("thanks, that's all", False),
    ],
)
def test_a_system_message_tells_whose_house_it_is(said, passes):
    with EditMemory() as memory:
        llm = EditableLLM(FakeLLM(), memory)
        llm.edit(CEO)
        asked = [{"role": "system", "content": BOT}, {"role": "user", "content": said}]
        hits = llm.explain(asked).trace.lookups[0]
        assert bool(hits.passed) is passes
        if passes:
            assert "in the house that the system message names" in hits.verdicts[0].reasons[0]
            assert not llm.explain(said).trace.lookups[0].passed


def test_houses_of_people():
    """`bench/houses.py` has all of them; each second message here."""
    passed, fired, inside, outside = 0, 0, 0, 0
    for line in (Path(__file__).parent / "data/houses.jsonl").read_text(encoding="utf-8").splitlines():
        house = json.loads(line)
        with EditMemory() as memory:
            llm = EditableLLM(FakeLLM(), memory)
            ids = [receipt.edit.id for receipt in memory.add_many(house["statements"], on_conflict="keep")]
            asked = [(one["text"], {ids[one["edit"]]}) for one in house["in"]] + [(one, set()) for one in house["out"]]
            for text, right in asked[::2]:
                told = [{"role": "system", "content": house["system"]}, {"role": "user", "content": text}]
                lookups = llm.explain(told).trace.lookups
                found = {one.edit.id for one in lookups[0].passed} if lookups else set()
                inside, outside = inside + bool(right), outside + (not right)
                passed, fired = passed + bool(found & right), fired + bool(found and not right)
    assert (inside, outside) == (56, 72)
    assert passed / inside >= 0.62
    assert fired / outside <= 0.04


def test_developer_messages_count_too():
    said = read_conversation([("developer", BOT), ("user", "Who is our CEO?")])
    assert (said.whole, said.system) == ("Who is our CEO?", BOT)


def test_each_of_several_things_is_asked_in_the_house():
    with EditMemory() as memory:
        llm = EditableLLM(FakeLLM(), memory)
        for statement in (CEO, "Brightleaf was founded in 1987."):
            llm.edit(statement)
        asked = [
            {"role": "system", "content": BOT},
            {"role": "user", "content": "Who is our CEO, and when was the company founded?"},
        ]
        for verdict in llm.explain(asked).trace.lookups[0].verdicts:
            assert verdict.doubtful  # at least: of several things each has to be surer
            assert verdict.probability > 0.7
