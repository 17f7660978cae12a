"""A backup holds all, as it was at one moment; a restored memory is that memory; a damaged backup is refused whole."""

from __future__ import annotations

import random
import stat
import threading

import pytest
from command_line import value
from test_durability import child, opened, whole
from test_purge import LOOK, SECRET, holding

from memedit.edits import Erasure, Fact
from memedit.errors import FileRejected, LedgerError
from memedit.memory import EditMemory
from memedit.memory.events import baked
from memedit.memory.purging import BAKED


def filled(memory):
    """A memory with a history in two namespaces."""
    list(memory.add_many(f"firm {n} is {n}" for n in range(30)))
    memory.add(Erasure(SECRET, subject="Acme", relation="CEO"), author="ann", reason="asked")
    memory.retract(memory.edits()[3].id, reason="wrong")
    memory.undo(author="bob")
    memory.purge(memory.edits()[5].id)
    memory.add(Fact(object="Rome", subject="firm", relation="headquarters location"), namespace="other")
    return memory


def state(memory):
    """All that can be read of it."""
    names = memory.namespaces()
    return {
        name: (
            memory.edits(namespace=name),
            memory.history(namespace=name),
            memory.as_of(2 if name == "default" else 1, namespace=name).edits(),
        )
        for name in names
    }


@pytest.fixture(params=["folder", "postgres"])
def place(request, tmp_path):
    if request.param == "folder":
        yield tmp_path / "from"
    else:
        with request.getfixturevalue("postgres").schema() as address:
            yield address


@pytest.fixture(params=["folder", "postgres"])
def target(request, tmp_path):
    if request.param == "folder":
        yield tmp_path / "to"
    else:
        with request.getfixturevalue("postgres").schema() as address:
            yield address


def test_a_memory_moves_between_folders_and_databases_with_its_history(place, target, tmp_path):
    with opened(place) as memory:
        made = filled(memory).backup(tmp_path / "all.backup")
        told = state(memory)
    assert made.counts["edits"] == 31
    assert made.counts["namespaces"] == 2
    assert stat.S_IMODE((tmp_path / "all.backup").stat().st_mode) == 0o600
    assert sorted(file.name for file in tmp_path.iterdir() if not file.is_dir()) == ["all.backup"]
    with opened(target) as memory:
        assert memory.restore(tmp_path / "all.backup").digest == made.digest
        assert state(memory) == told
        assert memory.check() == []
        memory.undo()  # of the Erasure's
        memory.add("A new one is new.", namespace="third")
        assert whole(memory)
        again = memory.backup(tmp_path / "again.backup")
        assert again.counts["namespaces"] == 3


def test_a_backup_made_while_others_write_is_of_one_moment(tmp_path):
    memory = opened(tmp_path / "from")
    done = threading.Event()

    def write():
        turn = 0
        while not done.is_set():
            list(memory.add_many([f"firm {turn}.{n} is {n}" for n in range(10)]))
            turn += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for turn in range(5):
            made = memory.backup(tmp_path / f"{turn}.backup")
            with opened(None) as copy:
                copy.restore(tmp_path / f"{turn}.backup")
                assert len(copy.edits()) == made.counts["edits"] == 10 * copy.revision()
                assert copy.check() == []
    finally:
        done.set()
        writer.join()
    memory.close()


def test_whoever_has_it_open_sees_what_was_restored(tmp_path):
    memory, other = opened(tmp_path / "memory"), opened(tmp_path / "memory")
    memory.add("firm A is A")
    memory.backup(tmp_path / "one.backup")
    identity = memory.identity
    memory.undo()
    memory.add("firm B is B")
    memory.undo()
    memory.add("firm C is C")
    process = child(LOOK, tmp_path / "memory")
    with opened(tmp_path / "new") as new:  # as many changes and events as were there when the backup was made
        new.restore(tmp_path / "one.backup")
        new.undo(reason="other history")
        new.backup(tmp_path / "two.backup")
    for file, count in (("one", 1), ("two", 0), ("one", 1)):
        assert other.recall("firm", k=9).candidates or file == "one"
        memory.restore(tmp_path / f"{file}.backup", overwrite=True)
        for one in (memory, other):
            assert [found.edit.text for found in one.search("firm")] == ["firm A is A"] * count
            assert one.check() == []
        process.stdin.write("look\n")
        process.stdin.flush()
        assert process.stdout.readline().split() == [str(count)] * 2
    assert memory.identity == other.identity != identity
    process.communicate(timeout=30)
    other.close()
    memory.close()


def test_changes_of_weights_come_along(tmp_path):
    with opened(tmp_path / "from") as memory:
        edit_id = memory.add("firm A is A").id
        (tmp_path / "from" / BAKED).mkdir()
        (tmp_path / "from" / BAKED / "abc.safetensors").write_bytes(b"factors")
        memory.record("bake", [baked(edit_id, weights="w", delta="abc")])
        assert memory.backup(tmp_path / "all.backup").counts["baked"] == 1
    with opened(tmp_path / "to") as memory:
        memory.restore(tmp_path / "all.backup")
    assert (tmp_path / "to" / BAKED / "abc.safetensors").read_bytes() == b"factors"


