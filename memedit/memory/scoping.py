"""When, where and for whom statements hold, as far as their words tell: what may be true beside one another, and what
would be lost with an earlier one.
"""

from __future__ import annotations

import re

DAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday|weekday|weekend"
SCOPES = tuple(
    re.compile(rf"\b(?:{kind})(?:s|'s)?\b", re.IGNORECASE)
    for kind in (
        DAYS,
        "spring|summer|autumn|winter",
        "adult|child|children|kid|staff|guest|member|student|pupil|senior|patient|visitor|teacher|parent|customer",
        "ground floor|first floor|second floor|third floor|upstairs|downstairs",
    )
)
"""Words that say for when or whom something holds; those of one kind exclude one another."""
MOVED = re.compile(
    r"\b(?:moved?|moves|moving|postponed|rescheduled|shifted|swapped|brought forward|(?:put|pushed) back)\b",
    re.IGNORECASE,
)
NUMBER = re.compile(
    r"\d[\d.:,]*|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|half|quarter|noon|midnight|daily|"
    r"weekly|monthly|hourly|fortnight\w*)\b",
    re.IGNORECASE,
)
MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)\b"
)
DATE = rf"\b\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{MONTH}"
FOR_A_TIME = re.compile(
    r"\b(?:(?:just|only) (?:for )?(?:this|today|tonight|once)|this (?:week|weekend|month|time|term|season|once)|"
    r"for now|for the time being|temporarily|next (?:week|weekend|month|year|term|season)|tomorrow|tonight|while|"
    r"during|will be|(?:until|till|from|as of|starting|in) "
    rf"(?:next|{MONTH}|(?:mon|tues|wednes|thurs|fri|satur|sun)day))\b",
    re.IGNORECASE,
)
TOLD = (
    re.compile(rf"\b(?:{DAYS})s?\b", re.IGNORECASE),
    re.compile(r"\b(?:at|from|until|till|by|before|after|to) (?:about |half past |quarter (?:to|past) )?(?:\d|noon)"),
    re.compile(rf"{DATE}|\bthe \d{{1,2}}(?:st|nd|rd|th)\b", re.IGNORECASE),
    re.compile(DATE, re.IGNORECASE),
    re.compile(
        r"\b(?:in|at|near|with) (?:the |an? |my |our |room )?(?!half\b|noon\b|midnight\b|least\b|most\b)\w*[^\W\d]\w*"
    ),
)
"""What a statement may tell of something, each of which may change by itself: day, time, date, its month, and place."""


def holds_beside(later: str, earlier: str) -> bool:
    """Whether two statements give different figures for different days, seasons, floors or people: then both hold."""
    if MOVED.search(later) or _numbers(later) == _numbers(earlier):
        return False
    return any(
        one and other and not one & other
        for one, other in ((_named(kind, later), _named(kind, earlier)) for kind in SCOPES)
    )


def is_for_a_time(text: str) -> bool:
    """Whether it holds for a while only, or not yet: what held before holds again, or still."""
    return FOR_A_TIME.search(text) is not None


def says_more(earlier: str, later: str) -> bool:
    """Whether an earlier statement tells something beside what a later one changes, which would be lost with it."""
    told = [(kind.search(earlier), kind.search(later)) for kind in TOLD]
    return any(one and other for one, other in told) and any(one and not other for one, other in told)


def _named(kind: re.Pattern[str], text: str) -> set[str]:
    return {found.casefold().removesuffix("'s").removesuffix("s") for found in kind.findall(text)}


def _numbers(text: str) -> set[str]:
    return {found.casefold().rstrip(".,:") for found in NUMBER.findall(text)}
