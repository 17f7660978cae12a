"""The default gate: what is proposed, read, let through and left in doubt."""

from dataclasses import replace

import numpy as np
import pytest

from memedit import EditableLLM, EditMemory, Fact
from memedit.encoder.graph import CARD
from memedit.encoder.judge import Judge, shipped_judge
from memedit.errors import GateUnusable
from memedit.gate import as_gate, read_conversation, thresholds
from memedit.gate.judge_gate import FIRST, READ, JudgeGate, Read
from memedit.gate.port import Verdict
from memedit.gate.thresholds import Thresholds, with_doubts
from memedit.methods import multihop
from memedit.methods.base import Recall
from memedit.testing import FakeLLM, HashEmbedder

FACTS = (
    "The CEO of Tallis Robotics is Carol Diaz.",
    "Refunds take 5 business days.",
    "My name is Wren Oduya.",
    "The staging database runs on port 5433.",
    "I am allergic to peanuts.",
    "The gym opens at 6 am.",
    "The trial lasts 30 days.",
)


@pytest.fixture(scope="module")
def llm():
    llm = EditableLLM(FakeLLM(), EditMemory(), doubt="leave")
    llm.edit_many(FACTS)
    return llm


def hits(llm, *turns):
    roles = ["user", "assistant"] * len(turns)
    said = read_conversation(list(zip(roles, turns, strict=False)))
    (found,) = llm.recall("default", [Recall(said.query, whole=said.whole)])
    return found


@pytest.mark.parametrize("message", ["👍", "?", "…", "🙏🙏 !!", " - "])
def test_a_message_without_words_has_nothing_in_scope(llm, message):
    assert not hits(llm, message).verdicts
    assert not hits(llm, "When does the gym open?", "At 6 am.", message).edits
    assert not llm.invoke(message).edited


def test_what_lies_far_is_less_likely_than_it_reads():
    llm = EditableLLM(FakeLLM(), EditMemory(), doubt="leave")
    llm.edit("The landlord is Mr. Okafor.")
    assert not llm.invoke("ok thx").edited
    assert llm.invoke("Who is the landlord?").edited
    by = Thresholds(1.0, (), far=10.0)
    assert by.off(0.05) == pytest.approx(-2.0)
    assert by.off(0.9) == Thresholds(1.0, ()).off(0.05) == 0.0


LONG = (
    "The Aldersey Group reported revenue of 4.2 billion crowns in the third quarter. Chief executive Jonna Frisk said "
    "the results were ahead of plan. Analysts at Bruhn & Co. had expected less. The division in Rotterdam was sold. "
) * 6


def test_what_is_asked_at_either_end_of_a_long_text_is_read():
    asks = ("Please summarise the text for a manager.", "Who is the chief executive of Aldersey now?")
    for texts in ([f"{LONG}\n\n{ask}" for ask in asks], [f"{ask}\n\n{LONG}" for ask in asks]):
        one, other = (read_conversation([("user", text)]).whole for text in texts)
        first, second = shipped_judge().logits([(whole, "Ann Lee runs the Aldersey Group.") for whole in (one, other)])
        assert abs(first - second).max() > 0.05


PASTED = "def main():\n    x = load()\n    for row in x:\n        print(row.total * 3)\n\n" * 12


@pytest.mark.parametrize("text", ["{ask}\n\n{pasted}", "{pasted}\n\n{ask}"])
def test_what_is_asked_beside_pasted_code_passes_its_edit_and_no_other(llm, text):
    message = text.format(ask="When does the gym open?", pasted=PASTED)
    assert [edit.text for edit in hits(llm, message)] == [FACTS[5]]
    assert not hits(llm, text.format(ask="Fix the indentation, please.", pasted=PASTED))


def test_grammar_takes_out_no_statement_that_the_judge_lets_through(monkeypatch):
    def mistaken(*_):
        yield from ()
        return True

    monkeypatch.setattr(multihop, "is_of_another", mistaken)
    llm = EditableLLM(FakeLLM(), EditMemory(), doubt="leave")
    llm.edit("Lena is allergic to hazelnuts.")
    answer = llm.invoke("Can I put hazelnut cream on Lena's birthday cake?")  # as grammar reads it, of two hops
    assert [edit.text for edit in answer.citations] == ["Lena is allergic to hazelnuts."]


@pytest.mark.parametrize(
    ("message", "fact"),
    [
        ("Who is the CEO of Tallis Robotics?", 0),
        ("how long til i get my refund", 1),
        ("What is my name?", 2),
        ("What's my name?", 2),
        ("which port for the staging db?", 3),
        ("What time does the gym open?", 5),
        ("How many days is the trial?", 6),
    ],
)
def test_a_plain_question_passes_its_edit_and_no_other(llm, message, fact):
    assert [edit.text for edit in hits(llm, message)] == [FACTS[fact]]


