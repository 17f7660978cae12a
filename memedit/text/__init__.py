"""Text hygiene: which characters an edit may hold, how text is shown as data, and how two texts are compared."""

from __future__ import annotations

import codecs
import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

FUNCTION_WORDS = frozenset(
    """a an the of in on at to for from by with as and or but if than then that this these those it
    its is are was were be been being am do does did has have had having can could will would shall
    should may might must what which who whom whose where when why how i you he she we they me him
    her us them my your his our their there here not no so just also very about into onto over under
    up out off please tell explain describe name list give write say show called""".split()
)
JOINERS = "\u200c\u200d"  # zero-width (non-)joiner: needed by Persian, Indic scripts and emoji
DIRECTION_MARKS = "\u200e\u200f\u061c"  # implicit marks of ordinary right-to-left text; they reorder no other text
INVISIBLE_LETTERS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"  # not of category Cf, and yet blank
UNSPACED = "\u0e01-\u0e4e\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # Thai, kana, Han, Hangul
MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff\u200c\u200d"
WORD = re.compile(rf"[{UNSPACED}]|(?:[^\W_{UNSPACED}]|[{MARKS}])+")
STOPS = " .!。！।"  # what may end a statement
POSSESSIVE = re.compile(r"(?<=\w)'[sS]\b|'")
FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")  # 🏴 of England, Wales, …
NUMBER_SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"  # Cf, yet seen
LETTERED = re.compile(r"(?s)(?:^|\s)(?:\(?A[.):]\s.{1,300}?\s\(?B[.):]\s|\(1\)\s.{1,300}?\s\(2\)\s)")
"""Where answers begin from which one is to be chosen by its letter."""
UNSEEN = re.compile(f"[{JOINERS}{DIRECTION_MARKS}\ufe00-\ufe0f]")
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
CONTROL = re.compile(
    r"<\|(?=\S)"  # <|im_start|>, <||…
    r"|<(?=[^\W\d]|/|\d\w*>)"  # <s>, </tag>, <<SYS>>, <0x0A>; not p<0.05, <=, <-
    r"|\[\|(?=[^\W\d])"  # [|user|]
    r"|\[(?=/?(?:(?i:INST|SYS)|SEP|CLS|BOS|EOS|PAD|UNK|[gs]?MASK|IMG|AUDIO|PREFIX|MIDDLE|SUFFIX|THINK|ARGS"
    r"|[A-Z]+(?:_[A-Z]+)+|control_\d+|unused\d+)\])"  # [/INST], [TOOL_CALLS]
    r"|\](?=~!?b[\[\]])|\[(?=e~\[)"  # ]~b], [e~[
    r"|>>(?=[A-Z]+<<)"  # >>ANSWER<<
)
"""Behind what a blank keeps a delimiter or a chat control token of a known model family from being spelled."""


