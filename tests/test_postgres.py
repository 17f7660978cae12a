"""The ledger on PostgreSQL: what processes share, what a dying one loses, a server that is away, and no password told.

That every verb does what it does in a folder, `test_memory.py` says.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner
from servers import PASSWORD
from test_durability import ADD_AND_UNDO, ADD_FOR_EVER, ADD_SOME, child, opened, whole

from memedit.adapters._open import open_editable
from memedit.cli import main
from memedit.errors import (
    AlreadyClosed,
    LedgerBusy,
    LedgerError,
    LedgerReadOnly,
    LedgerTooNew,
    LedgerUnreachable,
    MissingExtra,
    UnknownEdit,
)
from memedit.memory import EditMemory, migrations
from memedit.memory.storage import port
from memedit.memory.storage import postgres as module
from memedit.testing import FakeLLM, HashEmbedder

psycopg = pytest.importorskip("psycopg")


@pytest.fixture
def address(postgres):
    with postgres.schema() as address:
        yield address


@pytest.fixture
def direct(postgres, address):
    """A connection of our own to the same schema."""
    schema = address.rpartition("=")[2]
    with psycopg.connect(postgres.url, autocommit=True, options=f"-csearch_path={schema}") as connection:
        yield connection


def test_a_database_without_an_encoding(postgres):
    """As `initdb` makes them where nobody set a locale, in a bare container: texts came back as bytes."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE plain ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        with EditMemory(postgres.url.replace("/test", "/plain"), embedder=HashEmbedder()) as memory:
            memory.add("Das Café in Łódź öffnet um 9.")
            assert [edit.text for edit in memory.edits()] == ["Das Café in Łódź öffnet um 9."]
    finally:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("DROP DATABASE plain WITH (FORCE)")


# ---- several processes --------------------------------------------------------------------------------------------


def test_what_one_process_adds_or_undoes_all_others_see_at_once(address):
    memory = opened(address)
    other = child(ADD_AND_UNDO, address)

    def tell(line):
        other.stdin.write(line + "\n")
        other.stdin.flush()
        return other.stdout.readline().strip()

    for turn in range(25):
        edit_id = tell(f"add firm {turn} is {turn}")
        assert [found.edit.id for found in memory.recall(f"firm {turn}").candidates] == [edit_id]
        assert tell("undo") == "undone"
        assert memory.recall(f"firm {turn}").candidates == ()
        assert memory.search("firm") == memory.edits() == []
    other.communicate(timeout=30)
    assert other.returncode == 0
    assert whole(memory)
    memory.close()


def test_nothing_acknowledged_is_lost_when_a_process_is_killed(address):
    chance = random.Random(20)
    acknowledged = []
    for turn in range(2):
        process = child(ADD_FOR_EVER, address, turn)
        lines = [process.stdout.readline()]  # it has begun
        threading.Timer(chance.uniform(0, 0.25), os.kill, (process.pid, signal.SIGKILL)).start()
        lines += process.stdout.readlines()
        assert process.wait(30) == -signal.SIGKILL
        acknowledged += [line.strip() for line in lines if line.endswith("\n")]
    with opened(address) as memory:
        assert whole(memory, acknowledged)
        assert len(memory.edits()) >= len(acknowledged) >= 2


def test_processes_that_make_the_ledger_and_write_at_once_lose_nothing(address):
    processes = [child(ADD_SOME, address, name, 20) for name in "ab"]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 2
    ids = [line for output in outputs for line in output.split()]
    assert len(set(ids)) == 40
    with opened(address) as memory:
        assert memory.revision() == 40
        assert whole(memory, ids)