def test_courtesy_around_a_question_leaves_its_edit_first_and_shown(llm):
    found = hits(llm, "Hi! Hope you're well. When does the gym open in the morning? Thanks a lot!")
    first = found.verdicts[0]
    assert first.edit.text == FACTS[5]
    assert first.passed or first.doubtful


@pytest.mark.parametrize(
    "message",
    [
        "hi", "Thanks!", "What is the capital of France?", "Who are you?", "Write a haiku about autumn.",
        "How do I sort a list in Python?", "When does the pool open?", "Who founded Tallis Robotics?",
    ],
)  # fmt: skip
def test_what_no_edit_answers_passes_none(llm, message):
    assert not hits(llm, message)


def test_a_follow_up_is_read_with_what_was_said_before(llm):
    assert [
        edit.text for edit in hits(llm, "I want to work out at the gym tomorrow.", "Nice!", "when does it open")
    ] == [FACTS[5]]


def test_a_fact_given_by_its_parts_is_decided_by_the_evidence():
    memory = EditMemory()
    memory.add(Fact(subject="Acme", relation="CEO", object="Carol Diaz", prompt="The CEO of {} is"))
    gate = JudgeGate()
    for asked in ("Who runs Acme?", "Who is the CEO of Acme?", "Where is Acme based?", "Who is the CEO of Globex?"):
        recalled = memory.recall(asked, whole=asked)
        (said,), (measured,) = gate.decide(recalled), gate.evidence.decide(recalled)
        assert (said.passed, said.role) == (measured.passed, measured.role)
        assert (said.probability >= gate.thresholds[said.role]) == said.passed


def test_a_hop_that_is_nobody_s_message_is_decided_by_the_evidence():
    memory = EditMemory()
    memory.add(FACTS[0])
    recalled = memory.recall("the CEO of Tallis Robotics")
    gate = JudgeGate()
    assert [one.numbers for one in gate.decide(recalled)] == [one.numbers for one in gate.evidence.decide(recalled)]


def test_far_candidates_are_not_read(llm):
    far = [v for v in hits(llm, "Write a haiku about autumn.").verdicts if v.evidence.judged is None]
    assert far
    assert all(v.reasons[0].startswith("too far from what is said to be read") and not v.passed for v in far)
    read = [v for v in hits(llm, "What time does the gym open?").verdicts if v.evidence.judged is not None]
    assert 0 < len(read) <= READ


class Steady:
    """A judge that says the same of every pair, and counts them."""

    def __init__(self, odds):
        self.odds, self.read = odds, 0

    def logits(self, pairs):
        self.read += len(pairs)
        return np.array([[0.0, self.odds, -12.0]] * len(pairs), dtype=np.float32).reshape(-1, 3)


@pytest.mark.parametrize(("odds", "all_"), [(-9.0, False), (-2.0, True)])
def test_the_others_are_read_where_one_of_the_first_may_bear(odds, all_):
    judge = Steady(odds)
    with EditMemory() as memory:
        for at in range(6):
            memory.add(f"Desk {at} of the library opens at {at + 6} am.", on_conflict="keep")
        recalled = memory.recall("When does the library open?", whole="When does the library open?")
        verdicts = JudgeGate(judge).decide(recalled)
    assert len(verdicts) == 6
    assert judge.read == (6 if all_ else FIRST)


def test_reasons_are_in_words_and_numbers_by_name(llm):
    first = hits(llm, "What time does the gym open?").verdicts[0]
    assert first.reasons[0].startswith("as it reads, it answers it")
    assert {"judged direct", "place", "named", "p(direct)"} <= first.numbers.keys()


def test_reasons_say_from_what_probability_an_edit_is_let_through():
    read = Read((0.61, 0.39, 0.0), (0.61, 0.39, 0.0), 1, None, least=0.75)
    assert read.reasons()[0] == "as it reads, it answers it (39%, let through from 75%)"
    assert replace(read, least=0.3).reasons()[0] == "as it reads, it answers it (39%)"
    assert replace(read, weights=(0.99, 0.01, 0.0)).reasons()[0] == "as it reads, it has little to do with it (1%)"


def test_the_judge_remembers_what_it_read():
    judge = Judge()
    pairs = [("hi", "The gym opens at 6 am."), ("hi", "I am allergic to peanuts.")]
    first = judge.logits(pairs)
    judge._encoder = None  # nothing is read again
    assert np.array_equal(judge.logits(pairs[::-1]), first[::-1])
    assert judge.logits([]).shape == (0, 3)


def test_the_shipped_judge_is_loaded_once():
    assert shipped_judge() is shipped_judge()


def test_a_lower_rate_of_false_fires_asks_for_more():
    strict, lax = JudgeGate(max_false_fires=0.01), JudgeGate(max_false_fires=0.1)
    assert strict.thresholds["direct"] > lax.thresholds["direct"]
    assert JudgeGate(threshold=0.77).thresholds["direct"] == 0.77
    assert as_gate("judge").thresholds == as_gate().thresholds


