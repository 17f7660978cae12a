"""Slips of the keyboard: near to what was meant, and never in what is short."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memedit.gate.learning.slips import slipped


@given(st.text(), st.integers(0, 99))
def test_little_changes(text, seed):
    typed = slipped(text, np.random.default_rng(seed))
    assert abs(len(typed) - len(text)) <= 2
    assert slipped(text, np.random.default_rng(seed)) == typed


def test_words_keep_their_first_letter_and_short_ones_stay():
    rng = np.random.default_rng(0)
    typed = {slipped("who is in Ulm", rng) for _ in range(20)}
    assert typed == {"who is in Ulm"}
    typed = {slipped("bakery v2.14", rng) for _ in range(50)}
    assert len(typed) > 8
    assert all(one[0] == "b" and one.endswith("v2.14") for one in typed)
