"""Standing instructions: statements that may bear on a message however far they lie.

What says how everything is to be answered (“Never use emojis with me.”) is recognised by the judge when it is added,
and becomes a Behaviour without a topic. Others govern some messages (“Sign my mails with L.”): what a plain
statement's vector shows of that is a direction in the embedder's space (`gate/learning/standing.py`); the statements
farthest along it are proposed with every message, and the gate decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memedit.edits import AnyEdit, Behaviour, Edit, EditLike, Fact
from memedit.embedders import Vectors
from memedit.text import words

if TYPE_CHECKING:
    from memedit.encoder.judge import Judge

FILE = "standing.npz"
MOST = 4  # that are proposed with a message
EVERY = " < every message"
"""What the judge reads in a conversation's place where it is to tell whether a statement governs every answer."""
SURE = 2.0  # log-odds from which it does
LONGEST = 30  # words of a text that is read for that


@dataclass(frozen=True, slots=True)
class Standing:
    """The direction.

    Args:
        direction: Of unit length, (dimension,).
        least: Cosine to it from which a statement is proposed.
    """

    direction: Vectors
    least: float


@cache
def shipped_standing() -> Standing:
    """The one that comes with memedit, in MiniLM's space."""
    with np.load(Path(str(resources.files("memedit.data"))) / "encoders" / FILE, allow_pickle=False) as kept:
        return Standing(kept["direction"], float(kept["least"]))


def recognised(edit: AnyEdit, given: EditLike, judge: Judge) -> AnyEdit:
    """The edit; a Behaviour in its place, where a bare text was given that surely governs every answer."""
    if not (isinstance(edit, Fact) and _is_bare(given) and len(words(edit.statement)) <= LONGEST):
        return edit
    out, direct, _ = judge.logits([(EVERY, edit.statement)])[0].tolist()
    if direct - out < SURE:
        return edit
    return Behaviour(conduct=edit.statement, **{name: getattr(edit, name) for name in Edit.MADE_BY})


def _is_bare(given: EditLike) -> bool:
    """Whether it is a text, or a mapping with nothing else of an edit."""
    return isinstance(given, str) or (isinstance(given, Mapping) and given.keys() - Edit.MADE_BY == {"statement"})