@pytest.mark.parametrize("rate", [0, 1, -0.5, 1e-9])
def test_a_rate_that_cannot_be_promised_is_refused(rate):
    with pytest.raises(GateUnusable, match="max_false_fires"):
        JudgeGate(max_false_fires=rate)


def test_a_folder_without_thresholds_is_named(tmp_path):
    with pytest.raises(GateUnusable, match=str(tmp_path)):
        thresholds.load(tmp_path)
    (tmp_path / CARD).write_text('{"format": 1}', encoding="utf-8")
    with pytest.raises(GateUnusable, match="its card has no 'thresholds'"):
        thresholds.load(tmp_path)


def test_what_was_not_read_bears_on_nothing_and_radii_widen_what_was():
    judged = {0: np.array([0.0, 4.0, -4.0]), 2: np.array([0.0, -2.0, -4.0])}
    rows = Thresholds(2.0, ((0.05, 0.5),)).probabilities(judged, [0.0, 0.0, 1.5])
    assert rows.shape == (3, 3)
    assert np.allclose(rows.sum(axis=1), 1)
    assert rows[0, 1] == pytest.approx(np.exp(2) / (1 + np.exp(2) + np.exp(-2)))
    assert rows[1, 0] > 0.99
    assert rows[2, 1] == pytest.approx(np.exp(0.5) / (1 + np.exp(0.5) + np.exp(-0.5)))
    assert Thresholds(2.0, ()).probabilities({}, []).shape == (0, 3)


def test_the_manner_of_a_message_shifts_what_was_read():
    judged, vector = {0: np.array([0.0, 4.0, -4.0])}, np.array([0.6, 0.8], dtype=np.float32)
    by = Thresholds(2.0, (), manner=(0.5, -1.0, 0.25))
    assert by.shift(vector) == pytest.approx(-0.25)
    assert by.shift(None) == Thresholds(2.0, ()).shift(vector) == 0.0
    shifted = by.probabilities(judged, [by.shift(vector)])[0]
    assert shifted[1] == pytest.approx(np.exp(1.75) / (1 + np.exp(1.75) + np.exp(-2.25)))


def test_another_embedder_tells_no_manner():
    shifting = Thresholds(1.0, ((0.005, 0.5),), manner=(*[0.0] * 384, 3.0))
    found = []
    for embedder in (None, HashEmbedder()):
        with EditMemory(embedder=embedder, judge=None) as memory:
            memory.add("The gym opens at 6 am.")
            recalled = memory.recall("Is the gym open?", whole="Is the gym open?")
            (verdict,) = JudgeGate(thresholds=shifting).decide(recalled)
            found.append(verdict.numbers["manner"])
            assert f"({max(verdict.evidence.weights):.0%})" in verdict.reasons[0]  # it says no other than the figure
    assert found == [3.0, 0.0]


def test_doubt_begins_where_one_edit_probably_bears_and_takes_what_is_hardly_less_likely():
    made = [Verdict(Fact(f"Fact {at}."), p, p > 0.6) for at, p in enumerate((0.7, 0.3, 0.1, 0.001))]
    doubtful = [one.doubtful for one in with_doubts(made, any_=0.2, behind=3.1, most=3)]
    assert doubtful == [False, True, True, False]
    assert [one.doubtful for one in with_doubts(made, any_=0.2, behind=2.0, most=3)] == [False, True, False, False]
    assert not any(one.doubtful for one in with_doubts(made[2:], any_=0.2, behind=9.0, most=3))
    assert sum(one.doubtful for one in with_doubts(made[1:], any_=0.2, behind=9.0, most=2)) == 2


def test_thresholds_keep_their_promise_or_say_what_they_reached():
    plain = Thresholds(1.0, ((0.01, 0.9), (0.05, 0.5)))
    assert plain.threshold(0.05) == 0.5
    assert plain.threshold(0.03) == 0.9
    with pytest.raises(GateUnusable, match=r"the least is 0\.01"):
        plain.threshold(0.001)


def test_what_is_named_is_in_doubt_unless_it_passed_and_within_what_may_be_shown():
    edits = [Fact(f"Fact {at}.") for at in range(4)]
    made = [
        Verdict(edit, probability, probability > 0.5)
        for edit, probability in zip(edits, (0.9, 0.3, 0.1, 0.0), strict=True)
    ]

    def doubtful(also, most):
        ids = [edits[at].id for at in also]
        found = with_doubts(made, any_=0.2, behind=3.1, most=most, also=ids)
        return [at for at, one in enumerate(found) if one.doubtful]

    assert doubtful([3], 4) == [1, 3]
    assert doubtful([3], 2) == [3]
    assert doubtful([0], 4) == [1]
