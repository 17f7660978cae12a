"""What is done with edits that may bear on a message, and may not."""

import pytest

from memedit import EditableLLM, EditMemory, Erasure, Fact
from memedit.errors import RequestRejected
from memedit.gate import Gate, Verdict
from memedit.methods.doubt import numbers_in
from memedit.testing import FakeLLM, HashEmbedder

TRIP, POOL = Fact("The school trip is back on the 12th at 4 pm."), Fact("The pool closes at 9 pm.")
MESSAGE = "Do I need a babysitter on the 12th?"


class Doubting(Gate):
    """Lets nothing through, and leaves everything in doubt."""

    name = "doubting"

    def decide(self, recalled):
        return [Verdict(one.edit, 0.3, passed=False, doubtful=True) for one in recalled.candidates]


def asking(doubt, answer=lambda prompt: "said", edits=(TRIP, POOL), gate=None):
    fake = FakeLLM(answer)
    llm = EditableLLM(fake, EditMemory(embedder=HashEmbedder()), gate=gate or Doubting(), doubt=doubt)
    llm.edit_many(edits)
    return llm, fake


def test_left_out_nothing_is_changed():
    llm, fake = asking("leave")
    assert llm.invoke(MESSAGE).trace.untouched
    assert [request.text for request in fake.requests] == [MESSAGE]


def test_shown_the_model_may_ignore_them():
    llm, fake = asking("show")
    answer = llm.invoke(MESSAGE)
    assert not answer.trace.untouched
    assert not answer.edited
    (sent,) = fake.requests
    assert "may have nothing to do with it" in sent.text
    assert TRIP.statement in sent.text
    assert any("shown in doubt" in note for note in answer.trace.notes)


def test_asked_about_only_those_that_bear_are_used():
    llm, fake = asking("ask", lambda prompt: "1" if "numbered notes" in prompt else "said")
    answer = llm.invoke(MESSAGE)
    question, sent = fake.requests
    first = question.text.partition("1. ")[2].partition("\n")[0]
    assert [edit.text for edit in answer.citations] == [first]
    assert first in sent.text
    assert [call.kind for call in answer.trace.calls] == ["generate", "final"]


def test_asked_about_none_that_bears_leaves_the_request_as_it_is():
    llm, fake = asking("ask", lambda prompt: "0" if "numbered notes" in prompt else "said")
    answer = llm.invoke(MESSAGE)
    assert answer.trace.untouched
    assert fake.requests[-1].text == MESSAGE


def test_without_doubt_nobody_is_asked():
    llm, fake = asking("ask", edits=())
    llm.invoke(MESSAGE)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("doubt", ["show", "ask"])
def test_what_tells_what_is_erased_is_not_shown(doubt):
    secret = Fact("The code of the Acme safe is 44-17-93.")
    erasure = Erasure("44-17-93", subject="the Acme safe", relation="code")
    llm, fake = asking(doubt, lambda prompt: "1, 2" if "numbered notes" in prompt else "said", (secret, erasure, POOL))
    llm.invoke("What must I know about the Acme safe and the pool?")
    assert all("44-17-93" not in request.text for request in fake.requests)


def test_chat_models_are_shown_what_is_in_doubt_and_small_ones_are_not():
    class Small(FakeLLM):
        kind = "instruct"

    assert EditableLLM(FakeLLM()).doubt == "show"
    assert EditableLLM(Small()).doubt == "leave"
    assert "doubt='leave'" in repr(EditableLLM(Small()))
    with pytest.raises(RequestRejected, match="doubt"):
        EditableLLM(FakeLLM(), doubt="perhaps")


def test_a_stream_is_shown_them_too():
    llm, fake = asking("show")
    assert "".join(llm.stream(MESSAGE)) == "said"
    assert TRIP.statement in fake.requests[0].text


@pytest.mark.parametrize(
    ("said", "numbers"),
    [
        ("1", {1}),
        ("1, 3", {1, 3}),
        ("1,3", {1, 3}),
        ("0", set()),
        ("Notes 2 and 4.", {2, 4}),
        ("Note 1 bears on it.", {1}),
        ("I think 1.", {1}),
        ("none of them", set()),
        ("None", set()),
        ("", None),
        ("ok", None),
        ("the 12th", None),
        ("It opens at 9.", None),
        ("at 2:30", None),
    ],
)
def test_the_numbers_of_a_short_answer(said, numbers):
    assert numbers_in(said, 4) == numbers


class Unsure(Doubting):
    """Lets everything through, not surely."""

    def decide(self, recalled):
        return [Verdict(one.edit, 0.8, passed=True, doubtful=True) for one in recalled.candidates]


@pytest.mark.parametrize("said", ["ok", "", "Sure! Here is your answer."])
def test_where_no_number_comes_back_the_gate_decides(said):
    llm, _ = asking("ask", lambda prompt: said, (POOL,), gate=Unsure())
    answer = llm.invoke(MESSAGE)
    assert [edit.text for edit in answer.citations] == [POOL.text]
    assert any("the gate decided" in note for note in answer.trace.notes)