@pytest.mark.parametrize("connections", [1, module.CONNECTIONS])
def test_more_threads_than_connections(address, monkeypatch, connections):
    """No verb needs a second connection while it holds one, or threads would wait for one another for ever."""
    monkeypatch.setattr(module, "CONNECTIONS", connections)
    monkeypatch.setattr(port, "BUSY_SECONDS", 20)
    with opened(address) as memory, ThreadPoolExecutor(20) as pool:

        def work(turn):
            edit_id = memory.add(f"firm {turn} is {turn}").id
            assert edit_id in {found.edit.id for found in memory.recall(f"firm {turn}", k=200).candidates}
            assert memory.get(edit_id).id == edit_id
            assert memory.history(edit_id)[-1].came == (edit_id,)
            return edit_id

        ids = list(pool.map(work, range(40)))
        assert whole(memory, ids)


# ---- the server is away, or refuses -------------------------------------------------------------------------------


def test_a_restart_is_survived(postgres, address):
    with opened(address) as memory:
        kept = memory.add("firm A is B").id
        postgres.stop()
        try:
            for call in (
                lambda: memory.add("firm C is D"),
                lambda: memory.recall("firm A"),
                lambda: memory.edits(),
                lambda: opened(address),
            ):
                with pytest.raises(LedgerUnreachable, match="cannot be reached"):
                    call()
        finally:
            postgres.start()
        assert [found.edit.id for found in memory.recall("firm A").candidates] == [kept]
        assert whole(memory, [kept, memory.add("firm C is D").id])


def test_connections_that_the_server_ended_are_no_error(direct, address):
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'memedit'"
    with opened(address) as memory:
        kept = memory.add("firm A is B").id
        for use in (lambda: memory.recall("firm A"), lambda: memory.add("firm C is D"), lambda: memory.edits()):
            direct.execute(ended)
            time.sleep(0.1)
            use()
        assert whole(memory, [kept])


def test_a_writer_that_hangs_is_busy_and_reading_needs_no_lock(direct, address, monkeypatch):
    monkeypatch.setattr(port, "BUSY_SECONDS", 0.2)
    with opened(address) as memory:
        memory.add("firm A is B")
        direct.execute(memory._ledger.storage.begin[True])
        with pytest.raises(LedgerBusy, match="try again"):
            memory.add("firm C is D")
        assert len(memory.edits()) == 1
        direct.execute("ROLLBACK")
        assert whole(memory, [memory.add("firm C is D").id])


def test_a_user_who_may_only_read_is_told(postgres, direct, address):
    with opened(address) as memory:
        memory.add("firm A is B")
    schema = address.rpartition("=")[2]
    direct.execute(
        f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'; GRANT USAGE ON SCHEMA {schema} TO reader;"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader"
    )
    try:
        with opened(address.replace("ann:", "reader:")) as memory:
            assert len(memory.edits()) == 1
            with pytest.raises(LedgerReadOnly, match="permission denied"):
                memory.add("firm C is D")
            assert len(memory.edits()) == 1
    finally:
        direct.execute("DROP OWNED BY reader; DROP ROLE reader")


def test_a_newer_schema_is_left_alone(direct, address):
    opened(address).close()
    direct.execute("INSERT INTO migrations VALUES (%s, 'm_later')", (len(migrations.STEPS) + 1,))
    with pytest.raises(LedgerTooNew, match="upgrade"):
        opened(address)


def test_a_change_is_durable_even_where_the_server_would_not_wait(direct, address):
    direct.execute("ALTER ROLE ann SET synchronous_commit = off")
    try:
        with opened(address) as memory:
            assert memory._ledger.storage.read("SHOW synchronous_commit", ()) == [("on",)]
    finally:
        direct.execute("ALTER ROLE ann RESET synchronous_commit")


def test_memories_in_one_database_know_nothing_of_each_other(postgres):
    with postgres.schema() as one, postgres.schema() as other, opened(one) as first, opened(other) as second:
        first.add("firm A is B")
        assert (len(first.edits()), len(second.edits())) == (1, 0)
        assert first.identity != second.identity
        with opened(one) as again:
            assert again.identity == first.identity


def test_a_closed_memory_says_so(address):
    memory = opened(address)
    memory.close()
    with pytest.raises(AlreadyClosed, match="was closed"):
        memory.edits()


