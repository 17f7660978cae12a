"""Messages that ask several things, made of two that ask one each: a judge learns to read a question in company."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from memedit.gate.learning.messages import Group, Message, Side

SEVERAL = "several"
LONGEST = 160  # characters of each
BETWEEN = (" ", " ", "\n", " And ", " also, ", " oh and ")


def several(group: Group, share: float, rng: np.random.Generator) -> Iterator[Message]:
    """Some of the short messages of a group with another one behind them; what bears on either bears on both.

    Args:
        share: Of the short messages, that get another one behind them.
        rng: Of the draws.
    """
    short = [one for one in group.messages if len(one.turns) == 1 and len(one.turns[0][1]) <= LONGEST]
    for one in short:
        other = short[rng.integers(len(short))]
        if rng.random() >= share or other is one:
            continue
        bearing = one.bearing | other.bearing
        side: Side = "in" if bearing else "out"
        edit = min(bearing) if bearing else one.edit
        text = f"{one.turns[0][1]}{rng.choice(BETWEEN)}{other.turns[0][1]}"
        yield Message(edit, side, SEVERAL, (("user", text),), bearing)
