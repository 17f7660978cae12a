"""Learning the head: two linear maps, fitted on pairs of a question and the edit that answers it.

`asked` learns, from the question less the edit's subject and from the edit's relation, which of the known relations
they are of (a softmax), and to tell the questions that an edit answers from others about its subject. The one helps the
other, on relations never seen too. `subject` learns to find the edit's subject, among others of the same relation, in
the question less the relation. Its loss: InfoNCE (van den Oord et al. 2018, arXiv:1807.03748).
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
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

SIZE = 96
SUBJECT_SIZE = 64
TEMPERATURE = 0.07
STEPS = 1_600  # at most; fewer where there are few pairs
FEWEST_STEPS = 150
BATCH = 512
HARD = 2.0  # weight of telling questions about one subject apart
CAP = 600  # pairs of one relation an epoch, so that frequent ones do not decide alone
KNOWN_FROM = 8  # pairs from which a relation counts as one that is known


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
    """Learn both maps; half a minute for 50,000 pairs.

    Args:
        pairs: Questions and edits that answer them.
        others: Questions and edits of the same subject that do not.
        contrasts: (m, d).
    """
    asked, known, prior = _fit_asked(pairs, others, seed)
    return Head(contrasts, asked, _fit_subject(pairs, seed), known, prior)


def _fit_asked(pairs: Matched, others: Matched, seed: int) -> tuple[Vectors, Vectors, Vectors]:
    """The map to what is asked, and the relations known behind it."""
    generator = torch.Generator().manual_seed(seed)
    counts = Counter(pairs.groups)
    place = {name: at for at, name in enumerate(name for name, count in counts.items() if count >= KNOWN_FROM)}
    labels = torch.tensor([place.get(name, -1) for name in pairs.groups])
    often = torch.tensor([counts[name] ** -0.5 for name in pairs.groups])
    questions, relations = (torch.from_numpy(side) for side in _about(pairs))
    others_asked, others_known = (torch.from_numpy(side) for side in _about(others))
    width = questions.shape[1]
    weight = torch.nn.Parameter(torch.randn(SIZE, width, generator=generator) / width**0.5)
    known = torch.nn.Parameter(torch.randn(len(place), SIZE, generator=generator) / SIZE**0.5)
    prior, sharp = torch.nn.Parameter(torch.zeros(len(place))), torch.nn.Parameter(torch.tensor(12.0))
    slope, middle = torch.nn.Parameter(torch.tensor(8.0)), torch.nn.Parameter(torch.tensor(0.5))
    optimizer = torch.optim.AdamW(
        [
            {"params": [weight, known], "weight_decay": 0.01},
            {"params": [prior, sharp, slope, middle], "weight_decay": 0.0},
        ],
        lr=3e-3,
    )
    steps = min(STEPS, max(FEWEST_STEPS, len(questions) // 10))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        drawn = torch.multinomial(often, BATCH, replacement=True, generator=generator)
        asked, sought = (normalize(side[drawn] @ weight.T, dim=1) for side in (questions, relations))
        fits, right = (asked * sought).sum(1), torch.ones(len(drawn))
        if len(others_asked):
            beside = torch.randint(len(others_asked), (BATCH,), generator=generator)
            theirs, ours = (normalize(side[beside] @ weight.T, dim=1) for side in (others_asked, others_known))
            fits = torch.cat([fits, (theirs * ours).sum(1)])
            right = torch.cat([right, torch.zeros(BATCH)])
        loss = HARD * binary_cross_entropy_with_logits(slope * (fits - middle), right)
        if place and bool((labels[drawn] >= 0).any()):
            relation = sharp * normalize(known, dim=1)
            for side in (asked, sought):
                loss = loss + cross_entropy(side @ relation.T + prior, labels[drawn], ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        relation = sharp * normalize(known, dim=1)
    return weight.detach().numpy(), relation.numpy(), prior.detach().numpy()


def _fit_subject(pairs: Matched, seed: int, *, epochs: int = 3, batch: int = 64) -> Vectors:
    """The map to whom it is asked about: subjects of one relation are one another's negatives."""
    rng = random.Random(seed)  # noqa: S311 - a sample, no secret
    generator = torch.Generator().manual_seed(seed)
    width = pairs.queries.shape[1]
    weight = torch.nn.Parameter(torch.randn(SUBJECT_SIZE, width, generator=generator) / width**0.5)
    optimizer = torch.optim.AdamW([weight], lr=2e-3, weight_decay=0.05)
    by_group: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(pairs.groups):
        by_group[group].append(row)
    for _ in range(epochs):
        rows = [row for group in by_group.values() for row in rng.sample(group, min(CAP, len(group)))]
        rng.shuffle(rows)
        rows.sort(key=lambda row: pairs.groups[row])
        batches = [rows[start : start + batch] for start in range(0, len(rows), batch)]
        rng.shuffle(batches)
        for chosen in batches:
            given, sought = (normalize(side @ weight.T, dim=1) for side in _whom(pairs, chosen))
            names = np.array([pairs.subjects[row] for row in chosen])
            same = torch.from_numpy(names[:, None] == names[None, :]).fill_diagonal_(False)
            logits = (given @ sought.T / TEMPERATURE).masked_fill(same, -1e9)
            loss = cross_entropy(logits, torch.arange(len(chosen)))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    learned: Vectors = weight.detach().numpy()
    return learned


def _about(pairs: Matched) -> tuple[Vectors, Vectors]:
    """Each question less its edit's subject, of unit length, and the edit's relation."""
    shared = (pairs.keys * pairs.relations).sum(axis=1, keepdims=True)
    subject = (pairs.keys - shared * pairs.relations) / np.sqrt(np.maximum(1 - shared**2, 1e-6))
    asked = pairs.queries - (pairs.queries * subject).sum(axis=1, keepdims=True) * subject
    asked = asked / np.maximum(np.linalg.norm(asked, axis=1, keepdims=True), 1e-6)
    return asked.astype(np.float32), pairs.relations


def _whom(pairs: Matched, rows: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Each question, and each edit's key, less the edit's relation."""
    query, key, relation = (torch.from_numpy(vectors[rows]) for vectors in (pairs.queries, pairs.keys, pairs.relations))
    shared = (key * relation).sum(1, keepdim=True)
    return query - (query * relation).sum(1, keepdim=True) * relation, key - shared * relation
