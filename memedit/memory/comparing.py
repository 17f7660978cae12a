"""In what two statements differ, word by word: whether they may be of two things, or surely correct one another.

Reading both (`statements`) takes a change and its neighbour's like for one another: “The shop now opens at 9” sounds
like a correction of “The shop closes at 6”, too. What the words say goes before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

from memedit.memory.scoping import MONTH, holds_beside
from memedit.text import FUNCTION_WORDS, STOPS, same_key
from memedit.text.naming import called, unpacked

WORDS = re.compile(r"[^\W_]+(?:[-.:/'’][^\W_]+)*")
CHANGED = re.compile(
    r"^\W*no(?=[,:])|\b(?:now|actually|currently|from now on|as of (?:now|today)|these days|at the moment|again|"
    r"already|instead|after all|sorry|correction|update|jetzt|inzwischen|mittlerweile|maintenant|désormais|ahora|"
    r"adesso|ormai|voortaan|tegenwoordig|agora|teraz|numera|artık|şimdi)\b",
    re.IGNORECASE,
)
RANK = re.compile(r"\b(?:former|ex|previous|deputy|vice|acting|interim|(?:my|our|his|her|their) old)\b", re.IGNORECASE)
"""Words that make of a role another one: who was the former CEO is not the CEO."""
SOMEBODY = re.compile(
    r"(?i:(?:my|our|his|her|their) (?:\w+ )?(daughter|son|child|kid|sister|brother|aunt|uncle|cousin|niece|nephew|"
    r"grandson|granddaughter|friend|colleague|co-?worker|neighbou?r|classmate|flatmate|roommate|student|client|"
    r"customer|cat|dog|pet)(?:['’]s name)? is (?:called |named )?)[A-Z][\w’'-]*(?: [A-Z][\w’'-]*)*[.!]?"
)
"""Who somebody's daughter, colleague or cat is, of whom there may be several."""
NOT = re.compile(r"\b(?:no longer|any ?more|not|never|no)\b", re.IGNORECASE)
SHORT_NOT = re.compile(r"\b(can(?=not)|\w+(?=n['’]t))(?:not|n['’]t)\b", re.IGNORECASE)
POSITIVE = {"ca": "can", "wo": "will", "do": "", "does": "", "did": ""}
"""What stands before “n't”, and what stands there without it where that is something else."""
LEFT_OUT = frozenset({"the", "a", "an"})
SAME = {"are": "is", "was": "is", "were": "is", "be": "is", "cost": "is", "me": "i", "my": "i", "us": "we", "our": "we"}
"""Stems that count as one where statements are compared."""
BETWEEN = frozenset({"to", "until", "till"})
TELLS = re.compile(r"^[^\W\d_a-z]|\d")  # a name, or something with a figure
CODE = re.compile(r"(?=.*\d)(?=.*[^\W\d_]).*")
FIGURE = re.compile(
    r"\d[\d.:,/]*(?:am|pm|h|st|nd|rd|th)?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|noon|midnight|"
    r"am|pm|to|until|till",
    re.IGNORECASE,
)
WORDED_ALIKE = 0.5  # share of common words
LONGEST = 60  # words of a statement that is compared: what is longer says more than one thing
MONTHS = re.compile(MONTH)
UNIT = 2  # words that may follow a figure, such as “pounds each”

Span = tuple[tuple[str, ...], tuple[str, ...]]
"""What stands in a later statement, and what at the same place in an earlier one."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a statement says, to be compared: its words without articles, negation, and what tells of a change.

    Args:
        words: As they stand.
        stems: What they are compared by, as many.
        denies: Whether something is denied.
        changes: Whether a word tells of a change.
    """

    words: tuple[str, ...]
    stems: tuple[str, ...]
    denies: bool
    changes: bool


def are_parallel(later: str, earlier: str) -> bool:
    """Whether two statements may say the same of two things, such as the extensions of two people: then neither takes
    the other's place, however like a correction it reads.

    They name two of whom somebody may have several, or one of them names a role that is over or not yet there. Or they
    are worded alike, and one denies what the other says of something else, or they differ at two places, or at one
    where each names a code (`B1`, `Person17`) or a number (`Bed 5`); or, worded otherwise, they differ at two places
    where each has a name or a figure.
    """
    one, other = said(later), said(earlier)
    if (
        holds_beside(later, earlier)
        or _are_two(later, earlier)
        or bool(RANK.search(later)) != bool(RANK.search(earlier))
    ):
        return True
    spans, alike = differences(one, other)
    telling = [span for span in spans if all(any(map(TELLS.search, side)) for side in span)]
    if len(telling) > 1:
        return True
    if alike >= WORDED_ALIKE:
        otherwise = one.denies != other.denies and any(all(map(_is_content, span)) for span in spans)
        if otherwise or len(spans) > 1:
            return True
    named = (
        one.stems[:1] == other.stems[:1]
        and any(  # “Bed 5 is free.” after “Bed 3 is free.”
            span == (one.words[1:2], other.words[1:2]) and all(FIGURE.fullmatch(side[0]) for side in span)
            for span in spans
        )
    )
    return named or any(all(any(map(CODE.fullmatch, side)) for side in span) for span in spans)


