"""`undo`, `history`, `revert`: the changes, and going back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memedit.cli._common import Command, Session, day, recorded_id, texts_of
from memedit.cli._operations import show_steps
from memedit.cli._print import Piece, say, short, show_json, table
from memedit.cli.edits import AUTHOR, REASON

if TYPE_CHECKING:
    from memedit.memory import Change, EditMemory

SHOWN = 8  # edits of one change that are listed by their text


@click.command(cls=Command)
@click.option("--yes", "-y", is_flag=True, help="Also behind a purge, which stays: the change before it is taken back.")
@AUTHOR
@REASON
@click.pass_obj
def undo(session: Session, yes: bool, author: str | None, reason: str | None) -> None:
    """Take back the last change of the namespace; once more, the one before it.

    Example:
        memedit undo
    """
    with session.memory() as memory:
        if not yes and [change.kind for change in memory.history(namespace=session.namespace)[-1:]] == ["purge"]:
            raise click.UsageError(
                "The last change is a purge, which nothing brings back; --yes takes back the change before it."
            )
        change = memory.undo(namespace=session.namespace, author=author, reason=reason)
        _show_change(session, memory, change, f"took back revision {change.target}")


@click.command(cls=Command)
@click.argument("revision", type=click.IntRange(0), metavar="REV")
@AUTHOR
@REASON
@click.pass_obj
def revert(session: Session, revision: int, author: str | None, reason: str | None) -> None:
    """Put the namespace into the state it had at a revision. This is a change of its own, which `undo` takes back.

    Example:
        memedit revert 3
    """
    with session.memory() as memory:
        change = memory.revert(to=revision, namespace=session.namespace, author=author, reason=reason)
        _show_change(session, memory, change, f"went back to revision {revision}")


@click.command(cls=Command)
@click.argument("id", required=False)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many of the newest.")
@click.option("--ops", is_flag=True, help="What took the place of what, word by word.")
@click.pass_obj
def history(session: Session, id: str | None, limit: int, ops: bool) -> None:
    """List the changes of the namespace, oldest first; with an id, those that touched this edit.

    Example:
        memedit history
        memedit history 3f2a
        memedit history --ops
    """
    with session.memory() as memory:
        changes = memory.history(namespace=session.namespace)
        if id is not None:
            edit_id = recorded_id(changes, id, session.namespace)
            changes = memory.history(edit_id, namespace=session.namespace)
        if ops:
            show_steps(session, memory, changes[-limit:])
            return
        if session.as_json:
            show_json([change.to_dict() for change in changes[-limit:]])
            return
        texts = texts_of(memory, changes[-limit:], session.namespace)
    if not changes:
        say(f"Nothing has happened yet in namespace `{session.namespace}`.", err=True)
        return
    rows = [
        [str(one.revision), day(one.at), _name(one), one.author or "", _what(one, texts), one.reason or ""]
        for one in changes[-limit:]
    ]
    table(["revision", "when", "change", "by", "what", "reason"], rows, wrap=["what", "reason"])
    if len(changes) > limit:
        say((f"{len(changes) - limit} older changes; --limit shows more", "dim"), err=True)


def _show_change(session: Session, memory: EditMemory, change: Change, done: str) -> None:
    if session.as_json:
        show_json(change.to_dict())
        return
    say(("✓ ", "green"), done, (f"  (now revision {change.revision} of {change.namespace})", "dim"))
    for piece in _lines(change, texts_of(memory, [change], session.namespace)):
        say("  ", piece)


def _lines(change: Change, texts: dict[str, str]) -> list[Piece]:
    def line(mark: str, edit_id: str) -> str:
        return f"{mark} {short(edit_id)}  {' '.join(texts.get(edit_id, '').split())}".rstrip()

    came: list[Piece] = [(line("+", edit_id), "green") for edit_id in change.came]
    went: list[Piece] = [(line("−", edit_id), "red") for edit_id in change.went]
    waits: list[Piece] = [(line("?", edit_id), "yellow") for edit_id in change.waits]
    lines = [*went, *came, *waits]
    more: list[Piece] = [f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return lines[:SHOWN] + more


def _what(change: Change, texts: dict[str, str]) -> str:
    return "\n".join(piece if isinstance(piece, str) else piece[0] for piece in _lines(change, texts))


def _name(change: Change) -> str:
    return (
        change.kind
        if change.target is None
        else f"{change.kind} {'of' if change.kind == 'undo' else 'to'} {change.target}"
    )
