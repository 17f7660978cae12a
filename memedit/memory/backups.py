"""Backups: one file that holds a whole ledger with its history, whatever database it lies in.

The file is a ledger of SQLite, with a card that says what it must hold, and the changes of weights beside it. It is
restored into a folder as into PostgreSQL, so it also moves a memory from one to the other.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    Column,
    Connection,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    exc,
    func,
    insert,
    inspect,
    select,
)

from memedit.errors import FileRejected, LedgerCorrupt, LedgerError, LedgerReadOnly
from memedit.memory.ledger import Ledger
from memedit.memory.ledger_reading import Reader
from memedit.memory.migrations import applied, identity, migrate, namespaces
from memedit.memory.purging import BAKED
from memedit.memory.repairing import check_aside, set_aside
from memedit.memory.storage.copying import CHUNK, HELD, copy_rows
from memedit.memory.storage.sqlite import LEDGER_FILE, SQLite
from memedit.memory.whole import faults_of_rows
from memedit.text import storable

extra = MetaData()
card = Table("backup", extra, Column("at", Text), Column("counts", Text), Column("digest", Text))
baked = Table("baked", extra, Column("name", Text, primary_key=True), Column("data", LargeBinary))
SAVE = "`memedit repair --plan` shows what can be saved; or restore an earlier backup"
RESTORE = "take another file; nothing was restored"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made, or restored.

    Args:
        at: When it was made.
        counts: How many rows of each sort it holds, over all namespaces.
        digest: SHA-256 of all rows.
        done: Whether it was done.
    """

    file: Path
    at: datetime
    counts: dict[str, int]
    digest: str
    done: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The backup as JSON values."""
        about = {"file": str(self.file), "at": self.at.isoformat(), "digest": self.digest, "done": self.done}
        return about | {"holds": self.counts}


def backup(ledger: Ledger, folder: Path | None, file: Path, at: datetime, *, overwrite: bool) -> Backup:
    """Write a ledger, as it is at one moment, and the changes of weights beside it to a file; whole, or not at all.

    Raises:
        FileRejected: There is a file already, or it cannot be written.
        LedgerCorrupt: The ledger is damaged; no file is written.
    """
    if file.exists() and not overwrite:
        raise FileRejected(
            f"{storable(str(file))} is there already.",
            do="name another file, or overwrite it: `--yes`, `overwrite=True`",
        )
    draft = file.with_name(f".{file.name[:100]}.{secrets.token_hex(4)}")
    try:
        draft.touch(mode=0o600, exist_ok=False)  # it will hold what Erasures keep
        ledger.storage.copy_to(draft)
        with _opened(draft) as copy:
            _check(Reader(copy, ledger.storage))
            extra.create_all(copy)
            for one in sorted((folder / BAKED).glob("*.safetensors")) if folder else ():
                copy.execute(insert(baked).values(name=one.name, data=one.read_bytes()))
            counts, digest = _counts(copy), _digest(copy)
            copy.execute(insert(card).values(at=at.isoformat(), counts=json.dumps(counts), digest=digest))
        with draft.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(draft, file)
    except (OSError, ValueError, sqlite3.OperationalError, exc.OperationalError) as error:
        why = getattr(error, "strerror", None) or getattr(error, "orig", None) or error
        raise FileRejected(f"{storable(str(file))} cannot be written: {why}.", do="name another file") from error
    except exc.DatabaseError as error:
        raise LedgerCorrupt(f"The ledger is damaged: {error.orig}; no backup was made.", do=SAVE) from error
    finally:
        with suppress(OSError, ValueError):
            draft.unlink(missing_ok=True)
    return Backup(file, at, counts, digest)


def restore(ledger: Ledger, folder: Path | None, file: Path, *, overwrite: bool, dry_run: bool) -> Backup:
    """Make a ledger hold what a backup holds, in one transaction. The backup is checked first, and not changed.

    Raises:
        FileRejected: It is no backup, or not whole; nothing was restored.
        LedgerError: The ledger holds something already, and may not be overwritten.
    """
    with _checked(file) as (source, made):
        with ledger.writing() as writer:
            target = writer.connection
            if writer.namespaces() and not overwrite:
                raise LedgerError(
                    f"The memory {ledger.storage.shown} holds edits already.",
                    do="restore into a new one, or allow to overwrite it: what it holds is lost, with its history",
                )
            if dry_run:
                return Backup(made.file, made.at, made.counts, made.digest, done=False)
            # Ids of namespaces are not used again: whoever has one loaded sees that it is another.
            beyond = target.scalar(select(func.max(namespaces.c.id))) or 0
            for table in (*reversed(HELD), identity):
                target.execute(table.delete())
            copy_rows(source, target, beyond=beyond)
            target.execute(insert(identity).values(id=uuid4().hex))  # the one it was made of may be in use elsewhere
        if folder is not None:
            _put_baked(source, folder / BAKED)
    return made


def restore_over_damage(folder: Path, file: Path) -> tuple[Backup, Path | None]:
    """Put what a backup holds in the place of a ledger that is damaged, or gone, which `restore` cannot open.

    The damaged one stays beside it. No process may have the memory open.

    Returns: The backup, and how the damaged ledger is called now; None where it was gone.

    Raises:
        FileRejected: The file is no backup, or not whole; nothing is changed.
        LedgerError: An earlier damaged one still lies beside it, or the folder cannot be written.
    """
    check_aside(folder)
    try:
        with TemporaryDirectory(prefix=".restore-", dir=folder) as held:
            draft = Path(held)
            with closing(Ledger(SQLite(draft))) as ledger:
                made = restore(ledger, draft, file, overwrite=False, dry_run=False)
            kept = set_aside(folder)
            (draft / LEDGER_FILE).replace(folder / LEDGER_FILE)
            shutil.rmtree(folder / BAKED, ignore_errors=True)
            with suppress(FileNotFoundError):
                (draft / BAKED).replace(folder / BAKED)
    except OSError as error:
        raise LedgerReadOnly(f"{folder} cannot be written: {error.strerror}.", do="make it writable") from error
    return made, kept if kept.exists() else None


def _check(reader: Reader) -> None:
    """Raise `LedgerCorrupt` for what may be no backup: a later one takes the place of an earlier one that is whole."""
    for where in reader.namespaces():
        for fault in faults_of_rows(reader, where):
            raise LedgerCorrupt(f"{fault.removesuffix('.')}; no backup was made.", do=SAVE)


@contextmanager
def _checked(file: Path) -> Iterator[tuple[Connection, Backup]]:
    """A backup that is whole, in the form of today: a copy of it, which is thrown away."""
    shown = storable(str(file))
    with TemporaryDirectory(prefix="memedit-restore-") as held:
        draft = Path(held) / "ledger.sqlite"
        try:
            shutil.copyfile(file, draft)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise FileRejected(f"{shown} cannot be read: {why}.", do="check the name") from error
        try:
            with _opened(draft) as source:
                if not inspect(source).has_table(card.name):
                    raise FileRejected(f"{shown} is no backup.", do="make one with `memedit backup`")
                at, counts, digest = source.execute(select(card)).one()
                found = _counts(source), _digest(source)
                if found != (json.loads(counts), digest):
                    raise FileRejected(f"{shown} does not hold what it held when it was made.", do=RESTORE)
                made = Backup(file, datetime.fromisoformat(at), found[0], digest)
                migrate(source)
                yield source, made
        except (sqlite3.DatabaseError, exc.DatabaseError, exc.NoResultFound, ValueError, TypeError) as error:
            if isinstance(error, FileRejected):
                raise
            raise FileRejected(f"{shown} is no backup, or damaged.", do=RESTORE) from error


def _put_baked(source: Connection, folder: Path) -> None:
    """The changes of weights that the backup holds, and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in source.execute(select(baked)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / Path(name).name).write_bytes(data)


@contextmanager
def _opened(file: Path) -> Iterator[Connection]:
    """A transaction on a file of SQLite that nobody else uses; one file, without a log beside it."""
    with closing(sqlite3.connect(file)) as plain:
        plain.execute("PRAGMA journal_mode = DELETE")
    engine = create_engine(f"sqlite:///{file}", hide_parameters=True)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _counts(copy: Connection) -> dict[str, int]:
    sorts = {table.name: table for table in HELD} | {baked.name: baked}
    return {name: copy.scalar(select(func.count()).select_from(table)) or 0 for name, table in sorts.items()}


def _digest(copy: Connection) -> str:
    """Of every row, in the columns that the file has: it may be of an earlier memedit."""
    digest = hashlib.sha256()
    there = MetaData()
    there.reflect(copy, only=[table.name for table in (*HELD, applied, baked)])
    for name in sorted(there.tables):
        table = there.tables[name]
        for row in copy.execute(select(table).order_by(*table.primary_key.columns).execution_options(yield_per=CHUNK)):
            digest.update(repr(tuple(row)).encode())
    return digest.hexdigest()
