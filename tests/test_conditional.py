"""Conditional sentences: condition and consequence, and the label a consequence states."""

from __future__ import annotations

import pytest

from memedit import Patch
from memedit.edits import as_edit
from memedit.errors import EditRejected
from memedit.text.conditional import split_conditional, stated_label


@pytest.mark.parametrize(
    ("sentence", "condition", "consequence"),
    [
        ("If the service was slow, then the label is negative", "the service was slow", "the label is negative"),
        ("if the service was slow then the label is negative.", "the service was slow", "the label is negative"),
        ("When food is wug, food is good", "food is wug", "food is good"),
        ("The label is negative if the service was slow.", "the service was slow", "The label is negative"),
        ("If food, drinks, or both are wug, then food is good", "food, drinks, or both are wug", "food is good"),
        ("If the waiter, who was new, was rude, service is bad", "the waiter, who was new, was rude", "service is bad"),
        ("If A says that if B, then C, then D is so", "A says that if B, then C", "D is so"),
        ("If A is so, then if B is so, then C", "A is so", "if B is so, then C"),
        ("If it asks if food is good, then the label is no", "it asks if food is good", "the label is no"),
        ('If it says "if x, then y", the label is no', 'it says "if x, then y"', "the label is no"),
        ("If the food (cold, then warm) is wug then food is bad", "the food (cold, then warm) is wug", "food is bad"),
        ("If it was slow back then, then it is bad", "it was slow back then", "it is bad"),
        ("If it was slow, the label is a, not b", "it was slow", "the label is a, not b"),
        ("If it was dry, and if not, bland, the dish is bad", "it was dry, and if not, bland", "the dish is bad"),
    ],
)
def test_sentences_are_parted(sentence: str, condition: str, consequence: str) -> None:
    assert split_conditional(sentence) == (condition, consequence)
    patch = Patch(sentence)
    assert (patch.condition, patch.consequence) == (condition, consequence)


@pytest.mark.parametrize(
    "sentence", ["food is good", "If nothing follows", "If cold, bland, dry", "even if so", "If , then", ""]
)
def test_what_is_no_conditional_is_refused(sentence: str) -> None:
    assert split_conditional(sentence) is None
    with pytest.raises(EditRejected, match=r"no condition(.|\n)*If …, then …"):
        Patch(sentence)


def test_sentence_and_fields_do_not_mix() -> None:
    with pytest.raises(EditRejected, match=r"consequence beside it"):
        Patch("If a is so, then b is so", consequence="c")
    with pytest.raises(EditRejected, match=r"may not stand"):
        Patch("If a\u202eb is so, then c is so")


def test_a_parsed_patch_is_the_same_as_one_of_two_fields() -> None:
    patch = Patch("If a is so, then b is so", author="me")
    assert patch.content_hash == Patch(condition="a is so", consequence="b is so").content_hash
    assert as_edit(patch.to_dict()) == patch
    assert patch.with_(consequence="c").condition == "a is so"


@pytest.mark.parametrize(
    ("consequence", "label"),
    [
        ("the label is negative", "negative"),
        ("sentiment must be Negative.", "negative"),
        ("the sentiment of this review is negative", "negative"),
        ("classify this review as 'negative'", "negative"),
        ("negative", "negative"),
        ("the label is not spam", "not spam"),
        ("the label is not negative", None),
        ("food is bad", None),
        ("food is negative", None),
        ("the label is purple", None),
    ],
)
def test_stated_labels(consequence: str, label: str | None) -> None:
    assert stated_label(consequence, ["negative", "positive", "not spam", "spam"]) == label
