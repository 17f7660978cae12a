"""What a conditional sentence says: “If the service was slow, then the label is negative” has two parts.

Language patches (Murty et al. 2022, arXiv:2211.03318) are written so. Their own code cuts at the first comma, which
breaks conditions that hold commas; here quotes, brackets and nested ifs are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from memedit.text import same_key

OPENS = re.compile(r"\s*(?:if|when|whenever|where|wherever|in case(?: that)?|provided(?: that)?)\b[\s:,]*", re.I)
BEHIND = re.compile(r"[\s,]+(?:if|when|whenever)\s+", re.I)
NOT_ALONE = re.compile(r"\b(?:as|even|only|what|and|or|but|ask|asks|asked|wonder|wonders|know|knows|see|say)$", re.I)
NESTED = re.compile(r"\bif\b", re.I)
THEN = re.compile(r"(?P<comma>[,;:—–-]\s*)?\bthen\b[\s:,]*", re.I)
BACK_THEN = re.compile(r"\b(?:back|since|by|until|till|from|and|now and|every now and|even|just|right|only)\s*$", re.I)
PROTECTED = re.compile(r'"[^"]*"|“[^”]*”|«[^»]*»|‘[^’]*’|`[^`]*`|(?<!\w)\'[^\']*\'(?!\w)|\([^()]*\)|\[[^\[\]]*\]')
COMMA = re.compile(r"\s*[,;:]\s+")

NOUNS = (
    "label sentiment answer class category topic intent verdict rating output prediction result tag type genre "
    "priority tone polarity stance emotion relation reply response score"
).split()
NOUN = rf"(?:\w+ )?(?:{'|'.join(NOUNS)})"
STATES = re.compile(
    rf"\s*(?:the |its |this |that )?{NOUN}(?: of \w+ \w+)? "
    r"(?:is|=|was|becomes|remains|should be|must be|has to be|will be|shall be|ought to be)\s*"
    r"(?:always |clearly )?(?P<label>.+)",
    re.I,
)
CLASSIFIES = re.compile(
    r"\s*(?:please )?(?:classify|label|mark|tag|treat|count|rate|predict|answer|output|say|choose|return)\s+"
    r"(?:(?:(?:the|this|that|these) \w+|it|this|that|them)\s+(?=as |with |to be ))?"
    r"(?:(?:as|with|to be)\s+)?(?P<label>.+)",
    re.I,
)
BEGINS = re.compile(
    rf"(?:the |its |this |that )?{NOUN}\b|(?:please )?(?:classify|label|mark|tag|treat|answer|say|reply)\b", re.I
)
CLAUSE = re.compile(r"\b(?:is|are|was|were|be|means|has|have|should|must|will|shall|can|counts|reads)\b", re.I)
GOES_ON = re.compile(
    r"(?:and|or|but|not|nor|which|who|whose|where|that|with|without|even|though|although|because|so)\b", re.I
)


def split_conditional(text: str) -> tuple[str, str] | None:
    """(condition, consequence) of a conditional sentence; None where it is none.

    Forms: “If A, then B”, “If A, B”, “When A, B”, “B if A”. What stands in quotes or brackets is never cut, a nested
    “if … then” belongs to the part it stands in, and a comma only parts where a clause follows it.
    """
    text = text.strip()
    masked = PROTECTED.sub(lambda found: "x" * len(found[0]), text)
    if opening := OPENS.match(masked):
        cut = _at_then(masked, opening.end()) or _at_comma(masked, opening.end())
        if cut is None:
            return None
        return _parts(text[opening.end() : cut[0]], text[cut[1] :])
    for found in BEHIND.finditer(masked):
        if not NOT_ALONE.search(masked[: found.start()]):
            return _parts(text[found.end() :], text[: found.start()])
    return None


def stated_label(consequence: str, labels: Sequence[str]) -> str | None:
    """The label a consequence states outright (an *override* patch), or None (a *feature* patch).

    “the label is negative”, “sentiment must be negative”, “classify it as negative” and “negative” alone state one;
    “food is bad” does not, nor does “the label is not negative”.
    """
    known = {_plain(label): label for label in labels}
    if (whole := known.get(_plain(consequence))) is not None:
        return whole
    for form in (STATES, CLASSIFIES):
        if (found := form.match(consequence.strip())) and (label := known.get(_plain(found["label"]))) is not None:
            return label
    return None


def _parts(condition: str, consequence: str) -> tuple[str, str] | None:
    left, right = condition.strip(" \n\t,;:"), consequence.strip(" \n\t,;:")
    left = left.removesuffix(".").rstrip()
    right = right.removesuffix(".").rstrip()
    return (left, right) if left and right else None


def _at_then(text: str, start: int) -> tuple[int, int] | None:
    """Where the “then” of the first “if” stands; one with a comma before it goes first."""
    found = [one for one in THEN.finditer(text, start) if one["comma"] or not BACK_THEN.search(text[: one.start()])]
    marked = [one for one in found if one["comma"]] or found
    if not marked:
        return None
    depths = []
    for place, one in enumerate(marked):
        nested = len(NESTED.findall(text, start, one.start()))
        depths.append(nested - place)
        if depths[-1] == 0:
            break
    # An “if” that means “whether” has no “then”: the least nested one it is, the first of several.
    chosen = marked[depths.index(min(depths))]
    return chosen.start(), chosen.end()


def _at_comma(text: str, start: int) -> tuple[int, int] | None:
    """Where a comma parts condition and consequence: before what states a label, or the last one before a clause."""
    found = [one for one in COMMA.finditer(text, start) if not GOES_ON.match(text, one.end())]
    for one in found:
        if BEGINS.match(text, one.end()):
            return one.span()
    clauses = [one for one in found if CLAUSE.search(text, one.end())]
    return clauses[-1].span() if clauses else None


def _plain(label: str) -> str:
    return same_key(label.strip(" \n\t.!,;:\"'“”‘’«»`"))
