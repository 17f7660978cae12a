"""Slips of the keyboard, as people make them when they type fast: what a judge learns to read over."""

from __future__ import annotations

import re

import numpy as np

LONG = re.compile(r"[^\W\d_]{4,}")  # shorter words become other words too easily


def slipped(text: str, rng: np.random.Generator) -> str:
    """The text with a slip in one or two of its longer words: a letter left out or doubled, or two that changed places.

    The first letter stays, as it mostly does (Pollock & Zamora 1984, doi:10.1145/358027.358048).
    """
    found = list(LONG.finditer(text))
    if not found:
        return text
    for at in sorted(rng.choice(len(found), min(len(found), int(rng.integers(1, 3))), replace=False), reverse=True):
        start, end = found[at].span()
        text = text[:start] + _slip(found[at][0], rng) + text[end:]
    return text


def _slip(word: str, rng: np.random.Generator) -> str:
    at = int(rng.integers(1, len(word) - 1))
    before, here, after, rest = word[:at], word[at], word[at + 1], word[at + 2 :]
    way = int(rng.integers(3))
    return before + (after, here + here + after, after + here)[way] + rest