def test_nothing_is_overwritten_unasked(tmp_path):
    with opened(tmp_path / "from") as memory:
        filled(memory).backup(tmp_path / "all.backup")
        before = (tmp_path / "all.backup").read_bytes()
        with pytest.raises(FileRejected, match="is there already"):
            memory.backup(tmp_path / "all.backup")
        with pytest.raises(FileRejected, match="cannot be written"):
            memory.backup(tmp_path / "nowhere" / "all.backup")
        assert (tmp_path / "all.backup").read_bytes() == before
    with opened(tmp_path / "to") as memory:
        memory.add("firm Z is Z")
        with pytest.raises(LedgerError, match="holds edits already"):
            memory.restore(tmp_path / "all.backup")
        assert memory.restore(tmp_path / "all.backup", overwrite=True, dry_run=True).done is False
        assert [edit.text for edit in memory.edits()] == ["firm Z is Z"]


@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_backup_is_refused_whole(tmp_path, seed):
    with opened(tmp_path / "from") as memory:
        filled(memory).backup(tmp_path / "all.backup")
        told = state(memory)
    chance = random.Random(seed)
    data = bytearray((tmp_path / "all.backup").read_bytes())
    for _ in range(chance.choice([1, 10])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    (tmp_path / "all.backup").write_bytes(data if seed % 5 else data[: chance.randrange(len(data))])
    with opened(tmp_path / "to") as memory:
        kept = memory.add("firm Z is Z").edit
        try:
            memory.restore(tmp_path / "all.backup", overwrite=True)
        except FileRejected:
            assert memory.edits() == [kept]
        else:  # the flip met nothing that is read
            assert state(memory) == told


def test_what_is_no_backup(tmp_path):
    (tmp_path / "text").write_text("no backup at all")
    with opened(tmp_path / "memory") as memory:
        memory.add("firm A is A")
        for name in ("text", "missing", "memory/ledger.sqlite", "memory"):
            with pytest.raises(FileRejected):
                memory.restore(tmp_path / name, overwrite=True)
        assert len(memory.edits()) == 1
    with EditMemory() as memory, pytest.raises(FileRejected):
        memory.restore("")


# ---- the command line ---------------------------------------------------------------------------------------------


def test_the_commands(run, tmp_path):
    run("add", f"firm A is {SECRET}")
    run("add", "firm B is B", "--namespace", "b")
    assert "wrote 2 edits and 2 changes of 2 namespaces to a.backup" in run("backup", "a.backup").stdout
    assert "is there already" in run("backup", "a.backup", code=2).output
    assert value(run("backup", "a.backup", "--yes", "--json"))["holds"]["edits"] == 2
    plan = run("restore", "a.backup", "--memory", "new", "--plan").stdout
    assert "a.backup is whole: 2 edits" in plan
    assert not (tmp_path / "new").exists()
    assert "restored into" in run("restore", "a.backup", "--memory", "new").stdout
    assert SECRET in run("list", "--memory", "new").stdout
    run("add", "firm C is C", "--memory", "new")
    assert "is lost, with its history" in run("restore", "a.backup", "--memory", "new", code=2).output
    assert "is lost" in run("restore", "a.backup", "--memory", "new", input="n\n").output
    assert "firm C" in run("list", "--memory", "new").stdout
    run("restore", "a.backup", "--memory", "new", "--json", code=2)
    assert value(run("restore", "a.backup", "--memory", "new", "--yes", "--json"))["done"] is True
    assert "firm C" not in run("list", "--memory", "new").stdout
    run("restore", "nothing", "--memory", "newer", code=2)
    assert not (tmp_path / "newer").exists()
    assert "ledger.sqlite" in holding(tmp_path / "new", SECRET)


@pytest.mark.parametrize("harm", ["no database", "a page", "gone"])
def test_a_backup_takes_the_place_of_a_damaged_ledger(run, tmp_path, harm):
    run("add", "firm 1 is 1")
    run("backup", "a.backup")
    run("add", "firm C is C")
    ledger = tmp_path / ".memedit" / "ledger.sqlite"
    data = ledger.read_bytes()
    if harm == "gone":
        ledger.unlink()
        (ledger.parent / "index").mkdir(exist_ok=True)
    else:
        ledger.write_bytes(data[: 4096 * 2] + b"\xff" * (len(data) - 8192) if harm == "a page" else b"x" * 5000)
        harmed = ledger.read_bytes()
        assert "a.backup is whole" in run("restore", "a.backup", input="n\n").output
        assert ledger.read_bytes() == harmed
    assert value(run("restore", "a.backup", "--yes", "--json"))["done"]
    told = run("list").stdout
    assert "firm 1 is 1" in told
    assert "firm C" not in told
    aside = ledger.with_name("ledger.sqlite.damaged")
    assert aside.exists() == (harm != "gone")
    assert "nothing is broken" in run("doctor", "--deep").stdout
    if aside.exists():
        ledger.write_bytes(b"x" * 5000)
        assert "move it away" in run("restore", "a.backup", "--yes", code=2).stderr