def decoded(data: bytes) -> str:
    """A text in UTF-8; or in UTF-16, with a mark first, as Windows writes it.

    Raises:
        UnicodeDecodeError: It is in neither.
    """
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if wide else "utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def tidy(text: str) -> str:
    """Line ends become newlines, blanks at both ends go; nothing that can be seen changes."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def deceptive_character(text: str) -> str | None:
    """The first control or deceptively invisible character of `text`, named; None when there is none.

    Newline and tab are fine. So are the joiners behind letters of scripts that join, or behind emoji, variation
    selectors behind a visible character, and the tag characters of flag emoji.
    """
    found = next(_hidden(text), None)
    if found is None:
        return None
    return f"{unicodedata.name(text[found], 'control character')} (U+{ord(text[found]):04X}) at position {found}"


def is_blank(text: str) -> bool:
    """Whether nothing of it can be seen: blanks and direction marks at most."""
    return not re.sub(f"[{DIRECTION_MARKS}]", "", text).strip()


def storable(text: str) -> str:
    """`text` with every NUL and lone surrogate (half a character), which no database can hold, replaced by U+FFFD."""
    return UNSTORABLE.sub("\ufffd", text)


def as_data(text: str) -> str:
    """Text for a prompt, on one line, in which no delimiter, chat control token or role can be spelled out.

    Blanks are put between, and characters that no edit may hold are left out; nothing else changes. Look-alikes that
    Unicode holds compatible (`＜` with `<`) count as what they look like, and marks that are not seen as not there.
    """
    flat = " ".join(text.split())
    if hidden := set(_hidden(flat)):
        flat = " ".join("".join(char for position, char in enumerate(flat) if position not in hidden).split())
    if flat.isascii():
        cuts = [found.end() for found in CONTROL.finditer(flat)]
    else:
        seen = {position: _compatible(char) for position, char in enumerate(flat) if not UNSEEN.match(char)}
        positions = list(seen)
        cuts = [positions[found.end()] for found in CONTROL.finditer("".join(seen.values()))]
    return " ".join(flat[start:end] for start, end in pairwise([0, *cuts, len(flat)]))


def _hidden(text: str) -> Iterator[int]:
    """Where characters stand that may not stand there."""
    if text.isascii() and text.isprintable():
        return
    before, flags_end = "", 0
    for position, char in enumerate(text):
        if flag := FLAG.match(text, position):
            flags_end = flag.end()
        if position < flags_end or _is_fine(char, before):
            before = char
        else:
            yield position


def _compatible(char: str) -> str:
    """The character in its compatible form, where that is one character too."""
    form = unicodedata.normalize("NFKC", char)
    return form if len(form) == 1 else char


def _is_fine(char: str, before: str) -> bool:
    if " " <= char <= "~" or char in "\n\t" or char in DIRECTION_MARKS or char in NUMBER_SIGNS:
        return True
    code, category = ord(char), unicodedata.category(char)
    if char in JOINERS:
        return _joins(before)
    if 0xFE00 <= code <= 0xFE0F:
        return bool(before) and unicodedata.category(before)[0] in "LNPS"
    if 0xE0100 <= code <= 0xE01EF:
        return bool(before) and unicodedata.name(before, "").startswith("CJK")
    if 0x180B <= code <= 0x180F:  # variation selectors of Mongolian, and its invisible vowel separator
        return char != "\u180e" and unicodedata.name(before, "").startswith("MONGOLIAN")
    if code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:  # noncharacters
        return False
    if code == 0x2065 or 0xFFF0 <= code <= 0xFFF8 or 0xE0000 <= code <= 0xE0FFF:  # unassigned, and set to stay unseen
        return False
    return category not in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in INVISIBLE_LETTERS


def _joins(before: str) -> bool:
    """Whether a joiner may stand behind this character: emoji, or a letter past Latin, Greek and Cyrillic."""
    if not before:
        return False
    category = unicodedata.category(before)
    return category in ("So", "Sk") or before == "\ufe0f" or (category[0] in "LM" and ord(before) > 0x058F)


def same_key(text: str) -> str:
    """The form in which two names count as the same when an edit may *replace* another: case and blanks only.

    Punctuation and accents stay, so that `C`, `C++` and `C#` are three subjects.
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def one_line(text: str, limit: int = 100) -> str:
    """`text` on one line, cut to `limit` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def an(noun: str) -> str:
    """The noun with its article: a Patch, an Erasure."""
    return f"{'an' if noun[:1] in 'aeioAEIO' else 'a'} {noun}"


def some(count: int, noun: str) -> str:
    """So many of them: 1 edit, 2 edits."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def words(text: str) -> tuple[str, ...]:
    """The words of a text for comparing: case, accents (of European scripts), punctuation and possessive 's go.

    `Beyoncé's` and `BEYONCE` give the same word. Characters of scripts without blanks are words of their own.
    """
    return tuple(WORD.findall(bare(text).casefold()))


def bare(text: str) -> str:
    """The text without accents and possessive 's, in upper and lower case as it stands."""
    flat = unicodedata.normalize("NFKC", text).replace("’", "'")
    return POSSESSIVE.sub(" ", _plain_letters(flat))


def _plain_letters(text: str) -> str:
    """Without the accents of Latin, Greek and Cyrillic letters; marks of other scripts are letters there and stay."""
    if text.isascii():
        return text
    kept, base = [], ""
    for char in unicodedata.normalize("NFD", text):
        if unicodedata.category(char) != "Mn":
            base = char
        elif ord(base or " ") < 0x0530 or 0x1E00 <= ord(base) < 0x2000:
            continue
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))


def says(answer: str, accepted: Iterable[str]) -> bool:
    """Whether an answer holds one of the accepted answers, word for word (case, accents and punctuation aside)."""
    said = words(answer)
    for wanted in map(words, accepted):
        if wanted and any(said[at : at + len(wanted)] == wanted for at in range(len(said) - len(wanted) + 1)):
            return True
    return False


def as_html(*paragraphs: str, head: Sequence[str] = (), rows: Iterable[Sequence[str]] = ()) -> str:
    """Paragraphs and a table as a notebook shows them. Every text stays text: no markup in it is read."""
    said = "".join(f"<p style='white-space: pre-wrap'>{html.escape(one)}</p>" for one in paragraphs if one)
    lines = ["".join(f"<td style='text-align: left'>{html.escape(cell)}</td>" for cell in row) for row in rows]
    if not lines:
        return said
    top = "".join(f"<th style='text-align: left'>{html.escape(name)}</th>" for name in head)
    return f"{said}<table><tr>{top}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
