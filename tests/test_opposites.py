"""Which questions ask for the opposite of what a statement tells."""

from __future__ import annotations

import pytest

from memedit.gate.opposites import SIDES, opposed


@pytest.mark.parametrize(
    ("question", "statement", "is_opposed"),
    [
        ("What is the maximum order value?", "The minimum order value is 40 euros.", True),
        ("What is the minimum order value?", "The minimum order value is 40 euros.", False),
        ("How much do I have to order at least?", "The minimum order value is 40 euros.", False),
        ("When does the gym close?", "The gym opens at 6 am.", True),
        ("When does the gym close?", "The gym opens at 6 am and closes at 10 pm.", False),
        ("When does the gym open and close?", "The gym opens at 6 am.", False),
        ("Is the gym closing at six?", "The gym opens at 6 am.", False),  # settled by it
        ("How do I uninstall Brix?", "To install Brix, run brix-setup.", True),
        ("How do I install Brix?", "To install Brix, run brix-setup.", False),
        ("How do I turn off night mode?", "To turn on night mode, tap the moon.", True),
        ("What's the most expensive plan?", "The cheapest plan is Atlas.", True),
        ("Wann schließt der Markt?", "Der Markt öffnet um 7 Uhr.", True),
        ("Who is under the table?", "The cat sleeps.", False),
        ("", "The gym opens at 6 am.", False),
    ],
)
def test_a_question_after_the_other_side_is_opposed(question: str, statement: str, is_opposed: bool) -> None:
    assert opposed(question, statement) is is_opposed


def test_no_word_stands_on_two_sides() -> None:
    listed = [word for pair in SIDES for side in pair for word in side]
    assert len(listed) == len(set(listed))
