"""Opening the ledger's database, and turning its errors into ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from memedit.errors import LedgerBusy, LedgerCorrupt, LedgerError, LedgerReadOnly, StorageFull
from memedit.memory.migrations import migrate

LEDGER_FILE = "ledger.sqlite"
BUSY_SECONDS = 30.0


def open_engine(path: Path | None) -> Engine:
    """An engine on the ledger in folder `path` (made when missing), or on one that lives in this process only.

    Raises:
        LedgerError: It cannot be opened; the subclass says why.
    """
    if path is None:
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        _make_folder(path)
        engine = create_engine(
            URL.create("sqlite", database=str(path / LEDGER_FILE)),
            connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
            max_overflow=-1,  # a thread waits for the ledger's lock, never for a connection
        )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    try:
        with typed_errors(path), engine.connect().execution_options(writes=True) as connection, connection.begin():
            migrate(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise LedgerError(f"{path} is a file, not a folder.", do="name a folder for the memory") from None
    except (OSError, ValueError) as error:  # ValueError: its name holds a NUL
        raise LedgerReadOnly(
            f"The folder {str(path)!r:.300} cannot be made: {getattr(error, 'strerror', None) or error}.",
            do="name a folder that can be written",
        ) from error


def _set_up(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions by itself: `_begin` says which kind each one is.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A writer takes the lock at once: upgrading a read transaction fails as soon as another process has written.
    # A single statement is a transaction of its own, and needs none around it.
    begin = {True: "BEGIN IMMEDIATE", False: "BEGIN", None: None}[connection.get_execution_options().get("writes")]
    if begin:
        connection.exec_driver_sql(begin)


@contextmanager
def typed_errors(path: Path | None) -> Iterator[None]:
    """Raise what the database reports as a `LedgerError` that says what to do."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        raise _typed(error.orig if isinstance(error, DBAPIError) else error, path) from error


def _typed(cause: BaseException | None, path: Path | None) -> LedgerError:
    code = getattr(cause, "sqlite_errorname", "")
    where = "in memory" if path is None else str(path / LEDGER_FILE)
    if code.startswith("SQLITE_FULL"):
        return StorageFull(f"No space is left for the ledger {where}; nothing was changed.", do="free some space")
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return LedgerReadOnly(
            f"The ledger {where} cannot be written.", do="make the folder writable, or copy it to one that is"
        )
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return LedgerCorrupt(
            f"The ledger {where} is damaged: {cause}.",
            do="restore it from a backup, or import your last export into a new folder; `memedit doctor` shows more",
        )
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return LedgerBusy(
            f"Another process held the ledger {where} for more than {BUSY_SECONDS:.0f} s.", do="try again"
        )
    return LedgerError(f"The ledger {where} failed: {cause}.", do="run `memedit doctor`")
