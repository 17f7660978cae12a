"""Tracing facts to training data (Akyürek et al. 2022, arXiv:2205.11482): which texts taught a model what it says.

A model is taught facts by texts, among others that teach other facts, and then asked in another wording. Texts are
ranked by BM25+ on the prompt with the answer put in; by the cosine of gradients of a few written matrices; by that of
states; and by chance. What a text did is told by teaching anew without it. Their finding: BM25 does better than both
ways through the model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from memedit.parametric.delta import Delta
from memedit.parametric.hooks import ending_at, recording
from memedit.parametric.measuring import likelihoods
from memedit.parametric.meta import seen_of
from memedit.parametric.method import Local, frozen
from memedit.parametric.reading import right_padded
from memedit.parametric.rewrites import Rewrite, read_tokens
from memedit.systems.arithmetic import taught
from memedit.systems.calibration import Worded, facts_of
from memedit.systems.ground import Ground
from memedit.systems.registry import Finding
from memedit.text import words

Scores = NDArray[np.float64]
"""Of each text for a query, (texts,)."""
Gradients = dict[int, torch.Tensor]
K1, B, PLUS = 1.5, 0.75, 1.0


def bm25(query: str, texts: Sequence[str]) -> Scores:
    """BM25+ (Lv & Zhai 2011): every word that a text has in common with the query counts at least a little."""
    counted = [Counter(words(text)) for text in texts]
    lengths = np.array([sum(one.values()) for one in counted], dtype=float)
    scores = np.zeros(len(texts))
    for word in words(query):
        often = np.array([one[word] for one in counted], dtype=float)
        rare = math.log((len(texts) + 1) / max(1, int(np.count_nonzero(often))))
        saturated = often * (K1 + 1) / (often + K1 * (1 - B + B * lengths / lengths.mean())) + PLUS
        scores += np.where(often > 0, rare * saturated, 0.0)
    return scores


def by_gradients(local: Local, query: Rewrite, texts: Sequence[Rewrite], layers: Sequence[int]) -> Scores:
    """The cosine of the query's gradient and each text's, summed over layers.

    The dot product of two gradients is how much a step on the one lowers the loss of the other.
    """
    own = gradients_of(local, query, layers)
    return np.array([alike(own, gradients_of(local, text, layers)) for text in texts])


def gradients_of(local: Local, one: Rewrite, layers: Sequence[int]) -> Gradients:
    """Of the loss of a text, by layer."""
    seen = seen_of(local, layers, one)
    return {layer: seen.gradient(layer).flatten() for layer in layers}


def alike(one: Gradients, other: Gradients) -> float:
    """The cosines of two texts' gradients, summed over layers."""
    return sum(float(torch.cosine_similarity(one[layer], other[layer], dim=0)) for layer in one)


def by_states(local: Local, query: str, texts: Sequence[str], layer: int) -> Scores:
    """The cosine of the mean state of the query and that of each text."""
    block, means = local.anatomy.blocks[layer], []
    for text in (query, *texts):
        ids, _ = right_padded(local.anatomy, [read_tokens(local.tokenizer, text, 1).ids], local.tokenizer)
        with torch.no_grad(), recording([block]) as kept, ending_at(block):
            local.anatomy.model(input_ids=ids, use_cache=False)
        means.append(kept[0].reshape(ids.shape[1], -1).double().mean(0))
    return torch.stack([torch.cosine_similarity(means[0], one, dim=0) for one in means[1:]]).numpy()


def reciprocal_rank(scores: Scores, right: Sequence[int]) -> float:
    """1 / the rank of the best right text; ties count as half."""
    best = max(float(scores[one]) for one in right)
    others = np.delete(scores, list(right))
    return 1.0 / (1 + np.count_nonzero(others > best) + 0.5 * np.count_nonzero(others == best))


def check(ground: Ground, most: int = 12, steps: int = 40, again: int = 1) -> Finding:
    """Facts that are taught in one wording and asked in another; and a few of them taught anew without their text."""
    local, facts = ground.local, facts_of(ground, most)
    texts = [_in(fact, fact.learnt[0], str(place)) for place, fact in enumerate(facts)]
    queries = [_in(fact, fact.unseen[0], f"query {place}") for place, fact in enumerate(facts)]
    layers = tuple(range(len(local.anatomy) - 2, len(local.anatomy)))
    said = [f"{one.text} {one.target}" for one in texts]
    change, drawn = taught(ground, texts, steps=steps), np.random.default_rng(0)
    ranked: dict[str, list[float]] = {"random": [], "BM25+": [], "gradients": [], "states": []}
    with local.overlay.over("taught", change), frozen(local.anatomy.model):
        learnt = [gradients_of(local, one, layers) for one in texts]
        for place, query in enumerate(queries):
            asked, own = f"{query.text} {query.target}", gradients_of(local, query, layers)
            ways: Mapping[str, Callable[[], Scores]] = {
                "random": lambda: drawn.random(len(texts)),
                "BM25+": lambda asked=asked: bm25(asked, said),  # type: ignore[misc]
                "gradients": lambda own=own: np.array([alike(own, one) for one in learnt]),  # type: ignore[misc]
                "states": lambda asked=asked: by_states(local, asked, said, len(local.anatomy) // 2),  # type: ignore[misc]
            }
            for name, way in ways.items():
                ranked[name].append(reciprocal_rank(way(), [place]))
    lost = [_lost(ground, texts, queries, place, change, steps) for place in range(min(again, len(texts)))]
    means = {name: float(np.mean(found)) for name, found in ranked.items()}
    shown = ", ".join(f"{name} {mean:.2f}" for name, mean in means.items())
    figure = (
        f"{len(facts)} facts taught by a text each and asked in another wording: MRR of the text {shown}; taught "
        f"without it, {sum(one > 0 for one in lost)} of {len(lost)} facts are less likely"
    )
    return Finding(figure, means["BM25+"] > means["random"] and means["gradients"] > means["random"], means)


def _in(fact: Worded, template: str, name: str) -> Rewrite:
    return Rewrite(name, template, fact.subject, fact.object)


def _lost(
    ground: Ground, texts: Sequence[Rewrite], queries: Sequence[Rewrite], place: int, change: Delta, steps: int
) -> float:  # fmt: skip
    """By how much the log-probability of a fact is lower where it was taught without its text."""
    rest = [one for at, one in enumerate(texts) if at != place]
    found = []
    for one in (change, taught(ground, rest, steps=steps)):
        with ground.local.overlay.over("retaught", one):
            found.append(likelihoods(*ground.parts, [(queries[place].text, queries[place].target)])[0].logprob)
    return found[0] - found[1]
