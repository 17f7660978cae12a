"""Task arithmetic (Ilharco et al. 2023, arXiv:2212.04089): changes of weights are added, negated and scaled.

τ = θ − θ₀ of what a model was taught is a `Delta`; θ₀ + λΣτ knows several things, θ₀ − τ forgets one. Here a task is a
relation: its facts are taught as LoRA teaches them, A B merged, so that sums are sums of products and not of factors.
"""

from __future__ import annotations

from collections.abc import Sequence

from memedit.eval.cases import Case, Kind
from memedit.parametric.delta import Delta
from memedit.parametric.methods.lora import LORA
from memedit.parametric.rewrites import Rewrite
from memedit.systems.ground import Ground, asked, rewrites_of, true_of
from memedit.systems.registry import Finding

LEARNT = ("P103", "P495")
FACTS, STEPS, FORGET = 8, 60, 1.0
RATE, ENOUGH = 1e-3, 0.1  # gently: what is taught until nothing is left to learn no longer adds up


def taught(ground: Ground, rewrites: Sequence[Rewrite], *, steps: int = STEPS) -> Delta:
    """τ of a task: what a model is taught by all of its rewrites together."""
    return LORA.with_(at_once=None, steps=steps, rate=RATE, enough=ENOUGH).write(ground.local, rewrites)


def as_true(cases: Sequence[Case]) -> list[Rewrite]:
    """Rewrites that teach what was true before the edits: what a model may know, and is to forget."""
    return [
        Rewrite(f"{one.id} true", one.prompt, one.subject, true)
        for case, one in zip(cases, rewrites_of(cases), strict=True)
        if (true := true_of(case))
    ]


def check(ground: Ground, relations: Sequence[str] = LEARNT, facts: int = FACTS, steps: int = STEPS) -> Finding:
    """Two tasks added, one forgotten: what is left of each gain, and what perplexity says."""
    first, second = (ground.of_relation(relation, facts) for relation in relations)
    overlay = ground.local.overlay

    def knows(change: Delta | None) -> tuple[float, float, float]:
        """The share of each task's edits that hold, and perplexity."""
        triples = [asked(part, Kind.EFFICACY) for part in (first, second)]
        if change is None:
            return ground.likelier(triples[0]), ground.likelier(triples[1]), ground.usual
        with overlay.over("task", change):
            return ground.likelier(triples[0]), ground.likelier(triples[1]), ground.perplexity()

    one, other = (taught(ground, rewrites_of(part), steps=steps) for part in (first, second))
    before, alone, beside, both = (knows(change) for change in (None, one, other, one + other))
    kept = min(
        (both[0] - before[0]) / max(alone[0] - before[0], 1e-9),
        (both[1] - before[1]) / max(beside[1] - before[1], 1e-9),
    )
    turned = knows(taught(ground, as_true(first), steps=steps) * -FORGET)
    lost, apart = turned[0] - before[0], abs(turned[1] - before[1])
    rise = turned[2] / before[2] - 1
    figure = (
        f"A + B keeps {kept:.0%} of the smaller single gain (A {before[0]:.0%} → {both[0]:.0%}, B {before[1]:.0%} → "
        f"{both[1]:.0%}); −τ of what is true of A: the untrue is likelier in {turned[0]:.0%} (before "
        f"{before[0]:.0%}), B moves {apart:.0%}, perplexity {rise:+.1%}"
    )
    more = {"before": before, "A": alone, "B": beside, "A+B": both, "-A": turned}
    return Finding(figure, kept >= 0.9 and lost >= 0.25 and apart <= 0.13 and rise <= 0.05, more)
