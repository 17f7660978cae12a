"""`init`, `reindex`, `namespaces`, `methods`: looking after a memory, and what there is."""

from __future__ import annotations

import click

from memedit.cli._common import Command, Session
from memedit.cli._print import busy, say, show_json, table
from memedit.text import some


@click.command(cls=Command)
@click.pass_obj
def init(session: Session) -> None:
    """Make a memory where --memory says. One that is there already stays as it is.

    Example:
        memedit init
        memedit init --memory ~/memories/work
        memedit init --memory postgresql://ann@db.example.org/memories
    """
    from memedit.memory.storage import LEDGER_FILE

    is_new = not session.storage.exists()
    folder = session.storage.folder
    ledger = session.shown if folder is None else str(folder.absolute() / LEDGER_FILE)
    with session.memory(create=True, note=False):
        pass
    if session.as_json:
        show_json({"memory": session.shown, "made": is_new, "ledger": ledger})
        return
    say(
        ("✓ ", "green"),
        f"made a memory in {session.shown}" if is_new else f"there is a memory in {session.shown} already",
    )
    if is_new and folder is not None:
        say((f"  {LEDGER_FILE}  every change is recorded there; back it up", "dim"))
    say("Next:")
    say('  memedit add "The capital of Australia is Sydney."')
    say('  memedit ask "What is the capital of Australia?"')


@click.command(cls=Command)
@click.option("--embed", is_flag=True, help="Also make all vectors anew, instead of taking those in the ledger.")
@click.pass_obj
def reindex(session: Session, embed: bool) -> None:
    """Build the index again from the ledger: of every namespace, or of the one that is named.

    Example:
        memedit reindex
        memedit reindex --namespace staging --embed
    """
    with session.memory() as memory:
        names = [session.namespace] if session.namespace_given else memory.namespaces()
        if names:
            with busy("loading the embedder…"):
                _ = memory.embedder
        counts = {}
        for place, name in enumerate(names):
            with busy(f"indexing {name}…"):
                counts[name] = memory.rebuild_index(namespace=name, embed=embed and place == 0)
    if session.as_json:
        show_json({"indexed": counts})
        return
    for name, count in counts.items():
        say(("✓ ", "green"), f"{name}: {some(count, 'edit')} indexed")
    if not counts:
        say("The memory is empty: nothing to index.", err=True)


@click.command(cls=Command)
@click.pass_obj
def namespaces(session: Session) -> None:
    """List the namespaces, each with its revision and how many edits are in force.

    Example:
        memedit namespaces
    """
    with session.memory() as memory:
        found = [
            {"namespace": name, "revision": memory.revision(namespace=name), "edits": len(memory.edits(namespace=name))}
            for name in memory.namespaces()
        ]
    if session.as_json:
        show_json(found)
    elif found:
        rows = [[str(value) for value in one.values()] for one in found]
        table(["namespace", "revision", "edits"], rows, wrap=["namespace"])
    else:
        say("No namespace holds an edit yet.", err=True)


@click.command(cls=Command)
@click.pass_obj
def methods(session: Session) -> None:
    """List the methods that can answer: how edits in scope change what the model says.

    Example:
        memedit methods
    """
    from memedit.methods.base import find_method
    from memedit.plumbing.plugins import plugin, plugins

    found = []
    for name in sorted(plugins("methods")):
        method, make = find_method(name), plugin("methods", name)
        about = (make.__doc__ or "").strip().partition("\n")[0]
        found.append({"method": name, "needs": str(method.needs), "about": about, "paper": method.paper})
    if session.as_json:
        show_json(found)
    else:
        table(["method", "needs", "about", "paper"], [list(one.values()) for one in found], wrap=["about", "paper"])
