"""Which of several edits in scope are shown: of those that contradict one another the newest, and no more than fit."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from memedit.edits import AnyEdit, Behaviour, Fact, Feedback, Patch
from memedit.gate.port import Verdict
from memedit.text import one_line, same_key

Chosen = tuple[list[Verdict], tuple[str, ...]]
"""The verdicts that stay, most probable first, and a note on each that does not."""


def agreed(verdicts: Sequence[Verdict]) -> Chosen:
    """Without edits that another contradicts: of two answers to one question the newest holds, then the most specific.

    Two Facts answer one question where subject and relation are the same or, where these are not known, the part of the
    statement that asks. So do two Patches of one condition, two Feedbacks of one situation, and two Behaviours of one
    topic. Descriptions of one thing stand side by side.
    """
    best: dict[Hashable, AnyEdit] = {}
    for verdict in verdicts:
        if (asked := _asked(verdict.edit)) is not None:
            best[asked] = max(best.get(asked, verdict.edit), verdict.edit, key=_standing)
    kept, notes = [], []
    for verdict in verdicts:
        holds = best.get(_asked(verdict.edit))
        if holds is None or _says(verdict.edit) == _says(holds):
            kept.append(verdict)
        else:
            notes.append(f"left out “{one_line(verdict.edit.text, 60)}”: “{one_line(holds.text, 60)}” is newer")
    return kept, tuple(notes)


def within(verdicts: Sequence[Verdict], budget: int, count: Callable[[str], int]) -> Chosen:
    """Those whose texts fit into so many tokens, most probable first; the first always does."""
    kept: list[Verdict] = []
    notes: list[str] = []
    spent = 0
    for verdict in verdicts:
        size = count(verdict.edit.text)
        if kept and spent + size > budget:
            notes.append(f"left out “{one_line(verdict.edit.text, 60)}”: no room in {budget} tokens")
            continue
        kept.append(verdict)
        spent += size
    return kept, tuple(notes)


def _asked(edit: AnyEdit) -> Hashable | None:
    """What only one edit of a kind can say; None where any number can, and of a Fact of which that is not known."""
    if isinstance(edit, Fact):
        return None if edit.answer is None else edit.slot or same_key(edit.key_text)
    return (edit.kind, same_key(edit.key_text)) if isinstance(edit, (Behaviour, Feedback, Patch)) else None


def _says(edit: AnyEdit) -> str:
    return same_key((edit.answer if isinstance(edit, Fact) else None) or edit.text)


def _standing(edit: AnyEdit) -> tuple[float, int]:
    return edit.created_at.timestamp(), len(edit.key_text)
