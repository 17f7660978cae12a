"""From rows to scores: every metric on answers that are worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from memedit.cli._scores import show_scores
from memedit.eval.cases import Kind, Probe
from memedit.eval.runs import Asked, Row, Run
from memedit.eval.scores import Score, score_run
from memedit.llms import Likelihood

Reply = tuple[str, Probe, dict[str, Any]]
"""Case, probe, and the fields of the row that answers it."""

METHOD = "in_context"


def said(case: str, kind: Kind, text: str | None = None, /, **fields: Any) -> Reply:
    """An answer; fields of the probe and of the row together."""
    of_probe = {name: fields.pop(name) for name in list(fields) if name in Probe.__slots__}
    probe = Probe(id=of_probe.pop("id", str(kind)), kind=kind, prompt="?", **of_probe)
    return case, probe, {"text": text, **fields}


def likely(*pairs: tuple[float, int], matched: Sequence[bool] | None = None) -> tuple[Likelihood, ...]:
    """Likelihoods from (nats, tokens)."""
    return tuple(Likelihood(nats, tuple(matched or (True,) * tokens)) for nats, tokens in pairs)


def make(replies: Sequence[Reply], unedited: Sequence[Reply] = (), *, edits: tuple[str, ...] = ("e",)) -> Run:
    asked: dict[tuple[str, str], Asked] = {}
    rows: dict[str, list[Row]] = {}
    for method, given in (("unedited", unedited), (METHOD, replies)):
        for case, probe, fields in given:
            one = Asked(case=case, namespace="all", probe=probe, edits=edits)
            assert asked.setdefault(one.key, one) == one
            rows.setdefault(method, []).append(Row(method=method, case=case, probe=probe.id, **fields))
    about = {
        "title": "T",
        "llm": "fake",
        "cases": [],
        "asked": len(asked),
        "set_aside": [],
        "edits": 1,
        "malformed": [],
    }
    return Run(Path("nowhere"), about, tuple(asked.values()), rows)


def scored(replies: Sequence[Reply], *how: Any, method: str = METHOD, **more: Any) -> dict[tuple[str, str, str], Score]:
    found = score_run(make(replies, *how, **more))
    assert len({(each.method, each.kind, each.protocol, each.metric) for each in found}) == len(found)
    for each in found:
        assert math.isnan(each.low) == math.isnan(each.high)
        assert math.isnan(each.low) or each.low <= each.value + 1e-12
        assert math.isnan(each.low) or each.value <= each.high + 1e-12
    return {(each.kind, each.protocol, each.metric): each for each in found if each.method == method}


def generation(replies: Sequence[Reply], kind: Kind = Kind.EFFICACY, *how: Any) -> dict[str, tuple[float, int, int]]:
    """(value, n, not scored) of a kind's free answers, by metric."""
    return {
        metric: (each.value, each.n, each.not_scored)
        for (of, protocol, metric), each in scored(replies, *how).items()
        if (of, protocol) == (kind, "generation")
    }


def near(value: float) -> Any:
    return pytest.approx(value, abs=1e-12)


# ---- free generation ------------------------------------------------------------------------------------------------


def test_contains_exact_and_f1() -> None:
    answers = ("Paris", "City of Light")
    found = generation(
        [
            said("a", Kind.EFFICACY, "The Paris.", answers=answers),  # 1, 1, 1
            said("b", Kind.EFFICACY, "It is Paris, I think", answers=answers),  # 1, 0, 2·1/(5+1)
            said("c", Kind.EFFICACY, "London", answers=answers),
            said("d", Kind.EFFICACY, "", answers=answers),
        ]
    )
    assert found == {
        "contains": (near(2 / 4), 4, 0),
        "exact": (near(1 / 4), 4, 0),
        "F1": (near((1 + 1 / 3) / 4), 4, 0),
    }


def test_long_texts_have_rouge_l_and_f1_and_are_not_right_or_wrong() -> None:
    pytest.importorskip("rouge_score")
    answers = ("the cat sat on the mat",)
    found = generation([said("a", Kind.EFFICACY, "the cat on mat", form="text", answers=answers)])
    # common subsequence the-cat-on-mat: precision 4/4, recall 4/6; words without articles: 2·3/(3+4)
    assert found == {"ROUGE-L": (near(0.8), 1, 0), "F1": (near(6 / 7), 1, 0)}


