"""Which words of a message and of an edit spoke for and against it, by reading both again without each word
(occlusion, Zeiler and Fergus 2014, arXiv:1311.2901).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memedit.edits import AnyEdit
from memedit.encoder import lacking
from memedit.errors import MissingExtra
from memedit.gate.port import Verdict

if TYPE_CHECKING:
    from memedit.encoder.judge import Judge

LIKELIEST = 3  # edits whose words are looked at
MOST = 48  # words of a text that are left out, one after the other
NAMED = 4  # words that are named at most
LEAST = 0.25  # log-odds from which a word counts


@dataclass(frozen=True, slots=True)
class Spoke:
    """What of a message and an edit spoke for the edit, and what against it; strongest first.

    Args:
        edit: The edit.
        message_for, message_against: Words of the message, with the log-odds that each brings.
        edit_for, edit_against: Words of the edit, likewise.
    """

    edit: AnyEdit
    message_for: tuple[tuple[str, float], ...]
    message_against: tuple[tuple[str, float], ...]
    edit_for: tuple[tuple[str, float], ...]
    edit_against: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """The words as JSON values, each with the log-odds that it brings."""
        return {
            "edit": self.edit.id,
            "message": dict((*self.message_for, *self.message_against)),
            "text": dict((*self.edit_for, *self.edit_against)),
        }

    def __str__(self) -> str:
        parts = (
            ("for it in the message", self.message_for), ("for it in the edit", self.edit_for),
            ("against it in the message", self.message_against), ("against it in the edit", self.edit_against),
        )  # fmt: skip
        said = (f"{name}: {', '.join(f'“{word}”' for word, _ in found)}" for name, found in parts if found)
        return "; ".join(said) or "no single word decided"


def spoken(verdicts: Sequence[Verdict], whole: str) -> tuple[Spoke, ...]:
    """What spoke for and against the Facts among the likeliest edits, by the judge that comes with memedit and
    the words that stand in them now.

    whole: The conversation, as it was read.

    Raises:
        MissingExtra: What reads is not installed.
    """
    if missing := lacking():
        raise MissingExtra("hosted", package=missing[0])
    from memedit.encoder.judge import shipped_judge

    judge = shipped_judge()
    return tuple(occluded(judge, whole, one.edit) for one in verdicts[:LIKELIEST] if one.edit.kind == "fact")


def occluded(judge: Judge, whole: str, edit: AnyEdit) -> Spoke:
    """What spoke for and against an edit; one reading a word.

    whole: The conversation, as it was read.
    """
    message, stated = whole.split(), edit.text.split()
    pairs = [(whole, edit.text)]
    pairs += [(without, edit.text) for without in _without(message)]
    pairs += [(whole, without) for without in _without(stated)]
    logits = judge.logits(pairs)
    odds = np.logaddexp(logits[:, 1], logits[:, 2]) - logits[:, 0]
    brought = (odds[0] - odds[1:]).tolist()
    said, told = brought[: len(message[:MOST])], brought[len(message[:MOST]) :]
    return Spoke(edit, *_strongest(message, said), *_strongest(stated, told))


def _without(words: Sequence[str]) -> list[str]:
    return [" ".join((*words[:at], *words[at + 1 :])) for at in range(min(len(words), MOST))]


def _strongest(words: Sequence[str], brought: Sequence[float]) -> list[tuple[tuple[str, float], ...]]:
    """The words that brought most, and those that took most."""
    found = sorted(zip(words, brought, strict=False), key=lambda one: -one[1])
    gave = tuple((_bare(word), value) for word, value in found if value >= LEAST)[:NAMED]
    took = tuple((_bare(word), value) for word, value in reversed(found) if value <= -LEAST)[:NAMED]
    return [gave, took]


def _bare(word: str) -> str:
    return word.strip(".,;:!?“”\"'()") or word
