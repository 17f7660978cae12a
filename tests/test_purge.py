"""What is purged is gone: from every file, from every process, from reasons, indexes, weights and history."""

from __future__ import annotations

import ctypes
import re
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from command_line import value
from stores import made_store
from test_durability import child, opened

from memedit.edits import Description, Erasure, Fact
from memedit.errors import EditRejected, LedgerBusy, NothingToUndo, UnknownEdit
from memedit.index import IndexChoice
from memedit.index.blank import blank_memory
from memedit.memory import EditMemory
from memedit.memory.events import baked
from memedit.memory.purging import BAKED
from memedit.memory.storage import port
from memedit.testing import HashEmbedder

SECRET = "Zweihundertsiebzig Xylophone"


def holding(folder, *wanted):
    """The files below a folder that hold one of these texts, in UTF-8 or UTF-16, or one of these bytes."""
    needles = [one for one in wanted if isinstance(one, bytes)]
    needles += [
        one.encode(code) for one in wanted if isinstance(one, str) for code in ("utf-8", "utf-16-le", "utf-16-be")
    ]
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [file.name for file in files if any(needle in file.read_bytes() for needle in needles)]


def vector_of(edit, dimension=32):
    return np.asarray(HashEmbedder(dimension).embed([edit.key_text])[0], dtype="<f4").tobytes()


def secret(**more):
    return Fact(statement=SECRET, subject="Orla Quist", relation="owns", reason=f"she said {SECRET}", **more)


# ---- the bytes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["in force", "retracted", "undone", "superseded"])
@pytest.mark.parametrize("is_open_elsewhere", [False, True])
def test_no_file_holds_what_was_purged(tmp_path, state, is_open_elsewhere):
    memory = opened(tmp_path)
    list(memory.add_many(f"firm {n} is {n}" for n in range(50)))
    edit = memory.add(secret()).edit
    other = opened(tmp_path) if is_open_elsewhere else None
    if other:
        other.recall("Orla Quist")
    if state == "retracted":
        memory.retract(edit.id, reason=f"{SECRET} is wrong")
    elif state == "undone":
        memory.undo(reason=f"not {SECRET}")
    elif state == "superseded":
        memory.apply([Fact(statement="A harp", subject="Orla Quist", relation="owns")], retract=[edit.id])
    memory.add("The last is later.", reason=f"instead of {SECRET}")
    assert holding(tmp_path, SECRET)
    assert holding(tmp_path, vector_of(edit))
    made = memory.purge(edit.id, author="ann", reason="request of 3 May")
    assert made.ids == (edit.id,)
    assert (made.done, made.in_force) == (True, (edit.id,) if state == "in force" else ())
    assert holding(tmp_path, SECRET, vector_of(edit), "Zweihundert") == []
    if other:
        assert edit.id not in {found.edit.id for found in other.recall("Orla Quist", k=99).candidates}
        assert other.recorded([edit.id]) == {}
        other.add("firm other is B")
        other.close()
    memory.close()
    assert holding(tmp_path, SECRET, vector_of(edit), "Zweihundert") == []
    with opened(tmp_path) as memory:
        assert memory.check() == []
        assert len(memory.edits()) >= 51
        (change,) = memory.history(edit.id)
        assert (change.kind, change.author, change.reason) == ("purge", "ann", "request of 3 May")
        assert change.events[0].kind == "purged"


def test_a_reader_that_does_not_end_is_told_and_the_purge_goes_on_later(tmp_path, monkeypatch):
    monkeypatch.setattr(port, "BUSY_SECONDS", 0.3)
    memory = opened(tmp_path)
    edit = memory.add(secret()).edit
    reader = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM edits").fetchall()
    with pytest.raises(LedgerBusy, match="purge the same once more"):
        memory.purge(edit.id)
    assert memory.edits() == []  # it is gone for all
    reader.close()
    memory.purge(edit.id)
    assert holding(tmp_path, SECRET, vector_of(edit)) == []
    assert len(memory.history()) == 2  # nothing was left to record
    memory.close()


