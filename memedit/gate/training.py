"""Training the default gate on scope sets, so that it can be judged on relations and subjects it has never seen.

Cross-fitting: the relations of all edits are parted into folds. Each fold has a head and a network that were fitted
without its relations (and without the subjects asked in it), and the features of an edit always come from the head that
did not see its relation. So the network learns how far a head can be trusted on a new relation, and every measured
figure is on relations never trained on. What is kept in the end is fitted on all folds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from memedit.embedders import Embedder
from memedit.embedders.port import Vectors
from memedit.errors import FileRejected
from memedit.gate.examples import ScopeSet
from memedit.gate.features import CONTRASTS, Head
from memedit.gate.grouping import fold, relation_groups
from memedit.gate.head_training import Matched, fit_head
from memedit.gate.measuring import Judged
from memedit.gate.network_training import Table, fit_network, fit_temperature
from memedit.gate.roles import softmax
from memedit.gate.rows import Embedded, Rows, embed, rows, texts_of
from memedit.gate.scorer import Network, Scorer
from memedit.index.mentions import MentionIndex
from memedit.text import same_key, words

MEMORIES: tuple[int | None, ...] = (None, 1_000, 100, 10, 2)
"""Edits in memory while training; a gate has to be right in small and in large ones."""
NEGATIVES = 8  # candidates out of scope, nearest first, that are learned from per question
MOST_SIBLINGS = 8  # edits of a subject named in a question out of their scope
MOST_ASKED = 6_000  # questions of one set that are learned from
THRESHOLDS = {"direct": 0.6, "bridge": 0.5}
Disjoint = Literal["relation", "subject"]


@dataclass(frozen=True, eq=False)
class Trained:
    """What training gives.

    Args:
        scorer: Fitted on everything.
        judged: Every question of the measured sets, judged by networks and heads that never saw the relations of the
            edits concerned, nor the subjects asked about.
    """

    scorer: Scorer
    judged: tuple[Judged, ...] = field(repr=False)


def train(
    sets: Sequence[ScopeSet],
    embedder: Embedder,
    *,
    folds: int = 4,
    seed: int = 0,
    disjoint: Disjoint = "relation",
    thresholds: Mapping[str, float] = THRESHOLDS,
    progress: Callable[[str], None] | None = None,
    card: Mapping[str, Any] | None = None,
) -> Trained:
    """Train a gate.

    Args:
        sets: What to learn from; those that are `only_training` are not measured.
        embedder: Makes the vectors the gate will see; its id is kept with the weights.
        folds: Parts of the cross-fitting, at least 2.
        seed: Of every draw; the same data and seed give the same weights on one machine.
        disjoint: What the folds part. `subject` gives figures in distribution: other subjects, relations seen.
        thresholds: Kept with the weights.
        progress: Is told what is being done.
        card: Kept beside the weights.

    Raises:
        FileRejected: There is nothing to learn from, or all of it is of one relation (or one subject).
        MissingExtra: PyTorch is not installed.
    """
    say = progress or (lambda _: None)
    held = _embedded(sets, embedder, say)
    facts = [fact for one in held for fact in one.facts]
    if not any(question.direct for one in held for question in one.questions):
        raise FileRejected("No question has an edit that answers it.", do="give questions in scope as well")
    groups = relation_groups(facts, np.concatenate([one.relations for one in held]))
    subjects = [same_key(fact.names[0]) if fact.names else fact.id for fact in facts]
    parts = np.array([fold(name, folds) for name in (groups if disjoint == "relation" else subjects)])
    where, start = [], 0
    for one in held:
        where.append(slice(start, start + len(one.facts)))
        start += len(one.facts)
    pairs, pair_parts = _matched(held, where, groups, subjects, parts, _answered)
    if any(not (pair_parts != part).any() for part in range(folds)):
        raise FileRejected(
            f"The data are too few: all questions in scope are about one {disjoint}, which leaves a fold empty.",
            do="give edits of more relations and subjects, or mix in the examples that come with memedit",
        )
    others, other_parts = _matched(held, where, groups, subjects, parts, _unanswered)
    contrasts = embedder.embed(CONTRASTS)
    say("learning the head")
    heads = [
        fit_head(_only(pairs, pair_parts != part), _only(others, other_parts != part), contrasts, seed=seed)
        for part in range(folds)
    ]
    headless = Head(contrasts)
    rng = random.Random(seed)  # noqa: S311 - a sample, no secret
    table = Table()
    measured: list[tuple[Embedded, NDArray[np.int64], list[Rows]]] = []
    for one, place in zip(held, where, strict=True):
        say(f"features of {one.name}")
        asked = rng.sample(range(len(one.questions)), min(MOST_ASKED, len(one.questions)))
        for at, memory in enumerate(MEMORIES):
            for row in rows(one, asked[at :: len(MEMORIES)], heads, headless, parts[place], memory=memory, rng=rng):
                _learn(table, one, row, parts[place], [subjects[place.start + at] for at in row.candidates])
        if not one.only_training:
            every = range(len(one.questions))
            measured.append(
                (one, parts[place], list(rows(one, every, heads, headless, parts[place], memory=None, rng=rng)))
            )
    networks: list[list[Network]] = [[], []]
    kept: list[Network] = []
    tested = [_tested(measured, part) for part in range(folds)]
    for kind in (0, 1):
        for part in range(folds):
            say(f"fitting network {part + 1} of {folds}" + (", without a head" if kind else ""))
            networks[kind].append(fit_network(table.without(part, tested[part]), kind, seed=seed))
        say("fitting the network that is kept" + (", without a head" if kind else ""))
        temperature = fit_temperature(networks[kind], table, kind)
        kept.append(fit_network(table, kind, seed=seed).at(temperature))
        networks[kind] = [network.at(temperature) for network in networks[kind]]
    judged = tuple(judgement for one, own, found in measured for judgement in _judged(one, own, found, networks[0]))
    head = fit_head(pairs, others, contrasts, seed=seed)
    return Trained(Scorer(head, kept[0], kept[1], embedder.space, dict(thresholds), dict(card or {})), judged)


def _embedded(sets: Sequence[ScopeSet], embedder: Embedder, say: Callable[[str], None]) -> list[Embedded]:
    texts = list(dict.fromkeys(text for one in sets for text in texts_of(one)))
    say(f"embedding {len(texts)} texts")
    vectors = dict(zip(texts, embedder.embed(texts), strict=True))
    return [embed(one, vectors) for one in sets]


def _matched(
    held: Sequence[Embedded],
    where: Sequence[slice],
    groups: Sequence[str],
    subjects: Sequence[str],
    parts: NDArray[np.int64],
    matches: Callable[[Embedded], Iterator[tuple[int, int]]],
) -> tuple[Matched, NDArray[np.int64]]:
    """Pairs of a question and an edit, and the edit's fold."""
    found = [
        (one, number, at, place.start + at)
        for one, place in zip(held, where, strict=True)
        for number, at in matches(one)
    ]
    width = held[0].keys.shape[1]

    def stacked(vectors: list[Vectors]) -> Vectors:
        return np.stack(vectors) if vectors else np.empty((0, width), dtype=np.float32)

    pairs = Matched(
        stacked([one.queries[number] for one, number, _, _ in found]),
        stacked([one.keys[at] for one, _, at, _ in found]),
        stacked([one.relations[at] for one, _, at, _ in found]),
        [groups[row] for *_, row in found],
        [subjects[row] for *_, row in found],
    )
    return pairs, np.array([parts[row] for *_, row in found], dtype=np.int64)


