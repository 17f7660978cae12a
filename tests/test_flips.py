"""Bits that flip in the ledger are noticed: what is read is what was written, or it is `LedgerCorrupt`, never else."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from stat import S_IMODE

import pytest
from command_line import documented
from test_backup import filled, state
from test_durability import opened

from memedit.errors import LedgerCorrupt, LedgerError, LedgerReadOnly
from memedit.memory import storage
from memedit.memory.repairing import DAMAGED, repair

LEDGER = storage.LEDGER_FILE
TURNS = 60


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A closed memory, and all that can be read of it."""
    folder = tmp_path_factory.mktemp("known")
    with opened(folder) as memory:
        filled(memory)
        found = [(one.edit.id, one.similarity) for one in memory.search("firm 7", k=99)]
        told = state(memory), found
    return folder / LEDGER, told


def read(folder):
    with opened(folder) as memory:
        memory.check(deep=True)
        found = [(one.edit.id, one.similarity) for one in memory.search("firm 7", k=99)]
        return state(memory), found


def test_what_is_read_is_what_was_written_or_an_error_that_says_so(known, tmp_path):
    file, told = known
    chance, outcomes = random.Random(20), Counter()
    whole = file.read_bytes()
    for turn in range(TURNS):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 1, 8, 100])):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        folder = tmp_path / str(turn)
        folder.mkdir()
        (folder / LEDGER).write_bytes(data)
        try:
            assert read(folder) == told, turn
            outcomes["as it was"] += 1
        except LedgerError as error:  # which always says what to do
            outcomes[type(error).__name__ if error.do else "says nothing"] += 1
        shutil.rmtree(folder)
    assert outcomes["as it was"] > 5
    assert outcomes["LedgerCorrupt"] > TURNS / 3
    assert outcomes.total() == TURNS
    assert not outcomes["says nothing"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE events SET active = 1 WHERE active = 0",
        "UPDATE events SET active = 'x' WHERE seq = 3",
        "UPDATE events SET edit_id = edit_id || 'x' WHERE seq = 3",
        "DELETE FROM events WHERE seq = 3",
        "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)",
        "DELETE FROM change_sets WHERE revision = 2",
        "UPDATE change_sets SET reason = 'another'",
        "UPDATE change_sets SET at = at + 1 WHERE revision = 1",
        "UPDATE edits SET subject_key = 'another'",
        "DELETE FROM edits WHERE rowid = 3",
        "UPDATE namespaces SET name = 'others' WHERE name = 'other'",
        "UPDATE namespaces SET seq = seq - 1",
        "DELETE FROM identity; UPDATE edits SET kind = 'wish'",
    ],
)
def test_rows_that_are_not_as_they_were_written(known, tmp_path, change):
    shutil.copy(known[0], tmp_path / LEDGER)
    with sqlite3.connect(tmp_path / LEDGER) as connection:
        connection.executescript(change)
    connection.close()
    with pytest.raises(LedgerCorrupt, match="memedit repair"):
        read(tmp_path)