def test_all_that_mentions_a_name_goes_and_nothing_that_sounds_like_it(tmp_path):
    memory = opened(tmp_path)
    gone = {
        memory.add("The keys are with CAROL DIAZ's sister.").id,
        memory.add(Fact(object="Acme", subject="Carol Diaz", relation="employer")).id,
        memory.add(Fact(object="Carol Díaz", subject="Initech", relation="CEO")).id,
        memory.add(Fact(object="Bonn", subject="the boss", aliases=("Carol Diaz",), relation="residence")).id,
    }
    kept = {memory.add(text).id for text in ("Carola Diaz rings.", "Carol met Diaz.", "firm Z is Z")}
    memory.retract(next(iter(gone)), reason="Carol Diaz asked for it")
    plan = memory.purge(mention="Carol Diaz", dry_run=True)
    assert set(plan.ids) == gone
    assert set(memory.purge(mention="Carol Diaz").ids) == gone
    assert {edit.id for edit in memory.edits()} == kept
    assert holding(tmp_path, "CAROL DIAZ", "Carol Diaz", "Carol Díaz") == []
    assert memory.purge(mention="  ").ids == ()
    with pytest.raises(EditRejected, match="one of ids, subject, mention and before"):
        memory.purge(mention="Carol Diaz", subject="Carol Diaz")
    memory.close()


def test_a_vector_that_another_edit_needs_stays(tmp_path):
    memory = opened(tmp_path)
    first, second = memory.add("firm A is B", namespace="a"), memory.add("firm A is B", namespace="b")
    assert memory.purge(first.id, namespace="a").vectors == 0
    assert holding(tmp_path, vector_of(second.edit))
    assert memory.purge(second.id, namespace="b").vectors > 0
    assert holding(tmp_path, vector_of(second.edit)) == []
    memory.close()


def test_chromas_files_hold_nothing_of_it_either(tmp_path):
    pytest.importorskip("chromadb")
    memory, other = (opened(tmp_path, index="chroma") for _ in range(2))
    list(memory.add_many(f"firm {n} is {n}" for n in range(30)))
    edit = memory.add(secret()).edit
    for one in (memory, other):
        assert edit.id in {found.edit.id for found in one.search("Orla Quist owns", k=3)}
    assert len(holding(tmp_path / "index", vector_of(edit), edit.id)) > 0
    memory.purge(edit.id)
    assert holding(tmp_path, SECRET, vector_of(edit)) == []
    for one in (other, memory, other):
        assert "firm 7 is 7" in {found.edit.text for found in one.search("firm 7 is 7", k=5)}
        assert one.check() == []
    list(other.add_many(f"firm x{n} is {n}" for n in range(3)))
    for one in (memory, other):
        assert "firm x1 is 1" in {found.edit.text for found in one.search("firm x1 is 1", k=5)}
    assert holding(tmp_path, SECRET, vector_of(edit)) == []
    memory.close()
    other.close()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="asked of glibc")
def test_a_library_is_handed_no_memory_with_what_was_freed():
    libc, size = ctypes.CDLL(None), 26_800
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

    def handed_out():
        block = libc.malloc(size)
        held = ctypes.string_at(block, size)
        ctypes.memset(block, ord("S"), size)
        libc.free(block)
        return held

    assert any(b"SSSS" in handed_out() for _ in range(50))
    with blank_memory():
        with blank_memory():
            pass
        assert not any(b"SSSS" in handed_out() for _ in range(50))
    assert any(b"SSSS" in handed_out() for _ in range(50))


@pytest.mark.parametrize("name", ["chroma-server", "pgvector", "qdrant", "langchain"])
def test_stores_let_go_of_it(tmp_path, request, name):
    store = made_store(name, request.getfixturevalue, dimension=32)
    memory = EditMemory(
        tmp_path, embedder=HashEmbedder(32), index=IndexChoice(store=store, store_from=2), languages=None
    )
    edit = memory.add(secret()).edit
    memory.add("firm A is B")
    memory.search("firm")
    index = store.index(f"{memory.identity}\0default\0fact\0{HashEmbedder(32).id}")
    assert index.vectors([edit.id])
    memory.purge(edit.id)  # one is left, which the store does not serve
    assert index.vectors([edit.id]) == {}
    assert len(memory.search("firm")) == 1
    memory.close()


def test_postgres_tables_hold_nothing_of_it(postgres):
    with postgres.schema() as address, opened(address) as memory, opened(address) as other:
        edit = memory.add(secret()).edit
        other.recall("Orla Quist")
        postgres._admin("CHECKPOINT")
        base = postgres._folder / "data" / "base"
        assert holding(base, SECRET)
        memory.purge(subject="orla quist")
        postgres._admin("CHECKPOINT")
        assert holding(base, SECRET, vector_of(edit)) == []
        assert other.recall("Orla Quist").candidates == ()
        assert memory.history(edit.id)[0].kind == "purge"
        assert memory.check() == []


# ---- what is chosen -----------------------------------------------------------------------------------------------


