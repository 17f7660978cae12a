"""`memedit serac train`: a small model that answers by the edit it is shown, for the method `serac`."""

from __future__ import annotations

from typing import Any

import click

from memedit.cli import _tuning
from memedit.cli._common import Command, Session
from memedit.cli._print import busy

DATA_HELP = (
    "Edits with a prompt, a question or probes (.jsonl, .yaml), or NAME=FILE[,FILE…] for a benchmark of "
    "`memedit eval --list`; may be repeated."
)
USE = 'EditableLLM(…, method="serac", models={{"counterfactual": "counterfactual:{}"}})'


@click.group()
def serac() -> None:
    """Train a counterfactual model, which answers what is in scope.

    \b
        memedit serac train --data counterfact=counterfact.json --out my-model
        memedit serac train --llm hf:FOLDER --data edits.jsonl --out my-model --json
    """  # noqa: D301 - click's mark for lines that stay as they are


@serac.command(cls=Command, short_help="Train a small model to answer by an edit it is shown.")
@click.option("--data", multiple=True, required=True, metavar="SPEC", help=DATA_HELP)
@_tuning.tuned(steps=600, batch=10, learning_rate=2e-5, every=50)
@click.pass_obj
def train(session: Session, /, data: tuple[str, ...], **run: Any) -> None:
    """Fine-tune --llm on edits and texts in their scope, by the likelihood of the answers.

    It is trained once: edits made later need no training. Use it by models={"counterfactual": "counterfactual:FOLDER"}
    and method="serac".

    Example:
        memedit serac train --data counterfact=counterfact.json --data zsre=zsre.jsonl --out my-model
        memedit serac train --data edits.jsonl --out my-model --resume
    """
    from memedit.adapters import counterfactual
    from memedit.eval.lessons import read_lessons

    with busy("reading…"):
        lessons = read_lessons(data)
    _tuning.run(session, counterfactual.train, lessons, use=USE, **run)
