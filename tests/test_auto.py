"""The default method: contradictions, the budget, and what the trace says of both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from memedit import EditableLLM, EditMemory, Fact, Feedback
from memedit.gate import Verdict
from memedit.methods.agreement import agreed, within
from memedit.methods.auto import auto
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def verdict(statement: str, *, days: int = 0, probability: float = 0.9, **fields: str) -> Verdict:
    fact = Fact(statement, created_at=NOW + timedelta(days=days), **fields) if statement else Fact(
        created_at=NOW + timedelta(days=days), **fields
    )  # fmt: skip
    return Verdict(fact, probability, True)


def texts(verdicts: list[Verdict]) -> list[str]:
    return [one.edit.text for one in verdicts]


def test_the_newest_of_two_answers_holds_in_any_order() -> None:
    old, new = verdict("The CEO of Acme is Bob."), verdict("The CEO of Acme is Carol.", days=1, probability=0.5)
    other = verdict("The CEO of Globex is Dan.")
    for order in ([old, other, new], [new, other, old]):
        kept, notes = agreed(order)
        assert texts(kept) == [one.edit.text for one in order if one is not old]
        assert notes == ("left out “The CEO of Acme is Bob.”: “The CEO of Acme is Carol.” is newer",)


def test_slots_contradict_whatever_their_wordings() -> None:
    old = verdict("", subject="Acme", relation="CEO", object="Bob", prompt="The CEO of {} is")
    new = verdict("", subject="Acme", relation="chief executive", object="Carol", prompt="{} is led by", days=1)
    assert texts(agreed([old, new])[0]) == [new.edit.text]


def test_what_says_the_same_or_is_no_fact_stays() -> None:
    first, again = verdict("The CEO of Acme is Carol."), verdict("The CEO of Acme is CAROL.", days=1)
    feedback = Verdict(Feedback(situation="when I ask for a date", clarification="I mean ISO 8601"), 0.9, True)
    untold = verdict("Carol runs Acme.")
    assert agreed([first, again, feedback, untold]) == ([first, again, feedback, untold], ())


def test_the_budget_keeps_the_first_and_what_fits() -> None:
    long, short, tiny = verdict("A fact. " * 30), verdict("The CEO of Acme is Carol."), verdict("It is so.")
    kept, notes = within([long, short, tiny], 10, lambda text: len(text.split()))
    assert kept == [long]
    assert len(notes) == 2
    assert "no room in 10 tokens" in notes[0]
    assert within([short, long, tiny], 10, lambda text: len(text.split()))[0] == [short, tiny]


def test_the_trace_says_what_was_left_out() -> None:
    memory = EditMemory(embedder=HashEmbedder())
    llm = EditableLLM(FakeLLM(), memory, gate=NamedGate(), method=auto())
    llm.edit(Fact("The CEO of Acme is Bob.", created_at=NOW), on_conflict="keep")
    llm.edit(Fact("The CEO of Acme is Carol.", created_at=NOW + timedelta(days=1)), on_conflict="keep")
    answer = llm.invoke("Who is the CEO of Acme?")
    assert "Carol" in answer.text
    assert "Bob" not in answer.text
    assert any("is newer" in line for line in answer.trace.lines())
    assert answer.trace.to_dict()["notes"] == answer.trace.notes


def test_tokens_are_counted_or_guessed() -> None:
    assert FakeLLM().count_tokens("four") == 1
    assert FakeLLM().count_tokens("fours") == 2
