"""`repair`: save what is whole of a damaged ledger."""

from __future__ import annotations

import click

from memedit.cli._common import Command, Session, agreed
from memedit.cli._print import busy, say, show_json
from memedit.text import some


@click.command(cls=Command)
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would be saved, and what is lost.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_obj
def repair(session: Session, only_plan: bool, yes: bool) -> None:
    """Make a new ledger of what is whole in a damaged one, and name what is not. The damaged file stays beside it.

    Stop whatever else has the memory open. Where there is a backup, restoring it is better.

    Example:
        memedit repair --plan
        memedit repair --yes
    """
    from memedit.memory.repairing import repair

    folder = session.storage.folder
    if folder is None:
        raise click.UsageError("Only a memory in a folder can be repaired; a database is its server's.")
    if session.as_json and not (yes or only_plan):
        raise click.UsageError("--json cannot ask: add --yes or --plan.")
    with busy("reading what can be read…"):
        made = repair(folder, dry_run=True)
    if not session.as_json:
        for mark, faults in (("lost      ", made.lost), ("doubtful  ", made.doubtful)):
            for fault in faults:
                say((mark, "red" if faults is made.lost else "yellow"), fault)
        saved = f"{some(made.saved['edits'], 'edit')} and {some(made.saved['change_sets'], 'change')} can be saved"
        say((saved if made.lost or made.doubtful else f"{saved}; nothing is lost", "bold"))
    if not only_plan and (yes or agreed()):
        made = repair(folder)
    if session.as_json:
        show_json(made.to_dict())
    elif made.kept is not None:
        say(("✓ ", "green"), f"made a new ledger; the one of before is {made.kept}")
        say("Next: memedit doctor --deep; memedit reindex; then throw the one of before away, which no purge reaches")
