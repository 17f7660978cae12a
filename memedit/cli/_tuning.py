"""What the commands that fine-tune a small model have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from memedit.cli import _gate
from memedit.cli._common import Session
from memedit.cli._print import say, show_json

if TYPE_CHECKING:
    from memedit.adapters.causal import LocalLLM

Command = TypeVar("Command", bound=Callable[..., Any])


def tuned(*, steps: int, batch: int, learning_rate: float, every: int) -> Callable[[Command], Command]:
    """Give a command the options of a run, with these defaults."""
    options = (
        click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FOLDER",
                     help="Where the model goes; new or empty."),
        click.option("--resume", is_flag=True, help="Go on with a run in --out that was stopped."),
        click.option("--steps", type=click.IntRange(1), default=steps, show_default=True, help="At most."),
        click.option("--batch", type=click.IntRange(1), default=batch, show_default=True, help="Samples in a step."),
        click.option("--learning-rate", type=click.FloatRange(0, min_open=True), default=learning_rate,
                     show_default=True),
        click.option("--every", type=click.IntRange(1), default=every, show_default=True,
                     help="Steps between two looks at what is held out, and two checkpoints."),
        click.option("--seed", default=0, show_default=True, help="Of the split and the order."),
    )  # fmt: skip

    def with_options(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return with_options


def run(
    session: Session, train: Callable[..., dict[str, Any]], lessons: Any, *, use: str, out: Path, resume: bool,
    **recipe: Any,
) -> None:  # fmt: skip
    """Train --llm, and say what was made.

    Args:
        session: Whose model.
        train: Of an adapter.
        lessons: What it learns.
        use: How what was made is used, with `{}` for its folder.
        out, resume, recipe: As given on the command line.

    Raises:
        UnsupportedModel: The model is none that can be trained.
    """
    from memedit.adapters.tuning import Recipe

    llm = _local(session)
    with _gate.counted("steps") as told:
        card = train(llm, lessons, out=out, recipe=Recipe(**recipe), resume=resume, progress=told)
    if session.as_json:
        show_json({"model": str(out), **card})
        return
    loss = card["held-out loss, nats a token"]
    say(("✓ ", "green"), f"{out}: {card['steps']} steps; held-out loss {loss['before']:.2f} → {loss['after']:.2f}")
    say((f"use it: {use.format(out)}", "dim"))


def _local(session: Session) -> LocalLLM:
    from memedit.adapters.causal import LocalLLM
    from memedit.errors import UnsupportedModel

    llm = session.llm()
    if not isinstance(llm, LocalLLM):
        raise UnsupportedModel(f"{llm.name} cannot be trained.", do="give --llm bundled, hf:FOLDER or gguf:FILE")
    return llm
