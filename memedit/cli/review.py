"""`review`: edits that wait for approval are listed, accepted and rejected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from memedit.cli._common import Command, Session, cited, day
from memedit.cli._print import Piece, busy, say, short, show_json, table
from memedit.cli._receipts import show_receipts
from memedit.cli.edits import AUTHOR, ON_CONFLICT, REASON
from memedit.text import some

if TYPE_CHECKING:
    from memedit.edits import AnyEdit
    from memedit.memory import EditMemory


@click.command(cls=Command)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--accept", "accepts", is_flag=True, help="Put them in force.")
@click.option("--reject", "rejects", is_flag=True, help="Let them wait no longer.")
@click.option("--all", "everything", is_flag=True, help="All that wait.")
@ON_CONFLICT
@AUTHOR
@REASON
@click.pass_obj
def review(
    session: Session, ids: tuple[str, ...], accepts: bool, rejects: bool, everything: bool, on_conflict: Any,
    author: str | None, reason: str | None,
) -> None:  # fmt: skip
    """List the edits that wait for approval, oldest first; or accept or reject them, all as one change.

    Edits wait that were proposed: by agents whose tools only propose, by keys of the role `propose`, by
    `memedit add --propose`. Until they are accepted they change no answer. The beginnings of their ids are enough.

    Example:
        memedit review
        memedit review 3f2a 91bc --accept --reason "checked with Ann"
        memedit review --all --reject
    """
    if accepts and rejects:
        raise click.UsageError("Either --accept or --reject.")
    if (accepts or rejects) != bool(ids or everything) or (ids and everything):
        raise click.UsageError("Name ids, or give --all, and say --accept or --reject; without both, they are listed.")
    with session.memory() as memory:
        waiting = memory.proposed(namespace=session.namespace)
        if not (accepts or rejects):
            _list(session, waiting)
            return
        chosen = waiting if everything else _found(waiting, ids, session.namespace)
        who: dict[str, Any] = {"namespace": session.namespace, "author": author, "reason": reason}
        if accepts:
            _accept(session, memory, chosen, {"on_conflict": on_conflict, **who})
            return
        change = memory.reject([edit.id for edit in chosen], **who)
    if session.as_json:
        show_json({"revision": change.revision, "rejected": list(change.went)})
        return
    for edit in chosen:
        say(("− ", "red"), cited(edit))
    say((f"rejected {some(len(chosen), 'edit')}, revision {change.revision}", "dim"))


def _list(session: Session, waiting: Sequence[AnyEdit]) -> None:
    if session.as_json:
        show_json([edit.to_dict() for edit in waiting])
        return
    if not waiting:
        say(f"Nothing waits for approval in namespace `{session.namespace}`.", err=True)
        return
    rows: list[list[Piece]] = [
        [(short(one.id), "cyan"), one.kind, one.text, one.author or "", one.source or "", day(one.created_at)]
        for one in waiting
    ]
    table(["id", "kind", "edit", "by", "from", "since"], rows, wrap=["edit", "from"])


def _accept(session: Session, memory: EditMemory, chosen: Sequence[AnyEdit], how: dict[str, Any]) -> None:
    if chosen:
        with busy("loading the embedder…"):
            _ = memory.embedder
    receipts = memory.accept([edit.id for edit in chosen], **how)
    if not session.as_json:
        for edit in chosen:
            say(("+ ", "green"), cited(edit))
    show_receipts(session, memory, receipts)


def _found(waiting: Sequence[AnyEdit], ids: Sequence[str], namespace: str) -> list[AnyEdit]:
    """The waiting edits of these ids, or of ids that begin so.

    Raises:
        UnknownEdit: For one of them there is none, or more than one.
    """
    from memedit.errors import UnknownEdit

    found = {}
    for given in ids:
        fitting = [one for one in waiting if one.id == given] or [one for one in waiting if one.id.startswith(given)]
        if len(fitting) != 1:
            what = f"begins {len(fitting)} ids that wait" if fitting else "does not wait for approval"
            raise UnknownEdit(f"`{given:.40}` {what} in namespace `{namespace}`.", do="see `memedit review`")
        found[fitting[0].id] = fitting[0]
    return list(found.values())
