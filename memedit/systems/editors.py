"""What an editor that is trained first has to show: it edits relations that it never saw, and leaves the rest alone.

One check for all of them (`parametric/methods/`, a file each with its paper). The papers train for days; this trains
for a minute, on four fifths of the relations that come with memedit, so that its figure is a lower bound. The step that
an editor begins with, which days of training would find, is the best of a few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from memedit.eval.lessons import examples_of
from memedit.parametric.meta import Meta, edited
from memedit.parametric.meta_training import Example, Read, Recipe, losses, split, train
from memedit.parametric.method import Local, frozen
from memedit.parametric.methods import META
from memedit.systems.ground import Ground
from memedit.systems.registry import Finding

TRIED = 6  # edits by which the first step is chosen
LADDER: Mapping[str, tuple[float, ...]] = {
    "rate": (1.0, 8.0, 64.0, 512.0, 4096.0),  # times the method's own
    "gate": (-3.0, 0.0, 3.0),
}
"""Settings that say how large a step an editor begins with, and what is tried."""


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
    examples = list(examples_of(ground.cases))
    recipe = Recipe(steps=steps, minutes=minutes, batch=batch, rate=1e-3, every=steps, held=0.2, looked_at=looked)
    writer = begun_well(ground.local, META[method].as_set(settings or {}), split(examples, recipe)[0][:TRIED])
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


def begun_well(local: Local, writer: Meta, examples: Sequence[Example]) -> Meta:
    """The method with the first step that does best, of a few, on some of the edits that are learnt from."""
    name = next(one for one in LADDER if hasattr(writer.how, one))
    tried = [one * writer.how.rate if name == "rate" else one for one in LADDER[name]]
    with frozen(local.anatomy.model), torch.no_grad():
        read = [(one, Read.of(local, min(writer.shapes(local.anatomy)), one)) for one in examples]

        def loss(step: float) -> float:
            torch.manual_seed(0)
            editor, summed = writer.with_(**{name: step}).fresh(local.anatomy).eval(), 0.0
            for one, kept in read:  # what is usual
                edited(local, editor, one.rewrite, observe=True, lesson=kept.own)
            for one, kept in read:
                wanted, moved, _, _ = losses(local, editor, one, read=kept)
                summed += float(writer.weighing.edit * wanted + writer.weighing.local * moved)
            return summed if summed == summed else float("inf")

        return writer.with_(**{name: min(tried, key=loss)})
