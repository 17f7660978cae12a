"""`memedit serac train`: a small model that answers by the edit it is shown, for the method `serac`."""

from __future__ import annotations

from pathlib import Path

import click

from memedit.cli import _gate
from memedit.cli._common import Command, Session
from memedit.cli._print import busy, say, show_json

DATA_HELP = (
    "Edits with a prompt, a question or probes (.jsonl, .yaml), or NAME=FILE[,FILE…] for a benchmark of "
    "`memedit eval --list`; may be repeated."
)


@click.group()
def serac() -> None:
    """Train a counterfactual model, which answers what is in scope.

    \b
        memedit serac train --data counterfact=counterfact.json --out my-model
        memedit serac train --model hf:FOLDER --data edits.jsonl --out my-model --json
    """  # noqa: D301 - click's mark for lines that stay as they are


@serac.command(cls=Command, short_help="Train a small model to answer by an edit it is shown.")
@click.option("--data", multiple=True, required=True, metavar="SPEC", help=DATA_HELP)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FOLDER",
              help="Where the model goes; new or empty.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with a run in --out that was stopped.")
@click.option("--steps", type=click.IntRange(1), default=600, show_default=True, help="At most.")
@click.option("--batch", type=click.IntRange(1), default=10, show_default=True, help="Lessons in a step.")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), default=2e-5, show_default=True)
@click.option("--every", type=click.IntRange(1), default=50, show_default=True,
              help="Steps between two looks at what is held out, and two checkpoints.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the split and the order.")
@click.pass_obj
def train(
    session: Session, data: tuple[str, ...], out: Path, resume: bool, steps: int, batch: int, learning_rate: float,
    every: int, seed: int,
) -> None:  # fmt: skip
    """Fine-tune --model on edits and texts in their scope, by the likelihood of the answers.

    It is trained once: edits made later need no training. Use it by models={"counterfactual": "counterfactual:FOLDER"}
    and method="serac".

    Example:
        memedit serac train --data counterfact=counterfact.json --data zsre=zsre.jsonl --out my-model
        memedit serac train --data edits.jsonl --out my-model --resume
    """
    from memedit.adapters.counterfactual import Recipe
    from memedit.adapters.counterfactual import train as run
    from memedit.adapters.transformers import LocalLLM
    from memedit.errors import UnsupportedModel
    from memedit.eval.lessons import read_lessons

    with busy("reading…"):
        lessons = read_lessons(data)
    llm = session.llm()
    if not isinstance(llm, LocalLLM):
        raise UnsupportedModel(f"{llm.name} cannot be trained.", do="give --model bundled, hf:FOLDER or gguf:FILE")
    recipe = Recipe(steps=steps, batch=batch, learning_rate=learning_rate, every=every, seed=seed)
    with _gate.counted("steps") as told:
        card = run(llm, lessons, out=out, recipe=recipe, resume=resume, progress=told)
    if session.as_json:
        show_json({"model": str(out), **card})
        return
    loss = card["held-out loss, nats a token"]
    say(("✓ ", "green"), f"{out}: {card['steps']} steps; held-out loss {loss['before']:.2f} → {loss['after']:.2f}")
    say((f'use it: EditableLLM(…, method="serac", models={{"counterfactual": "counterfactual:{out}"}})', "dim"))
