"""The memory's verbs: what each changes, what it leaves alone, and that everything can be taken back."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fuzzing import generated
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from memedit import EditableLLM
from memedit.edits import Demonstration, Fact, Feedback, Patch
from memedit.errors import (
    EditConflict,
    EditRejected,
    FileRejected,
    LedgerError,
    NothingToUndo,
    RevisionMoved,
    UnknownEdit,
    UnknownRevision,
)
from memedit.index import ExactIndex
from memedit.memory import EditMemory
from memedit.testing import FakeLLM, HashEmbedder


class Clock:
    """A time that passes only when told to."""

    def __init__(self):
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self):
        return self.now

    def passes(self, **time):
        self.now += timedelta(**time)


@pytest.fixture(params=["in memory", "in a folder", "in PostgreSQL"])
def memory(request, tmp_path):
    with ExitStack() as held:
        place = {"in memory": None, "in a folder": tmp_path / "memory"}.get(request.param)
        if request.param == "in PostgreSQL":
            place = held.enter_context(request.getfixturevalue("postgres").schema())
        memory = held.enter_context(EditMemory(place, embedder=HashEmbedder()))
        yield memory
        assert memory.check() == []


def ceo(name, of="Acme", **more):
    return Fact(subject=of, relation="CEO", object=name, **more)


def texts(memory, **where):
    return sorted(edit.text for edit in memory.edits(**where))


def exported(memory, folder, **where):
    memory.export(folder / "state.jsonl", **where)
    return (folder / "state.jsonl").read_text()


# ---- adding -------------------------------------------------------------------------------------------------------


def test_what_names_no_memory_is_said() -> None:
    with pytest.raises(LedgerError, match="list names no memory"):
        EditMemory(["The CEO of Acme is Carol Diaz."])  # type: ignore[arg-type]
    with pytest.raises(LedgerError, match="empty name names no memory"):
        EditMemory("")


@pytest.mark.parametrize("one", ["The CEO of Acme is Carol Diaz.", {"statement": "x is y"}, Fact("x is y"), None])
def test_one_edit_is_not_several(memory, one):
    with pytest.raises(EditRejected, match="Several edits were expected"):
        list(memory.add_many(one))
    assert memory.edits() == []


def test_add_get_search_recall(memory):
    receipt = memory.add("Rust was made at Mozilla.", author="me", reason="test")
    assert (receipt.status, receipt.revision, receipt.superseded) == ("added", 1, ())
    assert memory.get(receipt.id) == receipt.edit == memory.get(receipt.id[:6])
    assert receipt.edit.author == "me"
    assert memory.search("Where was Rust made?")[0].edit == receipt.edit
    (found,) = memory.recall("Where was Rust made?").candidates
    assert found.edit == receipt.edit
    assert found.mentioned
    assert found.similarity > 0.3


def test_all_kinds_are_kept_and_found_by_kind(memory):
    edits = [
        Fact("The sky is green."),
        Feedback(situation="what is good", clarification="a synonym"),
        Patch(condition="it names the sky", consequence="it is art"),
        Demonstration(role="copy", fact="a", prompt="b", answer="c"),
    ]
    list(memory.add_many(edits))
    assert [edit.kind for edit in memory.edits()] == ["fact", "feedback", "patch", "demonstration"]
    for edit in edits:
        assert [found.edit.id for found in memory.search("the sky", kind=edit.kind)] == [edit.id]
    assert {found.edit.kind for found in memory.recall("the sky").candidates} == {"fact", "feedback", "patch"}


def test_what_is_known_is_not_added_twice(memory):
    first = memory.add(ceo("Ann"))
    again = memory.add(ceo("Ann", author="someone else"))
    assert (again.status, again.id, again.revision) == ("known", first.id, 1)
    assert memory.revision() == 1
    memory.undo()
    assert memory.edits() == []


def test_the_same_content_for_a_longer_time_replaces_the_shorter():
    clock = Clock()
    memory = EditMemory(embedder=HashEmbedder(), clock=clock)
    short = memory.add(Fact("A is B", created_at=clock.now, expires_at=clock.now + timedelta(days=1)))
    lasting = memory.add(Fact("A is B"))
    assert lasting.status == "added"
    assert lasting.superseded == (short.id,)
    clock.passes(days=2)
    assert [edit.id for edit in memory.edits()] == [lasting.id]


def test_an_expired_edit_is_not_known_and_no_rival():
    clock = Clock()
    memory = EditMemory(embedder=HashEmbedder(), clock=clock)
    memory.add(ceo("Ann", created_at=clock.now, expires_at=clock.now + timedelta(days=1)))
    clock.passes(days=1)
    assert memory.edits() == memory.search("Acme CEO") == []
    assert memory.add(ceo("Bob"), on_conflict="error").status == "added"
    assert memory.add(ceo("Ann")).status == "added"


def test_an_id_names_one_edit_for_ever(memory):
    memory.add(Fact("A is B", id="one"))
    with pytest.raises(EditRejected, match="already names another edit"):
        memory.add(Fact("A is C", id="one"))
    memory.retract("one")
    with pytest.raises(EditRejected, match="already names another edit"):
        memory.add(Fact("A is C", id="one"))
    again = memory.add(Fact("A is B", id="one", author="other"))
    assert again.status == "added"
    assert again.edit == memory.get("one")
    assert again.edit.author is None  # as it was stored


def test_an_id_is_used_once_within_a_call(memory):
    with pytest.raises(EditRejected, match="already names another edit"):
        list(memory.add_many([Fact("A is B", id="one"), Fact("A is C", id="one")]))
    assert memory.edits() == []


def test_get_takes_the_beginning_of_an_id_if_it_is_one_edits(memory):
    list(memory.add_many([Fact("A is B", id="abc1"), Fact("A is C", id="abc2"), Fact("A is D", id="abd")]))
    assert memory.get("abd").id == memory.get("abc1").id[:2] + "d"
    for wrong in ("abc", "x", "", "\ud800"):
        with pytest.raises(UnknownEdit):
            memory.get(wrong)


def test_get_by_beginning_passes_over_expired_edits():
    clock = Clock()
    memory = EditMemory(embedder=HashEmbedder(), clock=clock)
    later = clock.now + timedelta(days=1)
    for place in range(4):
        memory.add(Fact(f"A is {place}", id=f"a{place}", created_at=clock.now, expires_at=later))
    memory.add(Fact("A is kept", id="a9"))
    clock.passes(days=2)
    assert memory.get("a").id == "a9"


@pytest.mark.parametrize("wrong", [None, 5, "", {"statement": ""}, {"kind": "x"}, [], object()])
def test_an_invalid_edit_changes_nothing(memory, wrong):
    with pytest.raises(EditRejected, match="Edit 1: "):
        memory.add(wrong)
    assert memory.revision() == 0
    assert memory.namespaces() == []


def test_add_many_is_lazy_and_its_receipts_are_durable(tmp_path):
    taken = []

    def source():
        for place in range(10):
            taken.append(place)
            yield f"A{place} is B"

    memory = EditMemory(tmp_path, embedder=HashEmbedder())
    receipts = memory.add_many(source(), chunk=2)
    assert taken == []
    first = next(receipts)
    assert len(taken) <= 4  # one chunk, and the one embedded ahead
    assert EditMemory(tmp_path, embedder=HashEmbedder()).get(first.id) == first.edit
    assert len(list(receipts)) == 9
    assert memory.revision() == 1


def test_add_many_stopped_early_leaves_a_whole_memory(memory):
    receipts = memory.add_many((f"A{place} is B" for place in range(100)), chunk=5)
    kept = [next(receipts).id for _ in range(7)]
    receipts.close()
    assert set(kept) <= {edit.id for edit in memory.edits()}
    assert len(memory.edits()) == 10  # whole chunks
    memory.undo()
    assert memory.edits() == []


def test_an_invalid_edit_in_the_middle(memory):
    held = []
    with pytest.raises(EditRejected, match="Edit 8: Fact: statement is empty"):
        held.extend(memory.add_many([*(f"A{place} is B" for place in range(7)), "", "Z is B"], chunk=2))
    # extend() drops what it had when it fails, so the edits in force are asked for
    assert len(memory.edits()) in (4, 6)
    memory.undo()
    assert memory.edits() == []


def test_a_failing_source_is_not_hidden(memory):
    def source():
        yield "A is B"
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        list(memory.add_many(source(), chunk=1))


def test_a_writer_between_two_chunks_begins_a_new_change_set(memory):
    receipts = memory.add_many((f"A{place} is B" for place in range(4)), chunk=2)
    first = [next(receipts), next(receipts)]
    memory.add("Z is B")
    rest = list(receipts)
    assert [receipt.revision for receipt in first + rest] == [1, 1, 3, 3]
    memory.undo()
    assert texts(memory) == ["A0 is B", "A1 is B", "Z is B"]


@pytest.mark.parametrize("call", [{"on_conflict": "ignore"}, {"chunk": 0}])
def test_wrong_arguments_are_value_errors(memory, call):
    with pytest.raises(ValueError, match=next(iter(call))):
        memory.add_many(["A is B"], **call)


def test_authors_and_reasons_obey_the_rules_of_edits(memory):
    memory.add("A is B")
    for wrong in ("", "\x00", "\ud800", 5):
        for change in (memory.undo, lambda author: memory.retract("x", author=author)):
            with pytest.raises(EditRejected):
                change(author=wrong)
    assert memory.undo(author="me", reason="so").author == "me"


# ---- conflicts ----------------------------------------------------------------------------------------------------


def test_one_value_at_a_time_supersedes(memory):
    ann, bob = memory.add(ceo("Ann")), memory.add(Fact(subject="ACME ", relation="P169", object="Bob"))
    assert bob.superseded == (ann.id,)
    assert texts(memory) == ["The chief executive officer of ACME is Bob."]
    memory.retract(bob.id)
    assert memory.edits() == []  # retracting does not bring back what was superseded
    memory.undo()
    memory.undo()
    assert texts(memory) == ["The CEO of Acme is Ann."]


def test_within_one_call_the_last_one_stays(memory):
    ann, bob = memory.add_many([ceo("Ann"), ceo("Bob")])
    assert bob.superseded == (ann.id,)
    assert [edit.object for edit in memory.edits()] == ["Bob"]


def test_an_unknown_relation_replaces_nothing_and_says_so(memory):
    first = memory.add(Fact(subject="Acme", relation="mascot", object="a fox"))
    second = memory.add(Fact(subject="Acme", relation="mascot", object="a bear"))
    assert second.superseded == ()
    assert second.possible_conflicts == (first.id,)
    assert len(memory.edits()) == 2


@pytest.mark.parametrize(("single", "left"), [(True, 1), (False, 2)])
def test_the_user_says_how_many_values_a_relation_has(single, left):
    memory = EditMemory(embedder=HashEmbedder(), single_valued={"mascot": single, "CEO": single})
    for relation in ("mascot", "CEO"):
        memory.add(Fact(subject=relation, relation=relation, object="x"))
        receipt = memory.add(Fact(subject=relation, relation=relation, object="y"))
        assert receipt.possible_conflicts == ()
        assert len([edit for edit in memory.edits() if edit.subject == relation]) == left


def test_statements_that_are_alike_are_listed(memory):
    first = memory.add("The office of Acme is in Paris.")
    second = memory.add("The office of Acme is in Rome.")
    assert second.possible_conflicts == (first.id,)
    assert memory.add("Whales are mammals.").possible_conflicts == ()


def test_what_an_edit_replaces_can_be_said(memory):
    sweden, pets = memory.add("We ship to Sweden."), memory.add("Dogs are welcome.")
    norway = memory.add("Parcels go to Norway now.", replaces=sweden.id)
    assert (norway.superseded, norway.possible_conflicts) == ((sweden.id,), ())
    assert texts(memory) == ["Dogs are welcome.", "Parcels go to Norway now."]
    with pytest.raises(UnknownEdit, match="nothing"):
        memory.add("Cats are welcome.", replaces=[pets.id, "nothing"])
    assert texts(memory) == ["Dogs are welcome.", "Parcels go to Norway now."]
    memory.undo()
    assert texts(memory) == ["Dogs are welcome.", "We ship to Sweden."]


@pytest.mark.parametrize("ids", [None, 3, [None], Fact("A is B.")])
def test_ids_are_texts(memory, ids):
    receipt = memory.add("Dogs are welcome.")
    for verb in (lambda: memory.add("A is C.", replaces=ids), lambda: memory.retract(ids), lambda: memory.reject(ids),
                 lambda: memory.apply([], retract=ids), lambda: memory.purge([receipt.id, ids])):  # fmt: skip
        with pytest.raises(EditRejected, match="The id of an edit is a text"):
            verb()
    assert texts(memory) == ["Dogs are welcome."]


def test_what_is_known_can_replace_another(memory):
    first, second = memory.add(ceo("Ann")), memory.add(ceo("Bob"), on_conflict="keep")
    revision = memory.revision()
    again = memory.add(ceo("Bob"), replaces=[first.id, second.id])
    assert (again.status, again.id, again.superseded) == ("known", second.id, (first.id,))
    assert [edit.object for edit in memory.edits()] == ["Bob"]
    assert again.revision == memory.revision() == revision + 1
    assert memory.add(ceo("Bob"), replaces=second.id).superseded == ()  # itself
    assert memory.revision() == revision + 1


def test_what_is_replaced_is_no_conflict(memory):
    ann = memory.add(ceo("Ann"))
    assert memory.add(ceo("Bob"), replaces=ann.id, on_conflict="error").superseded == (ann.id,)
    lasting = memory.add(ceo("Bob", expires_at="2999-01-01T00:00Z"), replaces=memory.edits()[0].id)
    assert [edit.id for edit in memory.edits()] == [lasting.id]


def test_keep_and_error(memory):
    ann = memory.add(ceo("Ann"))
    kept = memory.add(ceo("Bob"), on_conflict="keep")
    assert (kept.superseded, kept.possible_conflicts) == ((), (ann.id,))
    with pytest.raises(EditConflict) as conflict:
        memory.add(ceo("Cid"), on_conflict="error")
    assert set(conflict.value.conflicts) == {ann.id, kept.id}
    assert memory.revision() == 2
    assert len(memory.edits()) == 2


def test_times_that_do_not_overlap_do_not_conflict(memory):
    memory.add(ceo("Ann", valid_until="2020-01-01"))
    memory.add(ceo("Bob", valid_from="2020-01-01", valid_until="2022-01-01"), on_conflict="error")
    memory.add(ceo("Cid", valid_from="2022-01-01"), on_conflict="error")
    assert len(memory.edits()) == 3
    with pytest.raises(EditConflict) as conflict:
        memory.add(ceo("Dan", valid_from="2019-01-01", valid_until="2021-01-01"), on_conflict="error")
    assert len(conflict.value.conflicts) == 2


def test_subjects_are_told_apart_by_punctuation(memory):
    for name in ("C", "C++", "C#"):
        memory.add(Fact(subject=name, relation="CEO", object="x"), on_conflict="error")
    assert len(memory.edits()) == 3


# ---- taking back --------------------------------------------------------------------------------------------------


def test_undo_goes_back_step_by_step_to_every_state_there_was(memory, tmp_path):
    states = [exported(memory, tmp_path)]
    ids = []
    for change in (
        lambda: ids.append(memory.add(ceo("Ann")).id),
        lambda: ids.append(memory.add(ceo("Bob")).id),
        lambda: list(memory.add_many(["A is B", "C is D", ceo("Cid")])),
        lambda: memory.retract([edit.id for edit in memory.edits()][:2]),
        lambda: memory.revert(to=1),
        lambda: memory.add("E is F"),
    ):
        change()
        states.append(exported(memory, tmp_path))
    assert len(set(states)) == 6  # the revert made a state that there had been
    for state in reversed(states[:-1]):
        memory.undo()
        assert exported(memory, tmp_path) == state
        assert memory.check() == []
    with pytest.raises(NothingToUndo):
        memory.undo()
    assert memory.revision() == 12


def test_undo_takes_back_the_change_that_is_meant_or_nothing(memory):
    assert memory.undoable() is None
    memory.add("A is B")
    meant = memory.undoable()
    memory.add("C is D")
    with pytest.raises(RevisionMoved, match="is revision 2, not 1") as caught:
        memory.undo(revision=meant)
    assert (caught.value.revision, memory.revision()) == (2, 2)
    assert memory.undo(revision=2).target == 2
    assert memory.undo(revision=meant).target == meant
    assert memory.undoable() is None


def test_undo_after_an_undo_and_a_new_change(memory):
    memory.add("A is B")
    memory.add("C is D")
    memory.undo()
    memory.add("E is F")
    assert memory.undo().target == 4
    assert texts(memory) == ["A is B"]
    assert memory.undo().target == 1
    assert memory.edits() == []


def test_undone_edits_are_not_recalled_and_can_be_added_again(memory):
    memory.add("Rust was made at Mozilla.")
    memory.undo()
    assert memory.recall("Who made Rust?").candidates == ()
    assert memory.add("Rust was made at Mozilla.").status == "added"
    assert len(memory.recall("Who made Rust?").candidates) == 1


def test_retract_is_all_or_nothing(memory):
    kept = memory.add("A is B")
    for wrong in ([kept.id, "nowhere"], "nowhere", "\ud800"):
        with pytest.raises(UnknownEdit):
            memory.retract(wrong)
    assert texts(memory) == ["A is B"]
    change = memory.retract([kept.id, kept.id], author="me", reason="wrong")
    assert change.went == (kept.id,)
    assert memory.history()[-1] == change
    with pytest.raises(UnknownEdit):
        memory.retract(kept.id)


def test_what_changes_nothing_records_nothing(memory):
    assert memory.retract([]).revision == 0
    assert memory.revert(to=0, namespace="never").revision == 0
    assert list(memory.add_many([])) == []
    assert memory.namespaces() == []
    memory.add("A is B")
    assert memory.revert(to=1).events == ()
    assert memory.revision() == 1


@pytest.mark.parametrize("revision", [-1, 2, 10**12])
def test_unknown_revisions(memory, revision):
    memory.add("A is B")
    for ask in (lambda: memory.as_of(revision), lambda: memory.revert(to=revision)):
        with pytest.raises(UnknownRevision, match="revisions 0 to 1"):
            ask()


# ---- looking back -------------------------------------------------------------------------------------------------


def test_as_of_a_revision_and_a_time():
    clock = Clock()
    memory = EditMemory(embedder=HashEmbedder(), clock=clock)
    before = clock.now - timedelta(seconds=1)
    memory.add(ceo("Ann"))
    at_first = clock.now
    clock.passes(days=1)
    memory.add(ceo("Bob"))
    assert [edit.object for edit in memory.as_of(1).edits()] == ["Ann"]
    assert [found.edit.object for found in memory.as_of(1).search("Who leads Acme?")] == ["Ann"]
    assert [edit.object for edit in memory.as_of(at_first).edits()] == ["Ann"]
    assert [edit.object for edit in memory.as_of(at_first.replace(tzinfo=None)).edits()] == ["Ann"]
    assert len(memory.as_of(before)) == len(memory.as_of(0)) == 0
    assert memory.as_of(None).revision == 2
    with pytest.raises(UnknownEdit):
        memory.as_of(1).get(memory.edits()[0].id)


def test_as_of_the_ends_of_time(memory):
    memory.add("A is B")
    assert len(memory.as_of(datetime.min)) == 0
    assert len(memory.as_of(datetime.max.replace(tzinfo=UTC))) == 1


def test_history_tells_everything(memory):
    one = memory.add(ceo("Ann"), author="me", reason="why")
    two = memory.add(ceo("Bob"))
    memory.undo()
    kinds = [(change.kind, change.revision, change.came, change.went) for change in memory.history()]
    assert kinds == [
        ("add", 1, (one.id,), ()),
        ("add", 2, (two.id,), (one.id,)),
        ("undo", 3, (one.id,), (two.id,)),
    ]
    assert (memory.history()[0].author, memory.history()[0].reason) == ("me", "why")
    assert [change.revision for change in memory.history(one.id)] == [1, 2, 3]
    assert [event.kind for change in memory.history(one.id) for event in change.events] == [
        "added", "superseded", "restored",
    ]  # fmt: skip
    assert memory.history("\ud800") == memory.history(namespace="never") == []


@pytest.mark.parametrize("text", ["", " ", "\n", "\ud800", "a" * 100_000, "🏳️‍🌈", "?!?"])
def test_any_query_can_be_searched(memory, text):
    memory.add("A is B")
    assert len(memory.search(text)) <= 1
    assert len(memory.as_of(None).search(text)) <= 1


@pytest.mark.parametrize("k", [-3, 0, 1, 10**9])
def test_any_number_can_be_asked_for(memory, k):
    list(memory.add_many(["A is B", "A is C"]))
    assert len(memory.search("A", k=k)) == min(max(k, 0), 2)


def test_expiry_is_the_clocks():
    clock = Clock()
    memory = EditMemory(embedder=HashEmbedder(), clock=lambda: clock.now.replace(tzinfo=None))
    edit = memory.add(Fact("A is B", created_at=clock.now, expires_at=clock.now + timedelta(days=1))).edit
    assert memory.get(edit.id) == edit
    clock.passes(days=1)
    assert memory.edits() == memory.search("A") == []
    with pytest.raises(UnknownEdit):
        memory.get(edit.id)
    assert len(memory.as_of(clock.now - timedelta(hours=1))) == 1


# ---- namespaces ---------------------------------------------------------------------------------------------------

UNUSUAL = ["a/b\\c", "..", "名前", "user@example.com", "a'b\"c;--", "🦊", "x" * 200, "a b", "%00", "NULL", "A", "a"]


def test_namespaces_see_nothing_of_one_another(memory):
    for place, name in enumerate(UNUSUAL):
        for _ in range(place):
            memory.add(f"{name[:9]} has secret {_}", namespace=name)
    for place, name in enumerate(UNUSUAL):
        assert memory.revision(namespace=name) == len(memory.history(namespace=name)) == place
        assert len(memory.edits(namespace=name)) == place
        assert all(found.edit.namespace == name for found in memory.search("secret", namespace=name, k=99))
    assert memory.namespaces() == sorted(UNUSUAL[1:], key=lambda name: name.encode())
    theirs = memory.edits(namespace="a")[0].id
    for ask in (memory.get, memory.retract):
        with pytest.raises(UnknownEdit):
            ask(theirs, namespace="A")
    assert memory.history(theirs, namespace="A") == []
    memory.undo(namespace="A")
    assert len(memory.edits(namespace="a")) == 11
    with pytest.raises(EditRejected, match="belongs to namespace `a`"):
        memory.add(memory.edits(namespace="a")[0], namespace="A")


@pytest.mark.parametrize("name", ["", " a", "a\n", "a\nb", "x" * 201, "a\u200bb", "\u202ea", "\x00", "\ud800", None, 5])
def test_names_that_no_namespace_may_have(memory, name):
    for ask in (memory.edits, memory.undo, memory.revision, lambda **where: memory.recall("x", **where)):
        with pytest.raises(EditRejected, match="A namespace is one line"):
            ask(namespace=name)


def test_reading_a_namespace_that_never_was_makes_nothing(memory):
    never = {"namespace": "never"}
    assert memory.edits(**never) == memory.search("x", **never) == memory.history(**never) == []
    assert memory.revision(**never) == len(memory.as_of(0, **never)) == memory.rebuild_index(**never) == 0
    for ask in (memory.undo, lambda **where: memory.retract("x", **where), lambda **where: memory.get("x", **where)):
        with pytest.raises((NothingToUndo, UnknownEdit)):
            ask(**never)
    assert memory.namespaces() == []


# ---- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["edits.jsonl", "edits.ndjson", "edits.yaml", "edits.yml"])
def test_export_and_import(memory, tmp_path, name):
    given = [ceo("Ann", tags=("x",)), Fact("多 – “A”: # {b}\n- c 🏳️‍🌈"), Patch(condition="if: x", consequence="'y'")]
    list(memory.add_many([*given, Feedback(situation="no", clarification="true")]))
    assert memory.export(tmp_path / name) == 4
    receipts = memory.import_(tmp_path / name, namespace="copy", author="me")
    assert [receipt.edit.with_(namespace="default") for receipt in receipts] == memory.edits()
    assert memory.history(namespace="copy")[0].kind == "import"
    assert {receipt.status for receipt in memory.import_(tmp_path / name, namespace="copy")} == {"known"}
    memory.undo(namespace="copy")
    assert memory.edits(namespace="copy") == []
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [name]


BAD_FILES = {
    "a.jsonl": ('{"statement": "A is B"}\n{"statement": ', "line 2 is not JSON"),
    "b.jsonl": ('{"statement": "A is B"}\n\n[1]', "line 3: An edit was expected, not list"),
    "c.jsonl": ('{"statement": ""}', "line 1: Fact: statement is empty"),
    "d.yaml": ("edits: {a: b", "is not YAML"),
    "e.yaml": ("edits: 5", "holds no list of edits"),
    "edit.yaml": ("edit:\n- A is B.", "holds no list of edits"),
    "f.yaml": ("- &a {statement: A is B}\n- *a", "uses YAML aliases"),
    "g.yaml": ("- {statement: A is B}\n- {statement: 7}", "entry 2: Fact: statement Input should be a valid string"),
    "h.yaml": ("- !!int ''", "is not YAML"),
    "i.yaml": ("- !!timestamp x", "is not YAML"),
    "j.yaml": ("- !!python/object/apply:os.system [echo]", "is not YAML"),
    "k.yaml": ("[" * 1_500, "is not YAML"),
    "l.jsonl": ("[" * 100_000, "is not JSON"),
    "m.jsonl": ('{"statement": "\\ud800"}', "may not stand there"),
    "n.doc": ("A is B", "is told by its ending"),
    "o.jsonl": ('{"id": "x", "statement": "A is B"}\n{"id": "x", "statement": "A is C"}', "already names another"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused_whole(memory, tmp_path, name):
    text, reason = BAD_FILES[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(FileRejected, match=reason):
        memory.import_(tmp_path / name)
    assert memory.namespaces() == []


def test_files_that_cannot_be_read_or_written(memory, tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "latin.jsonl").write_bytes(b'{"statement": "\xe9"}')
    for name in ("missing.jsonl", "folder.jsonl", "latin.jsonl", "nul\0.jsonl", "missing/a.jsonl"):
        with pytest.raises(FileRejected):
            memory.import_(tmp_path / name)
    before = sorted(tmp_path.iterdir())
    for name in ("folder.jsonl", "nul\0.jsonl", "missing/a.jsonl", "x" * 300 + ".jsonl", "a.csv"):
        with pytest.raises(FileRejected):
            memory.export(tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


def test_empty_files_and_byte_order_marks(memory, tmp_path):
    for name in ("a.jsonl", "a.yaml"):
        (tmp_path / name).write_text("")
        assert memory.import_(tmp_path / name) == []
    (tmp_path / "b.jsonl").write_text('\ufeff{"statement": "A is B"}\r\n', encoding="utf-8")
    assert len(memory.import_(tmp_path / "b.jsonl")) == 1


def test_import_obeys_on_conflict(memory, tmp_path):
    memory.add(ceo("Ann"))
    memory.export(tmp_path / "a.jsonl")
    memory.add(ceo("Bob"))
    with pytest.raises(EditConflict):
        memory.import_(tmp_path / "a.jsonl", on_conflict="error")
    memory.import_(tmp_path / "a.jsonl")
    assert [edit.object for edit in memory.edits()] == ["Ann"]


# ---- upkeep -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("embed", [False, True])
def test_rebuilding_changes_nothing_that_is_seen(memory, embed):
    list(memory.add_many(f"A{place} is B" for place in range(50)))
    before = memory.search("A7")
    assert memory.rebuild_index(embed=embed) == 50
    assert memory.search("A7") == before


def test_reopening_embeds_nothing_again(tmp_path):
    class Counting(HashEmbedder):
        texts = 0

        def _embed(self, texts):
            Counting.texts += len(texts)
            return super()._embed(texts)

    with EditMemory(tmp_path, embedder=Counting()) as memory:
        list(memory.add_many(ceo("Ann", of=f"firm {place}") for place in range(50)))
    embedded = Counting.texts
    with EditMemory(tmp_path, embedder=Counting()) as memory:
        memory.rebuild_index()
        assert len(memory.search("firm 7", k=5)) == 5
    assert Counting.texts == embedded + 1


def test_an_empty_namespace_needs_no_embedder():
    memory = EditMemory(embedder=lambda texts: 1 / 0)
    assert memory.recall("anything").candidates == ()


def test_a_custom_index_is_used():
    made = []

    def index(namespace, kind):
        made.append((namespace, kind))
        return ExactIndex()

    memory = EditMemory(embedder=HashEmbedder(), index=index)
    memory.add("A is B", namespace="n")
    assert len(memory.search("A", namespace="n")) == 1
    assert made == [("n", "fact")]
    with pytest.raises(ValueError, match="index is"):
        EditMemory(index="faiss")


def test_without_chromadb_a_persistent_memory_works(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "chromadb", None)
    monkeypatch.setattr("memedit.index.find_spec", lambda name: None)
    for _ in range(2):
        with EditMemory(tmp_path, embedder=HashEmbedder()) as memory:
            memory.add("A is B")
            assert [found.edit.text for found in memory.search("A")] == ["A is B"]
            assert memory.check() == []


def test_a_subject_with_many_versions_stays_fast(tmp_path):
    clock = Clock()
    memory = EditMemory(tmp_path, embedder=HashEmbedder(), clock=clock)
    list(memory.add_many(ceo(f"person {place}") for place in range(10_000)))
    began = datetime.now(UTC)
    for place in range(10):
        assert len(memory.add(ceo(f"late {place}")).superseded) == 1
        assert len(memory.recall("Who leads Acme?").candidates) == 1
    assert datetime.now(UTC) - began < timedelta(seconds=4)  # on a busy machine
    memory.revert(to=0)
    memory.undo()
    assert [edit.object for edit in memory.edits()] == ["late 9"]


def test_ctrl_c_in_the_middle_of_a_call_costs_a_memory_in_memory_nothing():
    from sqlalchemy import event

    def interrupt(*_):
        event.remove(engine, "after_cursor_execute", interrupt)
        raise KeyboardInterrupt

    with EditMemory(embedder=HashEmbedder(32)) as memory:
        kept = memory.add("The gym opens at 6 am.").edit
        engine = memory._ledger.storage.engine
        event.listen(engine, "after_cursor_execute", interrupt)
        with pytest.raises(KeyboardInterrupt):
            memory.add("The bakery opens at 7 am.")
        assert memory.edits() == [kept]
        memory.add("The bakery opens at 7 am.")
        assert len(memory.edits()) == 2
        assert memory.check() == []


# ---- against a model ----------------------------------------------------------------------------------------------


class AgainstADict(RuleBasedStateMachine):
    """Random changes to a memory and to a list of plain dicts (slot or id to text), which must stay equal."""

    @initialize()
    def begin(self):
        self.folder = self._folder()
        self.memory = EditMemory(self.folder, embedder=HashEmbedder(32))
        self.states = [{}]
        self.undoable = []

    def _folder(self):
        import tempfile

        return tempfile.mkdtemp(prefix="memedit-model-")

    def _became(self, state, *, undone=False):
        self.states.append(state)
        if not undone:
            self.undoable.append(len(self.states) - 1)

    @rule(subject=st.sampled_from("ABC"), object_=st.sampled_from("xyz"), keep=st.booleans())
    def add(self, subject, object_, keep):
        receipt = self.memory.add(ceo(object_, of=subject), on_conflict="keep" if keep else "supersede")
        state, said = self.states[-1], (subject, object_)
        if said in state.values():
            assert receipt.status == "known"
            return
        left = state if keep else {key: value for key, value in state.items() if value[0] != subject}
        assert set(receipt.superseded) == state.keys() - left.keys()
        self._became(left | {receipt.id: said})

    @precondition(lambda self: self.states[-1])
    @rule(data=st.data())
    def retract(self, data):
        gone = data.draw(st.sampled_from(list(self.states[-1])))  # ids are random, their order is not
        self.memory.retract(gone)
        self._became({key: value for key, value in self.states[-1].items() if key != gone})

    @rule()
    def undo(self):
        if not self.undoable:
            with pytest.raises(NothingToUndo):
                self.memory.undo()
            return
        target = self.undoable.pop()
        assert self.memory.undo().target == target
        self._became(self.states[target - 1], undone=True)

    @rule(data=st.data())
    def revert(self, data):
        to = data.draw(st.integers(0, len(self.states) - 1))
        self.memory.revert(to=to)
        if self.states[to] != self.states[-1]:
            self._became(self.states[to])

    @rule(data=st.data())
    def look_back(self, data):
        revision = data.draw(st.integers(0, len(self.states) - 1))
        assert {edit.id for edit in self.memory.as_of(revision).edits()} == self.states[revision].keys()

    @rule()
    def reopen(self):
        self.memory.close()
        self.memory = EditMemory(self.folder, embedder=HashEmbedder(32))

    @invariant()
    def same(self):
        assert self.memory.revision() == len(self.states) - 1
        assert {edit.id: (edit.subject, edit.object) for edit in self.memory.edits()} == self.states[-1]
        assert {found.edit.id for found in self.memory.recall("CEO of A, B, C", k=50).candidates} == set(
            self.states[-1]
        )

    def teardown(self):
        import shutil

        assert self.memory.check() == []
        self.memory.close()
        shutil.rmtree(self.folder)


TestAgainstADict = AgainstADict.TestCase
TestAgainstADict.settings = generated(30, stateful_step_count=25)


def test_apply_is_one_change_set_or_none() -> None:
    memory = EditMemory(embedder=HashEmbedder())
    old = memory.add("The tower is red.").id
    receipts = memory.apply(["The tower is blue.", "The bridge is old."], retract=[old], reason="repainted")
    assert [change.kind for change in memory.history()] == ["add", "apply"]
    assert {edit.text for edit in memory.edits()} == {receipt.edit.text for receipt in receipts}
    with pytest.raises(UnknownEdit):
        memory.apply(["The door is green."], retract=[old])
    assert memory.revision() == 2
    memory.undo()
    assert [edit.id for edit in memory.edits()] == [old]


def test_an_edit_may_return_under_another_id_in_one_change() -> None:
    memory = EditMemory(embedder=HashEmbedder())
    old = memory.add("The tower is red.").id
    (receipt,) = memory.apply(["The tower is red."], retract=[old])
    assert receipt.status == "added"
    assert [edit.id for edit in memory.edits()] == [receipt.id] != [old]


def test_reading_needs_no_embedder(tmp_path: Path) -> None:
    with EditMemory(tmp_path, embedder=HashEmbedder()) as memory:
        gone = memory.add("The tower is red.").id
        kept = memory.add("The bridge is old.").id
        memory.retract(gone)

    def broken(texts: list[str]) -> list[list[float]]:
        raise AssertionError("the embedder was asked")

    with EditMemory(tmp_path, embedder=broken) as memory:
        assert memory.get(kept[:6]).id == kept
        assert memory.recorded([gone, kept, "none"]).keys() == {gone, kept}
        assert len(memory.history()) == 3
        assert [edit.id for edit in memory.edits()] == [kept]


def test_what_is_not_in_force_says_what_became_of_it() -> None:
    clock = Clock()
    with EditMemory(embedder=HashEmbedder(), clock=clock) as memory:
        gone, lasting = memory.add("The gym opens at 6."), memory.add("The pool is cold.")
        memory.retract(gone.id)
        with pytest.raises(UnknownEdit, match=r"it was retracted \(revision 3\)\."):
            memory.retract(gone.id)
        with pytest.raises(UnknownEdit, match=r"it was retracted"):
            memory.get(gone.id[:10])
        memory.undo()
        memory.undo()
        with pytest.raises(UnknownEdit, match=r"it was taken back \(revision 5\)\."):
            memory.add("The pool is warm.", replaces=lasting.id)
        with pytest.raises(UnknownEdit, match=r"`nothing` is not in force in namespace `default`\."):
            memory.get("nothing")
        short = memory.add(Fact("The bar is open.", created_at=clock.now, expires_at=clock.now + timedelta(days=1)))
        clock.passes(days=2)
        with pytest.raises(UnknownEdit, match=r"it has expired\."):
            memory.get(short.id)
        for wrong in (None, 7):
            with pytest.raises(EditRejected, match="The id of an edit is a text"):
                memory.get(wrong)
            with pytest.raises(EditRejected, match="The id of an edit is a text"):
                EditableLLM(FakeLLM(), memory).verify(wrong)
