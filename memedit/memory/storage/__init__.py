"""Where a ledger lies, SQLite or PostgreSQL, behind one port: so the ledger itself is one class."""

from __future__ import annotations

from pathlib import Path
from types import NoneType

from memedit.errors import LedgerError
from memedit.memory.storage.port import Storage
from memedit.memory.storage.sqlite import LEDGER_FILE, SQLite

__all__ = ["LEDGER_FILE", "SQLite", "Storage", "is_address", "storage_of"]

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")


def is_address(given: object) -> bool:
    """Whether it is written as the address of a database server, and not as a folder."""
    return isinstance(given, str) and given.partition("://")[0] in SCHEMES and "://" in given


def storage_of(given: str | Path | None) -> Storage:
    """The storage that `EditMemory(…)` and `--memory` name: a folder, an address (`postgresql://…`), or None.

    It is not opened.

    Raises:
        LedgerError: It is none of these, or the address cannot be read.
        MissingExtra: The driver of the database is not installed.
    """
    if isinstance(given, str) and is_address(given):
        from memedit.memory.storage.postgres import Postgres  # an extra

        return Postgres(given)
    if given == "":
        raise LedgerError("An empty name names no memory.", do="give a folder, or None for a memory that is not kept")
    if not isinstance(given, (str, Path, NoneType)):
        raise LedgerError(f"A {type(given).__name__} names no memory.", do="give a folder, an address or an EditMemory")
    return SQLite(None if given is None else Path(given).expanduser())
