"""Training the default gate on scope sets, so that it can be judged on relations and subjects it has never seen.

Cross-fitting: all edits are parted twice, by relation and by subject. Each part has a head and a network that were
fitted without it. So the network learns how far a head can be trusted on a relation it has never seen and on one that
it has, which the features tell apart; and both are measured. What is kept in the end is fitted on all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memedit.embedders import Embedder
from memedit.embedders.port import Vectors
from memedit.encoder.network import Network, softmax
from memedit.errors import FileRejected
from memedit.gate.features import CONTRASTS, Head
from memedit.gate.learning.grouping import fold, relation_groups
from memedit.gate.learning.head import Matched, fit_head
from memedit.gate.learning.judging import Judged
from memedit.gate.learning.network import Table, fit_network, fit_temperature
from memedit.gate.learning.rows import Embedded, Parted, Rows, embed, rows, texts_of
from memedit.gate.learning.scope_sets import ScopeSet
from memedit.gate.scorer import Scorer
from memedit.index.mentions import MentionIndex
from memedit.text import same_key, words

MEMORIES: tuple[int | None, ...] = (None, 1_000, 100, 10, 2)
"""Edits in memory while training; a gate has to be right in small and in large ones."""
NEGATIVES = 8  # candidates out of scope, nearest first, that are learned from per question
MOST_SIBLINGS = 8  # edits of a subject named in a question out of their scope
MOST_ASKED = 6_000  # questions of one set that are learned from
THRESHOLDS = {"direct": 0.4, "bridge": 0.5}
RELATION, SUBJECT, HEADLESS = 0, 1, 2  # two partings, and the views of a row: by the heads of each, and by none
WITH_HEAD = (RELATION, SUBJECT)


@dataclass(frozen=True, eq=False)
class Trained:
    """What training gives.

    Args:
        scorer: Fitted on everything.
        judged: Every question of the measured sets, judged by networks and heads that never saw the relations of the
            edits concerned, nor the subjects asked about.
        judged_seen: The same, in distribution: relations seen, subjects not.
    """

    scorer: Scorer
    judged: tuple[Judged, ...] = field(repr=False)
    judged_seen: tuple[Judged, ...] = field(repr=False)


def train(
    sets: Sequence[ScopeSet],
    embedder: Embedder,
    *,
    folds: int = 4,
    seed: int = 0,
    thresholds: Mapping[str, float] = THRESHOLDS,
    progress: Callable[[str], None] | None = None,
    card: Mapping[str, Any] | None = None,
) -> Trained:
    """Train a gate.

    Args:
        sets: What to learn from; those that are `only_training` are not measured.
        embedder: Makes the vectors the gate will see; its space is kept with the weights.
        folds: Parts of each cross-fitting, at least 2.
        seed: Of every draw; the same data and seed give the same weights on one machine.
        thresholds: Kept with the weights.
        progress: Is told what is being done.
        card: Kept beside the weights.

    Raises:
        FileRejected: There is nothing to learn from, or all of it is of one relation (or one subject).
        MissingExtra: PyTorch is not installed.
    """
    say = progress or (lambda _: None)
    held = _embedded(sets, embedder, say)
    if not any(question.direct for one in held for question in one.questions):
        raise FileRejected("No question has an edit that answers it.", do="give questions in scope as well")
    known = _known(held)
    contrasts = embedder.embed(CONTRASTS)
    parted = [_parted(kind, known, contrasts, folds, seed, say) for kind in ("relation", "subject")]
    table, measured = _tabled(held, known, parted, Head(contrasts), seed, say)
    networks: dict[int, list[Network]] = {RELATION: [], SUBJECT: [], HEADLESS: []}
    for part in range(folds):
        say(f"fitting networks {part + 1} of {folds}")
        unseen = table.without(RELATION, part, _tested(measured, part))
        networks[RELATION].append(fit_network(unseen, WITH_HEAD, seed=seed))
        networks[HEADLESS].append(fit_network(unseen, (HEADLESS,), seed=seed))
        networks[SUBJECT].append(fit_network(table.without(SUBJECT, part, ()), WITH_HEAD, seed=seed))
    say("fitting what is kept")
    temperature = fit_temperature(
        {view: networks[view] for view in WITH_HEAD}, table, {view: view for view in WITH_HEAD}
    )
    without_head = fit_temperature({RELATION: networks[HEADLESS]}, table, {RELATION: HEADLESS})
    scorer = Scorer(
        fit_head(known.pairs, known.others, contrasts, seed=seed),
        fit_network(table, WITH_HEAD, seed=seed).at(temperature),
        fit_network(table, (HEADLESS,), seed=seed).at(without_head),
        embedder.space,
        dict(thresholds),
        dict(card or {}),
    )
    unseen_judged, seen_judged = (
        _judged(measured, view, [network.at(temperature) for network in networks[view]]) for view in WITH_HEAD
    )
    return Trained(scorer, unseen_judged, seen_judged)


@dataclass(frozen=True, eq=False)
class _Known:
    """All sets' edits and what is known of them.

    Args:
        relations, subjects: Of each edit.
        where: The edits of each set.
        pairs: Questions with the edits that answer them.
        others: Questions with edits of the same subject that do not.
    """

    relations: Sequence[str]
    subjects: Sequence[str]
    where: Sequence[slice]
    pairs: Matched
    others: Matched


def _known(held: Sequence[Embedded]) -> _Known:
    facts = [fact for one in held for fact in one.facts]
    relations = relation_groups(facts, np.concatenate([one.relations for one in held]))
    subjects = [same_key(fact.names[0]) if fact.names else fact.id for fact in facts]
    ends = np.cumsum([len(one.facts) for one in held]).tolist()
    where = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    pairs, others = (_matched(held, where, relations, subjects, matches) for matches in (_answered, _unanswered))
    return _Known(relations, subjects, where, pairs, others)


def _parted(kind: str, known: _Known, contrasts: Vectors, folds: int, seed: int, say: Callable[[str], None]) -> Parted:
    """Heads that were each fitted without a part of the relations, or of the subjects; parts of all edits."""
    by_relation = kind == "relation"
    own, theirs = (
        _parts(pairs.groups if by_relation else pairs.subjects, folds) for pairs in (known.pairs, known.others)
    )
    if any(not (own != part).any() for part in range(folds)):
        raise FileRejected(
            f"The data are too few: all questions in scope are about one {kind}, which leaves a fold empty.",
            do="give edits of more relations and subjects, or mix in the examples that come with memedit",
        )
    heads = []
    for part in range(folds):
        say(f"learning head {part + 1} of {folds}, parted by {kind}")
        pairs, others = _only(known.pairs, own != part), _only(known.others, theirs != part)
        heads.append(fit_head(pairs, others, contrasts, seed=seed))
    return Parted(heads, _parts(known.relations if by_relation else known.subjects, folds))


@dataclass(frozen=True, eq=False)
class _Measured:
    """A set with the parts of its edits and all its questions' rows."""

    held: Embedded
    parted: Sequence[Parted]
    rows: Sequence[Rows]


