"""`bake`, `unbake`, `baked`: edits written into the weights of a local model, and taken out again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from memedit.cli._common import Command, Session, cited, find_edits
from memedit.cli._print import busy, say, short, show_json, table, watching
from memedit.cli.edits import AUTHOR, REASON
from memedit.text import some

if TYPE_CHECKING:
    from memedit.editable import EditableLLM
    from memedit.parametric.outcomes import Baking

OUT = click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER",
    help="Where the model goes, as transformers opens it; new or empty.",
)  # fmt: skip
TEXT = click.option(
    "--text", "text_file", type=click.Path(path_type=Path), metavar="FILE",
    help="Running text, a paragraph a line, that shows what the model is used to; else text that comes with memedit.",
)  # fmt: skip


class Strength(click.ParamType):  # type: ignore[type-arg]
    """A number, or `auto`."""

    name = "number|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "auto" else click.FLOAT.convert(value, param, ctx)


@click.command(cls=Command)
@click.argument("ids", nargs=-1)
@click.option(
    "--method",
    default="memit_seq",
    show_default=True,
    metavar="NAME",
    help="How they are written; see `memedit parametric`.",
)
@click.option(
    "--strength", type=Strength(), default=1.0, show_default=True,
    help="What the change is multiplied by; auto tries tenths, and takes that with which most edits hold.",
)  # fmt: skip
@OUT
@TEXT
@AUTHOR
@REASON
@click.pass_obj
def bake(
    session: Session, ids: tuple[str, ...], method: str, strength: float | Literal["auto"], out: Path | None,
    text_file: Path | None, author: str | None, reason: str | None,
) -> None:  # fmt: skip
    """Write edits into the weights of --llm, prove each, and leave in memory what does not hold.

    Without IDS, all facts that are not baked yet. The changes lie beside the ledger; the model's own files stay as they
    are, and --out writes a model with them.

    Example:
        memedit bake --out my-model
        memedit bake pm ceo --method rome
    """
    with opened(session, text_file) as editable:
        wanted = [edit.id for edit in find_edits(editable.memory, ids, session.namespace)] if ids else None
        with watching() as told:
            done = editable.bake(wanted, method=method, strength=strength, author=author, reason=reason, told=told)
        folder = editable.bakery().save(out) if out else None
    if session.as_json:
        show_json(done.to_dict() | {"folder": folder and str(folder)})
        return
    _show(done)
    if folder:
        say(("✓ ", "green"), f"the model is in {folder}")


@click.command(cls=Command)
@click.argument("ids", nargs=-1)
@OUT
@TEXT
@AUTHOR
@REASON
@click.pass_obj
def unbake(
    session: Session, ids: tuple[str, ...], out: Path | None, text_file: Path | None, author: str | None,
    reason: str | None,
) -> None:  # fmt: skip
    """Take edits out of the weights of --llm; they stay in memory. Without IDS, all of them.

    What was baked together with them is solved again without them. --out writes the model that is left.

    Example:
        memedit unbake pm --out my-model-2
    """
    with opened(session, text_file) as editable:
        wanted = [edit.id for edit in find_edits(editable.memory, ids, session.namespace)] if ids else None
        with busy("taking out…"):
            change = editable.unbake(wanted, author=author, reason=reason)
        folder = editable.bakery().save(out) if out else None
    if session.as_json:
        show_json(change.to_dict() | {"folder": folder and str(folder)})
        return
    say(("✓ ", "green"), f"took out {some(len(change.events), 'edit')}; memory answers them again")
    if folder:
        say(("✓ ", "green"), f"the model is in {folder}")


@click.command(cls=Command)
@TEXT
@click.pass_obj
def baked(session: Session, text_file: Path | None) -> None:
    """List the edits in the weights of --llm.

    Example:
        memedit baked
    """
    with opened(session, text_file) as editable:
        groups = editable.baked()
        ids = [edit_id for group in groups for edit_id in group.ids]
        texts = editable.memory.recorded(ids, namespace=session.namespace)
    rows: list[dict[str, Any]] = [
        {
            "edit": edit_id, "method": group.data["method"], "change": group.delta,
            "by itself": edit_id in group.silent, "text": texts[edit_id].text,
        }
        for group in groups
        for edit_id in group.ids
    ]  # fmt: skip
    if session.as_json:
        show_json(rows)
    elif rows:
        shown = [[short(row["edit"]), row["method"], row["change"], row["text"]] for row in rows]
        table(["edit", "method", "change", "text"], shown, wrap=["text"])
    else:
        say("No edit is in the weights.", err=True)


def _show(done: Baking) -> None:
    for one in done.outcomes:
        if one.left is None:
            say(
                ("✓ baked  ", "green"),
                cited(one.edit),
                ("" if one.silent else "  (memory goes on answering it)", "dim"),
            )
        else:
            say(("· memory ", "yellow"), cited(one.edit), (f"  {one.left}", "dim"))
    before, after = done.perplexity
    counts = f"{some(len(done.baked), 'edit')} baked, {len(done.left)} left in memory"
    picked = f" at strength {done.strength:g}" if done.curve else ""
    say(
        f"{counts}{picked}; perplexity {before:.1f} → {after:.1f}; now revision {done.revision}",
        ("; `memedit undo` takes it back" if done.baked else "", "dim"),
    )


@contextmanager
def opened(session: Session, text_file: Path | None) -> Iterator[EditableLLM]:
    """The model with its memory, and the running text that was given."""
    with session.memory() as memory:
        editable = session.editable(memory)
        if text_file is not None:
            editable.bakery(text=text_file.read_text(encoding="utf-8").splitlines())
        yield editable
