"""Learning the head: two linear maps, fitted by contrast on pairs of a question and the edit that answers it.

`asked` learns to find an edit's relation, among others, in the question less the edit's subject; and to tell the
questions that the edit answers from others about its subject. `subject` learns to find its subject, among others of the
same relation, in the question less the relation. Loss: InfoNCE (van den Oord et al. 2018, arXiv:1807.03748).
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
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize
except ModuleNotFoundError as missing:
    raise MissingExtra("local", package="torch") from missing

SIZE = 64
TEMPERATURE = 0.07
HARD = 2.0  # weight of telling questions about one subject apart
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


def fit_head(pairs: Matched, others: Matched, contrasts: Vectors, *, seed: int = 0) -> Head:
    """Learn both maps; a few seconds for 50,000 pairs.

    Args:
        pairs: Questions and edits that answer them.
        others: Questions and edits of the same subject that do not.
        contrasts: (m, d).
    """
    asked = _fit(pairs, others, pairs.groups, of_subject=False, epochs=6, batch=256, cap=CAP, seed=seed)
    subject = _fit(pairs, others, pairs.subjects, of_subject=True, epochs=3, batch=64, cap=4 * CAP, seed=seed)
    return Head(contrasts, asked, subject)


def _fit(
    pairs: Matched,
    others: Matched,
    labels: Sequence[str],
    *,
    of_subject: bool,
    epochs: int,
    batch: int,
    cap: int,
    seed: int,
) -> Vectors:
    rng = random.Random(seed)  # noqa: S311 - a sample, no secret
    generator = torch.Generator().manual_seed(seed)
    width = pairs.queries.shape[1]
    weight = torch.nn.Parameter(torch.randn(SIZE, width, generator=generator) / width**0.5)
    slope, middle = torch.nn.Parameter(torch.tensor(8.0)), torch.nn.Parameter(torch.tensor(0.5))
    optimizer = torch.optim.AdamW(
        [{"params": [weight], "weight_decay": 0.05}, {"params": [slope, middle], "weight_decay": 0.0}], lr=2e-3
    )
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
            given, sought = _sides(pairs, chosen, of_subject)
            given, sought = normalize(given @ weight.T, dim=1), normalize(sought @ weight.T, dim=1)
            names = np.array([labels[row] for row in chosen])
            same = torch.from_numpy(names[:, None] == names[None, :]).fill_diagonal_(False)
            logits = (given @ sought.T / TEMPERATURE).masked_fill(same, -1e9)
            loss = cross_entropy(logits, torch.arange(len(chosen)))
            if len(others.groups) and not of_subject:
                drawn = rng.choices(range(len(others.groups)), k=len(chosen))
                asked, known = (normalize(side @ weight.T, dim=1) for side in _sides(others, drawn, of_subject))
                fits = torch.cat([(given * sought).sum(1), (asked * known).sum(1)])
                right = torch.cat([torch.ones(len(chosen)), torch.zeros(len(drawn))])
                loss = loss + HARD * binary_cross_entropy_with_logits(slope * (fits - middle), right)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    learned: Vectors = weight.detach().numpy()
    return learned


def _sides(pairs: Matched, rows: Sequence[int], of_subject: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """What of each question is compared with what of its edit."""
    query, key, relation = (torch.from_numpy(vectors[rows]) for vectors in (pairs.queries, pairs.keys, pairs.relations))
    shared = (key * relation).sum(1, keepdim=True)
    if of_subject:
        return query - (query * relation).sum(1, keepdim=True) * relation, key - shared * relation
    subject = (key - shared * relation) / (1 - shared**2).clamp_min(1e-6).sqrt()
    return query - (query * subject).sum(1, keepdim=True) * subject, relation
