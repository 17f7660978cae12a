"""Does localisation inform editing? (Hase et al. 2023, arXiv:2301.04213): tracing's effects beside edits of each layer.

For each fact and layer there are the effect that causal tracing finds there, and how well an edit of that one layer
does: (p after − p before) / (1 − p before) of the target. How much of the latter is told by the layer alone, and how
much more by the effect? Their answer is next to nothing. Problems differ in the target: another object (error
injection), the true one (amplification), or what the model says of the spoiled subject (tracing reversal).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from memedit.eval.cases import Case
from memedit.parametric.method import frozen
from memedit.parametric.methods import TRAINED
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.understanding.neurons import chance
from memedit.parametric.understanding.tracing import spoiled_choice, trace
from memedit.systems.ground import Ground, rewrites_of, true_of
from memedit.systems.registry import Finding

Array = NDArray[np.float64]
Problem = Literal["injection", "amplification", "reversal"]


def wanted(ground: Ground, case: Case, problem: Problem) -> Rewrite:
    """What is written for a case in a problem."""
    [one] = rewrites_of([case])
    if problem == "injection":
        return one
    if problem == "amplification":
        return Rewrite(one.id, one.prompt, one.subject, true_of(case) or one.target)
    return Rewrite(one.id, one.prompt, one.subject, spoiled_choice(*ground.parts, one))


def effects_of(ground: Ground, cases: Sequence[Case], layers: Sequence[int], *, samples: int = 4) -> Array:
    """Tracing's effects of the true facts at the subject's last token, (facts, layers)."""
    found = []
    for case in cases:
        true = wanted(ground, case, "amplification")
        subject = true.read(ground.local.tokenizer).subject
        traced = trace(*ground.parts, true, samples=samples, layers=layers, places=[subject])
        found.append([float(traced.effects[layer, subject]) for layer in layers])
    return np.array(found)


def scores_of(
    ground: Ground, cases: Sequence[Case], layers: Sequence[int], *, problem: Problem = "injection",
    method: str = "ft_m", steps: int = 10,
) -> Array:  # fmt: skip
    """How well an edit of each layer does, (facts, layers).

    Args:
        ground: With the model.
        cases: The facts.
        layers: Which.
        problem: What is written.
        method: That edits one layer, a name of `TRAINED`.
        steps: That it takes.
    """
    anatomy, tokenizer = ground.parts
    found = []
    for case in cases:
        one, row = wanted(ground, case, problem), []
        with frozen(anatomy.model):
            before = chance(anatomy, tokenizer, one.text, one.target)
        for layer in layers:
            change = TRAINED[method].with_(layers=(layer,), steps=steps).write(ground.local, [one])
            with ground.local.overlay.over("sweeping", change):
                row.append((chance(anatomy, tokenizer, one.text, one.target) - before) / max(1 - before, 1e-9))
        found.append(row)
    return np.array(found)


def r_squared(scores: Array, *further: Array) -> float:
    """The share of the scores' variance that layers explain, and columns beside them, by least squares.

    Args:
        scores: (facts, layers).
        further: Of the same shape each.
    """
    facts, layers = scores.shape
    design = np.hstack([np.tile(np.eye(layers), (facts, 1)), *(one.reshape(-1, 1) for one in further)])
    told = scores.reshape(-1)
    left = told - design @ np.linalg.lstsq(design, told, rcond=None)[0]
    return 1 - float(left @ left) / max(float(((told - told.mean()) ** 2).sum()), 1e-12)


def check(
    ground: Ground, facts: int = 6, every: int = 6, problems: Sequence[Problem] = ("injection", "amplification")
) -> Finding:
    """R² of layers, and of layers and tracing, for each problem."""
    layers, cases = range(0, len(ground.local.anatomy), every), ground.cases[:facts]
    effects, shown, worst = effects_of(ground, cases, layers), list[str](), 0.0
    by_layer = {"effect of tracing": effects.mean(axis=0).tolist()}
    more: dict[str, Any] = {"layers": list(layers), "by layer": by_layer}
    for problem in problems:
        scores = scores_of(ground, cases, layers, problem=problem)
        alone, both = r_squared(scores), r_squared(scores, effects)
        shown.append(f"{problem} {alone:.3f} → {both:.3f}")
        more[problem], worst = {"layers": alone, "with tracing": both}, max(worst, both - alone)
        by_layer[f"{problem}, as edits do"] = scores.mean(axis=0).tolist()
    figure = f"{facts} facts, {len(layers)} layers: R² of layers alone → with tracing: {', '.join(shown)}"
    return Finding(figure, worst <= 0.05, more)
