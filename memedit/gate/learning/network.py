"""Fitting the gate's network: cross-entropy over the three roles, stopped early, then calibrated by a temperature."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memedit.embedders.port import Vectors
from memedit.encoder.network import Network, softmax
from memedit.errors import MissingExtra
from memedit.gate.features import FEATURES

try:
    import torch
    from torch.nn.functional import cross_entropy
except ModuleNotFoundError as missing:
    raise MissingExtra("local", package="torch") from missing

MEMBERS = 3  # networks, from other first weights and orders, that are averaged
HIDDEN = 32
EPOCHS = 8
BATCH = 1_024
UNNAMED = 4.0
"""Weight of an edit out of scope whose subject the query does not name word for word: letting one through changes an
answer that has nothing to do with it. So where nothing is named an edit has to be four times as likely to pass."""
HELD_OUT = 0.1  # share of the rows by whose loss training is stopped
TEMPERATURES = np.geomspace(0.5, 3.0, 60)


@dataclass
class Table:
    """Rows of features and what they are.

    Args:
        features: By view (with the heads of each parting, and without any), each row (features,).
        roles: 0 out of scope, 1 direct, 2 bridge.
        parts: By parting, the parts a row belongs to: its edit's, and those of the edits its question is in scope of.
        subjects: Whom its question asks about.
    """

    features: tuple[list[Vectors], ...]
    roles: list[int] = field(default_factory=list)
    parts: list[tuple[frozenset[int], ...]] = field(default_factory=list)
    subjects: list[frozenset[str]] = field(default_factory=list)

    def add(
        self,
        features: Sequence[Vectors],
        role: int,
        parts: tuple[frozenset[int], ...],
        subjects: frozenset[str],
    ) -> None:
        for kept, one in zip(self.features, features, strict=True):
            kept.append(one)
        self.roles.append(role)
        self.parts.append(parts)
        self.subjects.append(subjects)

    def without(self, parting: int, part: int, subjects: Collection[str]) -> Table:
        """The rows that touch neither a part nor any of the subjects."""
        kept = [
            at
            for at in range(len(self.roles))
            if part not in self.parts[at][parting] and self.subjects[at].isdisjoint(subjects)
        ]
        return Table(
            tuple([view[at] for at in kept] for view in self.features),
            [self.roles[at] for at in kept],
            [self.parts[at] for at in kept],
            [self.subjects[at] for at in kept],
        )


def fit_network(table: Table, views: Sequence[int], *, seed: int = 0) -> Network:
    """A network that learns from each row in each of these views."""
    features = np.concatenate([np.stack(table.features[view]) for view in views])
    roles = np.array(table.roles * len(views))
    costs = np.where((roles == 0) & (features[:, FEATURES.index("exact")] == 0), UNNAMED, 1.0)
    return fit_members(features, roles, costs, seed=seed)


def fit_members(rows: Vectors, roles: NDArray[np.int64], costs: NDArray[Any], *, seed: int = 0) -> Network:
    """A network of `MEMBERS` for rows of any features.

    Shapes:
        rows (n, features); roles (n,): 0 out of scope, 1 direct, 2 bridge; costs (n,): what a mistake counts.
    """
    features = torch.from_numpy(rows)
    mean, scale = features.mean(0), features.std(0).clamp_min(1e-3)
    inputs = ((features - mean) / scale).clamp(-5, 5)
    members = tuple(
        _fit_member(inputs, torch.from_numpy(roles), torch.from_numpy(costs).float(), seed * MEMBERS + member)
        for member in range(MEMBERS)
    )
    return Network(mean.numpy(), scale.numpy(), members)


def _fit_member(
    inputs: torch.Tensor, roles: torch.Tensor, costs: torch.Tensor, seed: int
) -> tuple[tuple[Vectors, Vectors], ...]:
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(inputs), generator=generator)
    held = order[: int(len(order) * HELD_OUT)]
    learned = order[len(held) :]
    sizes = (inputs.shape[1], HIDDEN, HIDDEN, 3)
    weights = [
        torch.nn.Parameter(torch.randn(out, into, generator=generator) * (2 / into) ** 0.5)
        for into, out in pairwise(sizes)
    ]
    biases = [torch.nn.Parameter(torch.zeros(out)) for out in sizes[1:]]

    def logits(rows: torch.Tensor) -> torch.Tensor:
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            rows = torch.relu(rows @ weight.T + bias)
        return rows @ weights[-1].T + biases[-1]

    def cost(rows: torch.Tensor) -> torch.Tensor:
        return (cross_entropy(logits(inputs[rows]), roles[rows], reduction="none") * costs[rows]).mean()

    batch = min(BATCH, max(len(learned) // 50, 16))  # few rows: still enough steps
    steps = EPOCHS * max(len(learned) // batch, 1)
    optimizer = torch.optim.AdamW([*weights, *biases], lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps + EPOCHS)
    best, kept = np.inf, [one.detach().clone() for one in (*weights, *biases)]
    for _ in range(EPOCHS):
        shuffled = learned[torch.randperm(len(learned), generator=generator)]
        for start in range(0, max(len(shuffled) - batch + 1, 1), batch):
            chosen = shuffled[start : start + batch]
            loss = cost(chosen)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            on_held = float(cost(held)) if len(held) else 0.0
        if on_held < best:
            best, kept = on_held, [one.detach().clone() for one in (*weights, *biases)]
    return tuple((kept[at].numpy(), kept[at + 3].numpy()) for at in range(3))


def fit_temperature(networks: Mapping[int, Sequence[Network]], table: Table, view_of: Mapping[int, int]) -> float:
    """The temperature at which networks are calibrated best on rows of parts they did not see (log loss).

    Args:
        networks: By parting, one a part.
        view_of: The view that the networks of a parting read.
    """
    logits, roles = [], []
    for parting, parted in networks.items():
        own = [next(iter(parts[parting])) if len(parts[parting]) == 1 else None for parts in table.parts]
        for part, network in enumerate(parted):
            rows = [at for at, one in enumerate(own) if one == part]
            if rows:
                view = table.features[view_of[parting]]
                logits.append(network.logits(np.stack([view[at] for at in rows])))
                roles.append(np.array([table.roles[at] for at in rows]))
    found, right = np.concatenate(logits), np.concatenate(roles)

    def loss(temperature: float) -> float:
        shares = softmax(found / temperature)[np.arange(len(right)), right]
        return float(-np.log(np.maximum(shares, 1e-9)).mean())

    return float(min(TEMPERATURES, key=loss))
