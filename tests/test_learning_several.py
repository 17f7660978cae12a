"""Messages made of two."""

from __future__ import annotations

import numpy as np

from memedit.edits import Fact
from memedit.gate.learning.messages import Group, Message
from memedit.gate.learning.several import LONGEST, several


def asked(text: str, *bearing: str) -> Message:
    return Message("a", "in" if bearing else "out", "direct", (("user", text),), frozenset(bearing))


def test_what_bears_on_either_bears_on_both():
    edits = (Fact(statement="A is B.", id="a"), Fact(statement="C is D.", id="c"))
    own = (asked("What is A?", "a"), asked("What is C?", "c"), asked("What is E?"), asked("x" * (LONGEST + 1), "a"))
    made = list(several(Group("g", edits, own), 1.0, np.random.default_rng(0)))
    assert 2 <= len(made) <= 3  # none behind itself
    for one in made:
        ((_, text),) = one.turns
        found = {one for one in "ac" if f"What is {one.upper()}?" in text}
        assert (one.bearing, one.side) == (found, "in" if found else "out")
        assert text.count("?") == 2
        assert one.edit in (found or {"a"})
    assert list(several(Group("g", edits, own), 0.0, np.random.default_rng(0))) == []