def test_chosen_letters() -> None:
    same = {"form": "choice", "answers": ("B",), "choices": ("A", "B", "C", "D")}
    found = generation(
        [
            said("a", Kind.EFFICACY, "B", **same),
            said("b", Kind.EFFICACY, "The answer is (C).", **same),
            said("c", Kind.EFFICACY, "I do not know", **same),  # unclear is wrong, not left out
        ]
    )
    assert found == {"chosen letter": (near(1 / 3), 3, 0)}


def test_numbers() -> None:
    replies = ("1,063 coins.", "First 5, then 1063.0", "none", "7")
    same = {"form": "number", "answers": ("1063",)}
    found = generation([said(f"c{at}", Kind.EFFICACY, reply, **same) for at, reply in enumerate(replies)])
    assert found == {"number": (near(2 / 4), 4, 0)}


def test_judged_answers_that_were_not_judged_are_counted() -> None:
    verdicts = (True, False, None, True, None)
    replies = [said(f"c{at}", Kind.EFFICACY, "x", form="judge", judged=mark) for at, mark in enumerate(verdicts)]
    assert generation(replies) == {"judged": (near(2 / 3), 3, 2)}


@pytest.mark.parametrize("form", ["none", "pick", "span"])
def test_forms_that_no_free_answer_is_judged_by(form: str) -> None:
    assert generation([said("a", Kind.EFFICACY, "x", form=form)]) == {}


def test_answers_without_a_known_one_are_not_judged() -> None:
    assert generation([said("a", Kind.EFFICACY, "x")]) == {}


def test_fluency_and_what_is_too_short_for_it() -> None:
    found = generation(
        [
            said("a", Kind.FLUENCY, "a b c", form="none"),  # bigrams 1 bit, trigrams 0: (2/3 · 1 + 0) / 2
            said("b", Kind.FLUENCY, "a b", form="none"),
        ],
        Kind.FLUENCY,
    )
    assert found == {"n-gram entropy": (near(1 / 3), 1, 1)}


def test_identical_is_against_the_unedited_model_and_only_out_of_scope() -> None:
    texts = {"a": ("Rome", "Rome"), "b": ("Rome", "rome"), "c": ("Oslo", "Rome")}

    def replies(which: int) -> list[Reply]:
        return [
            said(case, kind, both[which], form="none")
            for case, both in texts.items()
            for kind in (Kind.NEIGHBOURHOOD, Kind.LOCALITY, Kind.EFFICACY)
        ]

    run = replies(0), replies(1)
    for kind in (Kind.NEIGHBOURHOOD, Kind.LOCALITY):
        assert generation(run[0], kind, run[1])["identical"] == (near(1 / 3), 3, 0)
    assert generation(run[0], Kind.EFFICACY, run[1]) == {}
    assert generation(run[0], Kind.LOCALITY) == {}  # the unedited model was not asked
    assert not [key for key in scored(*run, method="unedited") if key[2] == "identical"]


# ---- over several answers of a case ---------------------------------------------------------------------------------


def chain(case: str, wordings: Sequence[bool], hops: Sequence[bool]) -> list[Reply]:
    """A multi-hop question in several wordings, and the hops of its chain."""
    kinds = [(Kind.MULTI_HOP, mark) for mark in wordings] + [(Kind.HOP, mark) for mark in hops]
    return [
        said(case, kind, "yes" if mark else "no", id=f"p{at}", answers=("yes",),
             group="q" if kind is Kind.MULTI_HOP else None)
        for at, (kind, mark) in enumerate(kinds)
    ]  # fmt: skip


def test_m_acc_takes_any_wording_and_h_acc_all_hops_too() -> None:
    found = generation(
        [
            *chain("solved", (False, True, False), (True, True)),
            *chain("solved by luck", (True, True, True), (True, False)),
            *chain("hops alone", (False, False, False), (True, True)),
            *chain("unsolved", (False, False, False), (False, False)),
        ],
        Kind.MULTI_HOP,
    )
    assert found["M-Acc"] == (near(2 / 4), 4, 0)
    assert found["H-Acc"] == (near(1 / 4), 4, 0)
    assert found["contains"] == (near(4 / 12), 12, 0)


def test_m_acc_without_hops_and_with_what_cannot_be_scored() -> None:
    unanswered = [said("d", Kind.MULTI_HOP, "x", id=f"p{at}", form="none", group="q") for at in range(2)]
    found = generation([*chain("a", (True,), ()), *chain("b", (False, False), ()), *unanswered], Kind.MULTI_HOP)
    assert found["M-Acc"] == (near(1 / 2), 2, 1)
    assert "H-Acc" not in found


