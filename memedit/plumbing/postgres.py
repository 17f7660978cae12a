"""PostgreSQL, as ledger and index reach it: an address of which no message tells the password, and its connections."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from memedit.errors import LedgerError, MissingExtra

try:
    import psycopg
except ImportError as missing:  # it also needs the client's library of PostgreSQL
    raise MissingExtra("postgres", package="psycopg") from missing

SCHEMA = "memedit"
FORM = "postgresql://USER@HOST:PORT/DATABASE"
DriverError = psycopg.Error


@dataclass(frozen=True)
class Address:
    """Where a schema lies.

    Args:
        schema: Its name, plain and in small letters.
        shown: All of it that may stand in logs and errors.
    """

    schema: str
    shown: str
    _url: URL = field(repr=False)
    _options: dict[str, str] = field(repr=False)

    @classmethod
    def read(cls, given: str) -> Address:
        """From `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.

        Behind a `?` may stand `schema=NAME`, for several memories in one database, and whatever libpq takes
        (`sslmode=verify-full&…`). What is left out comes from libpq's variables and files (`PGPASSWORD`, `~/.pgpass`).

        Raises:
            LedgerError: It cannot be read. The message does not quote it: it may hold a password.
        """
        url = _parsed(given)
        options = {name: one if isinstance(one, str) else ",".join(one) for name, one in url.query.items()}
        schema = options.pop("schema", SCHEMA)
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
            raise LedgerError("The schema of the database is no plain name in small letters.", do="see ?schema=NAME")
        password = options.pop("password", None) or url.password
        options = {"connect_timeout": "10", "application_name": "memedit", "client_encoding": "utf8"} | options
        place = (url.host, url.port, url.database)
        shown = str(URL.create("postgresql", url.username, None, *place))
        shown += f"?schema={schema}" if schema != SCHEMA else ""
        return cls(schema, shown, URL.create("postgresql+psycopg", url.username, password, *place), options)

    def engine(self, connections: int, *, wait: float) -> Engine:
        """Up to so many connections, for each of which a thread waits so many seconds; they begin nothing themselves.

        Names without a schema are of this one, and then of `public`.
        """
        engine = create_engine(
            self._url,
            connect_args=self._options,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=wait,
            pool_use_lifo=True,
            pool_pre_ping=True,  # a server that was restarted meanwhile is no error
            hide_parameters=True,  # they are what edits say
            use_native_hstore=False,
        )

        def set_up(connection: Any, record: Any) -> None:
            connection.autocommit = True
            connection.execute(
                f"SET search_path TO {self.schema}, public; SET lock_timeout TO {round(1_000 * wait)};"
                "SELECT set_config('synchronous_commit', 'on', false)"
                " WHERE current_setting('synchronous_commit') = 'off'"
            )

        event.listen(engine, "connect", set_up)
        return engine

    def make_schema(self, connection: Connection) -> None:
        """Make the schema where it is not there, which takes a right that the user may lack where it is."""
        if not connection.scalar(text("SELECT to_regnamespace(:name) IS NOT NULL"), {"name": self.schema}):
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")


def is_away(cause: BaseException | None) -> bool:
    """Whether an error of the driver says that the server, or the connection to it, is not there."""
    state = getattr(cause, "sqlstate", None) or ""
    if not state:
        return isinstance(cause, psycopg.OperationalError)
    return state[:2] in ("08", "53") or state in ("57P01", "57P02", "57P03", "57P05")


def _parsed(given: str) -> URL:
    try:
        url = make_url(given)
        if url.database and not re.search("[@/]", url.database):  # a `/` in a password makes it part of the database
            return url
    except (SQLAlchemyError, ValueError):
        pass  # what it says may quote the password
    raise LedgerError(
        "The address of the database cannot be read, or names no database.",
        do=f"write {FORM}; in a password write / as %2F and @ as %40",
    )
