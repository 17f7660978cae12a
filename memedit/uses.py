r"""Uses of edits: a message, the edit that was used for it or was in doubt, and whether a person accepted that.

Nothing is kept by itself: an application that wants to learn from use writes them to a file of its own.

    with open("uses.jsonl", "a") as file:
        file.writelines(f"{use}\n" for use in uses_of(answer, accepted=False))
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memedit.errors import FileRejected, RequestRejected
from memedit.messages import as_request
from memedit.text import one_line

if TYPE_CHECKING:
    from memedit.answers import Answer

ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
FORM = '{"turns": "the message", "edit": "its id", "accepted": true}'


@dataclass(frozen=True, slots=True)
class Use:
    """One use of an edit.

    Args:
        turns: (role, text) of each message of the conversation, oldest first.
        edit: Id of the edit that was let through or shown in doubt.
        accepted: Whether it was right to use it there, as a person says.
    """

    turns: tuple[tuple[str, str], ...]
    edit: str
    accepted: bool

    def to_dict(self) -> dict[str, Any]:
        """The use as JSON values."""
        turns = [{"role": role, "content": text} for role, text in self.turns]
        return {"turns": turns, "edit": self.edit, "accepted": self.accepted}

    def __str__(self) -> str:
        """A line of a file of uses."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


def uses_of(answer: Answer, *, accepted: bool, edits: Collection[str] | None = None) -> list[Use]:
    """The uses that a person's verdict on an answer speaks of: one an edit that was used for it or shown in doubt.

    Args:
        answer: Of an `EditableLLM`; edits that a step on the way looked up are left out, since they answer the step.
        accepted: Whether it was right to use them there.
        edits: Ids of those that the verdict is about. All when left out: give them where several were used, since a
            good answer does not mean that each of them bears on the message.
    """
    trace = answer.trace
    used = {edit.id for edit in (*answer.citations, *trace.in_doubt)}
    judged = [verdict.edit.id for verdict in trace.lookups[0].verdicts] if trace.lookups else []
    return [Use(trace.turns, one, accepted) for one in judged if one in used and (edits is None or one in edits)]


def read_uses(path: str | Path) -> list[tuple[int, Use]]:
    """The uses of a file of JSON lines, each with the number of its line.

    `turns` is a text, or chat messages such as {"role": "user", "content": "…"}.

    Raises:
        FileRejected: The file, or a line of it, cannot be read; the message names both.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError) as error:  # ValueError: it is not UTF-8, or its name holds a NUL
        why = getattr(error, "strerror", None) or str(error)
        raise FileRejected(f"{path} cannot be read: {why}.", do="give a file of uses, one a line") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found.append((number, _use(json.loads(line))))
            except (ValueError, RecursionError) as error:
                why = error.what if isinstance(error, RequestRejected) else str(error)
                what = f"{path}, line {number} is no use: {one_line(why, 200).rstrip('.')}."
                raise FileRejected(what, do=f"write {FORM}") from error
    if not found:
        raise FileRejected(f"{path} is empty.", do=f"give uses, one a line: {FORM}")
    return found


def _use(value: Any) -> Use:
    if not isinstance(value, Mapping):
        raise ValueError("it is no JSON object")
    if missing := {"turns", "edit", "accepted"} - value.keys():
        raise ValueError(f"it has no `{min(missing)}`")
    edit, accepted = value["edit"], value["accepted"]
    if not isinstance(edit, str) or not isinstance(accepted, bool):
        raise ValueError("`edit` is no text" if not isinstance(edit, str) else "`accepted` is neither true nor false")
    turns = as_request(value["turns"]).turns
    if unknown := {role for role, _ in turns} - ROLES:
        raise ValueError(f"`{min(unknown)}` is no role: it is one of {', '.join(sorted(ROLES))}")
    if not turns or turns[-1][0] != "user" or not turns[-1][1].strip():
        raise ValueError("the last of its `turns` is no message of the user's")
    return Use(turns, edit, accepted)
