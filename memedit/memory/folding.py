"""States that follow from a namespace's change sets, of which an undo or a revert goes back to earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from memedit.memory.events import Change

State = TypeVar("State")


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