def test_by_subject_all_that_is_about_it_goes(tmp_path):
    memory = opened(tmp_path)
    about = [
        memory.add(secret()).id,
        memory.add(Description("A collector.", subject="Orla Quist")).id,
        memory.add(Erasure("555-0199", subject="Orla Quist")).id,
        memory.add(Fact(statement="Oslo", subject="O. Q.", aliases=("Orla Quist",), relation="residence")).id,
    ]
    memory.retract(about[0])
    kept = memory.add(Fact(statement="Rome", subject="Orla", relation="residence"), reason="as Orla Quist told us").edit
    plan = memory.purge(subject="orla  QUIST", dry_run=True)
    assert set(plan.ids) == set(about)
    assert (plan.done, plan.revision, memory.revision()) == (False, 6, 6)
    assert len(memory.edits()) == 4
    assert memory.purge(subject="orla  QUIST").ids == plan.ids
    assert holding(tmp_path, SECRET, "555-0199", "Oslo", "Orla Quist") == []
    assert [edit.id for edit in memory.edits()] == [kept.id]
    assert memory.get(kept.id).reason is None
    assert memory.check() == []
    memory.close()


def test_a_namespace_alone_is_purged_whole_and_others_stay(tmp_path):
    memory = opened(tmp_path)
    memory.add(secret(), namespace="a")
    memory.add("firm A is B", namespace="a")
    memory.add("firm A is B", namespace="b")
    assert len(memory.purge(namespace="a").ids) == 2
    assert memory.edits(namespace="a") == []
    assert len(memory.search("firm", namespace="b")) == 1
    for wrong in ({}, {"subject": "x", "ids": "y"}, {"before": "soon"}):
        with pytest.raises(EditRejected, match=r"what to purge|A time was expected, not 'soon'"):
            memory.purge(**wrong)
    with pytest.raises(UnknownEdit):
        memory.purge("nobody", namespace="a")
    memory.close()


class Clock:
    def __init__(self):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self):
        return self.now


def test_history_is_kept_as_long_as_asked(tmp_path):
    clock = Clock()
    memory = opened(tmp_path, clock=clock)
    old, young, kept = (memory.add(f"firm {n} is {SECRET} {n}").id for n in "ABC")
    ends = memory.add(Fact("firm D is D", expires_at=clock.now + timedelta(days=10), created_at=clock.now)).id
    memory.retract(old)
    clock.now += timedelta(days=60)
    memory.retract(young)
    memory.close()
    clock.now += timedelta(days=60)
    with opened(tmp_path, clock=clock, keep_history="90 days") as memory:
        assert memory.recorded([old, young, kept, ends]).keys() == {young, kept}
        clock.now += timedelta(days=40)
        memory.recall("firm")  # reading purges nothing
        assert len(memory.recorded([young])) == 1
        memory.add("firm E is E")
        assert memory.recorded([old, young, kept, ends]).keys() == {kept}
        assert memory.history(ends)[0].author == "memedit"
    with pytest.raises(ValueError, match="90 days"):
        opened(tmp_path, keep_history="a while")


# ---- what is left is right ----------------------------------------------------------------------------------------


def test_undo_and_as_of_know_nothing_of_it(tmp_path):
    memory = opened(tmp_path)
    first = memory.add(Fact(object="Paris", subject="firm", relation="headquarters location")).id
    second = memory.add(Fact(object="Rome", subject="firm", relation="headquarters location")).id
    memory.purge(second)
    assert memory.edits() == []  # what it superseded stays so
    assert [edit.id for edit in memory.as_of(1).edits()] == [first]
    assert memory.as_of(2).edits() == []
    memory.undo()  # of the change that superseded the first
    assert [edit.id for edit in memory.edits()] == [first]
    memory.undo()
    with pytest.raises(NothingToUndo):
        memory.undo()
    memory.revert(to=2)
    assert memory.edits() == []
    assert memory.check() == []
    memory.add(Fact(object="Bonn", subject="firm", relation="headquarters location", id=second))  # an id may come again
    assert memory.get(second).object == "Bonn"
    memory.close()


def test_changes_of_weights_that_held_it_go_whole(tmp_path):
    memory = opened(tmp_path)
    gone, stays = memory.add(secret()).id, memory.add("firm A is B").id
    (tmp_path / BAKED).mkdir()
    for name in ("both", "one"):
        (tmp_path / BAKED / f"{name}.safetensors").write_text(SECRET if name == "both" else "fine")
    proof = {"prompt": SECRET}
    memory.record("bake", [baked(one, weights="w", delta="both", proof=proof) for one in (gone, stays)])
    memory.record("bake", [baked(stays, weights="w", delta="one")])
    assert memory.purge(gone).baked == ("both",)
    assert [file.name for file in (tmp_path / BAKED).iterdir()] == ["one.safetensors"]
    assert holding(tmp_path, SECRET) == []
    named = [event.data["delta"] for change in memory.history() for event in change.events if event.kind == "baked"]
    assert named == ["one"]
    memory.close()


