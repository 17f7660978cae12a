"""The time in the world that a question names: “in 2019”, “last year”, “two years ago”, “on 3 May 2020”."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

MONTHS = "january february march april may june july august september october november december".split()
NUMBERS = {word: place for place, word in enumerate("one two three four five six seven eight nine ten".split(), 1)}
ISO = re.compile(r"\b(\d{4})-(\d{2})(?:-(\d{2}))?\b")
DATE = re.compile(
    rf"(?i)\b(?:(?:on|in|by|since|of) )?(?:the )?(?:(\d{{1,2}})(?:st|nd|rd|th)? )?({'|'.join(MONTHS)}),? "
    rf"(?:(\d{{1,2}})(?:st|nd|rd|th)?,? )?(\d{{4}})\b"
)
YEAR = re.compile(r"(?i)\b(?:in|during|as of|back in|throughout|of|around) (?:the year )?((?:1[0-9]|20|21)\d\d)\b(?!-)")
AGO = re.compile(rf"(?i)\b(\d{{1,3}}|an?|{'|'.join(NUMBERS)}) (day|week|month|year|decade)s? ago\b")
LAST = re.compile(r"(?i)\b(?:last|the previous) (week|month|year)\b|\b(yesterday)\b")
DAYS = {"day": 1, "week": 7, "month": 30, "year": 365, "decade": 3652}


def named_time(text: str, now: datetime) -> datetime | None:
    """The time a text speaks of; of a year or month its middle. None where it names none, or one that cannot be."""
    try:
        if found := ISO.search(text):
            return datetime(int(found[1]), int(found[2]), int(found[3] or 15), tzinfo=UTC)
        if found := DATE.search(text):
            day = int(found[1] or found[3] or 15)
            return datetime(int(found[4]), MONTHS.index(found[2].lower()) + 1, day, tzinfo=UTC)
        if found := YEAR.search(text):
            return datetime(int(found[1]), 7, 1, tzinfo=UTC)
        if found := AGO.search(text):
            count = NUMBERS.get(found[1].lower(), 0) or (int(found[1]) if found[1].isdigit() else 1)
            return now - timedelta(days=count * DAYS[found[2].lower()])
        if found := LAST.search(text):
            return now - timedelta(days=DAYS[(found[1] or "day").lower()])
    except (ValueError, OverflowError):  # 31 February, 999 decades ago
        return None
    return None
