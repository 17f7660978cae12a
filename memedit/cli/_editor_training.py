"""`parametric train`: an editor (MEND, KE, ENN, SLAG, LiME) is trained for a local model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from memedit.cli._common import Command, Session
from memedit.cli._print import busy, say, show_json, watching

DATA_HELP = (
    "Edits with a prompt, a subject and an object (.jsonl, .yaml), or NAME=FILE[,FILE…] for a benchmark of "
    "`memedit eval --list`; may be repeated."
)


@click.command(cls=Command, short_help="Train an editor, which then writes edits by one step.")
@click.argument("method", type=click.Choice(["mend", "ke", "enn", "slag", "lime"]))
@click.option("--data", multiple=True, required=True, metavar="SPEC", help=DATA_HELP)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FOLDER", help="Where the editor goes.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), metavar="N",
              help="Of learning at most, in this session; the first look does not count.")  # fmt: skip
@click.option("--steps", type=click.IntRange(1), default=5_000, show_default=True, help="At most.")
@click.option("--batch", type=click.IntRange(1), default=10, show_default=True, help="Edits in a step.")
@click.option("--learning-rate", "rate", type=click.FloatRange(0, min_open=True), default=1e-4, show_default=True)
@click.option("--every", type=click.IntRange(1), default=100, show_default=True,
              help="Steps between two looks at what is held out, and two checkpoints.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the split and the order.")
@click.option("--resume", is_flag=True, help="Go on with a run in --out that was stopped.")
@click.pass_obj
def train(session: Session, /, method: str, data: tuple[str, ...], out: Path, resume: bool, **recipe: Any) -> None:
    """Train an editor for --llm on edits, their paraphrases, and texts that are to stay.

    A tenth of the relations is held out; the editor that does best on these is kept. --llm stays as it is.

    Example:
        memedit parametric train mend --data counterfact=counterfact.json --out my-editor --minutes 60
        memedit parametric train mend --data counterfact=counterfact.json --out my-editor --resume
    """
    from memedit.eval.lessons import read_examples
    from memedit.parametric.delta import overlay_of
    from memedit.parametric.local_model import require_weights
    from memedit.parametric.meta_training import Recipe
    from memedit.parametric.meta_training import train as taught
    from memedit.parametric.method import Local
    from memedit.parametric.methods import META

    with busy("reading…"):
        examples = read_examples(data)
    llm = require_weights(session.llm())
    local = Local.of(overlay_of(llm.model), llm.tokenizer, ())
    with watching() as told:
        card = taught(local, META[method], examples, out, recipe=Recipe(**recipe), resume=resume, told=told)
    if session.as_json:
        show_json({"editor": str(out), **card})
        return
    before, after = card["before"], card["after"]
    say(("✓ ", "green"), f"{out}: {card['steps']} steps on {card['learnt']} edits; {card['held']} held out")
    for name in ("efficacy", "paraphrase", "locality"):
        say(f"  {name} {before[name]:.0%} → {after[name]:.0%}")
    say((f"use it: memedit bake --method {method}:{out}", "dim"))
