"""Along θ₀ + αΔ: what is measured is what the model says there, and `auto` picks from it. Slots can be baked too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from test_parametric_bake import EASY, FACTS, HOW, TEXT, bake, opened, same, weights
from tiny import make_tiny

from memedit import EditableLLM
from memedit.cli import main
from memedit.errors import CapabilityMissing, UnknownEdit
from memedit.parametric import bakery as bakery_module
from memedit.parametric import methods
from memedit.parametric.curve import ALPHAS, Curve, curve
from memedit.parametric.delta import Delta
from memedit.parametric.measuring import likelihoods
from memedit.parametric.methods import ATTACHED
from memedit.parametric.methods.lora import LORA
from memedit.parametric.proving import Demand, Prover
from memedit.parametric.rewrites import as_rewrite
from memedit.parametric.trained import Training
from memedit.parametric.understanding.plots import plot_curve

TAUGHT = replace(EASY, efficacy=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def editable(folder: str, tmp_path: Path) -> EditableLLM:
    return opened(folder, tmp_path / "cache", tmp_path / "memory", add=True)


def along(**arrays: Any) -> Curve:
    """A curve of four α that gains ever more, without loss."""
    flat = {"alphas": [0, 0.5, 1, 1.5], "efficacy": [0, 1, 1, 1], "paraphrase": [0, 1, 1, 1]}
    flat |= {"locality": [1, 1, 1, 1], "perplexity": [9, 9, 9, 9], "held": [2, 2, 2, 2]}
    return Curve(**{name: np.array(values, dtype=float) for name, values in (flat | arrays).items()})


def test_the_least_strength_that_gains_as_much_is_picked_and_never_none() -> None:
    assert along().best() == 0.5
    assert along(held=[2, 1, 2, 2]).best() == 1.0
    assert along(held=[9, 1, 1, 1], efficacy=[9, 0, 0, 0]).best() == 0.5
    assert along(locality=[1, 0.2, 0.9, 0.8]).best() == 1.0
    assert along(paraphrase=[0, 0, 0.5, 1]).best() == 1.5


def test_a_curve_is_measured_along_the_unedited_weights(editable: EditableLLM) -> None:
    before = weights(editable)
    bake(editable, method=trained())
    baked = weights(editable)
    bakery = editable.bakery()
    delta = bakery.change(editable.baked()[0])
    assert isinstance(delta, Delta)
    found = editable.curve(delta, [0.0, 0.5, 1.0])
    assert same(baked, weights(editable))
    assert found.locality[0] == 1.0
    assert found.efficacy.tolist()[0] == 0.0
    assert found.efficacy.tolist()[-1] == 1.0
    pairs = [(as_rewrite(fact).text, as_rewrite(fact).target) for fact in FACTS]
    said = likelihoods(bakery.overlay.anatomy, editable.llm.tokenizer, pairs)
    assert found.efficacy[-1] == np.mean([all(one.matched) for one in said])
    assert found.perplexity[0] != found.perplexity[-1]
    assert json.loads(json.dumps(found.to_dict()))["alphas"] == [0.0, 0.5, 1.0]
    assert len(plot_curve(found).axes) == 2
    editable.unbake()
    assert same(before, weights(editable))
    with pytest.raises(UnknownEdit, match="does not name"):
        editable.curve(Delta({}, {}))
    with pytest.raises(UnknownEdit, match="does not name"):
        editable.curve(delta, ids=["nobody"])


def test_auto_bakes_with_what_the_curve_says(editable: EditableLLM) -> None:
    done = bake(editable, strength="auto", demand=TAUGHT, method=trained())
    assert done.curve is not None
    assert tuple(done.curve.alphas) == ALPHAS
    assert done.strength == done.curve.best()
    assert done.strength < 1.0
    assert len(done.baked) == 2
    group = editable.baked()[0]
    assert group.data["strength"] == done.strength
    assert json.loads(json.dumps(done.to_dict()))["strength"] == done.strength
    editable.unbake("one")  # what is written again has the same strength
    assert editable.bakery().overlay.deltas[0].made["scaled"] == done.strength


def trained() -> Any:
    how = Training(layers=(0, 1), steps=200, rate=0.03, rank=8, at_once=None)
    return replace(LORA, how=how)


def test_slots_are_baked_and_taken_out_and_no_folder_holds_them(
    editable: EditableLLM, folder: str, tmp_path: Path
) -> None:
    before = weights(editable)
    grace = ATTACHED["grace"].with_(steps=200)
    done = bake(editable, method=grace, demand=TAUGHT)
    assert {edit.id for edit in done.baked} == {"one", "two"}
    assert same(before, weights(editable))
    assert done.norms == {}
    with pytest.raises(CapabilityMissing, match="beside the weights"):
        editable.bakery().save(tmp_path / "out")
    other = opened(folder, tmp_path / "cache", tmp_path / "memory")
    assert [group.ids for group in other.baked()] == [("one", "two")]
    assert holds(other, "one")
    editable.unbake("one")
    assert not holds(editable, "one")
    assert holds(editable, "two")
    bake(editable, "one", method=HOW)  # weights are written where slots lie
    assert not same(before, weights(editable))
    editable.unbake()
    assert editable.bakery().overlay.names == ()
    assert same(before, weights(editable))
    with pytest.raises(CapabilityMissing, match="no strength"):
        bake(editable, method=grace, strength=0.5)


def holds(editable: EditableLLM, edit_id: str) -> bool:
    rewrite = next(as_rewrite(fact) for fact in FACTS if fact.id == edit_id)
    asked = [(rewrite.text, rewrite.target)]
    return all(likelihoods(editable.bakery().overlay.anatomy, editable.llm.tokenizer, asked)[0].matched)


def test_perplexity_that_rises_too_far_counts_as_nothing_held(editable: EditableLLM) -> None:
    bake(editable, method=trained())
    bakery = editable.bakery()
    delta = bakery.change(editable.baked()[0])
    assert isinstance(delta, Delta)
    editable.unbake()
    pairs = [(fact, as_rewrite(fact)) for fact in FACTS]
    prover = Prover(bakery.overlay.anatomy, editable.llm.tokenizer, pairs, TEXT)
    ids = [fact.id for fact in FACTS]
    for most, held in ((float("inf"), 2), (0.0, 0)):
        demand = Demand(efficacy=True, paraphrase=0.0, locality=0.0, perplexity=most)
        found = curve(bakery.overlay, delta, prover, ids, [1.0], demand=demand)
        assert found.held.tolist() == [held]


def test_the_command_line_takes_auto(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bakery_module, "Demand", lambda: TAUGHT)
    monkeypatch.setitem(methods.TRAINED, "lora", trained())
    text = tmp_path / "text.txt"
    text.write_text("\n".join(TEXT))
    opened(folder, tmp_path / "cache", tmp_path / "memory", add=True)
    words = ["bake", "one", "--method", "lora", "--memory", str(tmp_path / "memory"), "--model", f"hf:{folder}"]
    result = CliRunner().invoke(main, [*words, "--text", str(text), "--strength", "auto"])
    assert result.exit_code == 0, result.output
    assert "1 edit baked, 0 left in memory at strength 0." in result.output
    result = CliRunner().invoke(main, [*words, "--strength", "much"])
    assert result.exit_code == 2
    assert "not a valid float" in result.output
