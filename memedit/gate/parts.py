"""What a message asks, one by one, where it asks several things.

The judge learned from messages that ask one. Each is looked up beside the whole, with what is told in front of it; what
any of them finds counts. Patterns only propose them, and give none in doubt.
"""

from __future__ import annotations

import re

from memedit.gate.focus import points_back, sentences
from memedit.gate.focus_words import ASKED, AUX, LISTED, ON_TEXT, POLITE, WH, pattern
from memedit.text import words

MOST = 4  # that are looked up
LONGEST = 700  # characters of a message: what is longer brings texts, whose questions nobody asks
SHORTEST = 3  # words of a question that is joined with another
JOINED = pattern(rf",?\s+(?:and|or|plus|und|et|y)\s+(?:also\s+|then\s+)?(?=@({WH} {AUX})\s)")
COMMA = pattern(rf",\s+(?=@({WH})\s)")
ALSO = pattern(r"(?:@(and also plus or but)\b,?\s+)+")
WANTS = r"@(tell give show)|i(?:['’]d|\swould)?\s(?:also\s)?(?:@(want need like)\sto\sknow|need\s@(the your my))"
WANTED = pattern(WANTS)
TOLD = pattern(
    rf"(?:@(please could\syou can\syou),?\s+)*(?:{WANTS})(?:\s@(me us about the\sfollowing these please))*\s?:\s*"
)
ITEM = re.compile(r"\s+(?=\(?(?:[a-e]|[1-5])\)\s)")
FURTHER = re.compile(r",\s*(?:and\s+)?|\s+and\s+")
BEGINS = pattern(rf"(?:[^,.?!]{{1,20}}[,:]\s+)?(?:@({WH} {AUX} whats)|{WANTS})")
MARKS = re.compile(r"[?？؟]")
QUOTES = re.compile(r"[\"“”„«»「」`]|(?:^|\s)['‘]\S")


def parts(text: str) -> list[str]:
    """The things that a message asks, each with what is told before it; empty where it asks one, or none."""
    if len(text) > LONGEST or QUOTES.search(text):
        return []
    if wanted := _wanted(text):
        return wanted[:MOST]
    unmarked = WANTED if MARKS.search(text) else BEGINS  # who writes question marks leaves none out
    told: list[str] = []
    asked: list[str] = []
    for sentence in (one for item in ITEM.split(text) for one in sentences(item)):
        said = LISTED.sub("", sentence)
        said = said[found.end() :] if (found := ALSO.match(said)) else said
        is_marked = ASKED.search(said) is not None
        if ON_TEXT.match(said) or (found and is_marked and not BEGINS.match(said)):  # “And in Norway?”
            return []
        if not (is_marked or unmarked.match(said)):
            told += [] if POLITE.match(said) else [said]
            continue
        for one in _apart(said):
            if asked and points_back(one):
                asked[-1] += f" {one}"
            else:
                asked.append(" ".join((*told, one)))
    return asked[:MOST] if len(asked) > 1 else []


def _wanted(text: str) -> list[str]:
    """The things named behind “Tell me:”, each with these words before it; empty where there are not several."""
    if not (found := TOLD.match(text)) or MARKS.search(text):
        return []
    said = text[found.end() :].strip().rstrip(".!")
    lines = said.splitlines() if "\n" in said else ITEM.split(said) if ITEM.search(said) else FURTHER.split(said)
    things = [LISTED.sub("", one).strip(" .,;") for one in lines if one.strip()]
    before = found[0].rstrip().rstrip(":")
    return [f"{before} {one}" for one in things] if len(things) > 1 and all(things) else []


def _apart(sentence: str) -> list[str]:
    """The questions of a sentence that are joined with “and”, and those before them that are with commas."""
    pieces = JOINED.split(sentence)
    if len(pieces) > 1:
        pieces = [*COMMA.split(pieces[0]), *pieces[1:]]
    if not all(BEGINS.match(one) and len(words(one)) >= SHORTEST for one in pieces):
        return [sentence]
    mark = "?" if ASKED.search(sentence) else ""
    return [*(f"{one}{mark}" for one in pieces[:-1]), pieces[-1]]