def _tabled(
    held: Sequence[Embedded],
    known: _Known,
    parted: Sequence[Parted],
    headless: Head,
    seed: int,
    say: Callable[[str], None],
) -> tuple[Table, list[_Measured]]:
    """What is learned from, and what is measured."""
    rng = random.Random(seed)  # noqa: S311 - a sample, no secret
    table = Table(([], [], []))
    measured = []
    for one, place in zip(held, known.where, strict=True):
        say(f"features of {one.name}")
        here = [Parted(parting.heads, parting.parts[place]) for parting in parted]
        subjects = known.subjects[place]
        asked = rng.sample(range(len(one.questions)), min(MOST_ASKED, len(one.questions)))
        for at, memory in enumerate(MEMORIES):
            for row in rows(one, asked[at :: len(MEMORIES)], here, headless, memory=memory, rng=rng):
                _learn(table, row, here, [subjects[candidate] for candidate in row.candidates])
        if not one.only_training:
            found = rows(one, range(len(one.questions)), here, headless, memory=None, rng=rng)
            measured.append(_Measured(one, here, list(found)))
    return table, measured


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
    matches: Callable[[Embedded], Iterator[tuple[int, int]]],
) -> Matched:
    """Pairs of a question and an edit."""
    found = [
        (one, number, at, place.start + at)
        for one, place in zip(held, where, strict=True)
        for number, at in matches(one)
    ]
    width = held[0].keys.shape[1]

    def stacked(vectors: list[Vectors]) -> Vectors:
        return np.stack(vectors) if vectors else np.empty((0, width), dtype=np.float32)

    return Matched(
        stacked([one.queries[number] for one, number, _, _ in found]),
        stacked([one.keys[at] for one, _, at, _ in found]),
        stacked([one.relations[at] for one, _, at, _ in found]),
        [groups[row] for *_, row in found],
        [subjects[row] for *_, row in found],
    )


def _parts(labels: Sequence[str], folds: int) -> NDArray[np.int64]:
    return np.array([fold(label, folds) for label in labels], dtype=np.int64)


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


def _learn(table: Table, row: Rows, parted: Sequence[Parted], subjects: Sequence[str]) -> None:
    """Put the candidates of a question that are worth learning from into the table."""
    negatives = 0
    sought = [at for at, role in enumerate(row.roles) if role > 0]
    asked = [frozenset(parting.parts[[row.candidates[at] for at in sought]].tolist()) for parting in parted]
    about = frozenset(subjects[at] for at in sought)
    for at, role in enumerate(row.roles):
        negatives += role == 0
        if role > 0 or (role == 0 and negatives <= NEGATIVES):
            own = [int(parting.parts[row.candidates[at]]) for parting in parted]
            parts = tuple(frozenset({part}) | all_of for part, all_of in zip(own, asked, strict=True))
            table.add([view[at] for view in row.features], int(role), parts, about)


def _tested(measured: Sequence[_Measured], part: int) -> frozenset[str]:
    """The subjects asked about in the measured questions about a part of the relations."""
    return frozenset(
        same_key(one.held.facts[at].names[0])
        for one in measured
        for row in one.rows
        for at, role in zip(row.candidates, row.roles, strict=True)
        if role > 0 and one.parted[RELATION].parts[at] == part and one.held.facts[at].names
    )


def _judged(measured: Sequence[_Measured], view: int, networks: Sequence[Network]) -> tuple[Judged, ...]:
    """Every measured question, each candidate judged by the network that did not see its part."""
    return tuple(_judgement(one, row, view, networks) for one in measured for row in one.rows)


def _judgement(one: _Measured, row: Rows, view: int, networks: Sequence[Network]) -> Judged:
    own = one.parted[view].parts[np.asarray(row.candidates)]
    shares = np.empty((len(row.candidates), 3), dtype=np.float32)
    for part in set(own.tolist()):
        shares[own == part] = softmax(networks[part].logits(row.features[view][own == part]))
    question = one.held.questions[row.question]
    return Judged(
        one.held.name, question.group, question.text, question.direct, question.bridges, question.unsure,
        tuple(one.held.facts[at].id for at in row.candidates), shares[:, 1:],
    )  # fmt: skip
