"""Reading queries and edits word by word: normal forms, crude stems, how much of a name occurs, what is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Literal

from memedit.edits import Fact
from memedit.text import FUNCTION_WORDS, WORD, bare, words

SLIP = 0.98  # how far a name is named that has one slip of the keyboard in a word
BREAK = re.compile(r"[.,:;!?()\[\]\"“”»\n]")
SUFFIX = re.compile(
    r"(?<=\w{3})(?:i[sz]ations?|ations?|ings?|ments?|ness|it(?:y|ies)|ions?|ers?|ors?|ians?"
    r"|ied|ies|ed|es|als?|ly|ic|s|e|y)$"
)
Type = Literal["date", "number", "name", "word"]

TITLES = frozenset("dr mr mrs ms prof professor president king queen sir lady captain saint".split())
DATE = re.compile(
    r"\b(?:1[0-9]|20)\d\d\b|\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b"
    r"|\b(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b",
    re.IGNORECASE,
)
WANTS: tuple[tuple[Type, re.Pattern[str]], ...] = (
    ("date", re.compile(r"\b(?:when|(?:what|which|in what) (?:year|date|day|month|century|decade))\b", re.IGNORECASE)),
    (
        "number",
        re.compile(r"\bhow (?:many|much|old|tall|high|long|far|fast|big|large|heavy|deep|wide)\b", re.IGNORECASE),
    ),
    ("name", re.compile(r"\b(?:who|whom|whose|where|which|name of)\b", re.IGNORECASE)),
)
ASKS = re.compile(
    r"\?\s*$|^\W*(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could|will|would|has"
    r"|have|tell|name|give|list|show|explain|describe)\b",
    re.IGNORECASE,
)
NEGATED = re.compile(
    r"\b(?:not|never|no longer|without|except|other than|besides|apart from|instead of|\w+n['’]t)\b", re.IGNORECASE
)
RULED_OUT = re.compile(
    r"\b(?:(?:which|who|that) (?:is|are|was|were) not|other than|besides|apart from|aside from|except(?: for)?"
    r"|excluding) (?:the |an? )?",
    re.IGNORECASE,
)
ROMAN = re.compile(r"x{0,3}(?:ix|iv|v?i{0,3})")
PASSIVE = re.compile(r"\b\w+(?:ed|en|ung|old|ught|ade|un|it|et|id) by\b", re.IGNORECASE)
QUOTES = re.compile(r"[\"“”„«»`]|\n")


@dataclass(frozen=True)
class Reading:
    """A query word by word.

    Args:
        text: As it was given.
        words: In their normal form.
        stems: Theirs.
        capital: Which begin with a capital, or with a digit.
        joined: Which follow the word before them without a sentence or clause ending in between.
    """

    text: str
    words: tuple[str, ...]
    stems: tuple[str, ...]
    capital: tuple[bool, ...]
    joined: tuple[bool, ...]

    @cached_property
    def trigrams(self) -> frozenset[str]:
        """Of its letters, with a blank around every word."""
        return trigrams(self.words)

    @cached_property
    def initials(self) -> frozenset[str]:
        """Its words, and the initials of the names in it: what an abbreviation can be found by."""
        runs: list[list[str]] = []
        run: list[str] = []
        for word, capital, joined in zip(self.words, self.capital, self.joined, strict=True):
            if not (capital and joined):
                runs, run = [*runs, run], []
            if capital:
                run = [*run, word]
        found = {
            "".join(word[0] for word in names[start:]) for names in (*runs, run) for start in range(len(names) - 1)
        }
        return frozenset(found | {word for word, capital in zip(self.words, self.capital, strict=True) if capital})

    @cached_property
    def starting(self) -> Mapping[str, list[int]]:
        """The places of its words, by their first letter."""
        places: dict[str, list[int]] = {}
        for at, word in enumerate(self.words):
            places.setdefault(word[0], []).append(at)
        return places

    @cached_property
    def content(self) -> tuple[int, ...]:
        """The places of its words that say something."""
        return tuple(at for at, word in enumerate(self.words) if word not in FUNCTION_WORDS)

    @cached_property
    def stem_set(self) -> frozenset[str]:
        return frozenset(self.stems)

    @cached_property
    def numbers(self) -> frozenset[str]:
        return frozenset(filter(is_number, self.words))

    @cached_property
    def passive(self) -> bool:
        """Whether something is done by somebody: “is followed by”, against “follows”."""
        return PASSIVE.search(self.text) is not None

    @cached_property
    def wants(self) -> Type | None:
        """The type of answer it asks for, where a question word tells."""
        return next((kind for kind, asked in WANTS if asked.search(self.text)), None)

    @cached_property
    def asks(self) -> bool:
        """Whether it is a question or an order, and no text to go on with."""
        return ASKS.search(self.text) is not None

    @cached_property
    def negated(self) -> bool:
        return NEGATED.search(self.text) is not None

    @cached_property
    def quotes(self) -> bool:
        """Whether it holds a quotation, code, or several lines."""
        return QUOTES.search(self.text) is not None

    def is_name(self, at: int) -> bool:
        """Whether the word is written as a name. Capitals in the first word mean nothing, unless the second has one."""
        return self.capital[at] and self.words[at] not in TITLES and bool(at or self.capital[1:2] == (True,))

    def goes_on(self, first: int, last: int, strange: Iterable[int]) -> bool:
        """Whether a name at these words is joined to a strange capitalised word, and so is part of a longer name."""
        before, after = first - 1, last + 1
        return (before in strange and self.joined[first]) or (after in strange and self.joined[after])


@dataclass(frozen=True, slots=True)
class Known:
    """What a Fact is recognised by.

    Args:
        names: Of its subject, as words.
        trigrams: Of each name.
        initials: Of each name, and names that are one short word.
        relation: The stems of its relation text.
        passive: Whether its relation text says that something is done by somebody.
        gives: The type of its object.
    """

    names: tuple[tuple[str, ...], ...]
    trigrams: tuple[frozenset[str], ...]
    initials: frozenset[str]
    relation: frozenset[str]
    passive: bool
    gives: Type | None


def read(text: str) -> Reading:
    """Read a query."""
    flat = bare(text)
    found = list(WORD.finditer(flat))
    folded = tuple(word[0].casefold() for word in found)
    gaps = ["", *(flat[one.end() : other.start()] for one, other in pairwise(found))] if found else []
    joined = tuple(not BREAK.search(gap) or _initial(found[max(at - 1, 0)][0], gap) for at, gap in enumerate(gaps))
    return Reading(text, folded, tuple(map(stem, folded)), tuple(not word[0][0].islower() for word in found), joined)


def know(fact: Fact) -> Known:
    """Read a Fact."""
    return _know(fact.names, fact.relation_text, fact.object)


@lru_cache(maxsize=4_096)
def known_by(names: tuple[str, ...], told: str) -> Known:
    """What is known of a thing by its names, and by what is told of it."""
    return _know.__wrapped__(names, told, None)


@lru_cache(maxsize=65_536)
def _know(given: tuple[str, ...], relation: str, value: str | None) -> Known:
    names = tuple(name for name in dict.fromkeys(words(name) for name in given) if name)
    initials = {"".join(word[0] for word in name) for name in names if len(name) > 1}
    initials |= {name[0] for name in names if len(name) == 1 and 1 < len(name[0]) <= 6}
    spelled = tuple(trigrams(name) for name in names)
    return Known(
        names,
        spelled,
        frozenset(initials),
        _stems(words(relation)),
        PASSIVE.search(relation) is not None,
        type_of(value) if value else None,
    )


def rules_out(query: str, fact: Fact) -> bool:
    """Whether a query asks for something else than the object: “X's employer, which is not Acme, is”."""
    told = [words(query[found.end() :]) for found in RULED_OUT.finditer(query)]
    objects = [words(name) for name in (fact.answer, *fact.object_aliases) if name] if told else []
    return any(name and rest[: len(name)] == name for rest in told for name in objects)