def test_consistency_is_the_share_of_pairs_of_wordings_that_agree() -> None:
    def wordings(case: str, *texts: str) -> list[Reply]:
        return [
            said(case, Kind.PARAPHRASE if at else Kind.EFFICACY, text, id=f"p{at}", answers=("x",))
            for at, text in enumerate(texts)
        ]

    found = generation(
        [
            *wordings("a", "Paris", "the PARIS.", "London"),  # 1 of 3 pairs
            *wordings("b", "Rome", "Rome", "Rome"),
            *wordings("c", "Rome", "Oslo"),  # fewer than three wordings
        ],
        Kind.PARAPHRASE,
    )
    assert found["consistency"] == (near((1 / 3 + 1) / 2), 2, 0)


def test_conditions_met() -> None:
    """RippleEdits' filter: the unedited model knows what a test presupposes, and the edit itself succeeded."""

    def case(name: str, *, edit: bool, test: bool) -> list[Reply]:
        return [
            said(name, Kind.EFFICACY, "yes" if edit else "no", answers=("yes",)),
            said(name, Kind.LOGICAL, "yes" if test else "no", answers=("yes",), requires=("k0", "k1")),
        ]

    def knows(name: str, *marks: bool) -> list[Reply]:
        return [
            said(name, Kind.CONDITION, "yes" if mark else "no", id=f"k{at}", answers=("yes",))
            for at, mark in enumerate(marks)
        ]

    names = {"known": (True, True), "half": (True, False), "failed": (True, True), "wrong": (True, True)}
    unedited = [
        reply for name, marks in names.items() for reply in [*case(name, edit=False, test=False), *knows(name, *marks)]
    ]
    replies = [
        *case("known", edit=True, test=True),
        *case("half", edit=True, test=True),  # one condition is not met
        *case("failed", edit=False, test=True),  # the edit did not take
        *case("wrong", edit=True, test=False),
    ]
    found = generation(replies, Kind.LOGICAL, unedited)
    assert found["contains"] == (near(3 / 4), 4, 0)
    assert found["contains, conditions met"] == (near(1 / 2), 2, 0)
    everything = scored(replies, unedited, method="unedited")
    assert not [key for key in everything if key[0] == Kind.CONDITION]


def test_without_conditions_nothing_is_filtered() -> None:
    found = generation([said("a", Kind.EFFICACY, "yes", answers=("yes",))])
    assert "contains, conditions met" not in found


# ---- likelihood -----------------------------------------------------------------------------------------------------


def ranked(case: str, kind: Kind, *pairs: tuple[float, int], **more: Any) -> Reply:
    return said(case, kind, None, answers=("new",), rejected=("old",), likelihoods=likely(*pairs), **more)


def test_ranking_and_magnitude_are_per_token() -> None:
    found = scored(
        [
            ranked("a", Kind.EFFICACY, (-2.0, 2), (-1.5, 1)),  # −1 against −1.5 a token, though the sum is lower
            ranked("b", Kind.EFFICACY, (-3.0, 1), (-1.0, 1)),
            ranked("c", Kind.EFFICACY, (-1.0, 1), (-2.0, 2)),  # a tie does not count
        ]
    )
    assert found[Kind.EFFICACY, "likelihood", "ranking"].value == near(1 / 3)
    magnitudes = math.exp(-1) - math.exp(-1.5), math.exp(-3) - math.exp(-1), 0.0
    assert found[Kind.EFFICACY, "likelihood", "magnitude"].value == near(sum(magnitudes) / 3)
    assert {protocol for _, protocol, _ in found} == {"likelihood"}


def test_s_is_the_harmonic_mean_of_the_three_rankings() -> None:
    good, bad = ((-1.0, 1), (-2.0, 1)), ((-2.0, 1), (-1.0, 1))
    replies = [
        ranked("a", Kind.EFFICACY, *good),
        ranked("a", Kind.PARAPHRASE, *good, id="p0"),
        ranked("a", Kind.PARAPHRASE, *bad, id="p1"),
        ranked("b", Kind.EFFICACY, *good),
        *(ranked("b", Kind.NEIGHBOURHOOD, *pair, id=f"n{at}") for at, pair in enumerate((good, bad, bad, bad))),
    ]
    score = scored(replies)["all", "likelihood", "S"]
    assert score.value == near(3 / (1 / 1 + 1 / 0.5 + 1 / 0.25))
    assert score.n == 8
    assert ("all", "likelihood", "S") not in scored(replies[:3])  # without neighbours there is none


