"""A small network over features, kept as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
BLAS_ALONE = 200_000  # multiplications of a matrix product; for more than a few more BLAS wakes its threads
Precision = TypeVar("Precision", bound=np.floating[Any])


@dataclass(frozen=True, eq=False)
class Network:
    """A few small networks whose logits are averaged, and a softmax over what they tell apart.

    Args:
        mean, scale: Of the features, (features,).
        members: Of each network, weight (out, in) and bias (out,) of each layer; of one layer, it is linear.
        temperature: The logits are divided by it, so that probabilities are calibrated (Guo et al. 2017,
            arXiv:1706.04599).
    """

    mean: Vectors
    scale: Vectors
    members: tuple[tuple[tuple[Vectors, Vectors], ...], ...]
    temperature: float = 1.0

    def logits(self, features: Vectors) -> Vectors:
        """Of each pair. features (n, features); result (n, labels)."""
        inputs = np.clip((features - self.mean) / self.scale, -5, 5)
        found: Vectors = np.zeros((len(features), 1), dtype=np.float32)
        for layers in self.members:
            hidden = inputs
            for weight, bias in layers[:-1]:
                hidden = np.maximum(through(hidden, weight.T) + bias, 0)
            weight, bias = layers[-1]
            found = found + through(hidden, weight.T) + bias
        return found / np.float32(len(self.members) * self.temperature)

    def at(self, temperature: float) -> Network:
        """The same at another temperature."""
        return replace(self, temperature=temperature)

    def probabilities(self, features: Vectors) -> Vectors:
        """Of each role of each pair. features (n, features); result (n, labels)."""
        return softmax(self.logits(features))


def packed(name: str, network: Network) -> dict[str, Vectors]:
    """The arrays of a network, under a name."""
    arrays = {f"{name}.mean": network.mean, f"{name}.scale": network.scale}
    for member, layers in enumerate(network.members):
        for at, (weight, bias) in enumerate(layers):
            arrays |= {f"{name}.{member}.{at}.weight": weight, f"{name}.{member}.{at}.bias": bias}
    return arrays


def network_in(arrays: Mapping[str, Vectors], name: str, members: int, temperature: float) -> Network:
    """The network that was `packed` under a name."""
    depth = sum(key.startswith(f"{name}.0.") and key.endswith(".weight") for key in arrays)
    layers = tuple(
        tuple((arrays[f"{name}.{member}.{at}.weight"], arrays[f"{name}.{member}.{at}.bias"]) for at in range(depth))
        for member in range(members)
    )
    return Network(arrays[f"{name}.mean"], arrays[f"{name}.scale"], layers, float(temperature))


def softmax(logits: NDArray[Precision]) -> NDArray[Precision]:
    """Probabilities from logits, along the last axis; any shape."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights: NDArray[Precision] = powers / powers.sum(axis=-1, keepdims=True)
    return weights


def through(rows: Vectors, weights: Vectors) -> Vectors:
    """Rows through a linear map, a few at a time: so small a product BLAS makes on the calling thread, five times as
    fast as `dots`.

    Shapes:
        rows (n, d); weights (d, m), contiguous; result (n, m).
    """
    step = max(BLAS_ALONE // weights.size, 1)
    if len(rows) <= step:
        whole: Vectors = rows @ weights
        return whole
    return np.concatenate([rows[start : start + step] @ weights for start in range(0, len(rows), step)])
