"""PostgreSQL: one ledger for processes on many machines, in a schema of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from sqlalchemy import URL, Connection, Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from memedit.errors import (
    LedgerBusy,
    LedgerCorrupt,
    LedgerError,
    LedgerReadOnly,
    LedgerUnreachable,
    MissingExtra,
    StorageFull,
)
from memedit.memory.storage import port
from memedit.memory.storage.port import Storage
from memedit.text import one_line

try:
    import psycopg
except ImportError as missing:  # it also needs the client's library of PostgreSQL
    raise MissingExtra("postgres", package="psycopg") from missing

CONNECTIONS = 8  # of one process; a server has 100 for all, unless it is told otherwise
SCHEMA = "memedit"
FORM = "postgresql://USER@HOST:PORT/DATABASE"


class Postgres(Storage):
    """A schema of a database. Every statement sees what was committed before it; writers hold an advisory lock in turn.

    Args:
        address: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`. Behind a `?` may stand `schema=NAME`, for several
            memories in one database, and whatever libpq takes (`sslmode=verify-full&…`). What is left out comes from
            libpq's variables and files (`PGPASSWORD`, `~/.pgpass`, …).

    Raises:
        LedgerError: The address cannot be read. No message of this class ever quotes it whole.
    """

    driver_errors: ClassVar = (psycopg.Error,)

    def __init__(self, address: str) -> None:
        super().__init__()
        url = _read(address)
        options = {name: value if isinstance(value, str) else ",".join(value) for name, value in url.query.items()}
        self.schema = options.pop("schema", SCHEMA)
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", self.schema):
            raise LedgerError("The schema of the ledger is no plain name in small letters.", do="see ?schema=NAME")
        password = options.pop("password", None)
        self._options = {"connect_timeout": "10", "application_name": "memedit"} | options
        self._url = URL.create(
            "postgresql+psycopg", url.username, password or url.password, url.host, url.port, url.database
        )
        self.shown = str(URL.create("postgresql", url.username, None, url.host, url.port, url.database))
        self.shown += f"?schema={self.schema}" if self.schema != SCHEMA else ""
        self.begin = {
            True: f"BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('memedit ledger {self.schema}', 0))",
            False: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }

    def exists(self) -> bool:
        engine = create_engine(self._url, connect_args=self._options)
        try:
            with self.typed_errors(), engine.connect() as connection:
                return inspect(connection).has_table("namespaces", schema=self.schema)
        finally:
            engine.dispose()

    def read(self, statement: str, values: Sequence[Any]) -> list[Any]:
        with self.typed_errors():
            connection = self.engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(statement.replace("?", "%s"), values)
                return list(cursor.fetchall())
            except psycopg.Error as error:
                connection.invalidate(error)
                raise
            finally:
                connection.close()

    def _make_engine(self) -> Engine:
        return create_engine(
            self._url,
            connect_args=self._options,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=port.BUSY_SECONDS,
            pool_use_lifo=True,
            pool_pre_ping=True,  # a server that was restarted meanwhile is no error
            hide_parameters=True,  # they are what edits say
            use_native_hstore=False,
        )

    def _set_up(self, connection: Any, record: Any) -> None:
        connection.autocommit = True
        connection.execute(
            f"SET search_path TO {self.schema}; SET lock_timeout TO {round(1_000 * port.BUSY_SECONDS)};"
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )

    def _prepare(self, connection: Connection) -> None:
        there = connection.scalar(text("SELECT to_regnamespace(:name) IS NOT NULL"), {"name": self.schema})
        if not there:
            connection.exec_driver_sql(f"CREATE SCHEMA {self.schema}")

    @contextmanager
    def _turn_of_all(self) -> Iterator[None]:
        with self.typed_errors(), self.engine.connect() as connection, connection.begin():
            key = {"key": f"memedit index {self.schema}"}
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), key)
            yield

    def _typed(self, cause: BaseException | None) -> LedgerError:
        state = getattr(cause, "sqlstate", None) or ""
        reason = one_line(str(cause), 300).rstrip(".")
        match state[:2], state:
            case ("53", "53100"):
                return StorageFull(
                    f"No space is left for the ledger {self.shown}; nothing was changed.", do="free some"
                )
            case ("55", "55P03") | ("57", "57014") | ("40", _):
                return LedgerBusy(f"The ledger {self.shown} was held by others for too long.", do="try again")
            case ("42", "42501") | ("25", "25006"):
                return LedgerReadOnly(
                    f"The ledger {self.shown} cannot be written: {reason}.", do="grant it to the user"
                )
            case ("XX", "XX001" | "XX002"):
                return LedgerCorrupt(f"The ledger {self.shown} is damaged: {reason}.", do="restore it from a backup")
            case ("08" | "53" | "57", _):
                return self._unreachable(reason)
            case ("", _) if isinstance(cause, psycopg.OperationalError):
                return self._unreachable(reason)
        return LedgerError(f"The ledger {self.shown} failed: {reason}.", do="run `memedit doctor`")

    def _unreachable(self, reason: str) -> LedgerUnreachable:
        return LedgerUnreachable(
            f"The ledger {self.shown} cannot be reached: {reason}.",
            do="check that its server runs, its user and its database; where a change was under way, "
            "`history()` tells whether it was recorded",
        )


def _read(address: str) -> URL:
    try:
        url = make_url(address)
        if url.database and not re.search("[@/]", url.database):  # a `/` in a password makes it part of the database
            return url
    except (SQLAlchemyError, ValueError):
        pass  # what it says may quote the password
    raise LedgerError(
        "The address of the ledger cannot be read, or names no database.",
        do=f"write {FORM}; in a password write / as %2F and @ as %40",
    )
