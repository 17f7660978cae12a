"""`apply`: make the memory hold what a file says, as a migration does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from memedit.cli._common import Command, Session, agreed, cited
from memedit.cli._print import Piece, busy, say, show_json
from memedit.cli.edits import AUTHOR, REASON

if TYPE_CHECKING:
    from memedit.cli._plan import Plan
    from memedit.edits import AnyEdit
    from memedit.memory import EditMemory


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--prune", is_flag=True, help="Also retract what is in force and not in the file.")
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would be done.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@AUTHOR
@REASON
@click.pass_obj
def apply(
    session: Session, file: Path, prune: bool, only_plan: bool, yes: bool, author: str | None, reason: str | None
) -> None:
    """Make the memory hold what a file says: shows a plan, asks, and carries it out. A second run changes nothing.

    An entry is matched by its id if it has one, else by what it says. A changed edit is a new edit in the memory, with
    a version behind its id (`pm~2`).

    Example:
        memedit apply edits.yaml --plan
        memedit apply edits.yaml --prune --yes
    """
    from memedit.memory.files import read_edits

    if session.as_json and not (yes or only_plan):
        raise click.UsageError("--json cannot ask: add --yes or --plan.")
    entries = read_edits(file)
    with session.memory(create=not only_plan) as memory:
        made = _plan(memory, entries, session.namespace, prune=prune)
        if not session.as_json:
            show_plan(made)
        applied = not (made.empty or only_plan) and (yes or agreed())
        if applied:
            _carry_out(memory, made, session.namespace, author, reason or f"apply of {file.name}")
        after = memory.revision(namespace=session.namespace)
    if session.as_json:
        show_json({**made.to_dict(), "applied": applied, "revision": after})
    elif applied:
        say(("✓ ", "green"), f"done, now revision {after}", ("; `memedit undo` takes it back", "dim"))


def show_plan(made: Plan) -> None:
    """A plan for people, most telling first."""
    for old, new in made.changed:
        say(("~ change   ", "yellow"), cited(old))
        say(("       to  ", "yellow"), cited(new))
    marks: list[tuple[Piece, list[AnyEdit]]] = [
        (("+ add      ", "green"), made.added),
        (("− replace  ", "red"), made.replaced),
        (("− retract  ", "red"), made.retracted),
    ]
    for mark, edits in marks:
        for edit in edits:
            say(mark, cited(edit))
    counts = f"{len(made.added)} to add, {len(made.changed)} to change, {len(made.retracted)} to retract"
    say(("nothing to do" if made.empty else counts, "bold"), (f", {len(made.unchanged)} unchanged", "dim"))


def _plan(memory: EditMemory, entries: list[AnyEdit], namespace: str, *, prune: bool) -> Plan:
    from memedit.cli._plan import plan

    now = memory.clock()
    return plan(
        [edit for edit in entries if edit.expires_at is None or edit.expires_at > now],
        memory.edits(namespace=namespace),
        prune=prune,
        used={event.edit_id for change in memory.history(namespace=namespace) for event in change.events},
        relations=memory.relations,
    )


def _carry_out(memory: EditMemory, made: Plan, namespace: str, author: str | None, reason: str) -> None:
    with busy("applying…"):
        fresh = [edit.model_copy(update={"namespace": namespace}) for edit in made.fresh]
        ids = [edit.id for edit in made.gone]
        memory.apply(fresh, retract=ids, namespace=namespace, author=author, reason=reason)
