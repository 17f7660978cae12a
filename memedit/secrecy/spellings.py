"""Whether a text says a secret, in whatever of the usual spellings: word for word, letter by letter, in look-alike
characters, backwards, encoded, or as the same date, number, amount of money or telephone number.

A text is read once, and then compared with any number of secrets. Look-alikes follow the idea of Unicode TS 39, with
a table of those of Latin letters alone.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate

from memedit.secrecy.quantities import Token, number_alone, tokens
from memedit.text import POSSESSIVE, WORD, words

ALIKE = str.maketrans(
    "АВЕКМНОРСТУХаеорсухіІїјЈѕЅԁһԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧαεικνορτυχıɑɡłŁøØđĐ",
    "ABEKMHOPCTYXaeopcyxiIijJsSdhqwABEZHIKMNOPTYXaeikvoptuxiaglLoOdD",
)
"""Cyrillic, Greek and other letters that look like Latin ones."""
ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")  # of JSON, as in the arguments of tool calls
SPELLED = re.compile(r"(?<!\w)(?:\w[\W_]{1,5}){2,}\w(?!\w)")  # l-i-k-e t.h.i.s
BASE64 = ((re.compile(r"[A-Za-z0-9+/]{6,}"), b"+/"), (re.compile(r"[A-Za-z0-9_-]{6,}"), b"-_"))
HEX = re.compile(
    r"(?<!\w)(?:0x)?(?:[0-9a-fA-F]{2}){4,}(?!\w)"
    r"|(?<!\w)(?:(?:0x|\\x)?[0-9a-fA-F]{2}(?:[\s:,-]{1,2}|(?=\\)|(?!\w))){4,}"
)
PHONE = re.compile(r"\(?\+?\d(?:[\s()/.-]{0,3}\d){6,}")
FIGURES = re.compile(r"\d+|\D+")
BEGUN = 3
"""Length up to which a secret is compared by whole words alone."""
BACKWARDS = 6
"""Length from which a secret without figures counts backwards: `live` is no `evil`."""
NATIONAL = 7
"""Figures from which a telephone number is known without what dials a country."""


def folded(text: str) -> str:
    """The text in lower case, in plain Latin letters and figures where it looks like them, without what is not seen."""
    if "\\u" in text:
        text = ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    if text.isascii():
        return text.casefold()
    kept, base = [], ""
    for char in unicodedata.normalize("NFKD", text).translate(ALIKE):
        if char.isascii():
            kept.append(base := char)
            continue
        category = unicodedata.category(char)
        if category == "Cf" or (category in ("Mn", "Me") and ord(base or " ") < 0x0530):
            continue
        base = char
        kept.append(str(unicodedata.decimal(char)) if category == "Nd" else char)
    return unicodedata.normalize("NFC", "".join(kept)).replace("’", "'").casefold()


@dataclass(frozen=True, slots=True)
class Secret:
    """What is looked for in texts.

    Args:
        words: Its words, as they are and as they look.
        tokens: The readings of each of its words, numbers, dates and amounts.
        plain: Its letters and figures, without anything between.
        phones: The figures of a telephone number, with and without those that may dial a country.
        number: Of a large amount of money, its number: said of its subject, that tells as much.
    """

    words: tuple[tuple[str, ...], ...]
    tokens: tuple[tuple[str, ...], ...]
    plain: str
    phones: tuple[str, ...]
    number: str | None


@lru_cache(4_096)
def as_secret(text: str) -> Secret:
    """A secret in the forms that are compared."""
    flat = folded(text)
    found = [one.exact for one in _tokens(flat)]
    is_date = any("-" in reading for readings in found for reading in readings)
    return Secret(
        tuple(dict.fromkeys((words(text), _words(flat)))), tuple(found), "".join(_words(flat)),
        () if is_date or not PHONE.fullmatch(flat) else _numbers(flat),
        number_alone(flat),
    )  # fmt: skip


class Said:
    """A text, read for what it says.

    Args:
        text: The text.
        encoded: Whether what is encoded in it is read too.
    """

    def __init__(self, text: str, *, encoded: bool = True) -> None:
        self.text = text
        self.flat = folded(text)
        self.encoded = encoded

    def tells(self, secret: str) -> bool:
        """Whether it says a secret."""
        wanted = as_secret(secret)
        if any(self._says(one) for one in wanted.words) or self._means(wanted.tokens):
            return True
        if len(wanted.plain) <= BEGUN:
            return False
        dialled = any(number in one for number in wanted.phones for one in self.phones)
        return dialled or self._spells(wanted.plain) or any(one.tells(secret) for one in self.decoded)

    @cached_property
    def flat_words(self) -> tuple[str, ...]:
        """Its words as they look."""
        return _words(self.flat)

    @cached_property
    def words(self) -> dict[str, list[tuple[tuple[str, ...], int]]]:
        """Where each word stands: in the text as it is, as it looks, and with what is spelled put together."""
        forms = [self.flat_words]
        if not (self.text.isascii() and self.flat.isascii()):
            forms.append(words(self.text))
        if self.letters:
            forms.append(_words(SPELLED.sub(lambda found: _unspelled(found[0]), self.flat)))
        places = defaultdict[str, list[tuple[tuple[str, ...], int]]](list)
        for form in dict.fromkeys(forms):
            for at, word in enumerate(form):
                places[word].append((form, at))
        return places

    @cached_property
    def tokens(self) -> list[Token]:
        """Its words, numbers, dates and amounts."""
        return _tokens(self.flat)

    @cached_property
    def readings(self) -> dict[str, list[int]]:
        """Where each reading of a token stands."""
        places = defaultdict[str, list[int]](list)
        for at, one in enumerate(self.tokens):
            for reading in one.readings:
                places[reading].append(at)
        return places

    @cached_property
    def joined(self) -> tuple[tuple[str, frozenset[int]], ...]:
        """All of it without anything between, as written and with numbers in figures; where words begin and end."""
        written = (part for word in self.flat_words for part in FIGURES.findall(word))
        return tuple(dict.fromkeys(map(_joined, (written, (one.plain for one in self.tokens)))))

    @cached_property
    def letters(self) -> tuple[str, ...]:
        """What it spells letter by letter."""
        return tuple(_unspelled(found[0]) for found in SPELLED.finditer(self.flat))

    @cached_property
    def phones(self) -> tuple[str, ...]:
        """The figures of what may be telephone numbers."""
        return tuple(_dialled(found[0]) for found in PHONE.finditer(self.flat))

    @cached_property
    def decoded(self) -> tuple[Said, ...]:
        """What it holds in base64 or as hexadecimal bytes."""
        found = dict.fromkeys(_decoded(self.text)) if self.encoded else ()
        return tuple(Said(one, encoded=False) for one in found)

    def _says(self, wanted: tuple[str, ...]) -> bool:
        """Whether words follow one another."""
        places = self.words.get(wanted[0], ()) if wanted else ()
        return any(form[at : at + len(wanted)] == wanted for form, at in places)

    def _means(self, wanted: Sequence[Sequence[str]]) -> bool:
        """Whether the readings of a secret follow one another."""
        return any(
            len(here := self.tokens[at : at + len(wanted)]) == len(wanted)
            and all(set(readings) & set(one.readings) for readings, one in zip(wanted, here, strict=True))
            for first in (wanted[0] if wanted else ())
            for at in self.readings.get(first, ())
        )

    def _spells(self, plain: str) -> bool:
        """Whether a secret stands in it with other blanks and signs, letter by letter, or backwards."""
        has_figures = any(char.isdigit() for char in plain)
        ways = (plain, plain[::-1]) if has_figures or len(plain) >= BACKWARDS else (plain,)
        if any(way in letters for letters in self.letters for way in ways):
            return True
        code = has_figures and not plain.isdecimal()
        return any(_holds(joined, way, edges, code) for joined, edges in self.joined for way in ways)


@lru_cache(64)
def said(text: str) -> Said:
    """A text, read once for all that is looked for in it."""
    return Said(text)


def _words(flat: str) -> tuple[str, ...]:
    return tuple(WORD.findall(POSSESSIVE.sub(" ", flat)))


def _unspelled(spelled: str) -> str:
    return "".join(WORD.findall(spelled))


def _tokens(flat: str) -> list[Token]:
    return tokens(POSSESSIVE.sub(" ", flat))


def _joined(parts: Iterable[str]) -> tuple[str, frozenset[int]]:
    """Parts in one, and where they begin and end."""
    parts = tuple(parts)
    return "".join(parts), frozenset(accumulate(map(len, parts), initial=0))


def _holds(text: str, wanted: str, edges: frozenset[int], code: bool) -> bool:
    """Whether a text holds another from an edge to an edge; of a code, wherever that cuts no number."""
    at = text.find(wanted)
    while at >= 0:
        ends = (at, at + len(wanted))
        if all(end in edges or (code and not text[end - 1 : end + 1].isdecimal()) for end in ends):
            return True
        at = text.find(wanted, at + 1)
    return False


def _dialled(text: str) -> str:
    """The figures of a telephone number without what dials out of a town or a country."""
    return re.sub(r"\D", "", text.replace("(0)", "")).lstrip("0")


def _numbers(phone: str) -> tuple[str, ...]:
    """The figures of a telephone number; of one with its country, also without the one to three that dial it."""
    figures = _dialled(phone)
    abroad = phone.lstrip("( ").startswith(("+", "00"))
    return tuple(figures[cut:] for cut in range(4 if abroad else 1) if len(figures) - cut >= NATIONAL)


def _decoded(text: str) -> Iterator[str]:
    for pattern, signs in BASE64:
        for found in pattern.finditer(text):
            run = found[0][: len(found[0]) - (len(found[0]) % 4 == 1)]  # one sign more encodes nothing
            data = base64.b64decode(run + "=" * (-len(run) % 4), signs)
            legible = data.decode(errors="replace")
            if "\ufffd" not in legible and legible.isprintable():
                yield legible
    for found in HEX.finditer(text):
        yield bytes.fromhex(re.sub(r"0x|\\x|[\s:,-]", "", found[0])).decode(errors="replace")
