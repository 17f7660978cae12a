"""Reading a namespace's events: what they make of its edits, and by which change sets; checked as they are read."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from memedit.memory.checksums import EVENT, check_changes
from memedit.memory.events import Change, Event
from memedit.memory.migrations import change_sets, events
from memedit.memory.rows import Head, corrupt, from_micros, read_data


def states(connection: Connection, namespace_id: int, since: int = 0, until: int | None = None) -> dict[str, bool]:
    """For each edit that events after `since` touched, whether it is in force after event `until` (or the last).

    Raises:
        LedgerCorrupt: An event cannot be read; or, where it is read from the first one, is not as it was written.
    """
    mine = events.c.namespace_id == namespace_id
    span = [mine, events.c.seq > since, *([] if until is None else [events.c.seq <= until])]
    happened = connection.execute(select(events.c.revision, *EVENT).where(*span).order_by(events.c.seq)).all()
    if not since:
        check_changes(connection, namespace_id, happened, whole=until is None)
    found: dict[str, bool] = {}
    for _, seq, _, edit_id, active, _ in happened:
        if active not in (0, 1, None) or not isinstance(edit_id, str):
            raise corrupt(f"event {seq!s:.20} cannot be read")
        if active is not None:
            found[edit_id] = bool(active)
    return found


def waiting(connection: Connection, namespace_id: int, until: int | None = None) -> list[str]:
    """Ids of the edits that wait for approval after event `until` (after the last one when None), oldest first."""
    mine = [events.c.namespace_id == namespace_id, *([] if until is None else [events.c.seq <= until])]
    ever = select(events.c.edit_id).where(*mine, events.c.kind == "proposed")
    last = select(func.max(events.c.seq)).where(*mine, events.c.edit_id.in_(ever)).group_by(events.c.edit_id)
    query = select(events.c.edit_id).where(*mine, events.c.kind == "proposed", events.c.seq.in_(last))
    return list(connection.scalars(query.order_by(events.c.seq)))


def changes(connection: Connection, head: Head, namespace: str, edit_id: str | None = None) -> list[Change]:
    """The change sets of a namespace, oldest first; only those that touched `edit_id` when it is given.

    Raises:
        LedgerCorrupt: One of them is not as it was written.
    """
    mine = events.c.namespace_id == head.namespace_id
    happened = connection.execute(select(events.c.revision, *EVENT).where(mine).order_by(events.c.seq)).all()
    check_changes(connection, head.namespace_id, happened)
    by_revision: dict[int, list[Event]] = {}
    for revision, _, kind, of, active, data in happened:
        if edit_id is None or of == edit_id:
            event = Event(kind, of, None if active is None else bool(active), read_data(data))
            by_revision.setdefault(revision, []).append(event)
    made = select(change_sets).where(change_sets.c.namespace_id == head.namespace_id).order_by(change_sets.c.revision)
    return [
        Change(
            namespace, row.revision, row.kind, from_micros(row.at), row.author, row.reason, row.target,
            tuple(by_revision.get(row.revision, ())),
        )
        for row in connection.execute(made)
        if edit_id is None or row.revision in by_revision
    ]  # fmt: skip
