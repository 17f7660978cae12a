"""What the memory promises when processes die, work at once, or the disk, the file or the embedder fails."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from sqlalchemy import event

from memedit.edits import Fact
from memedit.embedders import FunctionEmbedder
from memedit.errors import (
    EmbedderError,
    LedgerBusy,
    LedgerCorrupt,
    LedgerError,
    LedgerReadOnly,
    LedgerTooNew,
    MemeditError,
    StorageFull,
)
from memedit.memory import EditMemory, migrations, storage
from memedit.testing import HashEmbedder


def opened(folder, **more):
    return EditMemory(folder, embedder=more.pop("embedder", HashEmbedder(32)), **more)


def child(script, *arguments, **more):
    prelude = "import sys\nfrom memedit.memory import EditMemory\nfrom memedit.testing import HashEmbedder\n"
    prelude += "memory = EditMemory(sys.argv[1], embedder=HashEmbedder(32))\n"
    command = [sys.executable, "-c", prelude + script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)


def whole(memory, ids=()):
    """Every one of these edits is there and found, and the memory can go on."""
    assert memory.check() == []
    known = {edit.id for edit in memory.edits()}
    assert set(ids) <= known
    assert {found.edit.id for found in memory.search("firm", k=len(known) + 1)} == known
    receipt = memory.add(f"{random.random()} is a number.")
    assert memory.get(receipt.id) == receipt.edit
    memory.undo()
    return True


# ---- processes that die -------------------------------------------------------------------------------------------

ADD_FOR_EVER = """
import itertools
for receipt in memory.add_many((f"firm {sys.argv[2]}.{n} is {n}" for n in itertools.count()), chunk=7):
    print(receipt.id, flush=True)
"""


def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path):
    chance = random.Random(20)
    acknowledged = []
    for turn in range(12):
        process = child(ADD_FOR_EVER, tmp_path, turn)
        lines = [process.stdout.readline()]  # it has begun
        killer = threading.Timer(chance.uniform(0, 0.25), os.kill, (process.pid, signal.SIGKILL))
        killer.start()
        lines += process.stdout.readlines()
        assert process.wait(30) == -signal.SIGKILL
        acknowledged += [line.strip() for line in lines if line.endswith("\n")]
        if turn % 4 == 3:
            with opened(tmp_path) as memory:
                assert whole(memory, acknowledged)
    with opened(tmp_path) as memory:
        assert len(memory.edits()) >= len(acknowledged) >= 12


# ---- processes at the same time -----------------------------------------------------------------------------------

ADD_AND_UNDO = """
for line in sys.stdin:
    if line.startswith("add"):
        print(memory.add(line.strip()[4:]).id, flush=True)
    else:
        memory.undo()
        print("undone", flush=True)
"""


def test_an_undo_in_one_process_is_seen_at_once_in_the_other(tmp_path):
    memory = opened(tmp_path)
    other = child(ADD_AND_UNDO, tmp_path)

    def tell(line):
        other.stdin.write(line + "\n")
        other.stdin.flush()
        return other.stdout.readline().strip()

    for turn in range(60):
        edit_id = tell(f"add firm {turn} is {turn}")
        assert [found.edit.id for found in memory.recall(f"firm {turn}").candidates] == [edit_id]
        assert tell("undo") == "undone"
        assert memory.recall(f"firm {turn}").candidates == ()
        assert memory.search("firm") == memory.edits() == []
    other.stdin.close()
    assert other.wait(30) == 0
    other.stdout.close()
    assert whole(memory)


ADD_SOME = """
sys.stdin.readline()
for n in range(int(sys.argv[3])):
    print(memory.add(f"firm {sys.argv[2]}.{n} is {n}").id, flush=True)
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    processes = [child(ADD_SOME, tmp_path, name, 60) for name in "abcd"]  # they also make the ledger at once
    outputs = [process.communicate("go\n", timeout=100)[0] for process in _started(processes)]
    assert [process.returncode for process in processes] == [0] * 4
    ids = [line for output in outputs for line in output.split()]
    assert len(set(ids)) == 240
    with opened(tmp_path) as memory:
        assert memory.revision() == 240
        assert whole(memory, ids)


def _started(processes):
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes


@pytest.mark.parametrize("place", ["in memory", "in a folder"])
def test_threads_lose_nothing(tmp_path, place):
    memory = opened(None if place == "in memory" else tmp_path)

    def work(thread):
        ids = []
        for turn in range(20):
            ids.append(memory.add(f"firm {thread}.{turn} is {turn}").id)
            assert ids[-1] in {found.edit.id for found in memory.recall(f"firm {thread}.{turn}", k=200).candidates}
            ids += [receipt.id for receipt in memory.add_many([f"firm {thread}.{turn}.{n} is n" for n in range(3)])]
            memory.edits()
        gone = ids.pop()
        memory.retract(gone)
        assert gone not in {edit.id for edit in memory.edits()}
        return ids

    with ThreadPoolExecutor(8) as pool:
        ids = [edit_id for some in pool.map(work, range(8)) for edit_id in some]
    assert len(set(ids)) == len(memory.edits()) == 8 * 79
    assert whole(memory, ids)


def test_more_threads_than_a_connection_pool_holds(tmp_path):
    memory = opened(tmp_path)
    with ThreadPoolExecutor(40) as pool:
        ids = [receipt.id for receipt in pool.map(lambda n: memory.add(f"firm {n} is {n}"), range(120))]
    assert whole(memory, ids)


def test_a_ledger_held_by_another_is_busy_and_then_fine(tmp_path, monkeypatch):
    monkeypatch.setattr(storage.port, "BUSY_SECONDS", 0.2)
    memory = opened(tmp_path)
    other = sqlite3.connect(tmp_path / storage.LEDGER_FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBusy, match="try again"):
        memory.add("A is B")
    assert memory.edits() == []  # reading needs no lock
    other.execute("ROLLBACK")
    other.close()
    assert whole(memory, [memory.add("firm is B").id])


def test_connections_are_given_back(tmp_path):
    memory = opened(tmp_path)
    for turn in range(200):
        memory.add(f"firm {turn} is B")
        with pytest.raises(MemeditError):
            memory.add("")
        memory.search("firm")
    files = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd)]
    assert len([name for name in files if name.startswith(str(tmp_path))]) <= 12
    memory.close()


def _is_open(fd):
    return os.path.lexists(f"/proc/self/fd/{fd}")


# ---- the disk -----------------------------------------------------------------------------------------------------


def test_a_full_disk_changes_nothing(tmp_path):
    memory = opened(tmp_path)
    kept = memory.add("firm A is B").id
    limit = {"pages": 1}
    event.listen(
        memory._ledger.storage.engine, "checkout",
        lambda connection, *_: connection.execute(f"PRAGMA max_page_count = {limit['pages']}"),
    )  # fmt: skip
    with pytest.raises(StorageFull, match="free some space"):  # noqa: PT012
        for turn in range(200):
            memory.add(Fact(f"firm {turn} is " + "x" * 5_000))
    count = len(memory.edits())
    assert memory.check() == []
    with pytest.raises(StorageFull):
        list(memory.add_many(["y" * 8_000 for _ in range(50)]))
    assert len(memory.edits()) == count
    limit["pages"] = 1_000_000
    assert whole(memory, [kept, memory.add(Fact("firm Z is " + "x" * 5_000)).id])


