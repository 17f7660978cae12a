"""Taking edits out of force, and going back to an earlier state: change sets that add nothing new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memedit.errors import NothingToUndo, RevisionMoved
from memedit.memory.checks import check_revision, not_waiting, unknown
from memedit.memory.events import Change, Event, proposed, rejected, removed, restored, retracted
from memedit.memory.ledger import Ledger, Writer
from memedit.memory.rows import Head


def retract(ledger: Ledger, change: Change, ids: Sequence[str]) -> Change:
    """Take edits out of force; the change set as it is recorded.

    ids: As `checked_ids` gives them, here and below.

    Raises:
        UnknownEdit: One of them is not in force; nothing is changed.
    """
    with ledger.writing() as writer:
        head = writer.head(change.namespace)
        active = writer.active_among(head.namespace_id, ids)
        if missing := [edit_id for edit_id in ids if edit_id not in active]:
            raise unknown(writer, change.namespace, missing)
        return _recorded(writer, head, change, [retracted(edit_id) for edit_id in ids])


def reject(ledger: Ledger, change: Change, ids: Sequence[str]) -> Change:
    """Let edits that wait for approval wait no longer; the change set as it is recorded.

    Raises:
        UnknownEdit: One of them does not wait; nothing is changed.
    """
    with ledger.writing() as writer:
        head = writer.head(change.namespace)
        known = set(writer.waiting(head.namespace_id)) if ids else set()
        if missing := [edit_id for edit_id in ids if edit_id not in known]:
            raise not_waiting(missing, change.namespace)
        return _recorded(writer, head, change, [rejected(edit_id) for edit_id in ids])


def record(ledger: Ledger, change: Change, events: Sequence[Event]) -> Change:
    """Record what happened to edits in force without coming or going; the change set as it is recorded.

    Raises:
        UnknownEdit: One of them is not in force; nothing is recorded.
    """
    ids = [event.edit_id for event in events]
    with ledger.writing() as writer:
        head = writer.head(change.namespace)
        active = writer.active_among(head.namespace_id, ids)
        if missing := [edit_id for edit_id in ids if edit_id not in active]:
            raise unknown(writer, change.namespace, missing)
        return _recorded(writer, head, change, events)


def undo(ledger: Ledger, change: Change, *, revision: int | None = None) -> Change:
    """Take back the namespace's last change set; the change set as it is recorded.

    revision: Of the change set that is meant, where it has to be that one.

    Raises:
        NothingToUndo: There is none left.
        RevisionMoved: It is another one than what is meant.
    """
    with ledger.writing() as writer:
        head = writer.head(change.namespace)
        target = writer.undoable(head.namespace_id)
        if target is None:
            raise NothingToUndo(
                f"Namespace `{change.namespace}` has nothing to undo.", do="see `memedit history` or `history()`"
            )
        if revision is not None and revision != target:
            raise RevisionMoved(
                f"The last change of namespace `{change.namespace}` is revision {target}, not {revision}.",
                revision=target,
                do="look at the history again, and undo what stands there last",
            )
        return _back(writer, head, replace(change, target=target), to=target - 1)


def revert(ledger: Ledger, change: Change, *, to: int) -> Change:
    """Put a namespace into the state it had at a revision; the change set as it is recorded.

    Raises:
        UnknownRevision: The namespace never had it.
    """
    with ledger.writing() as writer:
        head = writer.head(change.namespace)
        check_revision(to, head, change.namespace)
        return _back(writer, head, replace(change, target=to), to=to)


def _back(writer: Writer, head: Head, change: Change, *, to: int) -> Change:
    then = writer.last_seq(head.namespace_id, to)
    touched = writer.states_since(head.namespace_id, then)
    before = writer.active_among(head.namespace_id, list(touched), until=then)
    events = [removed(edit_id) for edit_id, active in touched.items() if active and edit_id not in before]
    events += [restored(edit_id) for edit_id, active in touched.items() if not active and edit_id in before]
    waits = set(writer.waiting(head.namespace_id))  # what was proposed since goes on waiting
    events += [proposed(edit_id) for edit_id in writer.waiting(head.namespace_id, until=then) if edit_id not in waits]
    return _recorded(writer, head, change, events, marked=writer.marked_since(head.namespace_id, then))


def _recorded(writer: Writer, head: Head, change: Change, events: Sequence[Event], *, marked: bool = False) -> Change:
    """The change set as it is recorded. One that changes nothing is not, so that `undo` never seems to do nothing.

    marked: Whether it also goes back behind what was done with edits that stayed in force.
    """
    if events or marked or change.kind == "undo":
        head = writer.append(writer.begin_change(head, change), events)
    return replace(change, revision=head.revision, events=tuple(events))
