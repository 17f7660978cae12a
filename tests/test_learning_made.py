"""Messages made of others: of two that are asked at once, and of one with something said around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from memedit.edits import Fact
from memedit.gate.learning.asides import ASIDE, with_asides
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


def test_what_is_said_around_a_question_changes_nothing_of_it():
    earlier = (("user", "Who are you?"), ("assistant", "A bot."))
    own = (asked("What is A?", "a"), replace(asked("What is E?"), turns=(*earlier, ("user", "What is E?"))))
    group = Group("g", (), own)
    made = [one for seed in range(40) for one in with_asides(group, 1.0, np.random.default_rng(seed))]
    assert len(made) == 80
    for one, before in zip(made, own * 40, strict=True):
        assert replace(one, kind=before.kind, turns=before.turns) == before
        assert (one.kind, one.turns[:-1]) == (ASIDE, before.turns[:-1])
        (_, said), (_, text) = one.turns[-1], before.turns[-1]
        assert said != text
        assert text[1:-1] in said
    assert list(with_asides(group, 0.0, np.random.default_rng(0))) == []
