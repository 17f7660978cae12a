"""What of an Erasure a text may not say, and whether it does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from memedit.edits import AnyEdit, Erasure, Fact
from memedit.secrecy.spellings import as_secret, folded, said
from memedit.text import FUNCTION_WORDS, same_key, words

BEGUN = 3  # letters of a word from which it counts as begun


def reveals(text: str, secrets: Iterable[str]) -> bool:
    """Whether a text says one of the secrets, in any of the spellings that `spellings` knows."""
    return any(map(said(text).tells, secrets))


def tells(edit: AnyEdit, erasure: Erasure, *, in_scope: bool = False) -> bool:
    """Whether an edit tells what is erased: it says so, or is a Fact that answers the same."""
    if reveals(edit.text, kept_asked(erasure) if in_scope else kept_unasked(erasure, edit.text)):
        return True
    if not isinstance(edit, Fact) or erasure.asked is None:
        return False
    same_slot = edit.slot is not None and edit.slot == erasure.asked.slot
    return same_slot or same_key(edit.key_text) == same_key(erasure.key_text)


def kept_asked(erasure: Erasure) -> tuple[str, ...]:
    """What is not to be said where its subject is spoken of: its secrets, and the numbers of large amounts alone."""
    return (*erasure.secrets, *(number for one in erasure.secrets if (number := as_secret(one).number)))


def kept_unasked(erasure: Erasure, text: str) -> tuple[str, ...]:
    """The secrets of an Erasure that is not in scope that are not to be said all the same.

    text: The conversation and the reply, in which its subject may be spoken of.
    """
    spoken_of = _by_beginning(text)
    about = _named_by(erasure.names)
    if any(_inflected(one, other) for one in about for other in spoken_of.get(_beginning(one), ())):
        return kept_asked(erasure)
    return tuple(filter(_is_code, erasure.secrets))


@lru_cache(4_096)
def _named_by(names: tuple[str, ...]) -> frozenset[str]:
    """The words of names."""
    return frozenset(word for name in names for word in words(folded(name))) - FUNCTION_WORDS


@lru_cache(64)
def _by_beginning(text: str) -> dict[str, set[str]]:
    """The words of a text by how they begin, so that each is compared with few."""
    found = defaultdict[str, set[str]](set)
    for word in set(words(folded(text))) - FUNCTION_WORDS:
        for beginning in {word[:1], word[:BEGUN]}:
            found[beginning].add(word)
    return found


def _beginning(word: str) -> str:
    """What another form of a word begins with too."""
    return word[: BEGUN if word.isascii() else 1]


def _inflected(one: str, other: str) -> bool:
    """Whether two words are one, but for their endings."""
    shorter = min(len(one), len(other))
    alike = next((at for at in range(shorter) if one[at] != other[at]), shorter)
    begun = BEGUN if one.isascii() else 1  # a sign of other scripts may be a word
    return one == other or alike == shorter >= begun or alike >= max(BEGUN + 1, 0.6 * max(len(one), len(other)))


def _is_code(secret: str) -> bool:
    """Whether a text can hardly be anything else: letters with digits, or a number of some length."""
    squeezed = "".join(words(secret))
    digits = sum(char.isdigit() for char in squeezed)
    return (digits > BEGUN and len(squeezed) > BEGUN + 1) or (0 < digits < len(squeezed) and len(squeezed) > BEGUN + 1)
