"""SQLite: a ledger in a folder, or one that ends with the process."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import URL, Connection, Engine, ExceptionContext, StaticPool, create_engine, event

from memedit.errors import LedgerBusy, LedgerCorrupt, LedgerError, LedgerReadOnly, StorageFull
from memedit.memory.storage import port
from memedit.memory.storage.port import Storage

LEDGER_FILE = "ledger.sqlite"


class SQLite(Storage):
    """A file in WAL mode, durable when a change returns.

    Args:
        folder: Where it lies, made when missing; None for a ledger of this process only.
    """

    driver_errors: ClassVar = (sqlite3.Error, UnicodeDecodeError)
    """The second is what the driver raises for a message that quotes a damaged name."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__()
        self.folder = folder
        # A writer takes the lock at once: upgrading a read transaction fails as soon as another process has written.
        self.begin = {True: "BEGIN IMMEDIATE", False: "BEGIN"}
        self.shown = "in memory" if folder is None else str(folder)
        self._ledger = "in memory" if folder is None else str(folder / LEDGER_FILE)
        self._own = threading.local()  # the connection that a thread keeps for `read`
        if folder is None:  # one connection, which threads must share in turn
            self._read_turn = self._write_turn

    def exists(self) -> bool:
        if self.folder is not None and self.folder.is_file():
            raise _no_folder(self.folder)
        return self.folder is not None and (_is_there(self.folder / LEDGER_FILE) or bool(_left(self.folder)))

    def close(self) -> None:
        with self._write_turn:
            self._own = threading.local()  # lets go of what each thread holds
            super().close()

    def read(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """The rows of one statement.

        Through SQLAlchemy's layers, which the embedder has driven out of the processor's caches, it took 1 ms longer.
        Each thread keeps a connection of the pool for it.
        """
        with self._read_turn, self.typed_errors():
            engine = self.engine
            connection = getattr(self._own, "connection", None)
            if connection is None:
                connection = self._own.connection = engine.raw_connection()
            return list(connection.execute(statement, values).fetchall())

    def faults(self, connection: Connection) -> list[str]:
        found = connection.exec_driver_sql("PRAGMA integrity_check").scalars()
        return [report for report in map(str, found) if report != "ok"]

    def copy_to(self, file: Path) -> None:
        with (
            self._read_turn,
            self.typed_errors(),
            self.engine.connect() as connection,
            closing(sqlite3.connect(file)) as to,
        ):
            own = connection.connection.driver_connection
            assert isinstance(own, sqlite3.Connection)
            own.backup(to)

    def scrub(self) -> None:
        """Write the file anew, without what was deleted, and empty its log."""
        if self.folder is None:
            return
        with self._write_turn, self.typed_errors(), self.engine.connect() as connection:
            connection.exec_driver_sql("VACUUM")
            if connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar():
                raise LedgerBusy(
                    f"Others read the ledger {self._ledger} for more than {port.BUSY_SECONDS:.0f} s. "
                    "What was purged is gone for all, but its old bytes may still lie in the ledger's log.",
                    do="purge the same once more, when they have ended",
                )

    def _make_engine(self) -> Engine:
        if self.folder is None:
            engine = create_engine(
                "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}, hide_parameters=True
            )
            event.listen(engine, "handle_error", _keep)
        else:
            _make_folder(self.folder)
            _check_not_gone(self.folder)
            engine = create_engine(
                self._url(self.folder / LEDGER_FILE),
                connect_args={"check_same_thread": False, "timeout": port.BUSY_SECONDS},
                hide_parameters=True,  # they are what edits say
                max_overflow=-1,  # a thread waits for the ledger's lock, never for a connection
            )
        event.listen(engine, "connect", _set_up)
        return engine

    def _url(self, ledger: Path) -> URL:
        """Of the file; as one that never changes where it lies on a read-only mount, since no lock can be taken there.

        Not while a log lies beside it: then it is written from elsewhere.
        """
        log = ledger.with_name(f"{LEDGER_FILE}-wal")
        if os.access(ledger.parent, os.W_OK) or not ledger.exists() or log.exists():
            return URL.create("sqlite", database=str(ledger))
        return URL.create("sqlite", database=ledger.absolute().as_uri(), query={"immutable": "1", "uri": "true"})

    @contextmanager
    def _turn_of_all(self) -> Iterator[None]:
        """The write lock of an empty database: one that every system has, and that ends with its process."""
        if self.folder is None:
            yield
            return
        file = self.folder / "index.turn"
        with self.typed_errors(), closing(sqlite3.connect(file, timeout=port.BUSY_SECONDS)) as held:
            held.isolation_level = None
            held.execute("BEGIN IMMEDIATE")
            yield

    def _typed(self, cause: BaseException | None) -> LedgerError:
        code, where = getattr(cause, "sqlite_errorname", ""), self._ledger
        if code.startswith("SQLITE_FULL"):
            return StorageFull(f"No space is left for the ledger {where}; nothing was changed.", do="free some space")
        if code.startswith("SQLITE_CANTOPEN") and os.path.exists(where) and not os.access(where, os.R_OK):
            return LedgerReadOnly(f"The ledger {where} cannot be read.", do="let this user read and write it")
        if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            return LedgerReadOnly(
                f"The ledger {where} cannot be written.", do="make the folder writable, or copy it to one that is"
            )
        is_illegible = isinstance(cause, UnicodeDecodeError) or "decode to UTF-8" in str(cause)
        if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or is_illegible:
            return LedgerCorrupt(
                f"The ledger {where} is damaged: {cause}.",
                do=LedgerCorrupt.MEND,
            )
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return LedgerBusy(
                f"Another process held the ledger {where} for more than {port.BUSY_SECONDS:.0f} s.", do="try again"
            )
        return LedgerError(f"The ledger {where} failed: {cause}.", do="run `memedit doctor`")


def _keep(failed: ExceptionContext) -> None:
    """Where a call is interrupted (Ctrl-C, a time limit), SQLAlchemy closes its connection: here, all there is."""
    failed.is_disconnect = False


def _set_up(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # the driver begins no transactions
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise _no_folder(path) from None
    except (OSError, ValueError) as error:  # ValueError: its name holds a NUL
        raise LedgerReadOnly(
            f"The folder {str(path)!r:.300} cannot be made: {getattr(error, 'strerror', None) or error}.",
            do="name a folder that can be written",
        ) from error


def _check_not_gone(folder: Path) -> None:
    """Raise `LedgerCorrupt` where only the ledger is missing of a memory: it is not silently a new one."""
    ledger = folder / LEDGER_FILE
    if not _is_there(ledger) and (beside := _left(folder)):
        raise LedgerCorrupt(
            f"The ledger {ledger} is gone; of the memory there are {', '.join(beside)}.",
            do="put the ledger back, or restore a backup with `memedit restore FILE`",
        )


def _left(folder: Path) -> list[str]:
    """What is there of a memory beside its ledger."""
    beside = [name for name in ("index", "index.turn", "baked", f"{LEDGER_FILE}.damaged") if (folder / name).exists()]
    ledger, log = folder / LEDGER_FILE, folder / f"{LEDGER_FILE}-wal"
    return beside + ([log.name] if not ledger.exists() and log.exists() and log.stat().st_size else [])


def _is_there(ledger: Path) -> bool:
    """Whether it holds anything: a file of no bytes is what is left where making a memory was cut short."""
    return ledger.exists() and ledger.stat().st_size > 0


def _no_folder(path: Path) -> LedgerError:
    return LedgerError(f"{path} is a file, not a folder.", do="name a folder for the memory")
