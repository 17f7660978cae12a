"""Scope sets as rows of features: each question with the candidates a memory of some size would propose for it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from memedit.edits import Fact
from memedit.embedders.port import Vectors
from memedit.gate.features import GEOMETRY, Head, competition, geometry, text_features
from memedit.gate.focus import focus
from memedit.gate.learning.scope_sets import Question, ScopeSet
from memedit.gate.reading import know, read
from memedit.index.mentions import MentionIndex
from memedit.memory.recall import MOST_NAMED
from memedit.text import words

CANDIDATES = 16  # as many as `EditMemory.recall` proposes when it is not told otherwise
NEAR = 3  # at most so many of the nearest edits, in a small memory; often one, without others of its subject
SHARED_FROM = 200  # edits; larger memories serve a batch of questions, since filling one takes longer than asking
BATCH = 40


@dataclass(frozen=True, eq=False)
class Embedded:
    """A scope set with its vectors.

    Args:
        facts: Its edits.
        questions: Those that ask something.
        texts: What each asks (see `focus`), which is what is embedded.
        keys, relations: Of the edits' key texts and relation texts, (facts, d).
        queries: Of the texts, (questions, d).
    """

    name: str
    facts: tuple[Fact, ...]
    questions: tuple[Question, ...]
    texts: tuple[str, ...]
    keys: Vectors = field(repr=False)
    relations: Vectors = field(repr=False)
    queries: Vectors = field(repr=False)
    only_training: bool = False

    @cached_property
    def place(self) -> Mapping[str, int]:
        """Where each edit stands, by id."""
        return {fact.id: at for at, fact in enumerate(self.facts)}


def embed(scope_set: ScopeSet, vectors_of: Mapping[str, Vectors]) -> Embedded:
    """A scope set with vectors looked up by text."""
    facts, asked = tuple(_facts(scope_set)), tuple(_asked(scope_set))
    width = len(next(iter(vectors_of.values())))

    def stacked(texts: Iterable[str]) -> Vectors:
        found = [vectors_of[text] for text in texts]
        return np.stack(found) if found else np.empty((0, width), dtype=np.float32)

    return Embedded(
        scope_set.name, facts, tuple(question for question, _ in asked), tuple(text for _, text in asked),
        stacked(fact.key_text for fact in facts), stacked(fact.relation_text for fact in facts),
        stacked(text for _, text in asked), scope_set.only_training,
    )  # fmt: skip


def texts_of(scope_set: ScopeSet) -> Iterator[str]:
    """Every text of a set whose vector is needed."""
    for fact in _facts(scope_set):
        yield from (fact.key_text, fact.relation_text)
    yield from (text for _, text in _asked(scope_set))


@dataclass(frozen=True, eq=False)
class Parted:
    """Heads that were each fitted without one part of all edits.

    Args:
        heads: One a part.
        parts: The part each edit of a set is of, (facts,).
    """

    heads: Sequence[Head]
    parts: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rows:
    """One question's candidates.

    Args:
        question: Its number in the set.
        candidates: The edits' numbers in the set, nearest first.
        roles: What each is to the question, as `Question.role` says; (n,).
        features: With the heads of each parting, and at last without any; (n, features) each.
    """

    question: int
    candidates: Sequence[int]
    roles: NDArray[np.int64]
    features: tuple[Vectors, ...]


def rows(
    held: Embedded, asked: Sequence[int], parted: Sequence[Parted], headless: Head,
    *, memory: int | None, rng: random.Random,
) -> Iterator[Rows]:  # fmt: skip
    """The rows of some questions.

    Args:
        parted: A candidate's features come from the heads that did not see the part it is of.
        memory: How many edits lie in memory, drawn anew every few questions; None for all.
    """
    size = len(held.facts)
    lookup = _Lookup(held, range(size)) if memory is None or memory >= size else None
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        if lookup is None and memory is not None and memory >= SHARED_FROM:
            own = {at for number in batch for at in _own(held, number)}
            shared = _Lookup(held, sorted(own.union(rng.sample(range(size), memory))))
        for number in batch:
            if lookup is not None:
                found = lookup
            elif memory is not None and memory >= SHARED_FROM:
                found = shared
            else:
                found = _Lookup(held, sorted(_few(held, number, memory or 1, rng)))
            candidates = found.candidates(number)
            yield _rows(held, number, candidates, parted, headless)


class _Lookup:
    """A memory of some of a set's edits; proposes what `EditMemory.recall` proposes."""

    def __init__(self, held: Embedded, places: Sequence[int]) -> None:
        self._held = held
        self._places = np.asarray(places)
        self._keys = held.keys[self._places]
        self._mentions = MentionIndex()
        for at in self._places:
            self._mentions.put(str(at), [" ".join(words(name)) for name in held.facts[at].names])

    def candidates(self, number: int) -> list[int]:
        similarity = self._keys @ self._held.queries[number]
        order = np.argsort(-similarity, kind="stable")
        near = self._places[order[:CANDIDATES]].tolist()
        named = [int(at) for at in self._mentions.find(words(self._held.texts[number]), MOST_NAMED)]
        close = {at: float(self._held.keys[at] @ self._held.queries[number]) for at in {*near, *named}}
        extra = sorted(set(named) - set(near), key=lambda at: -close[at])[:CANDIDATES]
        return sorted([*near, *extra], key=lambda at: -close[at])


def _rows(held: Embedded, number: int, candidates: list[int], parted: Sequence[Parted], headless: Head) -> Rows:
    reading, query = read(held.texts[number]), held.queries[number]
    known = [know(held.facts[at]) for at in candidates]
    text = np.array([text_features(reading, one) for one in known], dtype=np.float32)
    keys, relations = held.keys[candidates], held.relations[candidates]
    names = [one.names for one in known]
    made = []
    for parting in parted:
        own = np.empty((len(candidates), len(GEOMETRY)), dtype=np.float32)
        parts = parting.parts[candidates]
        for part in set(parts.tolist()):
            mine = parts == part
            own[mine] = geometry(query, keys[mine], relations[mine], parting.heads[part])
        made.append(own)
    made.append(geometry(query, keys, relations, headless))
    question = held.questions[number]
    return Rows(
        number,
        candidates,
        np.array([question.role(held.facts[at].id) for at in candidates]),
        tuple(np.hstack((text, one, competition(names, text, one))).astype(np.float32) for one in made),
    )


def _own(held: Embedded, number: int) -> set[int]:
    question = held.questions[number]
    return {held.place[one] for one in question.direct | question.bridges | question.unsure if one in held.place}


def _few(held: Embedded, number: int, memory: int, rng: random.Random) -> set[int]:
    """A small memory: the question's own edits, mostly the nearest others, and any."""
    size = len(held.facts)
    some = set(rng.sample(range(size), min(memory, size)))
    if rng.random() < 0.7:
        some |= set(np.argsort(-(held.keys @ held.queries[number]))[: rng.randint(1, NEAR)].tolist())
    return some | set(sorted(_own(held, number))[:memory])


def _facts(scope_set: ScopeSet) -> Iterator[Fact]:
    return (edit for edit in scope_set.edits if isinstance(edit, Fact))


def _asked(scope_set: ScopeSet) -> Iterator[tuple[Question, str]]:
    for question in scope_set.questions:
        if text := focus((("user", question.text),)).query:
            yield question, text