def test_readers_see_all_of_it_or_none_and_never_a_wrong_view(tmp_path):
    memory, other = opened(tmp_path), opened(tmp_path)
    kept = {receipt.id for receipt in memory.add_many(f"firm {n} is {n}" for n in range(20))}
    done = threading.Event()

    def read(one):
        looks = 0
        while not done.is_set() or not looks:
            found = {candidate.edit.id for candidate in one.recall("firm 7", k=99).candidates}
            assert kept <= found
            assert kept <= {edit.id for edit in one.edits()}
            assert kept <= {edit.id for edit in one.of_kind("fact")}
            looks += 1
        return looks

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, one) for one in (memory, memory, other, other)]
        try:
            for turn in range(12):
                edit = memory.add(f"firm s{turn} is {SECRET} {turn}")
                assert edit.id in {found.edit.id for found in other.recall(f"firm s{turn}", k=99).candidates}
                memory.purge(edit.id)
                assert edit.id not in {found.edit.id for found in other.recall(f"firm s{turn}", k=99).candidates}
        finally:
            done.set()
        assert all(reader.result() for reader in readers)
    assert memory.check() == other.check() == []
    memory.close()
    other.close()
    assert holding(tmp_path, SECRET) == []


LOOK = """
for line in sys.stdin:
    print(len(memory.search("firm", k=99)), len(memory.edits()), flush=True)
"""


def test_another_process_sees_it_at_once(tmp_path):
    memory = opened(tmp_path)
    ids = [receipt.id for receipt in memory.add_many(f"firm {n} is {n}" for n in range(5))]
    other = child(LOOK, tmp_path)
    for left in (4, 3, 2):
        memory.purge(ids.pop())
        other.stdin.write("look\n")
        other.stdin.flush()
        assert other.stdout.readline().split() == [str(left)] * 2
    other.communicate(timeout=30)
    assert other.returncode == 0
    memory.close()


# ---- the command line ---------------------------------------------------------------------------------------------


def test_the_command_shows_a_plan_asks_and_purges(run, tmp_path):
    first = value(run("add", f"firm A is {SECRET}", "--json"))["edit"]["id"]
    run("add", "firm B is B")
    assert f"{first[:8]}  firm A is {SECRET}" in run("purge", first[:6], "--plan").stdout
    assert "add --yes" in run("purge", first[:6], code=2).output
    assert value(run("list", "--json"))[0]["id"] == first
    run("retract", first[:6], "--reason", SECRET)
    out = run("purge", first[:6], "--reason", "asked", input="y\n").stdout
    assert re.search("out of force.*\n.*1 edit, .* to purge, for good", out)
    assert "purged 1 edit, now revision 4" in out
    assert holding(tmp_path, SECRET) == []
    made = value(run("purge", "--before", "90 days", "--yes", "--json"))
    assert (made["ids"], made["done"]) == ([], False)
    assert len(value(run("purge", "--all", "--namespace", "default", "--plan", "--json"))["ids"]) == 1
    assert "purge" in run("history").stdout
    assert "nothing brings back" in run("undo", code=2).output
    assert len(value(run("list", "--json"))) == 1
    assert "took back revision 2" in run("undo", "--yes").stdout


@pytest.mark.parametrize(
    "args",
    [(), ("x", "--subject", "y"), ("--all",), ("--before", "soon", "--yes"), ("x", "--json"), ("nobody", "--yes")],
)
def test_wrong_use_purges_nothing(run, args):
    run("add", "firm A is B")
    run("purge", *args, code=4 if args[:1] == ("nobody",) else 2)
    assert len(value(run("list", "--json"))) == 1


def test_what_an_erasure_keeps_is_written_out_only_where_it_is_asked_for(run, tmp_path):
    made = run("add", "--kind", "erasure", "--subject", "Acme", "--relation", "CEO", "--object", SECRET, "--json")
    edit_id = value(made)["edit"]["id"]
    run("add", "firm A is B")
    shown = [made, *(run(*args) for args in (("list", "--json"), ("show", edit_id), ("show", edit_id, "--json")))]
    shown += [run("export", "-"), run("export", "a.yaml"), run("export", "a.jsonl", "--json")]
    shown += [run("purge", edit_id, "--plan"), run("history", "--json")]
    assert not any(SECRET in one.output for one in shown)
    assert "left out 1 Erasure" in shown[4].stderr
    assert holding(tmp_path, SECRET) == ["ledger.sqlite"]
    run("import", "-", "--memory", "other", input=run("export", "-", "--secrets").stdout)
    assert len(value(run("list", "--memory", "other", "--json"))) == 2
    run("import", "-", input="{}", code=2)
    run("export", "-", "--json", code=2)
