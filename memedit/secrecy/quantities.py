"""Dates, numbers and amounts of money, read into one form each: `14 May 90` and `1990-05-14` are one date, `€72k` and
`seventy-two thousand euros` one amount.

English words and months, and the figures of any country: where a form has two readings (`4/5/1990`), it has both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

_NAMES = "january february march april may june july august september october november december".split()
MONTHS = {name[:length]: at for at, name in enumerate(_NAMES, 1) for length in (3, len(name))} | {"sept": 9}
_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen""".split()
ONES = {word: value for value, word in enumerate(_ONES)}
TENS = {word: 10 * at for at, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
SCALES = {"hundred": 100, "thousand": 10**3, "grand": 10**3, "million": 10**6, "billion": 10**9}
SHORT = {"k": 10**3, "m": 10**6, "bn": 10**9}
CURRENCIES = {
    form: code
    for code, forms in {
        "eur": "€ eur euro euros", "usd": "$ us$ usd dollar dollars", "gbp": "£ gbp pound pounds quid",
        "jpy": "¥ jpy yen", "chf": "chf fr sfr franc francs", "inr": "₹ inr rupee rupees",
    }.items()
    for form in forms.split()
}  # fmt: skip
LARGE = 1_000
"""From which an amount is told by its number alone, where its subject is spoken of."""

_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DAY = r"(?P<{}>\d{{1,2}})(?:st|nd|rd|th)?"
_YEAR = r"(?P<{}>\d{{4}}|\d\d)(?!\w|[.,]\d)"
_BETWEEN = r"[\s.,/-]{1,3}"
_CURRENCY = "|".join(re.escape(form) for form in sorted(CURRENCIES, key=len, reverse=True))
TOKEN = re.compile(
    r"(?<![\w.])(?:"
    rf"{_DAY.format('d1')}(?:\s+of)?[\s.,/-]{{0,3}}(?P<m1>{_MONTH})(?![^\W\d_])(?:{_BETWEEN}{_YEAR.format('y1')})?"
    rf"|(?P<m2>{_MONTH})(?![^\W\d_])[\s./-]{{0,3}}{_DAY.format('d2')}(?!\w)(?:{_BETWEEN}{_YEAR.format('y2')})?"
    rf"|(?P<y3>\d{{4}}){_BETWEEN}(?:(?P<m3>{_MONTH})(?![^\W\d_])|(?P<n3>\d\d?)){_BETWEEN}(?P<d3>\d\d?)(?!\w|[.,]\d)"
    rf"|(?P<a4>\d\d?)(?P<sign>\s?[./-]\s?)(?P<b4>\d\d?)(?P=sign){_YEAR.format('y4')}"
    rf"|(?P<y5>(?:19|20)\d\d)(?P<n5>0[1-9]|1[0-2])(?P<d5>0[1-9]|[12]\d|3[01])(?!\w)"
    r")"
    r"|(?P<whole>\d{1,3}(?:(?P<group>[,.' ])\d{3}(?:(?P=group)\d{3})*)(?!\d)|\d+)(?:[.,](?P<part>\d{1,2})(?!\d))?"
    rf"(?:(?:\s?(?P<scale>{'|'.join(SCALES)})|(?P<short>{'|'.join(SHORT)})|(?P<nth>st|nd|rd|th))(?![^\W_]))?"
    r"|(?P<word>[^\W\d_]+)|(?P<sign_of>[€$£¥₹])",
)


class Token(NamedTuple):
    """A word, number, date or amount of a text.

    Args:
        readings: What it may be, in one form each; a word is itself.
        plain: How it is written without blanks and signs: a number in words, in figures.
        exact: Those readings that say no less than it does: an amount with its currency, not its number alone.
    """

    readings: tuple[str, ...]
    plain: str
    exact: tuple[str, ...]


def tokens(text: str) -> list[Token]:
    """The words, numbers, dates and amounts of a text in lower case."""
    return list(_with_currency(list(_read(text))))


def number_alone(amount: str) -> str | None:
    """The number of an amount of money (`72000` of `72000 eur`, in lower case), where that tells it."""
    found = tokens(amount)
    if len(found) != 1 or not (reading := found[0].exact[0]).endswith(tuple(f" {code}" for code in CURRENCIES)):
        return None
    number = reading.split()[0]
    return number if Decimal(number) >= LARGE else None


def _read(text: str) -> Iterator[Token]:
    """All but amounts, which have their currency beside them."""
    spoken: list[str] = []
    end = 0
    for found in TOKEN.finditer(text):
        word = found["word"]
        if word is None or not _goes_on(spoken, word, text[end : found.start()]):
            yield from _spoken(spoken)
            spoken = []
        end = found.end()
        if word is not None:
            if spoken or word in ONES or word in TENS or word in SCALES:
                spoken.append(word)
            else:
                yield _plain(word)
        elif found["sign_of"]:
            yield _plain(found["sign_of"])
        elif found["whole"]:
            yield _number(found)
        else:
            yield _date(found)
    yield from _spoken(spoken)


def _goes_on(spoken: Sequence[str], word: str, between: str) -> bool:
    """Whether a word goes on a number in words. between: What stands before it."""
    if not spoken:
        return True
    known = word in ONES or word in TENS or word in SCALES or word in ("and", "oh")
    return known and len(between) <= 3 and "." not in between


def _plain(word: str) -> Token:
    return Token((word,), word, (word,))


def _numeral(value: Decimal) -> str:
    return format(value.normalize(), "f")


def _number(found: re.Match[str]) -> Token:
    """`72,000`, `72.000,50`, `72k`; `3rd` and `0815` are no quantities."""
    figures = re.sub(r"\D", "", found["whole"])
    written = figures + (found["part"] or "")
    scale = found["scale"] or found["short"]
    if found["nth"] or (figures.startswith("0") and len(figures) > 1):
        return _plain(written + (found["nth"] or scale or ""))
    value = Decimal(f"{figures}.{found['part'] or 0}")
    if scale is None:
        reading = _numeral(value)
        return Token((reading,), written, (reading,))
    if _is_decimal(found):
        value = Decimal(found["whole"].replace(",", "."))
    return _plain(_numeral(value * (SCALES | SHORT)[scale]))


def _is_decimal(found: re.Match[str]) -> bool:
    """Whether what looks like a group of thousands is a fraction: `1.234 million`."""
    return found["group"] in (".", ",") and len(re.findall(r"\D", found["whole"])) == 1 and not found["part"]


def _date(found: re.Match[str]) -> Token:
    """A date in its readings, as `1990-05-14`, or `05-14` without a year; where it can be none, its figures."""
    plain = re.sub(r"[\W_]", "", found[0])
    dates = [one for one in _dates(found.groupdict()) if 1 <= one[1] <= 12 and 1 <= one[2] <= 31]
    exact = tuple(f"{year}{month:02}-{day:02}" for years, month, day in dates for year in _years(years))
    yearless = (f"{month:02}-{day:02}" for _, month, day in dates)
    figures = (plain,) if found["y5"] or not dates else ()
    return Token(tuple(dict.fromkeys((*exact, *yearless, *figures))), plain, (*exact, *figures))


def _dates(parts: dict[str, str | None]) -> Iterator[tuple[str | None, int, int]]:
    """(year, month, day)."""
    for at in "1235":
        if day := parts[f"d{at}"]:
            name, figures = parts.get(f"m{at}"), parts.get(f"n{at}")
            yield parts[f"y{at}"], MONTHS[name] if name else int(figures or 0), int(day)
    if year := parts["y4"]:
        one, other = int(parts["a4"] or 0), int(parts["b4"] or 0)
        yield from ((year, other, one), (year, one, other))


def _years(year: str | None) -> tuple[str, ...]:
    """What a date may begin with: of two figures, the year in either century."""
    if year is None:
        return ("",)
    return (f"{year}-",) if len(year) == 4 else (f"19{year}-", f"20{year}-")


def _spoken(said: Sequence[str]) -> Iterator[Token]:
    """The numbers that words in a row say: `four seven one one` are four, `forty-seven thousand` is one."""
    said = list(said)
    trailing = []
    while said and said[-1] == "and":
        trailing.append(said.pop())
    if said == ["one"]:  # which mostly counts nothing
        yield _plain("one")
    elif said:
        yield from (_plain(str(value)) for value in _values(said))
    yield from map(_plain, trailing)


def _values(said: Sequence[str]) -> Iterator[int]:
    whole, part, room = 0, 0, 0  # room: what may still be added to the part, 100 at first for tens
    begun = False
    for word in said:
        if word == "and":
            continue
        if word in SCALES:
            scale = SCALES[word]
            if scale == 100:
                part, room = max(part, 1) * 100, 100
            else:
                whole, part, room = whole + max(part, 1) * scale, 0, 1_000
            begun = True
            continue
        value = 0 if word == "oh" else ONES[word] if word in ONES else TENS[word]
        if begun and (value >= room or value == 0):
            yield whole + part
            whole, part = 0, 0
        part += value
        begun, room = True, 10 if word in TENS else 0
    yield whole + part


def _with_currency(found: list[Token]) -> Iterator[Token]:
    """Numbers with the currency beside them made one."""
    at = 0
    while at < len(found):
        one, after = found[at], found[at + 1] if at + 1 < len(found) else None
        for number, code in ((one, after), (after, one)):
            if number and code and code.plain in CURRENCIES and number.readings[0].replace(".", "").isdecimal():
                unit = CURRENCIES[code.plain]
                amount = f"{number.readings[0]} {unit}"
                yield Token((amount, *number.readings), f"{number.plain}{unit}", (amount,))
                at += 1
                break
        else:
            yield one
        at += 1
