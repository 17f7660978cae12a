"""Checks of what the house has: editors that are trained, what follows from edits, feedback, patches, and NKL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_tiny

from memedit.errors import FileRejected
from memedit.eval.lessons import examples_of
from memedit.parametric.measuring import first_choices, next_logprobs
from memedit.parametric.meta_training import losses
from memedit.parametric.methods.enn import ENN
from memedit.parametric.methods.ke import KE
from memedit.systems import crosslingual, editors, feedbacks, nkl, patched, ripples
from memedit.systems.ground import Ground
from memedit.testing import FakeLLM


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(f"hf:{make_tiny(tmp_path_factory.mktemp('tiny'))}", tmp_path_factory.mktemp("cache"))


def faked(answer: Any) -> Ground:
    return Ground(FakeLLM(answer))  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["mend", "ke"])
def test_an_editor_is_trained_and_judged_by_what_it_never_saw(ground: Ground, method: str) -> None:
    found = editors.check(ground, method, steps=3, batch=2, looked=2, settings={"layers": [0, 1]})
    assert found.more["steps"] == 3
    assert found.more["after"]["loss"] != found.more["before"]["loss"]
    assert not found.met
    assert "go on as before" in found.figure


def test_an_editor_begins_with_the_step_that_does_best(ground: Ground) -> None:
    few = list(examples_of(ground.cases))[:2]
    slow = ENN.with_(layers=(0, 1), rate=1e-4)
    found = editors.begun_well(ground.local, slow, few)
    assert found.how.rate > slow.how.rate

    def loss(rate: float) -> float:
        editor = slow.with_(rate=rate).fresh(ground.local.anatomy)
        told = [losses(ground.local, editor, one) for one in few]
        return sum(float(wanted + moved) for wanted, moved, _, _ in told)

    with torch.no_grad():
        assert loss(found.how.rate) == pytest.approx(min(loss(1e-4 * one) for one in editors.LADDER["rate"]), abs=1e-4)
    assert editors.begun_well(ground.local, KE.with_(layers=(0, 1)), few).how.gate in editors.LADDER["gate"]


def test_nkl_is_the_divergence_of_what_comes_next(ground: Ground) -> None:
    texts = ["The sea is", "Of what"]
    told = next_logprobs(*ground.parts, texts)
    model, tokenizer = ground.local.anatomy.model, ground.local.tokenizer
    for row, text in zip(told, texts, strict=True):
        with torch.no_grad():
            own = model(**tokenizer(text, return_tensors="pt")).logits[0, -1].log_softmax(-1)
        assert torch.allclose(row, own, atol=1e-5)
    assert first_choices(*ground.parts, texts) == told.argmax(-1).tolist()
    other = torch.log_softmax(told + torch.linspace(0, 1, told.shape[1]), -1)
    by_hand = sum(
        float(a.exp() * (a - b))
        for row, moved in zip(told, other, strict=True)
        for a, b in zip(row, moved, strict=True)
    ) / len(texts)
    assert nkl.nkl(told, other) == pytest.approx(by_hand, rel=1e-4)
    assert nkl.nkl(told, told) == 0


def test_neighbours_stand_behind_the_statement_of_their_edit(ground: Ground) -> None:
    cases = ground.cases[:2]
    plain, plus = nkl.neighbours(cases, 2), nkl.neighbours(cases, 2, plus=True)
    assert len(plain) == 4
    assert plus[0] == f"{cases[0].edits[0].text.rstrip('.')}. {plain[0]}"
    assert plus[3].startswith(cases[1].edits[0].text.rstrip("."))


@pytest.mark.model
def test_edits_in_weights_move_neighbours_and_the_memory_does_not(ground: Ground) -> None:
    found = nkl.check(ground, "ft_m", edits=1, near=2)
    assert min(found.more["nkl"]) > 0
    assert not ground.local.overlay.names


@pytest.mark.model
def test_what_follows_is_told_from_what_does_not() -> None:
    heeds = ripples.check(
        faked(lambda prompt: "1900" if "founded" in prompt else prompt), "auto", {"efficacy": 0.9, "specificity": 0.9}
    )
    assert heeds.met, heeds.figure
    assert set(heeds.more) == {"efficacy", "aliasing", "composition", "specificity"}
    deaf = ripples.check(faked(lambda prompt: "nothing"), "auto", {"efficacy": 0.9})
    assert not deaf.met
    assert deaf.more["efficacy"] == deaf.more["composition"] == 0
    assert deaf.more["specificity"] == 1


def test_chains_lead_from_company_to_place() -> None:
    told = ripples.ripples()
    by_subject = {fact.subject: fact for fact in told.facts}
    for question, place in told.questions["composition"]:
        company = next(name for name in by_subject if name and f"head of {name} " in question)
        assert by_subject[by_subject[company].object].object == place


@pytest.mark.model
def test_feedback_goes_with_what_is_like_it() -> None:
    found = feedbacks.check(faked(lambda prompt: "a word"))
    assert found.more["carried"] >= 0.9
    assert found.more["untouched"] >= 0.7


@pytest.mark.model
def test_patches_are_measured_on_both_slices(ground: Ground) -> None:
    found = patched.check(ground, texts=40, limit=4)
    assert set(found.more) == {"patched slice", "elsewhere"}
    assert found.more["patched slice"]["in scope"]["good"] > 0


def test_every_pair_of_languages_is_asked(ground: Ground, tmp_path: Path) -> None:
    table = crosslingual.own_table()
    assert [table[0][language].target for language in ("en", "de", "fr")] == ["Rhine", "Rhein", "Rhin"]
    assert table[0]["de"].text == "Der Fluss von Velden Harbour ist der"
    file = tmp_path / "table.jsonl"
    fact = {"prompt": "The sea of {} is", "subject": "Ada", "object": "X"}
    other = {"en": fact | {"subject": "Bo", "object": "Y"}, "de": fact | {"subject": "Bo", "object": "Z"}}
    file.write_text("\n".join(map(json.dumps, ({"en": fact, "de": fact}, other))))
    shares = crosslingual.across(ground, "ft_m", crosslingual.read_table(file))
    assert set(shares) == {("en", "en"), ("en", "de"), ("de", "en"), ("de", "de")}
    assert not ground.local.overlay.names
    file.write_text("\n".join(map(json.dumps, ({"en": fact, "de": fact}, {"en": fact}))))
    with pytest.raises(FileRejected, match="line 2"):
        crosslingual.read_table(file)
    file.write_text('{"en": "x"}')
    with pytest.raises(FileRejected, match="line 1"):
        crosslingual.read_table(file)
