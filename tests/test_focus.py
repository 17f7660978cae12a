"""Which text of a request the gate looks at: written dialogues, and input that is out of the ordinary."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from memedit.gate.focus import MEMORY, Focus, focus

LINES = (Path(__file__).parent / "data" / "dialogues.jsonl").read_text(encoding="utf-8").splitlines()
DIALOGUES = [json.loads(line) for line in LINES]
LOG = "INFO worker 5 finished in 3 ms\n" * 9
PARAGRAPH = (
    "The Aldersey Group sold its Rotterdam division. Chief executive Jonna Frisk said so. Who would have known? "
)


def asked(*texts: str) -> str:
    """The query of a conversation that the user begins and in which user and assistant take turns."""
    return focus([(("user", "assistant")[at % 2], text) for at, text in enumerate(texts)]).query


def as_param(dialogue: dict[str, Any]) -> Any:
    reason = dialogue.get("known_failure")
    marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
    return pytest.param(dialogue, id=dialogue["id"], marks=marks)


@pytest.mark.parametrize("dialogue", [as_param(dialogue) for dialogue in DIALOGUES])
def test_dialogue(dialogue: dict[str, Any]) -> None:
    query = focus([(role, text) for role, text in dialogue["turns"]]).query.casefold()
    assert [words for words in dialogue["must_contain"] if words.casefold() not in query] == []
    assert [words for words in dialogue["must_not_contain"] if words.casefold() in query] == []


@pytest.mark.parametrize("dialogue", [pytest.param(dialogue, id=dialogue["id"]) for dialogue in DIALOGUES])
def test_parts_are_pieces_of_the_conversation_newest_first(dialogue: dict[str, Any]) -> None:
    found = focus([(role, text) for role, text in dialogue["turns"]])
    said = " ".join(" ".join(text for _, text in dialogue["turns"]).split())
    assert all(part in said for part in found.parts)
    assert bool(found.query) == bool(found.parts)
    places = [said.rindex(part) for part in found.parts]
    assert places == sorted(places, reverse=True)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        (
            "Hamid Berhili (MAR), 10:4\n Paul Ingle (GBR) def. The twin city of Shanghai is",
            "The twin city of Shanghai is",
        ),
        ("Shayna does this and Yossi goes still. Toko Yasuda, the", "Toko Yasuda, the"),
        ("It was 3.50 at St. Mary's. Is Dr. J. R. Bell of Acme Inc. rich?", "Is Dr. J. R. Bell of Acme Inc. rich?"),
        ("I live in the U.S. Who is its president?", "Who is the U.S's president?"),
        ("Is J.K. Rowling alive? I mean the author.", "Is J.K. Rowling alive?"),
        ("Answer the question: Who runs Acme?", "Who runs Acme?"),
        ("Answer the question.\n\nWho runs Acme?", "Who runs Acme?"),
        ('Translate "Who runs Acme?" into French.', 'Translate "Who runs Acme?" into French.'),
        ("Hi,\n\nCould you tell me who runs Acme?\n\nThanks,\nTom", "Could you tell me who runs Acme?"),
        ("Who runs Acme? What is the capital of Chad?", "Who runs Acme? What is the capital of Chad?"),
        ("Context: Jo Ray founded Acme. Question: Who founded Acme? Answer:", "Who founded Acme?"),
        (f"{PARAGRAPH}\n\nWho runs Acme?\n\nAnswer:", "Who runs Acme?"),
        ("Who runs Acme?\n\n" + LOG, "Who runs Acme?"),
        (f"{LOG}\n\nWho runs Acme?\n\n{LOG}", "Who runs Acme?"),
        ("Q: What is Acme?\nA: A firm.\n\nQ: What is Globex?\nA: A firm too.\n\nWho owns Globex?", "Who owns Globex?"),
        ("Text: good\nMood: happy\n\nText: bad\nMood:", "Text: bad Mood:"),
        ("who is the ceo of\nGlobex?", "who is the ceo of Globex?"),
        ("```\nprint('Who runs Acme?')\n```", "print('Who runs Acme?')"),
    ],
)
def test_one_message(text: str, query: str) -> None:
    assert asked(text).strip("` ") == query


@pytest.mark.parametrize(
    ("texts", "query"),
    [
        (("Who runs Acme?", "Dana Fox.", "What is the capital of France?"), "What is the capital of France?"),
        (("Who is the CEO of Acme?", "Dana Fox.", "What about Globex?"), "Who is the CEO of Globex?"),
        (("Who is the CEO of Acme?", "Dana Fox.", "And the CFO?"), "Who is the CFO of Acme?"),
        (("Who is the CEO of Acme?", "Dana Fox.", "Thanks!", "Sure!", "And of Globex?"), "Who is the CEO of Globex?"),
        (("Who runs Acme?", "Dana Fox.", "and who runs it now?"), "and who runs Acme now?"),
        (("What does Lena Hart play?", "Chess.", "And her brother?"), "What does Lena Hart's brother play?"),
        (("Who runs Acme?", "Dana Fox.", "Capital of France?"), "Capital of France?"),
        (("Who runs Acme?", "Dana Fox.", "Who are you?"), "Who are you?"),
        (("Who runs Acme?", "Dana Fox.", "What time is it?"), "What time is it?"),
        (("Does Globex make cars?", "Yes.", "Does Acme own it?"), "Does Acme own Globex?"),
        (("Where was Ann Lee born?", "In Linz.", "How many people live there?"), "How many people live in Linz?"),
        (("Who is Ann Lee?", "Ann Lee is from Ghent.", "Where was she born?"), "Where was Ann Lee born?"),
        (("¿Quién dirige Solmar?", "Pilar Vega.", "¿Y Globex?"), "¿Quién dirige Globex?"),
        (("Wer leitet das Werk von Lindenau?", "Ott.", "Und von Bremen?"), "Wer leitet das Werk von Bremen?"),
    ],
)
def test_follow_ups_and_changes_of_topic(texts: tuple[str, ...], query: str) -> None:
    assert asked(*texts) == query


@pytest.mark.parametrize(
    "turns",
    [
        [],
        [("user", "")],
        [("user", " \n\t\u3000")],
        [("user", "?!")],
        [("system", "Who runs Acme?")],
        [("assistant", "Who runs Acme?"), ("tool", "Who runs Acme?")],
        [("user", "Thanks a lot!")],
    ],
)
def test_nothing_is_asked(turns: list[tuple[str, str]]) -> None:
    assert focus(turns) == Focus("", ())


def test_a_system_turn_never_matters() -> None:
    turns = [("user", "Who runs Acme?"), ("assistant", "Dana Fox."), ("user", "How old is she?")]
    assert focus([("system", "Globex is run by Lee Wong."), *turns]) == focus(turns)


def test_a_long_chain_of_follow_ups_ends() -> None:
    query = asked(*("Who runs Acme?", "Dana Fox.") * 3, *("Why?", "Because.") * 400, "Why?")
    assert query.count("Why?") <= MEMORY


RANDOM = random.Random(7)
ODD = {
    "document": PARAGRAPH * 1_000 + "\n\nWho is he?",
    "one word": "a" * 200_000,
    "dots": "." * 200_000,
    "blanks": " " * 200_000,
    "lines": "\n \n" * 70_000,
    "question marks": "? " * 100_000,
    "fences": "```" * 70_000,
    "labels": "Q: a\n" * 40_000,
    "open labels": "\n a" * 70_000,
    "pronouns": "it and there " * 15_000,
    "names": "Ab " * 70_000,
    "emoji": "😀👩‍👩‍👧🏴?" * 20_000,
    "surrogates and nulls": "\ud800 \x00? \u202e" * 40_000,
    "any characters": "".join(chr(RANDOM.randrange(1, 0x11000)) for _ in range(100_000)),
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in ODD.items()])
@pytest.mark.parametrize("rounds", [0, 10])
def test_odd_and_huge_input_is_read_fast(text: str, rounds: int) -> None:
    turns = [("user", text), ("assistant", text)] * rounds + [("user", "Who is he?" if rounds else text)]
    begun = time.perf_counter()
    query = focus(turns).query
    assert time.perf_counter() - begun < 1  # about 0.02 s, and 0.09 s at worst, on two slow cores
    assert len(query) < 20_000


def test_ordinary_input_takes_well_under_a_millisecond() -> None:
    turns = [("user", "Who is the CEO of Acme?"), ("assistant", "Dana Fox."), ("user", "And where was she born?")]
    begun = time.perf_counter()
    for _ in range(100):
        focus(turns)
    assert time.perf_counter() - begun < 0.2


def test_what_is_offered_asks_nothing() -> None:
    asked = "Who runs Acme?\nA. Bo Li\nB. Is it Ann?\nC. None of them"
    assert focus((("user", asked),)).query == "Who runs Acme?"
    assert focus((("user", "A. one B. two"),)).query