def test_token_accuracy_is_the_share_of_first_choices() -> None:
    def one(case: str, *matched: bool) -> Reply:
        found = likely((-1.0, len(matched)), matched=matched)
        return said(case, Kind.EFFICACY, None, answers=("x y",), likelihoods=found)

    score = scored([one("a", True, False), one("b", True, True, True, False)])
    assert score[Kind.EFFICACY, "likelihood", "token accuracy"].value == near((1 / 2 + 3 / 4) / 2)
    assert (Kind.EFFICACY, "likelihood", "ranking") not in score  # nothing to lose against


def test_the_likeliest_of_several_choices() -> None:
    same = {"answers": ("B",), "choices": ("A", "B", "C")}
    found = scored(
        [
            said("a", Kind.EFFICACY, form="pick", likelihoods=likely((-3, 1), (-2, 2), (-2, 1)), **same),
            said("b", Kind.EFFICACY, form="choice", likelihoods=likely((-1, 1), (-2, 1), (-2, 1)), **same),
        ]
    )
    assert found[Kind.EFFICACY, "likelihood", "likeliest choice"].value == near(1 / 2)
    assert list(found) == [(Kind.EFFICACY, "likelihood", "likeliest choice")]


def test_perplexity_is_over_all_tokens() -> None:
    def span(case: str, nats: float, tokens: int) -> Reply:
        return said(case, Kind.PASSAGE, form="span", answers=("x",), likelihoods=likely((nats, tokens)))

    found = scored([span("a", -4.0, 2), span("b", -2.0, 4)])
    assert found[Kind.PASSAGE, "likelihood", "perplexity"].value == near(math.exp(6 / 6))
    assert list(found) == [(Kind.PASSAGE, "likelihood", "perplexity")]


def test_no_likelihoods_are_not_wrong() -> None:
    same = {"answers": ("new",), "rejected": ("old",)}
    found = scored([said("a", Kind.EFFICACY, "new", likelihoods=None, **same)])
    assert not [key for key in found if key[1] == "likelihood"]


def test_rows_without_likelihoods_are_counted_beside_those_with() -> None:
    """A method that answers some by itself: its ranking rests on the others, which has to be said."""
    same = {"answers": ("new",), "rejected": ("old",)}
    found = scored(
        [
            ranked("a", Kind.EFFICACY, (-1.0, 1), (-2.0, 1)),
            said("b", Kind.EFFICACY, "new", likelihoods=None, **same),
            said("c", Kind.EFFICACY, "new", likelihoods=None, **same),
        ]
    )
    score = found[Kind.EFFICACY, "likelihood", "ranking"]
    assert (score.value, score.n, score.not_scored) == (1.0, 1, 2)


# ---- the gate, and cost ---------------------------------------------------------------------------------------------


def test_recall_precision_and_false_fires_of_the_gate() -> None:
    looked_up = {  # kind, hit, fired
        "a": (Kind.EFFICACY, True, True),
        "b": (Kind.EFFICACY, False, True),  # another edit only
        "c": (Kind.EFFICACY, False, False),
        "d": (Kind.LOCALITY, False, True),
        "e": (Kind.LOCALITY, False, False),
        "f": (Kind.LOCALITY, True, True),  # its own edit, where none is in scope
        "g": (Kind.PORTABILITY, True, True),  # an edit bears on it: neither right nor wrong to fire
    }
    replies = [said(case, kind, "x", hit=hit, fired=fired) for case, (kind, hit, fired) in looked_up.items()]
    unedited = [said(case, kind, "x") for case, (kind, _, _) in looked_up.items()]
    found = {(key[0], key[2]): (one.value, one.n) for key, one in scored(replies, unedited).items() if key[1] == "gate"}
    assert found == {
        (Kind.EFFICACY, "recall"): (near(1 / 3), 3),
        ("all", "recall"): (near(1 / 3), 3),
        (Kind.LOCALITY, "false fires"): (near(2 / 3), 3),
        ("all", "false fires"): (near(2 / 3), 3),
        ("all", "precision"): (near(1 / 4), 4),
    }
    assert not [key for key in scored(replies, unedited, method="unedited") if key[1] == "gate"]


def test_a_case_without_edits_has_no_recall() -> None:
    replies = [said("a", Kind.EFFICACY, "x")]
    assert not [key for key in scored(replies, replies, edits=()) if key[2] == "recall"]


