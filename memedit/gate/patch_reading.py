"""Reading texts and conditions for the patch gate: clauses, what each says, and what it denies.

A condition (“the food is described as wug”) is a property of a text, and in most texts of one clause of it. So a text
is cut into clauses, and what counts is whether one clause says what the condition says, of the same thing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

from memedit.text import FUNCTION_WORDS, words
from memedit.text.conditional import PROTECTED

CUT = re.compile(
    r"[.!?;:\n]+\s*|\s[—–-]+\s|,\s+(?:and |but |yet |so |or )?|"
    r"\s+(?:but|although|(?<!\beven )though|even though|even if|while|whereas|yet|however|because|since|"
    r"despite the fact that|despite|except that)\s+|"
    r"\s+and\s+(?=(?:the|it|they|we|i|my|our|their|its|his|her|this|that|there)\b)",
    re.I,
)
LEAD = re.compile(
    r"^(?:and|but|although|though|even though|even if|while|whereas|yet|however|because|since|despite)\s+", re.I
)
VERB = re.compile(
    r"\b(?:is|are|was|were|be|been|has|have|had|do|does|did|will|would|can|could|should|may|seems?|seemed|looks?|looked|"
    r"felt|feels?|tastes?|tasted|n't|\w+ed|\w+s)\b",
    re.I,
)
SUBJECT = re.compile(r"(?:i|we|you|he|she|it|they|there|this|that|the|my|our|your|his|her|its|their)\b", re.I)
DENIES = frozenset(
    "not no never none nothing nobody neither nor without hardly barely scarcely lacks lacked lacking cannot isnt "
    "arent wasnt werent dont doesnt didnt wont wouldnt cant couldnt hasnt havent hadnt aint".split()
)
FRAME = re.compile(
    r"^(?:the |this |that |a |an |some)?(?:review(?:er)?|text|author|writer|customer|user|message|email|e-mail|"
    r"sentence|comment|post|guest|passage|tweet|someone|one|ticket|article|input|question|request)s?\s+"
    r"(?:clearly |explicitly |also )?(?:says?|states?|mentions?|claims?|complains?|writes?|finds?|calls?|describes?|"
    r"contains?|includes?|uses?|has|have|thinks?|feels?|reports?|notes?|talks? about|speaks? of|is about|asks?)\s+"
    r"(?:that |about |of |for )?(?:(?:the )?(?:phrases? or words?|words? or phrases?|words?|phrases?|terms?|"
    r"expressions?)"
    r"(?: like| such as)?\s+)?",
    re.I,
)
DESCRIBED = frozenset(
    "described called said found considered spoken mentioned talked referred being been seems very really quite "
    "rather too so surprisingly extremely truly like words word phrase phrases contains mentions as".split()
)


@dataclass(frozen=True, slots=True)
class Clause:
    """A stretch of a text that says one thing.

    Args:
        start, end: Where it stands in the text.
        words: All its words.
        denied: For each word, whether it stands behind a negation.
    """

    start: int
    end: int
    words: tuple[str, ...]
    denied: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """What a condition says.

    Args:
        said: The words that count, without the frame (“the review says that …”).
        denied: For each of them, whether the condition denies it.
        phrase: The text without its frame, to be compared as a whole.
        topics: For each of them, the topics it names (`service`, of which a waiter is part).
    """

    said: tuple[str, ...]
    denied: tuple[bool, ...]
    phrase: str
    topics: tuple[frozenset[str], ...]


def clauses(text: str) -> tuple[Clause, ...]:
    """The clauses of a text, in order; at least one where it has a word. What stands in quotes is not cut."""
    masked = PROTECTED.sub(lambda found: "x" * len(found[0]), text)
    pieces, start = [], 0
    for cut in CUT.finditer(masked):
        pieces.append((start, cut.start()))
        start = cut.end()
    pieces.append((start, len(text)))
    joined: list[tuple[int, int]] = []
    for begin, end in pieces:
        if not text[begin:end].strip():
            continue
        piece = text[begin:end]
        bare_list = not VERB.search(piece) and not SUBJECT.match(piece)
        if (
            joined and bare_list and text[joined[-1][1] : begin].lstrip().startswith(",")
        ):  # “cold, bland and dry”: one clause goes on
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return tuple(_clause(text, begin, end) for begin, end in joined)


@lru_cache(maxsize=4_096)
def condition(text: str) -> Condition:
    """What a condition says. Its negations reach to its end, as in a clause."""
    phrase = text.strip()
    while (shorter := FRAME.sub("", phrase, count=1)) != phrase and words(shorter):
        phrase = shorter
    said, denied, behind = [], [], False
    for word in _spoken(phrase):
        if word in DENIES:
            behind = not behind
        elif word not in FUNCTION_WORDS and word not in DESCRIBED:
            said.append(word)
            denied.append(behind)
    if not said:
        said, denied = list(words(phrase)), [False] * len(words(phrase))
    return Condition(tuple(said), tuple(denied), phrase, tuple(named_topics(word) for word in said))


def named_topics(word: str) -> frozenset[str]:
    """The topics of which this word is a name: what is said of any of their words is said of it."""
    return _lexicon()[0].get(stem(word), frozenset())


def topics_of(word: str) -> frozenset[str]:
    """The topics that this word speaks of."""
    return _lexicon()[1].get(stem(word), frozenset())


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """The word without its commonest endings, so that `waiters` and `waiter`, `delayed` and `delay` are alike."""
    for ending, least in (("ies", 5), ("ing", 6), ("ed", 5), ("es", 5), ("s", 4), ("ly", 6)):
        if word.endswith(ending) and len(word) >= least and not word.endswith("ss"):
            cut = word[: -len(ending)]
            return cut + "y" if ending == "ies" else cut.removesuffix("e")
    return word.removesuffix("e") if len(word) > 3 else word


def _clause(text: str, start: int, end: int) -> Clause:
    while start < end and text[start].isspace():
        start += 1
    if lead := LEAD.match(text[start:end]):
        start += lead.end()
    end = start + len(text[start:end].rstrip())
    kept, denied, behind = [], [], False
    for word in _spoken(text[start:end]):
        kept.append(word)
        denied.append(behind)
        if word in DENIES:
            behind = not behind
    return Clause(start, end, tuple(kept), tuple(denied))


def _spoken(text: str) -> tuple[str, ...]:
    """The words of a text, `n't` joined to its verb, so that it denies."""
    return words(re.sub(r"n[’']t\b", "nt", text))


@cache
def _lexicon() -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Topics by the words that name them, and by all words that speak of them, each word by its stem."""
    held = json.loads(resources.files("memedit.data").joinpath("patches", "topics.json").read_text(encoding="utf-8"))
    names: dict[str, set[str]] = {}
    members: dict[str, set[str]] = {}
    for topic, listed in held.items():
        for word in listed["names"]:
            names.setdefault(stem(word), set()).add(topic)
        for word in (*listed["names"], *listed["words"]):
            members.setdefault(stem(word), set()).add(topic)
    return (
        {word: frozenset(topics) for word, topics in names.items()},
        {word: frozenset(topics) for word, topics in members.items()},
    )
