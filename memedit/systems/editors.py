"""What an editor that is trained first has to show: it edits relations that it never saw, and leaves the rest alone.

One check for all of them (`parametric/methods/`, a file each with its paper). The papers train for days; this trains
for minutes, on four fifths of the relations that come with memedit, so that its figure is a lower bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from memedit.eval.lessons import examples_of
from memedit.parametric.meta_training import Recipe, train
from memedit.parametric.methods import META
from memedit.systems.ground import Ground
from memedit.systems.registry import Finding


def check(
    ground: Ground, method: str, minutes: float = 1.0, steps: int = 400, batch: int = 4, looked: int = 12,
    settings: Mapping[str, Any] | None = None,
) -> Finding:  # fmt: skip
    """An editor is trained, and judged by the edits of relations that were held out, one by one.

    Args:
        ground: With the model.
        method: A name of `parametric.methods.META`.
        minutes: Of learning, at most.
        steps: Of learning, at most.
        batch: Edits in a step.
        looked: Held out edits.
        settings: Other than the method's own.
    """
    writer, examples = META[method].as_set(settings or {}), list(examples_of(ground.cases))
    recipe = Recipe(steps=steps, minutes=minutes, batch=batch, every=steps, held=0.2, looked_at=looked)
    with TemporaryDirectory() as folder:
        card = train(ground.local, writer, examples, Path(folder) / "editor", recipe=recipe)
    before, after = card["before"], card["after"]
    shown = ", ".join(f"{name} {before[name]:.0%} → {after[name]:.0%}" for name in ("efficacy", "paraphrase"))
    figure = (
        f"{card['steps']} steps on {card['learnt']} edits; of {card['held']} edits of relations that were held out: "
        f"{shown}; {after['locality']:.0%} of the texts beside them go on as before; loss {before['loss']:.2f} → "
        f"{after['loss']:.2f}"
    )
    reached = after["efficacy"] >= 0.9 and after["paraphrase"] >= 0.7 and after["locality"] >= 0.98
    return Finding(figure, reached, {"before": before, "after": after, "steps": card["steps"]})