def are_numbered(later: str, earlier: str) -> bool:
    """Whether two statements say something else of things that are told apart by their number: “Room 42 is green.”,
    “Room 32 is blue.”; neither can contradict the other.
    """
    one, other = said(later), said(earlier)
    at = _common(one.stems, other.stems)
    names = one.words[at : at + 1] + other.words[at : at + 1]
    behind = one.stems[at + 1 : at + 2], other.stems[at + 1 : at + 2]
    return (
        at > 0
        and _is_content(one.words[at - 1 : at])
        and len(names) == 2
        and all(any(map(str.isdigit, name)) for name in names)
        and behind == (("is",), ("is",))
        and one.stems[at + 1 :] != other.stems[at + 1 :]
    )


def _are_two(later: str, earlier: str) -> bool:
    one, other = SOMEBODY.fullmatch(later.strip()), SOMEBODY.fullmatch(earlier.strip())
    return one is not None and other is not None and one[1].casefold() == other[1].casefold()


def worded_alike(later: str, earlier: str) -> bool:
    """Whether half of their words are the same, at the same places."""
    return differences(said(later), said(earlier))[1] >= WORDED_ALIKE


def says_again(later: str, earlier: str) -> bool:
    """Whether two statements are the same but for case, blanks, the full stop, and what they are handed over with."""
    one, other = (same_key(unpacked(text)).rstrip(STOPS) for text in (later, earlier))
    return one == other


def changes_one_thing(later: str, earlier: str) -> bool:
    """Whether a statement tells of a change, and is worded as an earlier one but for what stands at one place; or gives
    another name to who the earlier one names, the other way round.
    """
    new, old = called(later), called(earlier)
    if new and old and [word.casefold() for word in new[:2]] == [word.casefold() for word in old[:2]]:
        return new[2] != old[2]
    one, other = said(later), said(earlier)
    spans, alike = differences(one, other)
    return one.changes and one.denies == other.denies and len(spans) == 1 and alike >= WORDED_ALIKE


def corrects(later: str, earlier: str) -> bool:
    """Whether a statement surely says otherwise what an earlier one says: it is the same but for a “not”; or it tells
    of a change, and is the same but for a figure that is no part of a name, or for the code that something is.
    """
    one, other = said(later), said(earlier)
    if one.stems == other.stems:
        return one.denies != other.denies
    begun = _common(one.stems, other.stems)
    if not one.changes or one.denies != other.denies or begun < 2:
        return False
    ended = min(_common(one.stems[:begun:-1], other.stems[:begun:-1]), UNIT)
    new, old = (each.words[begun : len(each.words) - ended] for each in (one, other))
    before = one.stems[begun - 1]
    if (before in FUNCTION_WORDS or MONTHS.fullmatch(before)) and all(map(FIGURE.fullmatch, (*new, *old))):
        return True
    return before == "is" and ended == 0 and all(len(each) == 1 and CODE.fullmatch(each[0]) for each in (new, old))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words two lists begin with alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def differences(one: Said, other: Said) -> tuple[list[Span], float]:
    """What stands at the same place in both and is not the same, and the share of words that is; of long ones none."""
    if max(len(one.stems), len(other.stems)) > LONGEST:
        return [], 0.0
    matched = SequenceMatcher(None, one.stems, other.stems, False)
    spans = [
        (one.words[a:b], other.words[c:d]) for tag, a, b, c, d in matched.get_opcodes() if tag == "replace"
    ]  # fmt: skip
    if len(one.stems) == len(other.stems) and (placed := list(_by_place(one, other))):
        spans = placed  # “Table 6 seats 8.” after “Table 4 seats 6.”: what is said of one is the name of the other
    return spans, matched.ratio()


def _by_place(one: Said, other: Said) -> Iterator[Span]:
    """Where two statements of as many words differ, word by word; nowhere where they have fewer than two in common."""
    same = [a == b for a, b in zip(one.stems, other.stems, strict=True)]
    for at, stem in enumerate(one.stems[1:-1], 1):  # “3 to 6” is one place
        same[at] = same[at] and (stem not in BETWEEN or same[at - 1] or same[at + 1])
    for alike, places in groupby(range(len(same)), key=same.__getitem__):
        if not alike and sum(same) > 1:
            run = list(places)
            yield tuple(one.words[place] for place in run), tuple(other.words[place] for place in run)


def _is_content(words: tuple[str, ...]) -> bool:
    return any(word.casefold() not in FUNCTION_WORDS for word in words)


def said(text: str) -> Said:
    """What a statement says, to be compared."""
    lasting = CHANGED.sub(" ", unpacked(text))
    positive = NOT.sub(" ", SHORT_NOT.sub(lambda found: POSITIVE.get(found[1].casefold(), found[1]), lasting))
    words = tuple(word for word in WORDS.findall(positive) if word.casefold() not in LEFT_OUT)
    return Said(words, tuple(map(_stem, words)), denies=positive != lasting, changes=CHANGED.search(text) is not None)


def _stem(word: str) -> str:
    """What a word is compared by: without its ending, so that “works” is “work”."""
    stem = word.casefold().replace("’", "'").replace("-", "").removesuffix("'s")
    if len(stem) > 3 and stem.endswith("s") and not stem.endswith("ss"):
        stem = stem[:-1]
    return SAME.get(stem, stem)