def test_a_ledger_of_before_there_were_checksums_opens_and_goes_on(known, tmp_path):
    shutil.copy(known[0], tmp_path / LEDGER)
    with sqlite3.connect(tmp_path / LEDGER) as connection:
        for table in ("namespaces", "edits", "change_sets", "vectors"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
        connection.execute("ALTER TABLE edits DROP COLUMN row_checksum")
        connection.execute("DELETE FROM migrations WHERE number > 2")
    connection.close()
    assert read(tmp_path) == known[1]
    with opened(tmp_path) as memory:
        kept = memory.add("A later one is later.").id
        memory.purge(memory.edits()[0].id)
        memory.undo()
        assert memory.check(deep=True) == []
        assert kept not in {edit.id for edit in memory.edits()}


@pytest.mark.parametrize("beside", ["index", "baked", DAMAGED, f"{LEDGER}-wal"])
@pytest.mark.parametrize("is_there", [False, True])
def test_a_folder_whose_ledger_is_gone_is_no_new_memory(tmp_path, beside, is_there):
    if is_there:
        (tmp_path / LEDGER).write_bytes(b"")
        beside = beside if beside != f"{LEDGER}-wal" else "index"
    if beside.endswith("wal"):
        (tmp_path / beside).write_bytes(b"log")
    else:
        (tmp_path / beside).mkdir()
    with pytest.raises(LedgerCorrupt, match=f"is gone; of the memory there are {beside}"):
        opened(tmp_path)
    assert beside in {file.name for file in tmp_path.iterdir()}


def test_a_ledger_of_no_bytes_is_none(run, tmp_path):
    (tmp_path / LEDGER).touch()
    assert "There is no memory in" in run("list", "--memory", str(tmp_path), code=4).output
    assert "made a new memory" in run("add", "Pell is far.", "--memory", str(tmp_path)).output


@pytest.mark.parametrize(
    "args",
    [
        ("list",), ("show", "x"), ("search", "x"), ("history",), ("ask", "x"), ("explain", "x"), ("export", "a.yaml"),
        ("namespaces",), ("undo",), ("retract", "x"), ("purge", "x", "--yes"), ("backup", "a"), ("reindex",),
    ],
)  # fmt: skip
def test_a_mistyped_memory_is_an_error_and_none_is_made(run, tmp_path, args):
    assert "There is no memory in mistyped" in run(*args, "--memory", "mistyped", code=4).output
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.parametrize("is_page", [False, True])
def test_a_damaged_memory_is_not_backed_up(known, tmp_path, is_page):
    data = bytearray(known[0].read_bytes())
    place = data.find(b"firm 7 is")
    data[place] ^= 1
    if is_page:
        start = place - place % 4096
        data[start : start + 4096] = bytes(4096)
    (tmp_path / LEDGER).write_bytes(data)
    earlier = tmp_path / "monday.backup"
    earlier.write_bytes(b"whole")
    with opened(tmp_path) as memory, pytest.raises(LedgerCorrupt, match="damaged"):
        memory.backup(earlier, overwrite=True)
    assert earlier.read_bytes() == b"whole"
    assert sorted(file.name for file in tmp_path.glob("*backup*")) == [earlier.name]


# ---- saving what is whole -----------------------------------------------------------------------------------------


def test_a_whole_ledger_is_repaired_to_what_it_was(known, tmp_path):
    shutil.copy(known[0], tmp_path / LEDGER)
    made = repair(tmp_path)
    assert (made.lost, made.doubtful) == ([], [])
    assert read(tmp_path) == known[1]
    with opened(tmp_path) as memory:
        assert memory.check(deep=True) == []
    with pytest.raises(LedgerError, match="earlier repair"):
        repair(tmp_path)


def test_what_is_whole_is_saved_and_the_rest_is_named(known, tmp_path):
    shutil.copy(known[0], tmp_path / LEDGER)
    with sqlite3.connect(tmp_path / LEDGER) as connection:
        lost = connection.execute("SELECT id FROM edits WHERE body LIKE '%firm 7 is%'").fetchone()[0]
        connection.execute("UPDATE edits SET body = replace(body, 'firm 7', 'firm 9')")
        connection.execute("UPDATE change_sets SET reason = 'another' WHERE revision = 3")
    connection.close()
    plan = repair(tmp_path, dry_run=True)
    assert not (tmp_path / DAMAGED).exists()
    made = repair(tmp_path)
    assert made.lost == plan.lost == [f"edit `{lost}`"]
    assert made.doubtful
    assert all(one.startswith("change set") for one in made.doubtful)
    with opened(tmp_path) as memory:
        assert memory.check(deep=True) == []
        before = {edit.id: edit for edit in known[1][0]["default"][0]}
        assert {edit.id: edit for edit in memory.edits()} == {one: edit for one, edit in before.items() if one != lost}
        assert memory.history()[2].reason == "another"


def test_a_file_that_was_cut_off_is_saved_as_far_as_it_goes_or_left_as_it_is(known, tmp_path):
    whole = known[0].read_bytes()
    ids = {edit.id for edits, _, _ in known[1][0].values() for edit in edits}
    (tmp_path / LEDGER).write_bytes(whole[:-4096])
    made = repair(tmp_path)
    with opened(tmp_path) as memory:
        assert memory.check(deep=True) == []
        held = {edit.id for name in memory.namespaces() for edit in memory.edits(namespace=name)}
    assert len(held) > len(ids) / 2
    assert held | {edit_id for edit_id in ids if f"edit `{edit_id}`" in made.lost} == ids
    (tmp_path / LEDGER).write_bytes(whole[:5000])
    (tmp_path / DAMAGED).unlink()
    with pytest.raises(LedgerCorrupt, match="No edit can be read"):
        repair(tmp_path)
    assert (tmp_path / LEDGER).read_bytes() == whole[:5000]
    assert not (tmp_path / DAMAGED).exists()


def test_rows_that_have_come_to_have_one_key_are_no_hindrance(known, tmp_path):
    shutil.copy(known[0], tmp_path / LEDGER)
    with sqlite3.connect(tmp_path / LEDGER) as connection:
        lost = connection.execute("SELECT edit_id FROM events WHERE seq = 3 AND namespace_id = 1").fetchone()[0]
        for table in ("vectors", "events"):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            connection.execute(f"CREATE TABLE copy AS SELECT * FROM {table}")
            connection.execute(f"DROP TABLE {table}")
            connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
            connection.execute(f"INSERT INTO {table} SELECT * FROM copy")
            connection.execute("DROP TABLE copy")
        connection.execute("UPDATE vectors SET text_hash = (SELECT min(text_hash) FROM vectors) WHERE rowid < 5")
        connection.execute("UPDATE events SET seq = 4 WHERE seq = 3 AND namespace_id = 1")
    connection.close()
    made = repair(tmp_path)
    assert f"edit `{lost}`, which is out of force: no event of it is left" in made.doubtful
    with opened(tmp_path) as memory:
        assert memory.check(deep=True) == []
        assert lost not in {edit.id for edit in memory.edits()}
        assert list(memory.recorded([lost])) == [lost]


def test_a_repaired_ledger_is_read_by_whom_the_damaged_one_was(known, tmp_path):
    shutil.copy(known[0], tmp_path / LEDGER)
    (tmp_path / LEDGER).chmod(0o600)
    repair(tmp_path)
    assert S_IMODE((tmp_path / LEDGER).stat().st_mode) == 0o600


def test_a_folder_in_which_no_file_can_be_made_is_said(known, tmp_path):
    shutil.copy(known[0], tmp_path / LEDGER)
    (tmp_path / f"{LEDGER}.draft").mkdir()  # as good as a folder that cannot be written
    with pytest.raises(LedgerReadOnly, match="cannot be written"):
        repair(tmp_path)
    assert (tmp_path / LEDGER).read_bytes() == known[0].read_bytes()


def test_whatever_flipped_a_repaired_ledger_opens_and_holds_nothing_else(known, tmp_path):
    chance, saved = random.Random(7), Counter()
    texts = {edit.text for edits, _, _ in known[1][0].values() for edit in edits}
    for turn in range(15):
        data = bytearray(known[0].read_bytes())
        for _ in range(chance.choice([1, 8, 30])):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        folder = tmp_path / str(turn)
        folder.mkdir()
        (folder / LEDGER).write_bytes(data)
        try:
            repair(folder)
        except LedgerError:
            saved["nothing"] += 1
            continue
        with opened(folder) as memory:
            assert memory.check(deep=True) == []
            held = {edit.text for name in memory.namespaces() for edit in memory.edits(namespace=name)}
        assert len(held - texts) <= 1, turn  # the one that was purged may be in force again: its word is lost
        saved["most" if len(held) > 20 else "some"] += 1
    assert saved["most"] > 5


def test_the_commands(run, tmp_path):
    run("add", "firm A is A")
    run("add", "firm B is B")
    assert "ledger and index agree" in run("doctor", "--deep").stdout
    with sqlite3.connect(tmp_path / ".memedit" / LEDGER) as connection:
        connection.execute("UPDATE edits SET body = replace(body, 'firm A', 'firm X')")
    connection.close()
    broken = run("doctor", "--deep", code=1).stdout
    assert "is not as it was written" in broken
    assert "memedit repair --plan" in broken
    assert "memedit repair" in run("list", code=6).output
    documented("repair", run("repair", "--plan", "--json").stdout)
    plan = run("repair", "--plan").stdout
    assert "lost      edit `" in plan
    assert "1 edit and 2 changes can be saved" in plan
    assert "made a new ledger" in run("repair", input="y\n").stdout
    assert "firm B is B" in run("list").stdout
    assert "firm" not in run("list").stdout.replace("firm B is B", "")
    run("repair", "--memory", "nowhere", "--yes", code=4)
    run("repair", "--json", code=2)
