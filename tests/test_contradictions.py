"""Statements that contradict earlier ones in other words: when they are added, and when both stay in force."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from memedit import Behaviour, EditableLLM, EditMemory, Fact
from memedit.errors import EditConflict, MissingExtra
from memedit.gate import Gate, Verdict
from memedit.gate.occlusion import occluded
from memedit.memory.comparing import are_numbered, are_parallel, corrects
from memedit.memory.contradictions import says_one_thing
from memedit.methods.base import Recall
from memedit.testing import FakeLLM, HashEmbedder

WORK, MOVED = "I work at Brightwell.", "I now work at Coren Labs."
LONG = "I work at Brightwell, from nine to five, and have lunch at one."


class Reader:
    """A judge that finds a contradiction wherever the later statement says “now”, and another is about work too."""

    def __init__(self, sure=0.95):
        self.sure = sure
        self.read = []

    def contradiction(self, pairs, cosines):
        assert len(pairs) == len(cosines)
        self.read += pairs
        return [self.sure if "now" in later and "work" in earlier.lower() else 0.02 for later, earlier in pairs]


class Sure:
    """Finds the same everywhere."""

    def __init__(self, probability=0.99):
        self.probability = probability

    def contradiction(self, pairs, cosines):
        return [self.probability for _ in pairs]


def corrected(earlier, later, judge):
    """Whether a statement takes the place of an earlier one, and whether it is said that it may contradict it."""
    with EditMemory(judge=judge) as memory:
        first, second = memory.add(Fact(earlier)), memory.add(Fact(later))
        return first.id in second.superseded, first.id in second.possible_conflicts


def memory_with(judge):
    return EditMemory(embedder=HashEmbedder(), judge=judge)


def test_a_later_statement_takes_the_place_of_an_earlier_one():
    with memory_with(Reader()) as memory:
        memory.add("The work of bees is honey.")
        first = memory.add(WORK)
        second = memory.add(MOVED)
        assert first.id in second.superseded
        assert WORK not in [edit.text for edit in memory.edits()]
        memory.undo()
        assert WORK in [edit.text for edit in memory.edits()]


def test_within_one_call_and_against_a_fact_with_a_relation():
    with memory_with(Reader()) as memory:
        first, second = memory.add_many([WORK, MOVED])
        assert second.superseded == (first.id,)
    with memory_with(Reader()) as memory:
        fact = memory.add(Fact("I work at Dorn.", subject="I", relation="employer", object="Dorn"))
        assert memory.add("I now work at Elm.").superseded == (fact.id,)


def test_where_it_reads_as_if_several_were_meant_none_goes():
    with memory_with(Reader()) as memory:
        first, second = memory.add(WORK), memory.add("Work begins at nine.")
        added = memory.add(MOVED)
        assert (added.superseded, set(added.possible_conflicts)) == ((), {first.id, second.id})
        assert {edit.id for edit in memory.edits()} >= {first.id, second.id}


def test_what_says_more_than_one_thing_stays_and_is_listed():
    with memory_with(Reader()) as memory:
        first = memory.add(LONG)
        second = memory.add(MOVED)
        assert (second.superseded, second.possible_conflicts) == ((), (first.id,))


@pytest.mark.parametrize(("sure", "superseded"), [(0.95, True), (0.6, False)])
def test_what_is_not_sure_is_only_listed(sure, superseded):
    with memory_with(Reader(sure)) as memory:
        first = memory.add(WORK)
        second = memory.add(MOVED)
        assert (first.id in second.superseded, first.id in second.possible_conflicts) == (superseded, not superseded)


def test_keep_and_error():
    with memory_with(Reader()) as memory:
        first = memory.add(WORK)
        with pytest.raises(EditConflict) as conflict:
            memory.add(MOVED, on_conflict="error")
        assert conflict.value.conflicts == (first.id,)
        assert [edit.text for edit in memory.edits()] == [WORK]
        kept = memory.add(MOVED, on_conflict="keep")
        assert (kept.superseded, kept.possible_conflicts) == ((), (first.id,))


def test_times_that_do_not_meet_do_not_contradict():
    with memory_with(Reader()) as memory:
        memory.add(Fact(WORK, valid_until="2020-01-01"))
        assert memory.add(Fact(MOVED, valid_from="2020-01-01")).superseded == ()


def test_another_namespace_is_never_read():
    judge = Reader()
    with memory_with(judge) as memory:
        memory.add(WORK, namespace="other")
        assert memory.add(MOVED).superseded == ()
        assert judge.read == []


def test_without_a_judge_likeness_is_listed():
    with memory_with(None) as memory:
        first = memory.add("The office of Acme is in Paris.")
        assert memory.add("The office of Acme is in Rome.").possible_conflicts == (first.id,)


@pytest.mark.parametrize(
    ("text", "one"),
    [(WORK, True), ("Refunds take 5.5 days", True), (LONG, False), ("Wi-Fi: Quince; password: heron", False)],
)
def test_what_says_one_thing(text, one):
    assert says_one_thing(text) is one


class OnlyTheOldest(Gate):
    """Lets the oldest candidate through, and no other."""

    name = "oldest"

    def decide(self, recalled):
        oldest = min(recalled.candidates, key=lambda one: one.edit.created_at).edit
        return [
            Verdict(one.edit, 0.8 if one.edit is oldest else 0.1, one.edit is oldest) for one in recalled.candidates
        ]


def test_the_newer_goes_first_and_never_the_older_alone():
    fake, now = FakeLLM(), datetime(2026, 5, 1, tzinfo=UTC)
    with memory_with(Reader()) as memory:
        llm = EditableLLM(fake, memory, gate=OnlyTheOldest())
        for at, text in enumerate((WORK, "Bees work hard.", MOVED)):
            memory.add(Fact(text, created_at=now + timedelta(days=at)), on_conflict="keep")
        answer = llm.invoke("Where do I work?")
    assert [edit.text for edit in answer.citations] == [MOVED, WORK]
    sent = fake.requests[-1].text + str(fake.requests[-1].turns)
    assert f"{MOVED} (noted later, on 2026-05-03)" in sent
    assert f"{WORK} (noted earlier, on 2026-05-01)" in sent
    assert "Bees" not in sent


class Undecided(Gate):
    """Lets nothing through, however probable two are together."""

    name = "undecided"

    def decide(self, recalled):
        return [Verdict(one.edit, 0.4, False) for one in recalled.candidates]


def test_what_does_not_pass_lends_a_newer_one_nothing():
    with memory_with(Reader()) as memory:
        llm = EditableLLM(FakeLLM(), memory, gate=Undecided(), doubt="leave")
        for at, text in enumerate((WORK, MOVED)):
            memory.add(Fact(text, created_at=datetime(2026, 5, 1 + at, tzinfo=UTC)), on_conflict="keep")
        (hits,) = llm.recall("default", [Recall("Where do I work?")])
    assert len(hits.verdicts) == 2
    assert not hits.edits


class Counting:
    """A judge for which only the words “gym” and “close” count."""

    def logits(self, pairs):
        odds = [2.0 * ("gym" in asked) + 1.0 * ("gym" in told) - 3.0 * ("close" in asked) for asked, told in pairs]
        return np.array([[0.0, value, -9.0] for value in odds], dtype=np.float32)


def test_words_that_speak_for_and_against_are_named():
    edit = Fact("The gym opens at 6 am.")
    spoke = occluded(Counting(), "when does the gym close?", edit)
    assert [word for word, _ in spoke.message_for] == ["gym"]
    assert [word for word, _ in spoke.message_against] == ["close"]
    assert [word for word, _ in spoke.edit_for] == ["gym"]
    assert spoke.edit_against == ()
    assert "“close”" in str(spoke)


def test_the_judge_that_comes_with_memedit_serves_the_embedder_that_it_learned_with():
    with EditMemory() as memory:
        first = memory.add("Mira lives in Ghent.")
        assert memory.add("Mira lives in Porto.").superseded == (first.id,)
        assert memory.add("Tom lives in Oslo.").superseded == ()
    with EditMemory(embedder=HashEmbedder()) as memory:
        assert memory.judge is None
        memory.add("Mira lives in Ghent.")
        assert memory.add("Mira lives in Porto.").superseded == ()


def test_explaining_by_word_needs_what_reads(monkeypatch):
    monkeypatch.setattr("memedit.gate.occlusion.lacking", lambda: ["onnxruntime"])
    with memory_with(None) as memory:
        llm = EditableLLM(FakeLLM(), memory)
        llm.edit(WORK)
        with pytest.raises(MissingExtra, match="hosted"):
            llm.explain("Where do I work?", by_word=True)


@pytest.mark.parametrize(
    ("later", "earlier", "parallel"),
    [
        ("Carla Diaz's extension is 134.", "Carla Ray's extension is 133.", True),
        ("The locker of Person17 is 119.", "The locker of Person91 is 637.", True),
        ("Room B4 costs 30 euros.", "Room B1 costs 25 euros.", True),
        ("Room B4 opens at 9.", "Room B1 opens at 9.", True),
        ("The red van needs 12 litres.", "The blue van needs 9 litres.", True),
        ("Table 6 seats 8 people.", "Table 4 seats 6 people.", True),
        ("Sue owes Rob 9 pounds.", "Rob owes Sue 5 pounds.", True),
        ("Part number 3 costs 9 pounds.", "Part number 1 costs 3 pounds.", True),
        ("The gym opens at 7 pm.", "The gym opens at 6 am.", False),
        ("The CEO of Acme is Eve Moss.", "The CEO of Acme is Carol Diaz.", False),
        ("The gym now opens at 7.", "The gym opens at 6 am.", False),
        ("I just started at Coren Labs.", "I work at Brightwell.", False),
        ("I hate coriander.", "I love coriander.", False),
    ],
)
def test_statements_about_two_things_are_told_apart(later, earlier, parallel):
    assert are_parallel(later, earlier) is parallel
    assert are_parallel(earlier, later) is parallel


@pytest.mark.parametrize(
    ("later", "earlier", "numbered"),
    [
        ("Room 42 is painted green.", "Room 32 is painted blue.", True),
        ("The code of gadget number 17 is 5523.", "The code of gadget number 18 is 991.", True),
        ("Hall B2 is closed on Mondays.", "Hall B3 was open on Mondays.", True),
        ("Gate 7 is our gate.", "Gate 5 is our gate.", False),
        ("The deadline for 2025 is May.", "The deadline for 2026 is June.", False),
        ("Room 42 is green.", "Room 42 is blue.", False),
        ("The office has 12 desks on floor 3.", "The office has 14 desks on floor 4.", False),
    ],
)
def test_what_is_numbered_is_neither_read_nor_listed(later, earlier, numbered):
    """A list of the codes of 3,000 gadgets gave 2,400 warnings."""
    assert are_numbered(later, earlier) is numbered
    with EditMemory() as memory:
        memory.add(earlier)
        receipt = memory.add(later)
    if numbered:
        assert not receipt.superseded
        assert not receipt.possible_conflicts


NEIGHBOURS = [
    ("The shop now opens at 9.", "The shop closes at 6."),
    ("Actually, the shop opens at 9 now.", "The shop closes at 6."),
    ("Lunch now ends at 1:15.", "Lunch starts at 12."),
    ("Nell can have eggs now.", "Nell can't have milk."),
    ("You can park in the yard now.", "You can't smoke in the yard."),
    ("The oak side table is 129 pounds now.", "The oak desk costs 320 pounds."),
    ("Room 1 sleeps three now.", "Room 2 sleeps four."),
    ("The left drawer is for spoons now.", "Right drawer is for knives."),
    ("We don't take Visa any more.", "We take Mastercard."),
    ("My daughter is Ida.", "My daughter is Mia."),
    ("My colleague's name is Ravi Sen.", "My colleague is Ana."),
    ("The former CEO of Acme is Al.", "The CEO of Acme is Bo."),
    ("My boss is Priya.", "My old boss is Karl."),
    ("We no longer deliver to York.", "We deliver to Leeds."),
    ("Ana doesn't work on Mondays any more.", "Ana works on Thursdays."),
    ("Right oven runs cold.", "Left oven runs hot."),
    ("Bed 5 is free now.", "Bed 3 is free."),
    ("Door B1 is locked now.", "Door B2 is locked."),
]
CORRECTIONS = [
    ("The shop now opens at 9.", "The shop opens at 8:30."),
    ("Actually the shop opens at 9 now.", "The shop opens at 8:30."),
    ("Nell can have eggs now.", "Nell can't have eggs."),
    ("Nell isn't allergic to eggs after all.", "Nell is allergic to eggs."),
    ("We don't take Visa any more.", "We take Visa."),
    ("We take American Express now.", "We don't take American Express."),
    ("The guest wifi password is now redpanda17.", "Guest Wi-Fi password is heron5."),
    ("Visiting is now 2 to 5.", "Visiting is 3 to 6."),
    ("The trip is 14 pounds now.", "The trip costs 12 pounds."),
    ("The shop opens at 9 on Sundays now.", "The shop opens at 10 on Sundays."),
    ("No, it opens at 9.", "It opens at 10."),
    ("UPDATE: deploys are frozen from Dec 18 to Jan 6.", "Deploys are frozen from Dec 20 to Jan 6."),
]


@pytest.mark.parametrize(("later", "earlier"), NEIGHBOURS)
def test_a_correction_leaves_what_is_worded_like_it_of_something_else(later, earlier):
    assert are_parallel(later, earlier)
    assert not corrects(later, earlier)
    assert corrected(earlier, later, Sure()) == (False, True)


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        ("On Saturdays we're shutting at one from now on.", "We close at half past six on weekdays."),
        ("Children are paying 5 to get in from now on.", "Adults pay 12 to get in."),
        (
            "In autumn we're weeding the borders every fortnight from now on.",
            "In spring the borders get weeded weekly.",
        ),
        ("Just this week the meeting is in room 9.", "The meeting is in room 5."),
        ("As of January the rent will be 950.", "The rent is 900."),
        ("Choir has moved to Wednesday evenings, still at 7.", "Choir practice is Thursday at 7 in the vestry."),
        ("The Berger party has been pushed back to the 21st.", "The Berger party is on 14 June at the boathouse."),
    ],
)
def test_what_holds_beside_it_or_says_more_stays(later, earlier):
    assert corrected(earlier, later, Sure()) == (False, True)


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        ("The physio is in on Tuesdays now.", "The physio is in on Mondays."),
        ("I've moved to York.", "I live in Leeds."),
        ("Max is 8.", "Max is 7 years old."),
        ("Parents' evening has been postponed to 6 December.", "Parents' evening is on 22 November."),
        ("From now on lunch is at one.", "Lunch is at twelve."),
        ("The keys are with Ann now, get them from Mark.", "The keys are with Bo."),
    ],
)
def test_what_says_otherwise_and_no_less_takes_its_place(later, earlier):
    assert corrected(earlier, later, Sure()) == (True, False)


@pytest.mark.parametrize(("later", "earlier"), CORRECTIONS)
def test_a_correction_in_the_same_words_needs_no_judge(later, earlier):
    assert corrects(later, earlier)
    assert corrected(earlier, later, Sure(0.0)) == (True, False)


@pytest.mark.parametrize(
    ("word", "later", "earlier"),
    [
        ("jetzt", "Ich wohne jetzt in Linz.", "Ich wohne in Graz."),
        ("maintenant", "Le magasin ouvre maintenant à 10 h.", "Le magasin ouvre à 9 h."),
        ("now", "I now work at Coren.", "I work at Brightwell."),
    ],
)
def test_what_tells_of_a_change_in_one_thing_is_listed_whatever_the_judge_says(word, later, earlier):
    assert corrected(earlier, later, Sure(0.0)) == (False, True)
    assert corrected(earlier, later.replace(f" {word}", ""), Sure(0.0)) == (False, False)


def test_another_name_for_the_same_role_is_listed_either_way_round():
    assert corrected("Bo is the CEO of Acme.", "The CEO of Acme is Di.", Sure(0.0)) == (False, True)
    assert corrected("The CEO of Acme is Bo.", "The CEO of Acme is Bo Li.", Sure(0.0)) == (False, True)
    assert corrected("Bo is the CEO of Acme.", "The CFO of Acme is Di.", Sure(0.0)) == (False, False)


@pytest.mark.parametrize(
    ("later", "earlier"), [("my dog is called rex", "FYI My dog is called Rex."), (LONG, LONG.upper())]
)
def test_what_is_said_again_takes_its_own_place(later, earlier):
    assert corrected(earlier, later, Sure(0.0)) == (True, False)
    assert corrected("I write C#.", "I write C++.", Sure(0.0)) == (False, False)


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        ("Ana is now in Leeds.", "Ana is a nurse."),
        ("The bus leaves at 9.", "The bus leaves at 5."),
        (WORK, MOVED),
        ("I can tie a knot.", "I can tie a tie."),
        ("The shop now opens at 9 and closes at 6.", "The shop opens at 9 and at 2."),
    ],
)
def test_what_is_not_surely_a_correction_is_for_the_judge(later, earlier):
    assert not corrects(later, earlier)
    assert not are_parallel(later, earlier)


class Everything(Gate):
    """Lets all candidates through, the older ones as more probable."""

    name = "everything"

    def decide(self, recalled):
        oldest_first = sorted(recalled.candidates, key=lambda one: one.edit.created_at)
        return [Verdict(one.edit, 0.9 - at / 10, True) for at, one in enumerate(oldest_first)]


@pytest.mark.parametrize(("sure", "first"), [(0.6, MOVED), (0.4, WORK)])
def test_of_two_that_pass_the_newer_goes_first_where_it_likely_takes_the_other_s_place(sure, first):
    with memory_with(Reader(sure)) as memory:
        llm = EditableLLM(FakeLLM(), memory, gate=Everything())
        for at, text in enumerate((WORK, MOVED)):
            llm.edit(Fact(text, created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=at)), on_conflict="keep")
        (hits,) = llm.recall("default", [Recall("Where do I work?")])
        assert len(hits.passed) == 2
        assert hits.passed[0].edit.text == first


def test_paragraphs_are_not_compared_word_by_word():
    told = [" ".join(f"{word}{at % 7}" for at in range(4_000)) for word in ("a", "b")]
    assert not are_parallel(*told)
    assert not corrects(*told)


CLOSES, OPENS = "The shop closes at 6.", "The shop now opens at 9."


@pytest.mark.parametrize(
    ("gate", "sure", "shown"),
    [
        (OnlyTheOldest(), 0.99, [CLOSES]),
        (Everything(), 0.4, [CLOSES, OPENS]),
        (Everything(), 0.6, [f"{OPENS} (noted later, on 2026-01-02)", f"{CLOSES} (noted earlier, on 2026-01-01)"]),
    ],
)
def test_of_two_things_that_are_worded_alike_the_newer_goes_first_where_the_message_is_about_both(gate, sure, shown):
    with memory_with(Sure(sure)) as memory:
        llm = EditableLLM(FakeLLM(), memory, gate=gate, doubt="leave")
        for at, text in enumerate((CLOSES, OPENS)):
            llm.edit(Fact(text, created_at=datetime(2026, 1, 1 + at, tzinfo=UTC)), on_conflict="keep")
        (hits,) = llm.recall("default", [Recall("When does the shop close?")])
    assert [one.line for one in hits.passed] == shown


def test_like_statements_about_many_things_all_stay():
    told = [f"The locker number of employee Person{number} is {7 * number}." for number in range(40)]
    with EditMemory() as memory:
        receipts = list(memory.add_many(told))
        assert [edit.statement for edit in memory.edits()] == told
    assert not any(receipt.superseded for receipt in receipts)


@pytest.mark.parametrize(
    ("later", "earlier", "listed"),
    [
        ("Always reply in English.", "Always answer in German.", True),
        ("Feel free to use emojis with me.", "Never use emojis with me.", True),
        ("Use American spelling.", "Use British spelling.", True),
        ("Never use emojis with me.", "Keep answers short.", False),
        ("Always use metric units.", "Use British spelling.", False),
    ],
)
def test_standing_instructions_that_are_alike_are_listed_and_both_stay(later, earlier, listed):
    with EditMemory() as memory:
        first, second = memory.add(earlier), memory.add(later)
        assert (first.edit.kind, second.edit.kind, second.superseded) == ("behaviour", "behaviour", ())
        assert second.possible_conflicts == ((first.id,) if listed else ())
        assert len(memory.edits()) == 2
    with EditMemory() as memory:
        first, second = memory.add_many([earlier, later])
        assert second.possible_conflicts == ((first.id,) if listed else ())


def test_behaviours_about_something_are_not_listed():
    with EditMemory() as memory:
        memory.add(Behaviour(topic="Microsoft", conduct="Be positive."))
        assert memory.add(Behaviour(topic="Microsoft Office", conduct="Be critical.")).possible_conflicts == ()
        assert memory.add("Always answer positively.").possible_conflicts == ()


BUS, SCRAPPED = "The night bus runs every hour.", "The night bus has been scrapped."


def said_before(memory, asked="How often is the night bus?"):
    return {one.edit.text: one.before for one in memory.search(asked)}


def test_what_a_statement_replaced_is_known_with_it_until_it_is_purged(tmp_path):
    with EditMemory(tmp_path, embedder=HashEmbedder(), judge=Sure()) as memory:
        memory.add("The tram runs every ten minutes.", on_conflict="keep")
        old = memory.add(BUS, on_conflict="keep")
        memory.retract(memory.edits()[0].id)
        assert said_before(memory) == {BUS: ""}
        memory.add(SCRAPPED)
        assert said_before(memory) == {SCRAPPED: BUS}  # seen by a view that was loaded before
        memory.undo()
        assert said_before(memory) == {BUS: ""}
        memory.add(SCRAPPED)
        with EditMemory(tmp_path, embedder=HashEmbedder(), judge=Sure()) as other:
            assert said_before(other) == {SCRAPPED: BUS}  # and by one that reads the ledger anew
            memory.purge([old.id])
            assert said_before(memory) == said_before(other) == {SCRAPPED: ""}


def test_before_a_statement_is_the_latest_that_it_replaced_and_that_said_something_else(tmp_path):
    later = datetime.now(UTC) + timedelta(days=9)
    with EditMemory(tmp_path, embedder=HashEmbedder(), judge=Sure()) as memory:
        first = memory.add(BUS)
        second = memory.add(SCRAPPED)
        assert second.superseded == (first.id,)
        again = memory.add(Fact(SCRAPPED, expires_at=later))  # says the same, and only ends at another time
        assert again.superseded == (second.id,)
        assert said_before(memory) == {SCRAPPED: BUS}
        third = memory.add("The night bus is back.")
        assert third.superseded == (again.id,)
        assert said_before(memory) == {"The night bus is back.": SCRAPPED}
        with EditMemory(tmp_path, embedder=HashEmbedder(), judge=Sure()) as other:
            assert said_before(other) == said_before(memory)
            memory.purge([second.id, again.id])  # what is left is what was before that
            assert said_before(other) == said_before(memory) == {"The night bus is back.": ""}
        memory.undo()


def test_what_is_in_force_again_is_before_nothing():
    with EditMemory(embedder=HashEmbedder(), judge=Sure()) as memory:
        memory.add(BUS)
        waits = memory.propose([SCRAPPED])[0]
        memory.accept(waits.id)
        assert said_before(memory) == {SCRAPPED: BUS}
        memory.undo()
        memory.accept(waits.id, on_conflict="keep")
        assert said_before(memory) == {BUS: "", SCRAPPED: ""}


def test_what_asks_for_what_was_replaced_asks_for_what_replaced_it():
    with EditMemory() as memory:
        llm = EditableLLM(FakeLLM(), memory, doubt="leave")

        def passed(asked):
            return llm.explain(asked).trace.lookups[0].passed

        memory.add(SCRAPPED)
        assert not passed("How often is the night bus?")
        memory.undo()
        memory.add(BUS)
        assert memory.add(SCRAPPED).superseded
        (verdict,) = passed("How often is the night bus?")
        assert verdict.edit.text == SCRAPPED
        assert verdict.reasons[0].startswith("as it reads, or what it replaced, it answers it")
        assert not passed("How often does the tram run?")
