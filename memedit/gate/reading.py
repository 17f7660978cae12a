"""Reading queries and edits word by word: normal forms, crude stems, and how much of a name occurs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from memedit.edits import Fact
from memedit.text import FUNCTION_WORDS, WORD, bare, words

SLIP = 0.98  # how far a name is named that has one slip of the keyboard in a word
BREAK = re.compile(r"[.,:;!?()\[\]\"“”»\n]")
SUFFIX = re.compile(
    r"(?<=\w{3})(?:i[sz]ations?|ations?|ings?|ments?|ness|it(?:y|ies)|ions?|ers?|ors?|ians?"
    r"|ied|ies|ed|es|als?|ly|ic|s|e|y)$"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A query word by word.

    Args:
        words: In their normal form.
        stems: Theirs.
        capital: Which begin with a capital, or with a digit.
        joined: Which follow the word before them without a sentence or clause ending in between.
    """

    words: tuple[str, ...]
    stems: tuple[str, ...]
    capital: tuple[bool, ...]
    joined: tuple[bool, ...]

    def goes_on(self, first: int, last: int, strange: Iterable[int]) -> bool:
        """Whether a name at these words is joined to a strange capitalised word, and so is part of a longer name."""
        before, after = first - 1, last + 1
        return (before in strange and self.joined[first]) or (after in strange and self.joined[after])


@dataclass(frozen=True, slots=True)
class Known:
    """What a Fact is recognised by: the names of its subject, as words, and the stems of its relation text."""

    names: tuple[tuple[str, ...], ...]
    relation: frozenset[str]


def read(text: str) -> Reading:
    """Read a query."""
    flat = bare(text)
    found = list(WORD.finditer(flat))
    folded = tuple(word[0].casefold() for word in found)
    gaps = ["", *(flat[one.end() : other.start()] for one, other in pairwise(found))]
    joined = tuple(not BREAK.search(gap) or _initial(found[max(at - 1, 0)][0], gap) for at, gap in enumerate(gaps))
    return Reading(folded, tuple(map(stem, folded)), tuple(not word[0][0].islower() for word in found), joined)


def know(fact: Fact) -> Known:
    """Read a Fact."""
    return _know(fact.names, fact.relation_text)


@lru_cache(maxsize=65_536)
def _know(given: tuple[str, ...], relation: str) -> Known:
    names = dict.fromkeys(words(name) for name in given)
    return Known(tuple(name for name in names if name), _stems(words(relation)))


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A crude stem: enough to join `founded`, `founder` and `founding`."""
    short = SUFFIX.sub("", word)
    return short[:-1] if len(short) > 4 and short[-1] == short[-2] else short


def mention(query: Reading, name: tuple[str, ...]) -> tuple[float, tuple[int, ...]]:
    """How much of a name occurs in the query, in [0, 1], and at which words."""
    size = len(name)
    for start in range(len(query.words) - size + 1):
        here = query.words[start : start + size]
        if here == name:
            return 1.0, tuple(range(start, start + size))
        if (size > 1 or len(name[0]) > 6) and all(map(_alike, here, name)):
            return SLIP, tuple(range(start, start + size))
    share, places = 0.0, []
    for word in name:
        at = next((at for at, other in enumerate(query.words) if _alike(other, word)), None)
        if at is not None:
            share += len(word) * (1.0 if query.words[at] == word else 0.9)
            places += [at] * (word not in FUNCTION_WORDS)
    # "Route 6" is no part of "Route 66": another number is another thing.
    other_number = any(word.isdigit() and word not in query.words for word in name)
    whole = 0.5 if other_number else 0.95
    return (whole * share / sum(map(len, name)) if places else 0.0), tuple(places)


def _initial(before: str, gap: str) -> bool:
    """Whether the gap is the full stop of an initial: “J. Smith”."""
    return len(before) == 1 and before.isalpha() and gap.strip() == "."


def _stems(found: Iterable[str]) -> frozenset[str]:
    return frozenset(stem(word) for word in found if word not in FUNCTION_WORDS)


def _alike(one: str, other: str) -> bool:
    """Equal, or equal but for one slip of the keyboard: a letter more, less, changed, or two swapped."""
    if one == other:
        return True
    if one[0] != other[0] or not -2 < len(one) - len(other) < 2 or len(one) + len(other) < 9:
        return False
    if not (one.isalpha() and other.isalpha()):
        return False
    size = max(len(one), len(other))
    shortest = min(len(one), len(other))
    head = next((at for at in range(shortest) if one[at] != other[at]), shortest)
    tail = next((at for at in range(shortest) if one[-1 - at] != other[-1 - at]), shortest)
    if head + tail >= size - 1:
        return True
    return (
        len(one) == len(other) and head + tail == size - 2 and one[head : head + 2] == other[head + 1 : head - 1 : -1]
    )
