"""Learning the head: two linear maps, fitted by contrast on pairs of a question and the edit that answers it.

`asked` learns to find an edit's relation, among others, in the question less the edit's subject. `subject` learns to
find its subject, among others of the same relation, in the question less the relation. Loss: InfoNCE (van den Oord et
al. 2018, arXiv:1807.03748).
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memedit.embedders.port import Vectors
from memedit.errors import MissingExtra
from memedit.gate.features import Head

try:
    import torch
    from torch.nn.functional import cross_entropy, normalize
except ModuleNotFoundError as missing:
    raise MissingExtra("local", package="torch") from missing

SIZE = 64
TEMPERATURE = 0.07
CAP = 150  # pairs of one relation an epoch, so that frequent ones do not decide alone


@dataclass(frozen=True, eq=False)
class Matched:
    """Questions and the edits that answer them, row by row.

    Args:
        queries, keys, relations: Vectors, (n, d).
        groups: The edits' relations.
        subjects: Whom they are about.
    """

    queries: Vectors
    keys: Vectors
    relations: Vectors
    groups: Sequence[str]
    subjects: Sequence[str]


def fit_head(pairs: Matched, contrasts: Vectors, *, seed: int = 0) -> Head:
    """Learn both maps. contrasts (m, d); a few seconds for 50,000 pairs."""
    asked = _fit(pairs, pairs.groups, of_subject=False, epochs=6, batch=256, cap=CAP, seed=seed)
    subject = _fit(pairs, pairs.subjects, of_subject=True, epochs=3, batch=64, cap=4 * CAP, seed=seed)
    return Head(contrasts, asked, subject)


def _fit(
    pairs: Matched, labels: Sequence[str], *, of_subject: bool, epochs: int, batch: int, cap: int, seed: int
) -> Vectors:
    rng = random.Random(seed)  # noqa: S311 - a sample, no secret
    generator = torch.Generator().manual_seed(seed)
    width = pairs.queries.shape[1]
    weight = torch.nn.Parameter(torch.randn(SIZE, width, generator=generator) / width**0.5)
    optimizer = torch.optim.AdamW([weight], lr=2e-3, weight_decay=0.05)
    by_group: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(pairs.groups):
        by_group[group].append(row)
    for _ in range(epochs):
        rows = [row for group in by_group.values() for row in rng.sample(group, min(cap, len(group)))]
        rng.shuffle(rows)
        if of_subject:  # subjects of one relation side by side, so that they are one another's negatives
            rows.sort(key=lambda row: pairs.groups[row])
        batches = [rows[start : start + batch] for start in range(0, len(rows), batch)]
        rng.shuffle(batches)
        for chosen in batches:
            query, key, relation = (
                torch.from_numpy(vectors[chosen]) for vectors in (pairs.queries, pairs.keys, pairs.relations)
            )
            shared = (key * relation).sum(1, keepdim=True)
            subject = (key - shared * relation) / (1 - shared**2).clamp_min(1e-6).sqrt()
            if of_subject:
                given = query - (query * relation).sum(1, keepdim=True) * relation
                sought = key - shared * relation
            else:
                given = query - (query * subject).sum(1, keepdim=True) * subject
                sought = relation
            logits = normalize(given @ weight.T, dim=1) @ normalize(sought @ weight.T, dim=1).T / TEMPERATURE
            names = np.array([labels[row] for row in chosen])
            same = torch.from_numpy(names[:, None] == names[None, :]).fill_diagonal_(False)
            loss = cross_entropy(logits.masked_fill(same, -1e9), torch.arange(len(chosen)))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    learned: Vectors = weight.detach().numpy()
    return learned
