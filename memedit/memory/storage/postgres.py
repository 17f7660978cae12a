"""PostgreSQL: one ledger for processes on many machines, in a schema of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import URL, Connection, Engine, create_engine, inspect, text

from memedit.errors import LedgerBusy, LedgerCorrupt, LedgerError, LedgerReadOnly, LedgerUnreachable, StorageFull
from memedit.memory.migrations import migrate
from memedit.memory.storage import port
from memedit.memory.storage.copying import copy_rows
from memedit.memory.storage.port import Storage
from memedit.plumbing.postgres import Address, DriverError, is_away
from memedit.text import one_line

CONNECTIONS = 8  # of one process; a server has 100 for all, unless it is told otherwise
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('memedit {} {}', 0))"


class Postgres(Storage):
    """A schema of a database. Every statement sees what was committed before it; writers hold an advisory lock in turn.

    Args:
        address: As `Address.read` takes it.

    Raises:
        LedgerError: The address cannot be read.
    """

    driver_errors: ClassVar = (DriverError,)

    def __init__(self, address: str) -> None:
        super().__init__()
        self._at = Address.read(address)
        self.address = address
        self.shown = self._at.shown
        self.begin = {
            True: f"BEGIN; {LOCK.format('ledger', self._at.schema)}",
            False: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }

    def exists(self) -> bool:
        engine = self._make_engine()
        try:
            with self.typed_errors(), engine.connect() as connection:
                return inspect(connection).has_table("namespaces", schema=self._at.schema)
        finally:
            engine.dispose()

    def read(self, statement: str, values: Sequence[Any]) -> list[Any]:
        with self.typed_errors():
            connection = self.engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(statement.replace("?", "%s"), values)
                return list(cursor.fetchall())
            except DriverError as error:
                connection.invalidate(error)
                raise
            finally:
                connection.close()

    def copy_to(self, file: Path) -> None:
        engine = create_engine(URL.create("sqlite", database=str(file)), hide_parameters=True)
        try:
            with self.transaction(writes=False) as source, engine.begin() as target:
                migrate(target)
                copy_rows(source, target)
        finally:
            engine.dispose()

    def scrub(self) -> None:
        """Write the tables anew, without what was deleted. The server's own log and backups are out of reach."""
        with self.typed_errors(), self.engine.connect() as connection:
            for table in ("edits", "events", "change_sets", "vectors"):
                connection.exec_driver_sql(f"VACUUM (FULL) {self._at.schema}.{table}")

    def _make_engine(self) -> Engine:
        return self._at.engine(CONNECTIONS, wait=port.BUSY_SECONDS)

    def _prepare(self, connection: Connection) -> None:
        self._at.make_schema(connection)

    @contextmanager
    def _turn_of_all(self) -> Iterator[None]:
        with self.typed_errors(), self.engine.connect() as connection, connection.begin():
            connection.exec_driver_sql("BEGIN")
            connection.execute(text(LOCK.format("index", self._at.schema)))
            yield

    def _typed(self, cause: BaseException | None) -> LedgerError:
        state = getattr(cause, "sqlstate", None) or ""
        reason = one_line(str(cause), 300).rstrip(".")
        if state == "53100":
            return StorageFull(f"No space is left for the ledger {self.shown}; nothing was changed.", do="free some")
        if is_away(cause):
            return LedgerUnreachable(
                f"The ledger {self.shown} cannot be reached: {reason}.",
                do="check that its server runs, its user and its database; where a change was under way, "
                "`history()` tells whether it was recorded",
            )
        if state in ("55P03", "57014") or state[:2] == "40":
            return LedgerBusy(f"The ledger {self.shown} was held by others for too long.", do="try again")
        if state in ("42501", "25006"):
            return LedgerReadOnly(f"The ledger {self.shown} cannot be written: {reason}.", do="grant it to the user")
        if state in ("XX001", "XX002"):
            return LedgerCorrupt(f"The ledger {self.shown} is damaged: {reason}.", do="restore it from a backup")
        return LedgerError(f"The ledger {self.shown} failed: {reason}.", do="run `memedit doctor`")
