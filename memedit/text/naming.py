"""What a plain statement is about: a guess of its subject, and its text without it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from memedit.text import FUNCTION_WORDS, words

COPULA = re.compile(r"\b(?:is|are|was|were|has|have|had|will)\b")
CAPITAL = r"[A-ZÀ-ÖØ-ÞĆČŁŚŠŻŽΑ-ΩА-ЯЁ\d]"
NAME = re.compile(rf"{CAPITAL}[\w.&'’-]*(?:\s+(?:of\s+the\s+|of\s+|de\s+|van\s+|von\s+|&\s+)?{CAPITAL}[\w.&'’-]*)*")
SENTENCE_END = re.compile(r"(\S+)[.!?][\"”’)]*\s+(?=[\"“A-ZÀ-Þ])")
ABBREVIATED = frozenset("mr mrs ms dr st jr sr co no mt vs inc ltd vol gen rev hon prof corp".split())
PACKED = re.compile(
    r"^(?:(?:please|pls|also)\s+)*(?:(?:remember|note|(?:keep|bear) in mind|don['’]t forget)(?:\s+that\s+|\s*[:,]\s*)"
    r"|(?:correction|update|reminder|note|heads[- ]up|info)\s*[:,–-]\s+"
    r"|(?:fyi|for your information|by the way|btw)\b\s*[:,–-]?\s*(?:that\s+)?)(?=\S)",
    re.IGNORECASE,
)
"""What a statement is handed over with: “Please remember that …”, “Correction: …”."""
NOW = re.compile(r",?\s+(?:now|currently|again|these days|at the moment|from now on)$", re.IGNORECASE)
HELD = r"(?P<whose>my|our|the) (?P<thing>[^\W\d_][\w’'-]*(?: [\w’'-]+){0,5}?)"
HOLDER = r"(?P<name>(?:(?:Dr|Mr|Mrs|Ms|St)\.? )?[^\W\d_a-zß-ÿ][\w&’'-]*(?: (?:& )?[^\W\d_a-zß-ÿ][\w&’'-]*){0,3})"
CALLED = (
    re.compile(rf"(?i:{HELD}) is (?:now )?(?:called |named )?{HOLDER}[.!]?"),
    re.compile(rf"{HOLDER} is (?:now )?(?i:{HELD})[.!]?"),
)
ITS_NAME = re.compile(r"['’]s name$")
PREPOSITION = re.compile(r"^(?:in|at|on|by|from|to)\s+(?=\S)", re.IGNORECASE)
ARTICLE = re.compile(r"^(?:the|an?|our|my|your|their)\s+", re.IGNORECASE)


def guess_subjects(statement: str) -> tuple[str, ...]:
    """The likely subject of a statement: the last name before its verb, else what stands there.

    Of “the CEO of Acme” only “Acme” is taken: the rest says what is asked of it. Where no verb is recognised any name
    may be the one that is asked about (“Ann Lee chairs Acme”), so all are given. Empty when there is none of these.
    """
    verb = COPULA.search(statement)
    names = [found for found in NAME.finditer(statement) if _is_name(found[0])]
    before = [found for found in names if verb and found.end() <= verb.start()]
    if before:
        name = before[-1]
        is_role = f"{statement[: name.start()][-4:]}{name[0]}".casefold().startswith("the ")
        return tuple(filter(None, [_holder(name[0], is_role=is_role)]))
    if verb is not None:
        return tuple(filter(None, [_holder(statement[: verb.start()], is_role=True)]))
    # A single capital at the beginning may be the sentence's own: "La langue officielle du Bélador …"
    sure = [found for found in names if found.start() or " " in found[0]] or names
    return tuple(dict.fromkeys(filter(None, (_holder(found[0], is_role=False) for found in sure))))


def unpacked(statement: str) -> str:
    """A statement without what it was handed over with: of “FYI the lift is broken.” “the lift is broken.”"""
    return PACKED.sub("", statement)


def called(statement: str) -> tuple[str, str, str] | None:
    """Whose thing has which name, where a statement says that alone, either way round: (“our”, “dentist”, “Dr. Okafor”)
    of “Dr. Okafor is our dentist.”
    """
    told = next(filter(None, (form.fullmatch(statement.strip()) for form in CALLED)), None)
    return told and (told["whose"].casefold(), ITS_NAME.sub("", told["thing"]), told["name"])


def names_in(text: str) -> list[str]:
    """The capitalised names of a text, in order, without the “In” or “The” that a sentence begins with, or years."""
    found = []
    for name in NAME.finditer(text):
        parts = name[0].split()
        while parts and (parts[0].casefold() in FUNCTION_WORDS or parts[0].isdigit()):
            parts = parts[1:]
        if parts:
            found.append(re.sub(r"['’]s?$", "", " ".join(parts)).rstrip(".,"))
    return found


def without_subject(text: str, subjects: Sequence[str]) -> str:
    """What a text says beside naming its subject: its relation, in words."""
    for subject in subjects:
        text = text.replace(subject, " ", 1)
    return " ".join(text.split())


def split_statement(statement: str) -> tuple[str, str] | None:
    """A statement as a cloze and its completion, parted behind the last “is”, “are”, …; None when there is none."""
    verbs = list(COPULA.finditer(statement))
    cloze, rest = (statement[: verbs[-1].end()], statement[verbs[-1].end() :]) if verbs else ("", "")
    completion = NOW.sub("", rest.strip(" .!"))
    return (cloze, completion) if completion else None


def is_one_sentence(text: str) -> bool:
    """Whether no further sentence begins in a text."""
    ends = (found[1] for found in SENTENCE_END.finditer(text))
    return all(word.casefold() in ABBREVIATED or word.rpartition(".")[2].isupper() for word in ends)


def asking_part(statement: str) -> str:
    """A statement without what it answers, where a question remains.

    “The CEO of Acme is Carol” gives “The CEO of Acme is”. “Carol is the CEO of Acme” stays whole, because nothing is
    asked of Carol alone.
    """
    parts = split_statement(statement)
    if parts is None:
        return statement
    asked = set(words(without_subject(parts[0], guess_subjects(statement)))) - FUNCTION_WORDS
    return parts[0] if asked else statement


def _is_name(text: str) -> bool:
    return text.casefold() not in FUNCTION_WORDS and not text.isdigit()


def _holder(part: str, *, is_role: bool) -> str:
    part = part.strip(" .,'’")
    if is_role and " of " in part:
        part = part.rsplit(" of ", 1)[1]
    return ARTICLE.sub("", part)
