"""Giving edits of a memory other radii: as new versions, in one change set."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from memedit.cli._plan import VERSION
from memedit.cli._print import Piece, busy, say
from memedit.text import some

if TYPE_CHECKING:
    from memedit.edits import Fact
    from memedit.memory import EditMemory


def with_radii(
    memory: EditMemory, radii: Sequence[tuple[Fact, float]], *, namespace: str, author: str | None, reason: str
) -> dict[str, str]:
    """Put new versions of these edits in force, with these radii; gives their ids by those of the old ones."""
    if not radii:
        return {}
    taken = {event.edit_id for change in memory.history(namespace=namespace) for event in change.events}
    named = {edit.id: _version(edit.id, taken) for edit, _ in radii}
    fresh = [edit.with_(id=named[edit.id], radius=radius) for edit, radius in radii]
    with busy("writing…"):
        memory.apply(
            fresh, retract=list(named), namespace=namespace, on_conflict="keep", author=author, reason=reason
        )  # fmt: skip
    return named


def say_changed(written: Mapping[str, str], changed: int, revision: int) -> None:
    """How many edits were changed, or would be."""
    if written:
        say(("✓ ", "green"), f"{some(len(written), 'edit')} changed, now revision {revision}",
            ("; `memedit undo` takes it back", "dim"))  # fmt: skip
    else:
        say(f"{some(changed, 'edit')} would be changed")


def marked(present: float, new: float | None) -> tuple[Piece, str]:
    """A mark for what becomes of a radius (None: there is none that would do), and both radii."""
    if new is None:
        return ("✗", "red"), f"{present:+.2f}"
    if new == present:
        return ("·", "dim"), f"{present:+.2f}"
    return ("✓", "green"), f"{present:+.2f} → {new:+.2f}"


def _version(edit_id: str, taken: Collection[str]) -> str:
    """The next version of an id that no edit ever had, as `apply` names them."""
    name, mark, number = edit_id.rpartition(VERSION)
    name = name if mark and number.isdecimal() else edit_id
    version = 2
    while f"{name}{VERSION}{version}" in taken:
        version += 1
    return f"{name}{VERSION}{version}"
