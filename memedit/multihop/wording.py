"""A question as words, with a slot where the name stands that it is read around."""

from __future__ import annotations

import re

from memedit.edits import SLOT
from memedit.multihop import grammar as g

IN_LAW = re.compile(r"(?i)\b((?:father|mother|brother|sister|son|daughter)s?) in law\b")
QUOTES = re.compile(r",?[\"“”]|‘|’(?!s\b)")
SLASH = re.compile(r" ?/ ?")
WORD = re.compile(r"\{\}|[\w.&’'/-]*\w|[^\w\s]")
ORDER = re.compile(r"(?i)^(?:please |can you |could you )*(?:name|identify|state|tell me|give me) (?=the )")
Words = list[str]


def words_around(before: str, behind: str) -> Words:
    """The words of a question, with the slot between what stands before a name and what stands behind it."""
    if before.endswith((" '", " ‘")):  # 'The Wall'
        before, behind = before[:-1], re.sub(r"^['’](?!s\b)", "", behind)
    if ORDER.match(before):  # Name the author of {}.
        before, behind = ORDER.sub("What is ", before), re.sub(r"\W*$", "?", behind)
    plain = [SLASH.sub("/", IN_LAW.sub(r"\1-in-law", QUOTES.sub("", part))) for part in (before, behind)]
    return _unparted(_marked(WORD.findall(f" {SLOT} ".join(plain))))


def without_article(words: Words) -> Words:
    """Words without a “the” at their end."""
    return words[:-1] if words and words[-1].casefold() == "the" else words


def as_text(words: Words) -> str:
    """Words as a text again."""
    return re.sub(r" (?=[,.?!;:)]|'s\b)", "", " ".join(words))


def _marked(words: Words) -> Words:
    """The possessive mark behind the slot as one word."""
    found: Words = []
    for word in words:
        if found[-2:-1] == [SLOT] and found[-1] in ("'", "’") and word == "s":
            found[-1] = "'s"
        else:
            found.append("'" if word == "’" else word)
    return found


def _unparted(words: Words) -> Words:
    """Without the commas that part a thing from what tells which it is: “the sport, played by {}”."""
    return [
        word
        for word, further in zip(words, [*words[1:], ""], strict=True)
        if word != "," or not (further.casefold() in g.RELATIVES | {"of"} | g.PARTICIPLES or further.endswith("ed"))
    ]
