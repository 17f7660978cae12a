"""What can happen to an edit, and what one call changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar

ChangeKind = Literal[
    "add", "retract", "undo", "revert", "import", "apply", "bake", "unbake", "fallback", "purge",
    "propose", "accept", "reject"
]  # fmt: skip

NOT_UNDONE = ("undo", "purge", "propose")
"""Kinds of changes that `undo` goes past."""

FATES = {
    "retracted": "it was retracted",
    "removed": "it was taken back",
    "rejected": "it was rejected",
    "proposed": "it waits for approval",
    "purged": "it was purged",
}

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one edit.

    Args:
        kind: `added`, `superseded` (data: `by`), `retracted`, `removed` and `restored` (by undo or revert), `baked`
            (data: into which weights, by which change), `unbaked`, and `answered` (data: `by`); `proposed`, after
            which an edit waits until the next event of it, such as `accepted` or `rejected`; `purged`, the only event
            that is left of what was purged. Open: a later kind needs a name and what it does.
        active: What it does to the edit: True puts it in force, False takes it out, None neither.
    """

    kind: str
    edit_id: str
    active: bool | None
    data: Mapping[str, Any] = field(default_factory=dict)


def added(edit_id: str) -> Event:
    return Event("added", edit_id, True)


def superseded(edit_id: str, *, by: str) -> Event:
    return Event("superseded", edit_id, False, {"by": by})


def retracted(edit_id: str) -> Event:
    return Event("retracted", edit_id, False)


def removed(edit_id: str) -> Event:
    return Event("removed", edit_id, False)


def restored(edit_id: str) -> Event:
    return Event("restored", edit_id, True)


def proposed(edit_id: str) -> Event:
    """Waits for approval: it is recorded, and does nothing."""
    return Event("proposed", edit_id, None)


def accepted(edit_id: str) -> Event:
    return Event("accepted", edit_id, True)


def rejected(edit_id: str) -> Event:
    return Event("rejected", edit_id, False)


def purged(edit_id: str) -> Event:
    """Taken out of the memory for good."""
    return Event("purged", edit_id, False)


def baked(edit_id: str, **data: Any) -> Event:
    """Written into the weights of a model; the edit stays in force, and what is written holds while it does."""
    return Event("baked", edit_id, None, data)


def unbaked(edit_id: str, **data: Any) -> Event:
    """Taken out of the weights of a model again."""
    return Event("unbaked", edit_id, None, data)


def answered(edit_id: str, *, by: str) -> Event:
    """Answered by a method of its own from here on, because the usual one did not make it hold."""
    return Event("answered", edit_id, None, {"by": by})


@dataclass(frozen=True, slots=True)
class Change:
    """A change set: what one call changed in a namespace.

    Args:
        revision: Its number in the namespace, from 1.
        target: The revision that an `undo` took back, or that a `revert` went back to.
        events: What happened, in order.
    """

    namespace: str
    revision: int
    kind: ChangeKind
    at: datetime
    author: str | None = None
    reason: str | None = None
    target: int | None = None
    events: tuple[Event, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The change as JSON values."""
        return {
            "namespace": self.namespace,
            "revision": self.revision,
            "change": self.kind,
            "at": self.at.isoformat(),
            "author": self.author,
            "reason": self.reason,
            "target": self.target,
            "events": [{"event": event.kind, "edit": event.edit_id, **event.data} for event in self.events],
        }

    @property
    def came(self) -> tuple[str, ...]:
        """Ids of the edits it put in force."""
        return tuple(event.edit_id for event in self.events if event.active is True)

    @property
    def went(self) -> tuple[str, ...]:
        """Ids of the edits it took out of force."""
        return tuple(event.edit_id for event in self.events if event.active is False)

    @property
    def waits(self) -> tuple[str, ...]:
        """Ids of the edits that wait for approval since."""
        return tuple(event.edit_id for event in self.events if event.kind == "proposed")


def fate(changes: Iterable[Change], edit_id: str) -> str | None:
    """What became of an edit that is not in force, in words; None where the changes do not tell of it."""
    told = [
        (event, change.revision)
        for change in changes
        for event in change.events
        if event.edit_id == edit_id and (event.active is not None or event.kind == "proposed")
    ]
    if not told:
        return None
    event, revision = told[-1]
    if event.active:
        return "it has expired"
    by = f"`{event.data['by']}` took its place" if event.kind == "superseded" else FATES.get(event.kind, event.kind)
    return f"{by} (revision {revision})"


def folded(changes: Iterable[Change], start: State, after: Callable[[State, Change], State]) -> State:
    """The state after all changes.

    Args:
        changes: Of a namespace, oldest first.
        start: Before the first.
        after: The state after a change that is neither an undo nor a revert; it leaves the one before as it is.
    """
    states, now = {0: start}, start
    for change in changes:
        if change.kind in ("undo", "revert"):
            target = change.target or 0
            now = states[target - 1 if change.kind == "undo" else target]
        else:
            now = after(now, change)
        states[change.revision] = now
    return now
