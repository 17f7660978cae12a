"""What a text and a patch's condition measure: one row of features a pair, from words alone or with vectors.

Each clause of the text is compared with the condition; the features of the one that fits best stand beside those of the
whole. Words count as the same when their stems are, or when one speaks of the topic that the other names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from memedit.embedders import Embedder, Vectors
from memedit.embedders.port import QueryCache
from memedit.gate.patch_reading import Clause, Condition, clauses, condition, stem, topics_of
from memedit.text import FUNCTION_WORDS

WORDS = (
    "clause says", "clause says all", "denial agrees", "other topic", "topic said", "own words said", "text says",
    "elsewhere", "length", "has topic", "denies", "clauses",
)  # fmt: skip
VECTORS = ("clause like words", "least like word", "clause likeness", "best likeness", "text likeness")
FEATURES = (*WORDS, *VECTORS)
SAME_TOPIC = 0.95  # how far a word of a topic counts as the word that names it
MOST_CLAUSES = 64  # of a text; what follows is not read


@dataclass(frozen=True, slots=True)
class Read:
    """A text as the patch gate reads it.

    Args:
        text: The text.
        clauses: Its clauses.
        stems: For each clause, where the stem of each of its words stands first.
        topics: For each clause, the topics it speaks of, and where.
    """

    text: str
    clauses: tuple[Clause, ...]
    stems: tuple[Mapping[str, int], ...]
    topics: tuple[Mapping[str, int], ...]


@dataclass(frozen=True, slots=True)
class Vectored:
    """The vectors a look-up needs, by text.

    Args:
        of_words: Of single words.
        of_texts: Of clauses and conditions' phrases.
    """

    of_words: Mapping[str, Vectors]
    of_texts: Mapping[str, Vectors]


def read_text(text: str) -> Read:
    """The clauses of a text, with their words by stem and by topic."""
    found = clauses(text)[:MOST_CLAUSES]
    stems, topics = [], []
    for clause in found:
        places: dict[str, int] = {}
        spoken: dict[str, int] = {}
        for at, word in enumerate(clause.words):
            places.setdefault(stem(word), at)
            for topic in topics_of(word):
                spoken.setdefault(topic, at)
        stems.append(places)
        topics.append(spoken)
    return Read(text, found, tuple(stems), tuple(topics))


def vectored(read: Read, conditions: Sequence[Condition], embedder: Embedder, cache: QueryCache) -> Vectored:
    """The vectors of the words, clauses and phrases, those not known yet embedded in one pass."""
    spoken = {word for clause in read.clauses for word in clause.words if word not in FUNCTION_WORDS}
    single = [*dict.fromkeys([*sorted(spoken), *(word for one in conditions for word in one.said)])]
    whole = list(
        dict.fromkeys([*(read.text[one.start : one.end] for one in read.clauses), *(one.phrase for one in conditions)])
    )
    vectors = cache.embed(embedder, [*single, *whole])
    of_words = dict(zip(single, vectors, strict=False))
    return Vectored(of_words, dict(zip(whole, vectors[len(single) :], strict=True)))


def rows(read: Read, conditions: Sequence[Condition], similar: Sequence[float], known: Vectored | None) -> Vectors:
    """One row a condition, (conditions, features): `FEATURES` with vectors, `WORDS` without.

    similar: Cosine of text and condition, as the memory gives it.
    """
    made = [_row(read, one, cosine, known)[0] for one, cosine in zip(conditions, similar, strict=True)]
    width = len(WORDS) if known is None else len(FEATURES)
    return np.array(made, dtype=np.float32).reshape(len(made), width)


def locate(text: str, said: str) -> tuple[int, int] | None:
    """Where the clause of the text stands that fits a condition best, by words alone; None where none says a word of
    it.

    It gives (start, end) in characters.
    """
    read = read_text(text)
    _, best = _row(read, condition(said), 0.0, None)
    return None if best is None else (read.clauses[best].start, read.clauses[best].end)


def _row(read: Read, one: Condition, cosine: float, known: Vectored | None) -> tuple[list[float], int | None]:
    if not read.clauses:
        return [0.0] * (len(WORDS) if known is None else len(FEATURES)), None
    likeness = [_likeness(read, clause, one, known) for clause in read.clauses]
    measured = [_clause_row(read, place, one, known) for place in range(len(read.clauses))]
    fits = [row[0] + 0.3 * row[2] + 0.5 * max(like, 0.0) for (row, _), like in zip(measured, likeness, strict=True)]
    best = int(np.argmax(fits))
    row, soft = measured[best]
    said = np.max([exact for _, exact in (_said(read, place, one) for place in range(len(read.clauses)))], axis=0)
    whole = float(said.mean())
    found: list[float] = [
        *row, whole, whole - row[0], min(len(one.said), 6) / 6, float(any(one.topics)), float(any(one.denied)),
        min(len(read.clauses), 8) / 8,
    ]  # fmt: skip
    if known is not None:
        found += [*soft, likeness[best], max(likeness), cosine]
    return found, best if whole > 0 else None


def _clause_row(
    read: Read, place: int, one: Condition, known: Vectored | None
) -> tuple[list[float], tuple[float, float]]:
    clause = read.clauses[place]
    places, exact = _said(read, place, one)
    own = [at for at, topics in enumerate(one.topics) if not topics]
    agrees = [1.0 if clause.denied[places[at]] == one.denied[at] else -1.0 for at in own if places[at] >= 0]
    wanted = frozenset().union(*one.topics)
    shared = wanted & set(read.topics[place])
    row = [
        float(exact.mean()),
        float(exact.min() > 0),
        float(np.mean(agrees)) if agrees else 0.0,
        float(bool(wanted and read.topics[place] and not shared)),
        float(bool(shared)),
        float(all(places[at] >= 0 for at in own)),
    ]
    if known is None:
        return row, (0.0, 0.0)
    spoken = [known.of_words[word] for word in clause.words if word in known.of_words]
    if not spoken:
        return row, (float(exact.mean()), float(exact.min()))
    near = np.max(np.stack([known.of_words[word] for word in one.said]) @ np.stack(spoken).T, axis=1)
    soft = np.maximum(exact, np.clip(near, 0, 1))
    return row, (float(soft.mean()), float(soft.min()))


def _said(read: Read, place: int, one: Condition) -> tuple[list[int], Vectors]:
    """For each word of a condition, where the clause says it (-1 where it does not), and how exactly, in [0, 1]."""
    stems, topics = read.stems[place], read.topics[place]
    places, exact = [], []
    for word, named in zip(one.said, one.topics, strict=True):
        at = stems.get(stem(word), -1)
        by_topic = next((topics[topic] for topic in named if topic in topics), -1)
        places.append(at if at >= 0 else by_topic)
        exact.append(1.0 if at >= 0 else SAME_TOPIC if by_topic >= 0 else 0.0)
    return places, np.array(exact, dtype=np.float32)


def _likeness(read: Read, clause: Clause, one: Condition, known: Vectored | None) -> float:
    if known is None:
        return 0.0
    return float(known.of_texts[read.text[clause.start : clause.end]] @ known.of_texts[one.phrase])