def test_an_export_replaces_a_link_instead_of_writing_through_it(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    memory = opened(tmp_path / "memory")
    memory.add("firm A is B")
    (tmp_path / "a.jsonl").symlink_to("/dev/full")
    assert memory.export(tmp_path / "a.jsonl") == 1  # replaced, not written through
    assert not (tmp_path / "a.jsonl").is_symlink()


@pytest.mark.parametrize("place", ["/proc/x", "/proc/self/x/y", "nul\0name", "x" * 300])
def test_a_place_that_cannot_be_written(tmp_path, place):
    with pytest.raises(LedgerReadOnly, match="can be written"):
        opened(tmp_path / place)


@pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
def test_a_file_where_the_folder_should_be(tmp_path, below):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(LedgerError, match="is a file, not a folder"):
        opened(tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_folder_where_the_ledger_should_be(tmp_path):
    (tmp_path / storage.LEDGER_FILE).mkdir()
    with pytest.raises(LedgerReadOnly):
        opened(tmp_path)


@pytest.mark.parametrize("name", ["read only", "50%41?x=1#b"])
def test_a_read_only_mount_is_read_and_nothing_is_written_there(tmp_path, monkeypatch, name):
    folder = tmp_path / name
    with opened(folder) as memory:
        memory.add("firm A is B")
    held = {file.name: file.read_bytes() for file in folder.iterdir()}
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with opened(folder) as memory:
        assert [edit.text for edit in memory.edits()] == ["firm A is B"]
        assert memory.recall("firm A is").candidates
        assert memory.check() == []
        with pytest.raises(LedgerReadOnly):
            memory.add("firm B is C")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == held


@pytest.mark.parametrize("name", ["what?x=1", "50%41", "a#b", "a b", "ü", ":memory:", "a;b&c"])
def test_folders_of_any_name(tmp_path, name):
    with opened(tmp_path / name) as memory:
        memory.add("firm A is B")
    assert (tmp_path / name / storage.LEDGER_FILE).is_file()
    with opened(tmp_path / name) as memory:
        assert len(memory.edits()) == 1


# ---- the file -----------------------------------------------------------------------------------------------------


def filled(folder, count=300):
    with opened(folder) as memory:
        list(memory.add_many(f"firm {n} is {n}" for n in range(count)))
    return folder / storage.LEDGER_FILE


def test_garbage_is_no_ledger(tmp_path):
    (tmp_path / storage.LEDGER_FILE).write_bytes(b"this is no database at all, and never was" * 200)
    with pytest.raises(LedgerCorrupt, match="restore a backup"):
        opened(tmp_path)
    assert (tmp_path / storage.LEDGER_FILE).read_bytes().startswith(b"this is no")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_ledger_is_told_and_never_guessed_at(tmp_path, share):
    file = filled(tmp_path)
    whole_file = file.read_bytes()
    file.write_bytes(whole_file[: int(len(whole_file) * share)])
    with pytest.raises(LedgerCorrupt):
        _use(tmp_path)
    file.write_bytes(whole_file)
    with opened(tmp_path) as memory:
        assert len(memory.edits()) == 300
        assert whole(memory)


@pytest.mark.parametrize("seed", range(25))
def test_flipped_bytes_give_only_our_errors(tmp_path, seed):
    file = filled(tmp_path, 60)
    data, chance = bytearray(file.read_bytes()), random.Random(seed)
    for _ in range(chance.choice([1, 10, 200])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    file.write_bytes(data)
    with suppress(LedgerError):
        _use(tmp_path)


def _use(folder):
    with opened(folder) as memory:
        memory.check()
        memory.edits()
        memory.history()
        memory.search("firm 7")
        memory.add("firm new is B")
        memory.undo()
        memory.revert(to=0)
        if faults := memory.check():
            raise LedgerCorrupt("; ".join(faults), do="restore")


def test_an_altered_edit_is_noticed(tmp_path):
    file = filled(tmp_path, 5)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE edits SET body = replace(body, 'firm 3', 'firm 4')")
    with opened(tmp_path) as memory:
        assert [fault for fault in memory.check() if "is not as it was written" in fault]
        with pytest.raises(LedgerCorrupt, match="memedit repair"):
            memory.edits()
    with connection:
        connection.execute("UPDATE edits SET checksum = NULL")  # as in a ledger of before there were checksums
    connection.close()
    with opened(tmp_path) as memory:
        assert [fault for fault in memory.check() if "altered outside memedit" in fault]
        assert len(memory.edits()) == 5


def test_vectors_that_are_not_as_they_were_written_are_made_anew(tmp_path):
    file = filled(tmp_path, 5)
    with opened(tmp_path) as memory:
        told = [(found.edit.id, found.similarity) for found in memory.search("firm 3")]
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE vectors SET vector = x'01'")
    connection.close()
    with opened(tmp_path) as memory:
        assert [fault for fault in memory.check(deep=True) if "vectors are not as they were written" in fault]
        assert [(found.edit.id, found.similarity) for found in memory.search("firm 3")] == told
        assert memory.check(deep=True) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE edits SET body = '{'", "UPDATE edits SET kind = 'wish'", "UPDATE events SET data = '['",
        "UPDATE edits SET body = CAST(x'ff' AS TEXT)", "DROP TABLE events",
    ],
)  # fmt: skip
def test_rows_that_cannot_be_read(tmp_path, change):
    file = filled(tmp_path, 5)
    with sqlite3.connect(file) as connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(LedgerError), opened(tmp_path) as memory:  # noqa: PT012
        memory.search("firm 3")
        memory.edits()
        memory.history()


def test_a_schema_that_no_version_can_have_is_damage(tmp_path):
    with sqlite3.connect(filled(tmp_path, 5)) as connection:
        connection.execute("INSERT INTO migrations VALUES (4643415327781554834, 'm_flipped')")
    connection.close()
    with pytest.raises(LedgerCorrupt, match="repair"):
        opened(tmp_path)


def test_a_newer_schema_is_left_alone(tmp_path):
    file = filled(tmp_path, 5)
    with sqlite3.connect(file) as connection:
        connection.execute("INSERT INTO migrations VALUES (?, 'm_later')", (len(migrations.STEPS) + 1,))
    with pytest.raises(LedgerTooNew, match="upgrade"):
        opened(tmp_path)
    with connection:
        connection.execute("DELETE FROM migrations WHERE name = 'm_later'")
    connection.close()
    with opened(tmp_path) as memory:
        assert len(memory.edits()) == 5


# ---- the embedder -------------------------------------------------------------------------------------------------


class Fickle:
    """An embedding function that can be made to fail in several ways."""

    def __init__(self):
        self.fault = "none"

    def __call__(self, texts):
        vectors = HashEmbedder(32).embed(texts)
        match self.fault:
            case "another dimension":
                return np.hstack([vectors, vectors])
            case "NaN":
                return vectors * np.nan
            case "one too few":
                return vectors[:-1]
            case "ragged":
                return [[1.0] * (1 + place) for place in range(len(texts) + 1)]
            case "an exception":
                raise ConnectionError("the provider is down")
            case "nothing":
                return None
        return vectors


@pytest.mark.parametrize("place", ["in memory", "in a folder"])
@pytest.mark.parametrize("fault", ["another dimension", "NaN", "one too few", "ragged", "an exception", "nothing"])
def test_an_embedder_that_fails_changes_nothing(tmp_path, place, fault):
    function = Fickle()
    folder = None if place == "in memory" else tmp_path
    memory = EditMemory(folder, embedder=FunctionEmbedder(function, id="fickle"), query_cache=0)
    ids = [receipt.id for receipt in memory.add_many(["firm A is B", "firm C is D"])]
    before = memory.edits()
    function.fault = fault
    for call in (
        lambda: memory.add("firm E is F"),
        lambda: list(memory.add_many(f"firm {n} is F" for n in range(5))),
        lambda: memory.recall("Which firm is B?"),
        lambda: memory.as_of(1).search("Which firm is B?"),
    ):
        with pytest.raises(EmbedderError):
            call()
    assert memory.edits() == before
    assert memory.revision() == 1
    function.fault = "none"
    assert whole(memory, ids)


def test_a_new_embedder_makes_its_own_vectors_and_the_old_ones_stay(tmp_path):
    filled(tmp_path, 20)
    for embedder in (HashEmbedder(64), HashEmbedder(32), HashEmbedder(64)):
        with opened(tmp_path, embedder=embedder) as memory:
            assert len(memory.search("firm 7", k=50)) == 20
            assert whole(memory)


def test_vectors_changed_under_one_id_are_made_anew_on_demand(tmp_path):
    with opened(tmp_path, embedder=FunctionEmbedder(HashEmbedder(32).embed, id="mine")) as memory:
        memory.add("firm A is B")
        memory.add("firm A is B", namespace="other")
    with opened(tmp_path, embedder=FunctionEmbedder(HashEmbedder(64).embed, id="mine")) as memory:
        for call in (lambda: memory.add("firm C is D"), lambda: memory.search("firm")):
            with pytest.raises(EmbedderError, match=r"rebuild_index\(embed=True\)"):
                call()
        assert memory.rebuild_index(embed=True) == 1
        assert whole(memory)
        assert len(memory.search("firm", namespace="other")) == 1


def test_a_copy_of_the_folder_is_a_whole_memory(tmp_path):
    filled(tmp_path / "one", 20)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    with opened(tmp_path / "two") as memory:
        assert whole(memory)
        memory.revert(to=0)
    with opened(tmp_path / "one") as memory:
        assert len(memory.edits()) == 20


def test_closing_twice_is_fine(tmp_path):
    memory = opened(tmp_path)
    memory.add("firm A is B")
    memory.close()
    memory.close()