def test_ids_that_no_database_can_hold(address):
    with opened(address) as memory, pytest.raises(UnknownEdit):
        memory.get("a\0b")


# ---- no password is told ------------------------------------------------------------------------------------------

UNREADABLE = [
    f"postgresql://ann:{PASSWORD}@[x/test",
    f"postgresql://ann:{PASSWORD}@host:{PASSWORD}/test",
    f"postgresql://ann:7/{PASSWORD}@host/test",
    f"postgresql://ann:{PASSWORD}@host",
    f"postgresql://ann:{PASSWORD}@host/test?schema=A-{PASSWORD}",
]
REFUSED = [
    f"postgresql://ann:{PASSWORD}@127.0.0.1:1/test",
    f"postgresql://ann@127.0.0.1:1/test?password={PASSWORD}",
    f"postgresql://ann:{PASSWORD}@127.0.0.1:PORT/nothing",
    f"postgresql://bob:{PASSWORD}@127.0.0.1:PORT/test",
    f"postgresql://ann:wrong-{PASSWORD}@127.0.0.1:PORT/test",
    f"postgresql://ann:{PASSWORD}@127.0.0.1:PORT/test?no_such_option={PASSWORD}",
]


@pytest.mark.parametrize("given", UNREADABLE + REFUSED)
def test_no_error_tells_the_password(postgres, caplog, given):
    given = given.replace("PORT", str(postgres.port))
    with caplog.at_level(logging.DEBUG), pytest.raises(LedgerError) as caught:
        opened(given)
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(caught.value)
    done = CliRunner().invoke(main, ["list", "--memory", given])
    assert done.exit_code
    assert "Traceback" not in done.output
    assert PASSWORD not in told + done.output


def test_nothing_that_goes_well_tells_the_password(address, caplog):
    with caplog.at_level(logging.DEBUG), opened(address) as memory:
        memory.add("firm A is B")
        told = [memory.place, repr(memory.__dict__), repr(memory._ledger.storage.engine), repr(memory._ledger.__dict__)]
    assert memory.place.startswith("postgresql://ann@127.0.0.1:")
    assert all(PASSWORD not in text for text in [*told, caplog.text])


# ---- the command line ---------------------------------------------------------------------------------------------


def run(address, *given):
    done = CliRunner().invoke(main, [*given, "--memory", address, "--embedder", "bundled"])
    assert PASSWORD not in done.output
    assert "Traceback" not in done.output
    return done


def test_the_command_line(address):
    nothing = run(address, "list")
    assert nothing.exit_code
    assert "There is no memory in postgresql://ann@127.0.0.1" in nothing.output
    assert "made a memory in postgresql://ann@" in run(address, "init").output
    assert "already" in run(address, "init").output
    assert "postgresql://ann@" in run(address, "init", "--json").output
    with opened(address) as memory:
        memory.add("firm A is B", reason="told so")
    assert "firm A is B" in run(address, "list").output
    assert "told so" in run(address, "history").output
    assert run(address, "undo").exit_code == 0
    assert "firm A is B" not in run(address, "list").output
    assert "PostgreSQL" in run(address, "doctor").output
    assert run(address, "list", "--index", "pgvector").exit_code == 0
    assert "a store with its address" in run(address, "list", "--index", "nothing:x").output


def test_a_harness_opens_it(address):
    with pytest.raises(LedgerError, match="There is no memory in postgresql://ann@"):
        open_editable(FakeLLM(), address)
    with opened(address) as memory:
        memory.add("firm A is B")
    with open_editable(FakeLLM(), address, namespace="default").memory as memory:
        assert memory.revision() == 1


def test_without_its_driver_the_extra_is_named(address):
    script = "import sys; sys.modules['psycopg'] = None\nfrom memedit.memory import EditMemory\nEditMemory(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", script, address], capture_output=True, text=True, timeout=60)
    assert MissingExtra.__name__ in done.stderr
    assert "pip install 'memedit[postgres]'" in done.stderr