def test_cost_is_a_mean_over_answers() -> None:
    replies = [
        said("a", Kind.EFFICACY, "x", seconds=1.0, calls=1, tokens_in=10, tokens_out=2, peak_mb=100.0),
        said("b", Kind.LOCALITY, "x", seconds=2.0, calls=4, tokens_in=None, tokens_out=None, peak_mb=300.0),
        said("c", Kind.EFFICACY, None, seconds=9.0, calls=9),  # only likelihoods were taken
    ]
    found = {key[2]: (one.value, one.n, one.not_scored) for key, one in scored(replies).items() if key[1] == "cost"}
    assert found == {
        "seconds": (1.5, 2, 0),
        "calls": (2.5, 2, 0),
        "tokens in": (10.0, 1, 1),
        "tokens out": (2.0, 1, 1),
        "peak MB": (200.0, 2, 0),
    }


# ---- intervals, and what is shown -----------------------------------------------------------------------------------


def test_intervals_are_over_cases() -> None:
    same = {"answers": ("yes",)}
    alone = generation([said("a", Kind.EFFICACY, "yes", id=f"p{at}", **same) for at in range(9)])
    assert alone["contains"] == (1.0, 9, 0)
    of_one = scored([said("a", Kind.EFFICACY, "yes" if at % 2 else "no", id=f"p{at}", **same) for at in range(8)])
    assert math.isnan(of_one[Kind.EFFICACY, "generation", "contains"].low)
    of_many = scored([said(f"c{at}", Kind.EFFICACY, "yes" if at % 2 else "no", **same) for at in range(8)])
    score = of_many[Kind.EFFICACY, "generation", "contains"]
    assert 0 <= score.low < 0.5 < score.high <= 1


def test_what_is_always_one_and_no_share_has_no_interval_of_a_share() -> None:
    """One call each; and per-token probabilities that do not differ."""
    replies = [said(f"c{at}", Kind.EFFICACY, "x", calls=1) for at in range(9)]
    calls = scored(replies)["all", "cost", "calls"]
    assert (calls.low, calls.value, calls.high) == (1.0, 1.0, 1.0)


def test_scores_are_the_same_each_time_and_a_run_without_rows_has_none() -> None:
    replies = [said(f"c{at}", Kind.EFFICACY, "yes" if at % 3 else "no", answers=("yes",)) for at in range(9)]
    assert score_run(make(replies)) == score_run(make(replies))
    assert score_run(make([])) == []


def test_what_a_method_cannot_be_scored_by_reads_not_scored(capsys: pytest.CaptureFixture[str]) -> None:
    same = {"answers": ("new",), "rejected": ("old",)}
    likelihoods = likely((-1.0, 1), (-2.0, 1))
    run = make(
        [said("a", Kind.EFFICACY, "new", likelihoods=None, **same)],
        [said("a", Kind.EFFICACY, "old", likelihoods=likelihoods, **same)],
    )
    show_scores(run, score_run(run))
    shown = capsys.readouterr().out
    ranking = next(line for line in shown.splitlines() if line.split()[1:2] == ["ranking"])
    assert ranking.endswith("not scored")
    assert "100.0" in ranking


def test_a_kind_that_a_method_cannot_be_scored_by_reads_not_scored(capsys: pytest.CaptureFixture[str]) -> None:
    """The usual case of a method that answers by itself in scope."""
    out_of_scope = ranked("a", Kind.LOCALITY, (-1.0, 1), (-2.0, 1))
    replies = [said("a", Kind.EFFICACY, "new", answers=("new",), rejected=("old",)), out_of_scope]
    run = make(replies, [ranked("a", Kind.EFFICACY, (-1.0, 1), (-2.0, 1)), out_of_scope])
    show_scores(run, score_run(run))
    shown = [line for line in capsys.readouterr().out.splitlines() if line.split()[1:2] == ["ranking"]]
    assert shown[0].startswith("efficacy")
    assert shown[0].endswith("not scored")
    assert [line.count("not scored") for line in shown] == [1, 0]


def test_without_a_judge_the_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    run = make([said("a", Kind.EFFICACY, "x", form="judge")], [said("a", Kind.EFFICACY, "y", form="judge")])
    show_scores(run, score_run(run))
    line = next((line for line in capsys.readouterr().out.splitlines() if "judged" in line), "")
    assert line.count("not scored") == 2