def type_of(value: str) -> Type:
    """What kind of answer an object is, as far as its letters tell."""
    if DATE.search(value):
        return "date"
    if any(char.isdigit() for char in value):
        return "number"
    return "name" if value[:1].isupper() else "word"


def trigrams(found: Iterable[str]) -> frozenset[str]:
    """The letter trigrams of words."""
    return frozenset(
        padded[at : at + 3] for word in found for padded in (f" {word} ",) for at in range(len(padded) - 2)
    )


def is_number(word: str) -> bool:
    """Whether a normalised word is or holds a number: in digits (`a350`), or in Roman numerals to xxxix but i."""
    return any(map(str.isdigit, word)) or (word != "i" and ROMAN.fullmatch(word) is not None)


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A crude stem: enough to join `founded`, `founder` and `founding`."""
    short = SUFFIX.sub("", word)
    return short[:-1] if len(short) > 4 and short[-1] == short[-2] else short


def mention(query: Reading, name: tuple[str, ...]) -> tuple[float, tuple[int, ...]]:
    """How much of a name occurs in the query, in [0, 1], and at which words."""
    size = len(name)
    last = len(query.words) - size
    for start in query.starting.get(name[0][0], ()):
        if start > last:
            break
        here = query.words[start : start + size]
        if here == name:
            return 1.0, tuple(range(start, start + size))
        if (size > 1 or len(name[0]) > 6) and all(map(_alike, here, name)):
            return SLIP, tuple(range(start, start + size))
    share, places = 0.0, []
    for word in name:
        at = next((at for at in query.starting.get(word[0], ()) if _alike(query.words[at], word)), None)
        if at is not None:
            share += len(word) * (1.0 if query.words[at] == word else 0.9)
            places += [at] * (word not in FUNCTION_WORDS)
    # "Route 6" is no part of "Route 66", nor "Henry II" of "Henry III": another number is another thing.
    other_number = any(is_number(word) and word not in query.words for word in name)
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
