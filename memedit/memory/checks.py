"""What the verbs of the memory refuse, and in which words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memedit.edits import Edit
from memedit.errors import EditRejected, UnknownEdit, UnknownRevision
from memedit.memory.events import fate
from memedit.memory.ledger_reading import Reader
from memedit.memory.rows import Head
from memedit.text import deceptive_character, storable

MAX_NAMESPACE = 200
NAMED = 10  # ids that an error names
SEE = "see the ids with `memedit list` or `edits()`"


def checked_namespace(name: str) -> str:
    """The name, if it may name a namespace."""
    fine = isinstance(name, str) and 0 < len(name) <= MAX_NAMESPACE and name == name.strip()
    if not fine or deceptive_character(name) or "\n" in name:
        raise EditRejected(
            "A namespace is one line of text without blanks at its ends, of 1 to "
            f"{MAX_NAMESPACE} characters; {name!a:.60} is not.",
            do="give another name",
        )
    return name


def checked_ids(ids: object) -> list[str]:
    """Ids of edits, each once: one, or several."""
    several = [ids] if isinstance(ids, str) else list(ids) if isinstance(ids, Iterable) else [ids]
    if wrong := [one for one in several if not isinstance(one, str)]:
        raise EditRejected(
            f"The id of an edit is a text, not {wrong[0]!a:.40}.", do="give an id, such as `receipt.id`, or several"
        )
    return [storable(one) for one in dict.fromkeys(several)]


def checked_note(author: str | None, reason: str | None) -> tuple[str | None, str | None]:
    """Who made a change and why, by the rules for the same fields of an edit."""
    note = Edit(author=author, reason=reason)
    return note.author, note.reason


def check_revision(revision: int, head: Head, where: str) -> None:
    """Raise `UnknownRevision` for one the namespace never had."""
    if not isinstance(revision, int) or not 0 <= revision <= head.revision:
        raise UnknownRevision(
            f"Namespace `{where}` has revisions 0 to {head.revision}, not {revision!a:.40}.",
            do="see `memedit history` or `history()`",
        )


def unknown(reader: Reader, where: str, ids: Sequence[str]) -> UnknownEdit:
    """The error for ids that are not in force; of a single one it says what became of it."""
    became = fate(reader.changes(reader.head(where), where, edit_id=ids[0]), ids[0]) if len(ids) == 1 else None
    what = f"{_named(ids)} is not in force in namespace `{where}`" + (f": {became}" if became else "")
    return UnknownEdit(f"{what}.", do=f"{SEE}, those of former edits with `memedit history` or `history()`")


def several(beginning: str, ids: Sequence[str], where: str) -> UnknownEdit:
    """The error for a beginning that several ids share."""
    what = f"{_named([beginning])} begins {len(ids)} ids in namespace `{where}`: {_named(ids)}"
    return UnknownEdit(f"{what}.", do="give more of the id")


def not_waiting(ids: Sequence[str], where: str) -> UnknownEdit:
    """The error for ids that do not wait for approval."""
    do = "see what waits with `memedit review` or `proposed()`"
    return UnknownEdit(f"{_named(ids)} does not wait for approval in namespace `{where}`.", do=do)


def _named(ids: Sequence[str]) -> str:
    names = ", ".join(f"`{storable(str(edit_id)):.40}`" for edit_id in ids[:NAMED])
    return names + (f" and {len(ids) - NAMED} more" if len(ids) > NAMED else "")
