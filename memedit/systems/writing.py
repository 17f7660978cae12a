"""What every method that writes weights, or lies beside them, has to show: edits hold, and neighbours stay.

One check for all of them (`parametric/methods/`, a file each with its paper); how they compare on more edits is in
BENCHMARKS.md, by `bench/parametric.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from memedit.eval.cases import Case, Kind
from memedit.parametric.beside import Beside
from memedit.parametric.meta import Meta
from memedit.parametric.methods import find_writer
from memedit.parametric.slots import Change, laid
from memedit.systems.ground import Ground, asked, rewrites_of
from memedit.systems.registry import Finding


def check(
    ground: Ground, method: str, edits: int = 4, near: int = 3, settings: Mapping[str, Any] | None = None
) -> Finding:
    """A few edits written together, or one after the other where the method does so itself.

    Args:
        ground: With the model.
        method: A name of `parametric.methods`.
        edits: How many.
        near: Neighbours of each that are asked.
        settings: Other than the method's own.
    """
    cases = ground.cases[:edits]
    writer = find_writer(method)
    assert not isinstance(writer, Meta)  # an editor is trained first; its check is another
    writer = writer.as_set(settings or {})
    change: Change = writer.write(ground.local, rewrites_of(cases))
    before, usual = _bare(ground, edits, near), ground.usual
    with laid(ground.local.overlay, change):
        after, cost = _asked(ground, cases, near), ground.perplexity() / usual - 1
    beside = "beside the weights, which stay bit by bit; " if isinstance(writer, Beside) else ""
    figure = (
        f"{beside}{edits} edits: the new object is likelier in {before[0]:.0%} → {after[0]:.0%}, behind paraphrases "
        f"{before[1]:.0%} → {after[1]:.0%}; the true one at neighbours {before[2]:.0%} → {after[2]:.0%}; perplexity "
        f"{cost:+.1%}"
    )
    reached = after[0] >= 0.9 and after[2] >= before[2] - 0.15 and cost <= 0.1
    return Finding(figure, reached, {"before": before, "after": after, "perplexity": cost})


@cache
def _bare(ground: Ground, edits: int, near: int) -> tuple[float, float, float]:
    """What every method begins with."""
    return _asked(ground, ground.cases[:edits], near)


def _asked(ground: Ground, cases: Sequence[Case], near: int) -> tuple[float, float, float]:
    """Efficacy, paraphrase and neighbourhood, as CounterFact scores them."""
    return (
        ground.likelier(asked(cases, Kind.EFFICACY)), ground.likelier(asked(cases, Kind.PARAPHRASE)),
        ground.likelier(asked(cases, Kind.NEIGHBOURHOOD, near)),
    )  # fmt: skip
