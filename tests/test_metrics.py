"""Metrics of one probe: worked examples, laws that hold for every input, and agreement with independent packages."""

from __future__ import annotations

import math
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memedit.errors import MissingExtra
from memedit.eval import metrics
from memedit.eval.metrics import chosen_letter, harmonic, last_number, normalise
from memedit.llms import Likelihood

TEXT = st.text(st.sampled_from("ab theAN.,'-é3\n"), max_size=30)
SHARE = st.floats(0, 1).map(lambda share: round(share, 6))
imports = settings(deadline=None)  # the first example pays for an import
LIKELIHOOD = st.builds(
    lambda mean, matched: Likelihood(mean * len(matched), tuple(matched)),
    st.floats(-30, 0),
    st.lists(st.booleans(), min_size=1, max_size=8),
)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Eiffel Tower!", "eiffel tower"),
        ("  an   apple,\na day ", "apple day"),
        ("U.S.A.", "usa"),
        ("well-known", "wellknown"),
        ("theatre", "theatre"),
        ("The The", ""),
        ("“Paris”", "“paris”"),
        ("a.", ""),
    ],
)
def test_normal_form_of_squad(text, normal):
    assert normalise(text) == normal


@given(TEXT)
def test_the_normal_form_is_normal(text):
    assert normalise(normalise(text)) == normalise(text)


def test_exact_is_the_whole_reply():
    assert metrics.exact("the Paris.", ["London", "Paris"])
    assert not metrics.exact("Paris, France", ["Paris"])
    assert not metrics.exact("Paris", [])


@pytest.mark.parametrize(
    ("reply", "answers", "value"),
    [
        ("Paris", ["Paris"], 1),
        ("in Paris France", ["Paris"], 1 / 2),  # precision 1/3, recall 1
        ("New York City", ["the city of New York"], 6 / 7),  # precision 1, recall 3/4
        ("Paris", ["London", "Paris, France"], 2 / 3),
        ("cat cat", ["cat"], 2 / 3),
        ("Rome", ["Paris"], 0),
        ("", ["Paris"], 0),
        ("the", ["The The"], 1),
        ("Paris", [], 0),
    ],
)
def test_f1(reply, answers, value):
    assert metrics.f1(reply, answers) == pytest.approx(value)


@given(TEXT, TEXT)
def test_f1_is_symmetric_and_complete_where_the_match_is_exact(one, other):
    assert metrics.f1(one, [other]) == metrics.f1(other, [one])
    assert 0 <= metrics.f1(one, [other]) <= 1
    if metrics.exact(one, [other]):
        assert metrics.f1(one, [other]) == 1


def test_contains_and_begins():
    assert metrics.contains("It lies in Paris, France.", ["Rome", "PARIS"])
    assert not metrics.contains("Parisian", ["Paris"])
    assert metrics.begins("São Paulo is big", ["sao paulo"])
    assert not metrics.begins("In São Paulo", ["sao paulo"])
    assert not metrics.begins("Paris", ["Paris, France", ""])


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("B", "B"),
        (" b\n", "B"),
        ("B.", "B"),
        ("b)", "B"),
        ("(B) wet palms", "B"),
        ("**B**", "B"),
        ("[C]", "C"),
        ("B wet palms", "B"),
        ("B: wet palms", "B"),
        ("B - wet palms", "B"),
        ("A. wet palms", "A"),
        ("A) a magnet", "A"),
        ("A\nbecause it is", "A"),
        ("A is correct", "A"),
        ("The answer is B", "B"),
        ("The answer is A because magnets attract iron.", "A"),
        ("The correct answer is: (c).", "C"),
        ("the answer is d", "D"),
        ("Answer: **B) wet palms**", "B"),
        ("The answer is option A", "A"),
        ("I choose B", "B"),
        ("I think it's C.", "C"),
        ("Option A", "A"),
        ("The correct option is (D).", "D"),
        ("Option A is wrong. The answer is B.", "B"),
        ("B is wrong, so the answer is C.", "C"),
        ("The answer is B. Again, the answer is B.", "B"),
        ("A magnet attracts iron", None),
        ("a magnet", None),
        ("The answer is a magnet", None),
        ("Answer: A magnet attracts iron", None),
        ("I know the answer. A magnet it is.", None),
        ("A", "A"),
        ("", None),
        ("wet palms", None),
        ("The answer is not B", None),
        ("The answer is B. No, the answer is C.", None),
        ("(B) is not right", None),
        ("B isn't it", None),
        ("Option A is wrong. Option B is right.", "B"),
        ("I would say B", "B"),
        ("Both A and B", None),
        ("Vitamin C is good", None),
        ("A, B and C", None),
        ("B and C", None),
        ("A or B", None),
        ("B/C", None),
        ("C++ is a language", None),
        ("C's palms", None),
        ("A.D. 1066", None),
        ("D-day", None),
        ("Bananas", None),
        ("E", None),
    ],
)
def test_chosen_letter(reply, letter):
    assert chosen_letter(reply, ("A", "B", "C", "D")) == letter


@given(
    st.sampled_from("ABCDE"),
    st.sampled_from(["{}", "{}.", "({})", "The answer is {}.", "Answer: {}\n", "Option {}", "{}) something else"]),
)
def test_a_plain_choice_is_read_in_every_form(letter, form):
    assert chosen_letter(form.format(letter), "ABCDE") == letter
    assert chosen_letter(form.format(letter), [other for other in "ABCDE" if other != letter]) is None


