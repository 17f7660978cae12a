"""`memedit parametric`: with which settings edits are written into weights, and editors that are trained for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memedit.cli._common import Command, Session, find_edits
from memedit.cli._editor_training import train
from memedit.cli._print import say, show_json, table, watching
from memedit.cli.bake import TEXT, opened
from memedit.text import some

if TYPE_CHECKING:
    from memedit.parametric.sweeping import Sweep


@click.group()
def parametric() -> None:
    """Find and list settings of the methods that write edits into weights, and train editors.

    \b
        memedit parametric sweep --method memit_seq
        memedit bake --method memit_seq@swept
        memedit parametric settings
        memedit bake --method memit@llama-3.2-3b
        memedit parametric train mend --data counterfact=counterfact.json --out my-editor
        memedit bake --method mend:my-editor
    """  # noqa: D301 - click's mark for lines that stay as they are


parametric.add_command(train)


@parametric.command(cls=Command, short_help="Try settings of a method on a few edits; keep the best for the model.")
@click.argument("ids", nargs=-1)
@click.option("--method", default="memit_seq", show_default=True, metavar="NAME", help="Whose settings.")
@TEXT
@click.pass_obj
def sweep(session: Session, ids: tuple[str, ...], method: str, text_file: Path | None) -> None:
    """Try layers, and what weighs against what is written, on a few edits; --llm stays as it is.

    Without IDS, on the first facts in force. The best are kept in the cache by the weights' hash, and asked for as
    METHOD@swept.

    Example:
        memedit parametric sweep --method memit_seq
        memedit parametric sweep pm ceo --method alphaedit
    """
    with opened(session, text_file) as editable:
        wanted = [edit.id for edit in find_edits(editable.memory, ids, session.namespace)] if ids else None
        with watching() as told:
            found = editable.bakery().sweep(wanted, namespace=session.namespace, method=method, told=told)
        file = editable.bakery().swept.file(found.method)
    if session.as_json:
        show_json(found.to_dict() | {"file": str(file)})
        return
    _show(found)
    say(("✓ ", "green"), f"on {some(len(found.edits), 'edit')}; use it as `--method {found.method}@swept`")


@parametric.command(cls=Command)
@click.pass_obj
def settings(session: Session) -> None:
    """List the settings that were published for models.

    Example:
        memedit parametric settings
    """
    from memedit.parametric.published import published

    rows: list[dict[str, Any]] = [
        {"method": f"{method}@{model}", "settings": own}
        for model, methods in published().items()
        for method, own in methods.items()
    ]
    if session.as_json:
        show_json(rows)
    else:
        table(["method", "settings"], [[row["method"], _said(row["settings"])] for row in rows], wrap=["settings"])


def _show(found: Sweep) -> None:
    rows = [
        [
            "✓" if one is found.best else "", _said(one.settings), f"{one.efficacy:.0%}", f"{one.paraphrase:.0%}",
            f"{one.locality:.0%}", "broke down" if one.perplexity is None else f"×{one.perplexity:.3f}",
            f"{one.score:.3f}",
        ]
        for one in found.trials
    ]  # fmt: skip
    table(["", "settings", "efficacy", "paraphrase", "locality", "perplexity", "score"], rows, wrap=["settings"])


def _said(settings: Any) -> str:
    """Settings in one line, what is nested under its own name."""
    told = []
    for name, value in settings.items():
        told.append(f"{name} ({_said(value)})" if isinstance(value, dict) else f"{name} {value}")
    return ", ".join(told)
