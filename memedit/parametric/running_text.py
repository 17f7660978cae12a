"""Running text: most of it for the statistics of keys, a part held out for perplexity."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from memedit.errors import FileRejected

SHORTEST = 80  # characters of a message that counts as text
HELD, EVERY = 24, 10  # texts that are held out at most, one in ten


@dataclass(frozen=True, slots=True)
class RunningText:
    """Text in two parts.

    Args:
        read: What statistics are taken of.
        held: What perplexity is measured on.
    """

    read: tuple[str, ...]
    held: tuple[str, ...]

    @classmethod
    def of(cls, texts: Sequence[str] | None = None) -> RunningText:
        """Texts in two parts; where none are given, messages and statements of the everyday data set.

        Raises:
            FileRejected: There are too few.
        """
        given = [text for text in (shipped() if texts is None else texts) if text.strip()]
        if len(given) < 2:
            raise FileRejected("There are fewer than two texts.", do="give running text: a list of paragraphs")
        held = given[::EVERY][:HELD]
        apart = set(held)
        return cls(tuple(text for text in given if text not in apart), tuple(held))


def shipped(languages: Collection[str] = ("en",)) -> Iterator[str]:
    """Statements and longer messages of the everyday data in some languages, that come with memedit."""
    file = resources.files("memedit") / "data" / "everyday" / "train.jsonl"
    for line in file.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record.get("language") not in languages:
            continue
        for text in (record["statement"], *_said(record)):
            if len(text) >= SHORTEST:
                yield text


def _said(record: Any) -> Iterator[str]:
    for message in (*record["in"], *record["out"]):
        turns = message["turns"]
        yield from [turns] if isinstance(turns, str) else [turn["content"] for turn in turns]