@given(st.text(max_size=60))
def test_any_reply_gives_a_choice_or_none(reply):
    assert chosen_letter(reply, ("A", "B")) in {"A", "B", None}
    assert chosen_letter(reply, ()) is None


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("1,063 coins.", "1063"),
        ("$3.50", "3.5"),
        ("3.0", "3"),
        ("From 4 to 12.", "12"),
        ("-7", "-7"),
        ("It was −7.25 °C", "-7.25"),
        ("-$5", "-5"),
        ("10-5", "5"),
        ("2024-05-06", "6"),
        (".5", "0.5"),
        ("-0.0", "0"),
        ("007", "7"),
        ("50%", "50"),
        ("12kg", "12"),
        ("**72**", "72"),
        ("_72_", "72"),
        ("1,234,567.890", "1234567.89"),
        ("1,2,3", "3"),
        ("5 kg of CO2", "5"),
        ("CO25", None),
        ("٣", "3"),
        ("none", None),
    ],
)
def test_last_number(reply, number):
    assert last_number(reply) == number


@given(st.integers(), TEXT.filter(lambda text: "3" not in text))
def test_an_integer_is_read_as_it_is_written(number, after):
    assert last_number(f"It is {number:,} {after}") == last_number(f"{number}") == str(number)


@given(st.decimals(-(10**9), 10**9, places=3))
def test_same_number_does_not_depend_on_notation(number):
    assert metrics.same_number(f"{number:f}", f"so {number:,f}00 of them")


def test_same_number_needs_numbers():
    assert metrics.same_number("3", "3.0 apples")
    assert not metrics.same_number("3", "4")
    assert not metrics.same_number("none", "none")


@pytest.mark.parametrize(
    ("reply", "answers", "value"),
    [
        ("police kill the gunman", ["police killed the gunman"], 3 / 4),  # the example of Lin 2004
        ("the gunman kill police", ["police killed the gunman"], 2 / 4),
        ("the cat", ["a dog", "The cat sat."], 4 / 5),
        ("the cat", [], 0),
        ("", ["cat"], 0),
    ],
)
def test_rouge_l(reply, answers, value):
    assert metrics.rouge_l(reply, answers) == pytest.approx(value)


@imports
@given(TEXT, st.lists(TEXT, min_size=1, max_size=3))
def test_rouge_l_takes_the_best_answer(reply, answers):
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    assert metrics.rouge_l(reply, answers) == scorer.score_multi(answers, reply)["rougeL"].fmeasure
    assert metrics.rouge_l(reply, [reply]) == any(char.isascii() and char.isalnum() for char in reply)


def test_rouge_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(MissingExtra, match="rouge-score") as error:
        metrics.rouge_l("a", ["a"])
    assert error.value.extra == "eval"


def test_ngram_entropy():
    assert metrics.ngram_entropy("no no no no") == 0
    # 4 bigrams, all different: 2 bits; 3 trigrams: log2 3
    assert metrics.ngram_entropy("one two three four five") == pytest.approx((2 / 3 * 2 + 4 / 3 * math.log2(3)) / 2)
    # bigrams ab ba ab ba: 1 bit; trigrams aba bab aba: H(2/3, 1/3)
    uneven = 2 / 3 * math.log2(3 / 2) + 1 / 3 * math.log2(3)
    assert metrics.ngram_entropy("a b a b a") == pytest.approx((2 / 3 * 1 + 4 / 3 * uneven) / 2)
    assert metrics.ngram_entropy("It isn't so.") == pytest.approx((2 / 3 * math.log2(3) + 4 / 3 * 1) / 2)
    assert all(math.isnan(metrics.ngram_entropy(text)) for text in ("", "word", "two words", "Paris."))


@imports
@given(st.lists(st.sampled_from(["a", "b", "c's", "3.5"]), min_size=3, max_size=40))
def test_ngram_entropy_agrees_with_scipy(tokens):
    stats = pytest.importorskip("scipy.stats")
    parts = [
        weight * stats.entropy(list(Counter(zip(*(tokens[i:] for i in range(n)), strict=False)).values()), base=2)
        for n, weight in ((2, 2 / 3), (3, 4 / 3))
    ]
    assert metrics.ngram_entropy(" ".join(tokens)) == pytest.approx(np.mean(parts), abs=1e-12)


def test_likelihoods():
    long = Likelihood(math.log(0.25), (True, False))  # 0.5 a token
    short = Likelihood(math.log(0.3), (True,))
    assert metrics.mean_logprob(long) == pytest.approx(math.log(0.5))
    assert metrics.prefers(long, short)  # though the whole of it is less likely
    assert not metrics.prefers(short, short)
    assert metrics.magnitude(long, short) == pytest.approx(0.5 - 0.3)
    assert metrics.token_accuracy(long) == 0.5


@given(LIKELIHOOD, LIKELIHOOD)
def test_laws_of_likelihoods(one, other):
    assert not (metrics.prefers(one, other) and metrics.prefers(other, one))
    assert -1 <= metrics.magnitude(one, other) <= 1
    assert metrics.magnitude(one, other) == -metrics.magnitude(other, one)
    if metrics.magnitude(one, other) > 0:
        assert metrics.prefers(one, other)
    assert 0 <= metrics.token_accuracy(one) <= 1


def test_harmonic_mean():
    assert harmonic([1, 0.5, 0.25]) == pytest.approx(3 / 7)
    assert harmonic([0, 1, 1]) == 0
    assert math.isnan(harmonic([]))
    assert math.isnan(harmonic([0, math.nan]))
    assert harmonic(np.array([[1.0, 0.0], [0.5, 1.0]])).tolist() == pytest.approx([2 / 3, 0])


@imports
@given(st.lists(SHARE, min_size=1, max_size=6))
def test_harmonic_mean_agrees_with_scipy(values):
    stats = pytest.importorskip("scipy.stats")
    assert harmonic(values) == pytest.approx(stats.hmean(values))
    assert min(values) * (1 - 1e-9) <= harmonic(values) <= np.mean(values) * (1 + 1e-9)
