"""Copying a ledger's rows from one database into another."""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select, text

from memedit.memory.migrations import change_sets, edits, events, namespaces, vectors

HELD = (namespaces, edits, change_sets, events, vectors)
"""The tables that hold what a ledger knows, those first that others refer to."""
CHUNK = 2_000  # rows


def copy_rows(source: Connection, target: Connection, *, beyond: int = 0) -> None:
    """Copy all that a ledger knows into an empty one.

    Args:
        source, target: Their transactions.
        beyond: Is added to the ids of namespaces.
    """
    for table in HELD:
        key = "id" if table is namespaces else "namespace_id"
        for part in source.execute(select(table).execution_options(yield_per=CHUNK)).partitions():
            rows = [dict(row._mapping) for row in part]
            for row in rows if key in table.c else ():
                row[key] += beyond
            target.execute(insert(table), rows)
    if target.dialect.name == "postgresql":  # it counts by itself, beside the table
        last = target.scalar(select(func.max(namespaces.c.id)))
        if last:
            target.execute(text("SELECT setval(pg_get_serial_sequence('namespaces', 'id'), :last)"), {"last": last})
