"""`memedit multihop train`: a small model that takes questions apart, for the method `multihop`."""

from __future__ import annotations

from typing import Any

import click

from memedit.cli import _tuning
from memedit.cli._common import Command, Session

USE = 'EditableLLM(…, models={{"planner": "planner:{}"}})'


@click.group()
def multihop() -> None:
    """Train a planner, which takes apart the questions that the grammar does not bring to an answer.

    \b
        memedit multihop train --out my-planner
    """  # noqa: D301 - click's mark for lines that stay as they are


@multihop.command(cls=Command, short_help="Train a small model to take questions apart.")
@click.option("--questions", type=click.IntRange(20), default=3000, show_default=True,
              help="How many are made of the phrasings that come with memedit.")  # fmt: skip
@_tuning.tuned(steps=150, batch=8, learning_rate=1e-4, every=30)
@click.pass_obj
def train(session: Session, /, questions: int, seed: int, **run: Any) -> None:
    """Fine-tune --llm on questions of one to four hops and their plans.

    The questions are about invented things, and about no relation that the field's benchmarks ask for. Use it by
    models={"planner": "planner:FOLDER"} and method="multihop".

    Example:
        memedit multihop train --out my-planner
        memedit multihop train --llm hf:FOLDER --out my-planner --resume --json
    """
    from memedit.adapters import planner
    from memedit.multihop.lessons import lessons

    _tuning.run(session, planner.train, lessons(questions, seed=seed), use=USE, seed=seed, **run)
