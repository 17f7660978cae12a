"""`purge`: take edits out of the memory for good."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from memedit.cli._common import Command, Session, agreed, day, point_in_time, recorded_id
from memedit.cli._print import busy, say, short, show_json
from memedit.cli.edits import AUTHOR, REASON
from memedit.text import some

if TYPE_CHECKING:
    from memedit.memory import EditMemory, Purge

SHOWN = 20  # edits of a plan that are listed by their text


@click.command(cls=Command)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--subject", metavar="NAME", help="All that is about it, under any of its names.")
@click.option("--mention", metavar="NAME", help="All that says this name, word for word, whatever it is about.")
@click.option("--before", metavar="TIME", help="What was out of force by then: a time, or how long ago: '90 days'.")
@click.option("--all", "everything", is_flag=True, help="All of the namespace that --namespace names.")
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would be done.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@AUTHOR
@REASON
@click.pass_obj
def purge(
    session: Session, ids: tuple[str, ...], subject: str | None, mention: str | None, before: str | None,
    everything: bool, only_plan: bool, yes: bool, author: str | None, reason: str | None,
) -> None:  # fmt: skip
    """Take edits out of the memory for good, in force or not: shows a plan, asks, and overwrites what they said.

    Texts, vectors, histories, the reasons that tell of them and what of them was baked are gone; id, time, author and
    reason of the purge stay in the history. `undo` does not bring them back. Backups and exports are out of reach.

    Example:
        memedit purge 3f2a --reason "request of 3 May"
        memedit purge --subject "Carol Diaz" --plan
        memedit purge --mention "Carol Diaz" --plan
        memedit purge --before "90 days" --yes
        memedit purge --all --namespace tenant-7
    """
    if sum(map(bool, (ids, subject, mention, before, everything))) != 1:
        raise click.UsageError("Name ids, or give one of --subject, --mention, --before and --all.")
    if everything and not session.namespace_given:
        raise click.UsageError("--all goes with --namespace.")
    if session.as_json and not (yes or only_plan):
        raise click.UsageError("--json cannot ask: add --yes or --plan.")
    with session.memory() as memory:
        what: dict[str, Any] = {"namespace": session.namespace, "subject": subject, "mention": mention}
        what |= {"before": _when(before)}
        if ids:
            changes = memory.history(namespace=session.namespace)
            what["ids"] = [recorded_id(changes, one, session.namespace) for one in ids]
        plan = memory.purge(**what, dry_run=True)
        if not session.as_json:
            _show(memory, plan)
        done = not only_plan and bool(plan.ids or ids) and (yes or agreed())
        if done:
            with busy("purging…"):
                plan = memory.purge(**what, author=author, reason=reason)
    if session.as_json:
        show_json(plan.to_dict())
    elif done:
        say(("✓ ", "green"), f"purged {some(len(plan.ids), 'edit')}, now revision {plan.revision}")


def _when(given: str | None) -> datetime | None:
    from memedit.memory.purging import period

    if given is None:
        return None
    try:
        return datetime.now(UTC) - period(given)
    except ValueError:
        return point_in_time(
            given, hint="--before", instead="neither a time such as 2026-03-01 nor one such as '90 days'"
        )


def _show(memory: EditMemory, plan: Purge) -> None:
    texts = memory.recorded(plan.ids[:SHOWN], namespace=plan.namespace)
    for edit_id in plan.ids[:SHOWN]:
        state = "in force" if edit_id in plan.in_force else f"of {day(texts[edit_id].created_at)}, out of force"
        say(("− purge  ", "red"), f"{short(edit_id)}  {' '.join(texts[edit_id].text.split())}", (f"  ({state})", "dim"))
    if len(plan.ids) > SHOWN:
        say(f"… and {len(plan.ids) - SHOWN} more")
    counts = f"{some(len(plan.ids), 'edit')}, {some(plan.vectors, 'vector')}, {some(plan.notes, 'reason')}"
    baked = f", {some(len(plan.baked), 'change')} of weights" if plan.baked else ""
    say((f"{counts}{baked} to purge, for good" if plan.ids else "nothing to purge", "bold"))
