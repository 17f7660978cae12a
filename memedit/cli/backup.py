"""`backup`, `restore`: the whole memory in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from memedit.cli._common import Command, Session, agreed, day
from memedit.cli._print import busy, say, show_json
from memedit.text import some

if TYPE_CHECKING:
    from memedit.memory import Backup

FILE = click.argument("file", type=click.Path(path_type=Path))


@click.command(cls=Command)
@FILE
@click.option("--yes", "-y", is_flag=True, help="Overwrite a file that is there.")
@click.pass_obj
def backup(session: Session, file: Path, yes: bool) -> None:
    """Write the whole memory to one file: all namespaces, with their history, as they are at one moment.

    Others may go on writing meanwhile. The file also holds what Erasures keep, in plain text.

    Example:
        memedit backup monday.backup
        memedit backup all.backup --memory postgresql://ann@db.example.org/memories
    """
    with session.memory() as memory, busy("writing…"):
        made = memory.backup(file, overwrite=yes)
    if session.as_json:
        show_json(made.to_dict())
    else:
        say(("✓ ", "green"), f"wrote {_held(made)} to {file}", (f"  (sha256 {made.digest[:12]}…)", "dim"))


@click.command(cls=Command)
@FILE
@click.option("--plan", "only_plan", is_flag=True, help="Only check the file, and show what would be done.")
@click.option("--yes", "-y", is_flag=True, help="Overwrite what the memory holds, with its history, without asking.")
@click.pass_obj
def restore(session: Session, file: Path, only_plan: bool, yes: bool) -> None:
    """Make the memory hold what a backup holds: a folder as well as PostgreSQL, whichever it was made of.

    The file is checked first: every row is counted and hashed. All of it is restored, or nothing. A ledger that is
    damaged stays in the folder as `ledger.sqlite.damaged`; stop whatever else has it open.

    Example:
        memedit restore monday.backup --plan
        memedit restore monday.backup --memory elsewhere
        memedit restore all.backup --memory postgresql://ann@db.example.org/memories
    """
    from memedit.errors import LedgerCorrupt
    from memedit.memory import EditMemory

    with EditMemory() as none:  # so that no memory is made for a file that cannot be read
        plan = none.restore(file, dry_run=True)
    is_empty, damage, there = True, "", session.shown
    if session.storage.exists():
        try:
            with session.memory() as memory:
                is_empty = not memory.namespaces()
        except LedgerCorrupt as error:
            is_empty, damage = False, error.what
    if not session.as_json:
        say(f"{file} is whole: {_held(plan)}", (f", of {day(plan.at)}", "dim"))
        if damage:
            say((damage, "yellow"))
        elif not is_empty:
            say((f"What the memory in {there} holds is lost, with its history.", "yellow"))
    if session.as_json and not (is_empty or yes or only_plan):
        raise click.UsageError("--json cannot ask: add --yes or --plan.")
    done = not only_plan and (is_empty or yes or agreed())
    if done:
        with busy("restoring…"):
            plan, kept = _restored(session, file, overwrite=not is_empty)
    if session.as_json:
        show_json(plan.to_dict())
    elif done:
        say(("✓ ", "green"), f"restored into {there}", (f"; the damaged ledger is {kept}" if kept else "", "dim"))


def _restored(session: Session, file: Path, *, overwrite: bool) -> tuple[Backup, Path | None]:
    """What was restored, and how the damaged ledger is called that was there."""
    from memedit.errors import LedgerCorrupt
    from memedit.memory.backups import restore_over_damage

    try:
        with session.memory(create=True) as memory:
            return memory.restore(file, overwrite=overwrite), None
    except LedgerCorrupt:
        if session.storage.folder is None:
            raise
    return restore_over_damage(session.storage.folder, file)


def _held(made: Backup) -> str:
    counts = made.counts
    return f"{some(counts['edits'], 'edit')} and {some(counts['change_sets'], 'change')} of " + some(
        counts["namespaces"], "namespace"
    )
