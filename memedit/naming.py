"""What a plain statement is about: a guess of its subject, and its text without it."""

from __future__ import annotations

import re

from memedit.text import FUNCTION_WORDS

COPULA = re.compile(r"\b(?:is|are|was|were|has|have|had|will)\b")
NAME = re.compile(r"(?:[A-Z\d][\w.&'’-]*)(?:\s+(?:of\s+the\s+|of\s+|de\s+|van\s+|von\s+)?[A-Z\d][\w.&'’-]*)*")
ARTICLE = re.compile(r"^(?:the|an?|our|my|your|their)\s+", re.IGNORECASE)


def guess_subject(statement: str) -> str:
    """The likely subject of a statement: the last name before its verb, else what stands there, else its first name.

    Of “the CEO of Acme” only “Acme” is taken: the rest says what is asked of it. Empty when there is none of these.
    """
    verb = COPULA.search(statement)
    names = [found for found in NAME.finditer(statement) if found[0].casefold() not in FUNCTION_WORDS]
    before = [found for found in names if verb and found.end() <= verb.start()]
    if before or (names and verb is None):
        name = before[-1] if before else names[0]
        part = name[0]
        is_role = f"{statement[: name.start()][-4:]}{part}".casefold().startswith("the ")
    else:
        part, is_role = (statement[: verb.start()] if verb else ""), True
    part = part.strip(" .,'’")
    if is_role and " of " in part:
        part = part.rsplit(" of ", 1)[1]
    return ARTICLE.sub("", part)


def without_subject(text: str, subject: str) -> str:
    """What a text says beside naming its subject: its relation, in words."""
    return " ".join(text.replace(subject, " ", 1).split()) if subject else text


def split_statement(statement: str) -> tuple[str, str] | None:
    """A statement as a cloze and its completion, parted behind the last “is”, “are”, …; None when there is none."""
    verbs = list(COPULA.finditer(statement))
    cloze, rest = (statement[: verbs[-1].end()], statement[verbs[-1].end() :]) if verbs else ("", "")
    completion = rest.strip(" .!")
    return (cloze, completion) if completion else None
