"""The ledger's tables and the numbered steps that lead to them. Steps are only ever appended."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    inspect,
    select,
)

from memedit.errors import LedgerCorrupt, LedgerTooNew

metadata = MetaData()

applied = Table(
    "migrations",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", String(100), nullable=False),
)
"""Which steps this ledger has taken."""

namespaces = Table(
    "namespaces",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("checksum", BigInteger),
    UniqueConstraint("name"),
)
"""`revision` and `seq` are the last change set's and the last event's number, each counted within the namespace; the
checksum is of the name."""

edits = Table(
    "edits",
    metadata,
    Column("namespace_id", ForeignKey("namespaces.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("subject_key", Text),
    Column("relation_key", Text),
    Column("names_text", Text, nullable=False),
    Column("content_hash", String(32), nullable=False),
    Column("text_hash", String(32), nullable=False),
    Column("relation_hash", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("checksum", BigInteger),
    Column("row_checksum", BigInteger),
    Index("edits_by_subject", "namespace_id", "subject_key"),
    Index("edits_by_content", "namespace_id", "content_hash"),
)
"""What each edit says. A row never changes; whether the edit is in force is the fold of its events. The first checksum
is of its body, the second of the rest."""

change_sets = Table(
    "change_sets",
    metadata,
    Column("namespace_id", ForeignKey("namespaces.id"), primary_key=True),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("author", Text),
    Column("reason", Text),
    Column("target", BigInteger),
    Column("checksum", BigInteger),
)
"""What one call changed. `at` is in microseconds since 1970, UTC; `target` is the revision an undo or revert names.
The checksum is of the row and its events."""

events = Table(
    "events",
    metadata,
    Column("namespace_id", ForeignKey("namespaces.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("edit_id", Text, nullable=False),
    Column("active", SmallInteger),
    Column("data", Text),
    Index("events_by_edit", "namespace_id", "edit_id", "seq"),
)
"""The append-only record. `active` says what the event does to its edit: 1 in force, 0 no longer, null neither."""

vectors = Table(
    "vectors",
    metadata,
    Column("text_hash", String(32), primary_key=True),
    Column("embedder", Text, primary_key=True),
    Column("vector", LargeBinary, nullable=False),
    Column("checksum", BigInteger),
)
"""Little-endian float32, L2-normalised; derived, kept so that an index is rebuilt without embedding."""

identity = Table("identity", metadata, Column("id", String(32), primary_key=True))
"""One row: what tells this ledger from every other, wherever it is moved."""


def m001_first_tables(connection: Connection) -> None:
    metadata.create_all(connection, checkfirst=True)


def m002_identity(connection: Connection) -> None:
    identity.create(connection, checkfirst=True)
    connection.execute(insert(identity).values(id=uuid4().hex))


def m003_checksums(connection: Connection) -> None:
    """Columns that a ledger of the first steps lacks. What is there already stays without checksums."""
    lacking = [(table, "checksum") for table in (namespaces, edits, change_sets, vectors)] + [(edits, "row_checksum")]
    for table, name in lacking:
        if name not in {column["name"] for column in inspect(connection).get_columns(table.name)}:
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {name} BIGINT")


STEPS: tuple[Callable[[Connection], None], ...] = (m001_first_tables, m002_identity, m003_checksums)
MOST = 10_000  # more than there will ever be


def migrate(connection: Connection) -> None:
    """Take the steps this ledger has not taken yet, in the caller's transaction.

    Raises:
        LedgerTooNew: It has taken steps this version does not know.
        LedgerCorrupt: So many that no version can have them.
    """
    done = 0
    if inspect(connection).has_table(applied.name):
        done = connection.scalar(select(func.max(applied.c.number))) or 0
    if done > MOST:
        raise LedgerCorrupt(f"The ledger is damaged: it says that it has schema {done}.", do=LedgerCorrupt.MEND)
    if done > len(STEPS):
        raise LedgerTooNew(
            f"The ledger has schema {done}; this memedit knows up to {len(STEPS)}.",
            do="pip install --upgrade memedit, or open another ledger",
        )
    for number, step in enumerate(STEPS[done:], start=done + 1):
        step(connection)
        connection.execute(insert(applied).values(number=number, name=step.__name__))
