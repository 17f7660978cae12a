"""Repairing by leaving the right past behind (Tanno et al. 2022, arXiv:2207.04806), for a head on frozen features.

With a posterior N(θ̂, H⁻¹) over the head, the training data are ranked by how much taking each out would raise the
probability of failures seen later, score(z) = −∇log p(failures)ᵀ H⁻¹ ∇log p(z); the worst are forgotten by one step,
θ' = argmin log p(C|θ) + ½ (θ − θ̂)ᵀ H (θ − θ̂). H is exact here: the head is a logistic regression with a ridge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memedit.systems.ground import Ground, relation_of
from memedit.systems.registry import Finding

Array = NDArray[np.float64]
RIDGE, STEPS, ENOUGH = 1.0, 100, 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Features with a constant column, (n, width), and labels 0 or 1, (n,)."""

    features: Array
    labels: Array

    def only(self, keep: Any) -> Examples:
        """Some of them, by a mask or by places."""
        return Examples(self.features[keep], self.labels[keep])


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A logistic head at its optimum.

    Args:
        weights: θ̂, (width,).
        hessian: H of the penalised loss, (width, width).
    """

    weights: Array
    hessian: Array

    def chances(self, features: Array) -> Array:
        """p(1), (n,)."""
        return 1 / (1 + np.exp(-np.clip(features @ self.weights, -40, 40)))

    def accuracy(self, data: Examples) -> float:
        """The share of labels that are its first choice."""
        return float(np.mean((self.chances(data.features) > 0.5) == (data.labels > 0.5)))


@dataclass(frozen=True, slots=True, eq=False)
class Repair:
    """A head that was repaired.

    Args:
        head: As it is now.
        cause: Places in the training data that were left behind, the worst first.
        scores: Of all training data.
    """

    head: Head
    cause: NDArray[np.int64]
    scores: Array


def fitted(data: Examples, ridge: float = RIDGE, start: Array | None = None) -> Head:
    """The head of least penalised loss, by Newton's method."""
    theta = np.zeros(data.features.shape[1]) if start is None else start
    for _ in range(STEPS):
        step = np.linalg.solve(_hessian(theta, data, ridge), _gradients(theta, data).sum(0) - ridge * theta)
        theta = theta + step
        if float(np.abs(step).max()) < ENOUGH:
            break
    return Head(theta, _hessian(theta, data, ridge))


def blame(head: Head, train: Examples, failures: Examples) -> Array:
    """How much the failures' log-probability would rise, to first order, were each training example taken out, (n,)."""
    wanted = _gradients(head.weights, failures).sum(0)
    return -_gradients(head.weights, train) @ np.linalg.solve(head.hessian, wanted)


def forgotten(head: Head, cause: Examples) -> Head:
    """The head without some of its training data: a Newton step on what is left of the posterior.

    Exact where the loss is quadratic.
    """
    left = head.hessian - _hessian(head.weights, cause, 0.0)
    theta = head.weights - np.linalg.solve(left, _gradients(head.weights, cause).sum(0))
    return Head(theta, left)


def repair(head: Head, train: Examples, failures: Examples, most: int) -> Repair:
    """Find what of the training data the failures come from, and leave it behind.

    Args:
        head: Fitted on `train`.
        train: What it learned from.
        failures: With the labels that they should have had.
        most: Training examples that are left behind at most; only such as do harm.
    """
    scores = blame(head, train, failures)
    order = np.argsort(-scores)[:most]
    cause = order[scores[order] > 0]
    return Repair(forgotten(head, train.only(cause)), cause, scores)


def check(ground: Ground, flipped: float = 0.15, seed: int = 0) -> Finding:
    """Texts that tell of two relations, by the finder's vectors; a part of one class is labelled wrongly."""
    train, test = _texts(ground, seed)
    drawn = np.random.default_rng(seed)
    ones = np.flatnonzero(train.labels == 1)
    wrong = drawn.choice(ones, round(flipped * len(ones)), replace=False)
    spoiled = Examples(train.features, train.labels.copy())
    spoiled.labels[wrong] = 0
    head = fitted(spoiled)
    half = np.arange(len(test.labels)) % 2 == 0
    seen, unseen = test.only(half), test.only(~half)
    failed = (head.chances(seen.features) > 0.5) != (seen.labels > 0.5)
    failures = seen.only(failed) if failed.any() else seen.only(seen.labels == 1)
    done = repair(head, spoiled, failures, len(wrong))
    precision = len(set(done.cause.tolist()) & set(wrong.tolist())) / len(wrong)
    again = fitted(spoiled.only(np.setdiff1d(np.arange(len(spoiled.labels)), done.cause)))
    figures = [(one.accuracy(failures), one.accuracy(unseen)) for one in (head, done.head, again, fitted(train))]
    shown = ", ".join(
        f"{name} {first:.2f}/{second:.3f}"
        for name, (first, second) in zip(("spoiled", "repaired", "retrained", "never spoiled"), figures, strict=True)
    )
    count, of = len(wrong), len(train.labels)
    figure = (
        f"{count} of {of} labels flipped, {len(failures.labels)} failures: precision@{count} {precision:.2f} (random "
        f"{count / of:.2f}); accuracy on failures/unseen: {shown}"
    )
    near = abs(figures[1][0] - figures[2][0]) <= 0.01 + 1 / len(failures.labels)
    return Finding(
        figure, precision >= 0.8 and near and figures[1][1] >= figures[0][1] - 0.01, {"precision": precision}
    )


def _texts(ground: Ground, seed: int) -> tuple[Examples, Examples]:
    """Neighbour prompts, the label whether their relation is of a place; half to learn from, half to test."""
    from memedit.embedders import as_embedder
    from memedit.eval.cases import Kind

    places = {"P17", "P19", "P20", "P27", "P30", "P131", "P159", "P190", "P276", "P495", "P937", "P740"}
    told = [
        (probe.prompt, float(relation_of(case) in places))
        for case in ground.cases
        for probe in case.probes
        if probe.kind is Kind.NEIGHBOURHOOD
    ]
    vectors = np.asarray(as_embedder("minilm").embed([text for text, _ in told]), dtype=np.float64)
    data = Examples(np.hstack([vectors * 8, np.ones((len(vectors), 1))]), np.array([label for _, label in told]))
    order = np.random.default_rng(seed).permutation(len(told))
    return data.only(order[: len(order) // 2]), data.only(order[len(order) // 2 :])


def _gradients(theta: Array, data: Examples) -> Array:
    """∇log p of each example, (n, width)."""
    residual = data.labels - Head(theta, np.empty((0, 0))).chances(data.features)
    found: Array = residual[:, None] * data.features
    return found


def _hessian(theta: Array, data: Examples, ridge: float) -> Array:
    chance = Head(theta, np.empty((0, 0))).chances(data.features)
    found: Array = (data.features.T * (chance * (1 - chance))) @ data.features + ridge * np.eye(len(theta))
    return found