def _answered(one: Embedded) -> Iterator[tuple[int, int]]:
    """Each question with each edit that answers it."""
    for number, question in enumerate(one.questions):
        yield from ((number, one.place[edit_id]) for edit_id in sorted(question.direct) if edit_id in one.place)


def _unanswered(one: Embedded) -> Iterator[tuple[int, int]]:
    """Each question with each edit out of scope whose subject it names."""
    mentions = MentionIndex()
    for fact in one.facts:
        mentions.put(fact.id, [" ".join(words(name)) for name in fact.names])
    for number, question in enumerate(one.questions):
        for edit_id in mentions.find(words(one.texts[number]), MOST_SIBLINGS):
            if edit_id not in question.direct | question.bridges | question.unsure:
                yield number, one.place[edit_id]


def _only(pairs: Matched, chosen: NDArray[np.bool_]) -> Matched:
    at = np.flatnonzero(chosen).tolist()
    return Matched(
        pairs.queries[at], pairs.keys[at], pairs.relations[at],
        [pairs.groups[row] for row in at], [pairs.subjects[row] for row in at],
    )  # fmt: skip


def _learn(table: Table, one: Embedded, row: Rows, parts: NDArray[np.int64], subjects: Sequence[str]) -> None:
    """Put the candidates of a question that are worth learning from into the table."""
    negatives = 0
    asked = frozenset(int(parts[at]) for at, role in zip(row.candidates, row.roles, strict=True) if role > 0)
    about = frozenset(name for name, role in zip(subjects, row.roles, strict=True) if role > 0)
    for at, role in enumerate(row.roles):
        negatives += role == 0
        if role > 0 or (role == 0 and negatives <= NEGATIVES):
            table.add(
                (row.features[0][at], row.features[1][at]), int(role),
                frozenset({int(parts[row.candidates[at]])}) | asked, about,
            )  # fmt: skip


def _tested(measured: Sequence[tuple[Embedded, NDArray[np.int64], list[Rows]]], part: int) -> frozenset[str]:
    """The subjects asked about in the measured questions of a fold."""
    return frozenset(
        same_key(one.facts[at].names[0])
        for one, parts, found in measured
        for row in found
        for at, role in zip(row.candidates, row.roles, strict=True)
        if role > 0 and parts[at] == part and one.facts[at].names
    )


def _judged(
    one: Embedded, parts: NDArray[np.int64], found: Sequence[Rows], networks: Sequence[Network]
) -> list[Judged]:
    made = []
    for row in found:
        own = parts[np.asarray(row.candidates)]
        shares = np.empty((len(row.candidates), 3), dtype=np.float32)
        for part in set(own.tolist()):
            shares[own == part] = softmax(networks[part].logits(row.features[0][own == part]))
        question = one.questions[row.question]
        made.append(
            Judged(
                one.name, question.group, question.text, question.direct, question.bridges, question.unsure,
                tuple(one.facts[at].id for at in row.candidates), shares[:, 1:],
            )
        )  # fmt: skip
    return made
