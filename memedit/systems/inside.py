"""What the tools that look into a model have to show: knowledge neurons move a fact, and tracing finds its subject.

The tools are in `parametric/understanding/`, a file each with its paper.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from memedit.parametric.method import frozen
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.understanding.neurons import chance, neuron_scores, scaled
from memedit.parametric.understanding.recall import recall
from memedit.parametric.understanding.tracing import trace
from memedit.systems.degenerate import known
from memedit.systems.ground import Ground, rewrites_of, true_of
from memedit.systems.registry import Finding


def neurons(ground: Ground, facts: int = 6, most: int = 10, steps: int = 10) -> Finding:
    """The first neurons of known facts suppressed and enhanced, and as many drawn ones of the same layers."""
    anatomy, tokenizer = ground.parts
    drawn = np.random.default_rng(0)
    votes: dict[str, list[bool]] = {"found": [], "drawn": []}
    with frozen(anatomy.model):
        for prompt, target in known(anatomy, tokenizer, ground.cases, facts):
            scores = neuron_scores(anatomy, tokenizer, prompt, target, steps=steps)
            order = np.argsort(-scores, axis=None)[:most]
            first = [(int(layer), int(at)) for layer, at in zip(*np.unravel_index(order, scores.shape), strict=True)]
            others = [(layer, int(drawn.integers(scores.shape[1]))) for layer, _ in first]
            whole = chance(anatomy, tokenizer, prompt, target)
            for name, chosen in (("found", first), ("drawn", others)):
                with scaled(anatomy, chosen, 0.0):
                    less = chance(anatomy, tokenizer, prompt, target)
                with scaled(anatomy, chosen, 2.0):
                    more = chance(anatomy, tokenizer, prompt, target)
                votes[name].append(less < whole < more)
    shares = {name: float(np.mean(cast)) for name, cast in votes.items()}
    figure = (
        f"{len(votes['found'])} known facts, {most} neurons each: suppressing lowers and enhancing raises p(fact) in "
        f"{shares['found']:.0%}; of as many drawn ones in {shares['drawn']:.0%}"
    )
    return Finding(figure, shares["found"] >= 0.8 and shares["found"] > shares["drawn"], shares)


def recalling(ground: Ground, facts: int = 4, window: int = 9) -> Finding:
    """What is lost of known facts where the last token does not see the subject, other tokens, or itself."""
    anatomy, tokenizer = ground.parts
    curves: dict[str, list[np.ndarray[Any, Any]]] = {"subject": [], "other": [], "last": []}
    for case, one in list(zip(ground.cases, rewrites_of(ground.cases), strict=True))[: 6 * facts]:
        rewrite = Rewrite(one.id, one.prompt, one.subject, true_of(case) or one.target)
        if len(curves["last"]) == facts or chance(anatomy, tokenizer, rewrite.text, rewrite.target) < 0.05:
            continue
        for name, lost in recall(anatomy, tokenizer, rewrite, window=window).lost.items():
            curves[name].append(lost)
    means = {name: np.mean(ones, axis=0) for name, ones in curves.items()}
    shown = ", ".join(f"{name} {one.max():.0%} (layer {int(one.argmax())})" for name, one in means.items())
    figure = f"{len(curves['last'])} facts, windows of {window} layers: most is lost without {shown}"
    reached = bool(means["subject"].max() >= 0.4 and means["subject"].max() > means["last"].max())
    return Finding(figure, reached, {name: one.tolist() for name, one in means.items()})


def tracing(ground: Ground, facts: int = 6, samples: int = 4, every: int = 3) -> Finding:
    """What a state that is given back in the lower half brings back: at the subject's last token, and behind it.

    Args:
        ground: With the model.
        facts: How many.
        samples: Of the noise.
        every: One of so many layers is looked at.
    """
    anatomy, tokenizer = ground.parts
    layers, found = range(0, len(anatomy) // 2, every), []
    for case, one in list(zip(ground.cases, rewrites_of(ground.cases), strict=True))[: 6 * facts]:
        rewrite = Rewrite(one.id, one.prompt, one.subject, true_of(case) or one.target)
        read = rewrite.read(tokenizer)
        if read.target - read.subject < 3 or chance(anatomy, tokenizer, rewrite.text, rewrite.target) < 0.02:
            continue
        traced = trace(anatomy, tokenizer, rewrite, samples=samples, layers=layers)
        lost = traced.clean - traced.spoiled
        if lost > 0:
            lower = traced.effects[list(layers)].mean(0) / lost
            found.append((float(lower[read.subject]), float(lower[read.subject + 1 : -1].mean())))
        if len(found) == facts:
            break
    subject, between = (float(np.mean(column)) for column in zip(*found, strict=True))
    figure = (
        f"{len(found)} facts, {len(layers)} layers of the lower half: a state given back at the subject's last token "
        f"brings back {subject:.0%} of what noise took, one between it and the end {between:.0%}"
    )
    return Finding(figure, subject >= 0.1 and subject > 3 * abs(between), {"subject": subject, "between": between})
