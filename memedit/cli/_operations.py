"""`history --ops`: what took the place of what, as operations on words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memedit.cli._common import Session
from memedit.cli._print import Piece, say, short, show_json

if TYPE_CHECKING:
    from memedit.memory import Change, EditMemory


def show_steps(session: Session, memory: EditMemory, changes: Sequence[Change]) -> None:
    """Every edit that took another's place, and what it deletes, inserts and replaces in it."""
    from dataclasses import asdict

    from memedit.systems.editpro import steps

    ids = [event.edit_id for change in changes for event in change.events]
    texts = memory.recorded(ids, namespace=session.namespace)
    found = [(change, *step) for change in changes for step in steps(change, texts)]
    if session.as_json:
        show_json([
            {"revision": change.revision, "before": old, "after": new, "operations": [asdict(one) for one in done]}
            for change, old, new, done in found
        ])  # fmt: skip
        return
    for change, old, new, done in found:
        pieces: list[Piece] = [(f"{change.revision}  {short(old)} → {short(new)}  ", "dim")]
        for one in done:
            if one.tag == "keep":
                pieces.append(one.new)
                continue
            pieces += [(f" [−{one.old.strip()}]", "red")] if one.old else []
            pieces += [(f" [+{one.new.strip()}]", "green")] if one.new else []
        say(*pieces)
    if not found:
        say("No edit has taken another's place.", err=True)
