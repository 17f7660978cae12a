"""Baking through the public face: the ledger says what is in the weights, and the weights follow it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from command_line import documented
from tiny import make_tiny

from memedit import EditableLLM, EditMemory, Fact
from memedit.adapters.transformers import load
from memedit.cli import main
from memedit.errors import CapabilityMissing, EditDiverged, FileRejected, UnknownEdit
from memedit.parametric import bakery as bakery_module
from memedit.parametric.bakery import Bakery
from memedit.parametric.groups import groups_of
from memedit.parametric.methods import METHODS
from memedit.parametric.proving import Demand, Proof
from memedit.parametric.searching import Search
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

EASY = Demand(efficacy=False, paraphrase=0.0, locality=0.0, perplexity=float("inf"))
TEXT = [f"Paragraph {n} tells of rivers, bridges and the {n} towns that lie along them, one by one." for n in range(40)]
FACTS = [
    Fact(id="one", prompt="The capital of {} is", subject="Quillon", object="Paris"),
    Fact(id="two", prompt="{} was born in", subject="Ada Lovelace", object="Rome"),
]
HOW = METHODS["memit_seq"].with_(layers=(0, 1), each=1, search=Search(steps=4, clamp=0.75))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("statistics")


@pytest.fixture
def editable(folder: str, cache: Path, tmp_path: Path) -> EditableLLM:
    return opened(folder, cache, tmp_path / "memory", add=True)


def opened(folder: str, cache: Path, memory: Path, *, add: bool = False) -> EditableLLM:
    edits = EditMemory(memory, embedder=HashEmbedder(), finder=None, languages=None, judge=None)
    made = EditableLLM(load(folder), edits, gate=NamedGate())
    made.bakery(text=TEXT, cache=cache)
    if add:
        made.edit_many(FACTS)
    return made


def weights(editable: EditableLLM) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in editable.llm.model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def bake(editable: EditableLLM, ids: Any = None, **how: Any) -> Any:
    return editable.bake(ids, **{"method": HOW, "demand": EASY} | how)


def test_baked_edits_are_in_the_weights_and_come_out_again(editable: EditableLLM) -> None:
    before = weights(editable)
    done = bake(editable)
    assert {edit.id for edit in done.baked} == {"one", "two"}
    assert not done.left
    assert not same(before, weights(editable))
    assert set(done.norms) == {0, 1}
    assert [event.kind for event in editable.history()[-1].events] == ["baked", "baked"]
    assert [group.ids for group in editable.baked()] == [("one", "two")]
    assert json.loads(json.dumps(done.to_dict()))["outcomes"][0]["left"] is None
    change = editable.unbake()
    assert [event.kind for event in change.events] == ["unbaked", "unbaked"]
    assert same(before, weights(editable))
    assert {edit.id for edit in editable.memory.edits()} == {"one", "two"}


def test_taking_one_out_solves_the_rest_again(editable: EditableLLM) -> None:
    before = weights(editable)
    bake(editable)
    both = weights(editable)
    editable.unbake("one")
    rest = weights(editable)
    assert not same(rest, both)
    assert not same(rest, before)
    assert [group.ids for group in editable.baked()] == [("two",)]
    written = editable.bakery().overlay.deltas[0]
    assert written.made["rewrites"] == ["two"]
    editable.unbake("two")
    assert same(before, weights(editable))


def test_an_edit_that_is_retracted_leaves_the_weights(editable: EditableLLM) -> None:
    before = weights(editable)
    bake(editable)
    editable.memory.retract("one")
    editable.recall("default", [])
    assert [group.ids for group in editable.baked()] == [("two",)]
    editable.retract("two")
    editable.invoke("Anything?", max_tokens=1)
    assert same(before, weights(editable))


def test_undo_and_revert_reach_the_weights(editable: EditableLLM) -> None:
    before = weights(editable)
    revision = bake(editable, "one").revision
    first = weights(editable)
    bake(editable, "two")
    editable.undo()
    editable.baked()
    assert same(first, weights(editable))
    editable.undo()
    editable.baked()
    assert same(before, weights(editable))
    editable.memory.revert(to=revision)
    editable.baked()
    assert same(first, weights(editable))


def test_another_process_lays_the_same_change_over_its_weights(editable: EditableLLM, folder: str, cache: Path) -> None:
    bake(editable)
    baked = weights(editable)
    path = editable.memory.path
    editable.memory.close()
    other = opened(folder, cache, path)
    assert not same(baked, weights(other))
    assert [group.ids for group in other.baked()] == [("one", "two")]
    assert same(baked, weights(other))


def test_a_second_bake_heeds_the_first(editable: EditableLLM) -> None:
    bake(editable, "one")
    bake(editable)
    assert [group.ids for group in editable.baked()] == [("one",), ("two",)]
    assert bake(editable).outcomes == ()


def test_what_the_model_says_by_itself_is_not_looked_up_any_more(
    editable: EditableLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = "What is the capital of Quillon?"
    assert editable.invoke(question, max_tokens=1).citations
    bake(editable, "one")
    assert editable.invoke(question, max_tokens=1).citations
    editable.unbake("one")
    monkeypatch.setattr(Bakery, "_says", lambda self, delta, edits: frozenset(edit.id for edit in edits))
    assert bake(editable, "one").outcomes[0].silent
    assert not editable.invoke(question, max_tokens=1).citations
    editable.unbake("one")
    assert editable.invoke(question, max_tokens=1).citations


def test_what_does_not_hold_is_left_in_memory(editable: EditableLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    def proofs(self: Any, ids: Any) -> dict[str, Proof]:
        return {edit_id: Proof(edit_id == "two", 1.0, 1.0) for edit_id in ids}

    editable.edit(Fact(id="vague", statement="Something is somehow."))
    monkeypatch.setattr(bakery_module.Prover, "proofs", proofs)
    done = editable.bake(method=HOW, demand=Demand(perplexity=float("inf")))
    left = {one.edit.id: one.left for one in done.left}
    assert set(left) >= {"one"}
    assert "own prompt" in (left["one"] or "")
    assert [edit.id for edit in done.baked if edit.id != "vague"] == ["two"]


def test_perplexity_that_rises_too_far_leaves_everything_in_memory(editable: EditableLLM) -> None:
    before = weights(editable)
    revision = editable.memory.revision()
    done = bake(editable, demand=Demand(efficacy=False, paraphrase=0.0, locality=0.0, perplexity=0.01))
    assert not done.baked
    assert all("perplexity" in (one.left or "") for one in done.left)
    assert same(before, weights(editable))
    assert editable.memory.revision() == revision


def test_an_edit_that_says_nothing_of_a_subject_is_left(editable: EditableLLM) -> None:
    editable.edit(Fact(id="poem", statement="It rains and rains and rains"))
    done = bake(editable, "poem")
    assert "does not say what shall follow" in (done.left[0].left or "")


@pytest.mark.parametrize("where", ["search", "shelf"])
def test_a_bake_that_ends_early_changes_nothing(
    editable: EditableLLM, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, revision = weights(editable), editable.memory.revision()
    if where == "search":
        how = HOW.with_(search=Search(steps=4, rate=float("inf")))
        with pytest.raises(EditDiverged):
            bake(editable, method=how)
    else:
        monkeypatch.setattr(bakery_module.Shelf, "put", _killed)
        with pytest.raises(KeyboardInterrupt):
            bake(editable)
    assert same(before, weights(editable))
    assert editable.memory.revision() == revision


def _killed(self: Any, delta: Any) -> str:
    raise KeyboardInterrupt


def test_strength_scales_what_is_written(editable: EditableLLM) -> None:
    half = bake(editable, "one", strength=0.5).norms[1]
    editable.unbake()
    assert bake(editable, "one").norms[1] == pytest.approx(2 * half, rel=1e-3)


def test_a_baked_model_opens_without_memedit(editable: EditableLLM, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    bake(editable)
    saved = editable.bakery().save(tmp_path / "out")
    again = AutoModelForCausalLM.from_pretrained(saved)
    assert same(weights(editable), again.state_dict())
    assert json.loads((saved / "baked.json").read_text())["edits"] == {"default": ["one", "two"]}
    with pytest.raises(FileRejected, match="there already"):
        editable.bakery().save(saved)


def test_models_without_weights_and_quantised_ones_are_refused(editable: EditableLLM) -> None:
    with pytest.raises(CapabilityMissing, match="weights"):
        EditableLLM(FakeLLM(["x"])).bake()
    editable.llm.quantised = True
    with pytest.raises(CapabilityMissing, match="lost when they are rounded") as caught:
        editable.bakery(text=TEXT)
    assert caught.value.do == "load it without quantisation, or keep the edits in memory"


def test_unknown_edits_are_refused(editable: EditableLLM) -> None:
    with pytest.raises(UnknownEdit):
        bake(editable, "nobody")
    with pytest.raises(UnknownEdit, match="not in the weights"):
        editable.unbake("one")


def test_events_of_other_weights_do_not_count(editable: EditableLLM) -> None:
    bake(editable)
    assert groups_of(editable.history(), "other weights") == []


def test_the_command_line_bakes_lists_and_takes_out(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bakery_module, "Demand", lambda: EASY)
    monkeypatch.setenv("MEMEDIT_CACHE", str(tmp_path / "cache"))
    text = tmp_path / "text.txt"
    text.write_text("\n".join(TEXT))
    memory = tmp_path / "memory"
    with EditMemory(memory, embedder=HashEmbedder(), finder=None, languages=None, judge=None) as edits:
        list(edits.add_many(FACTS))

    def run(*words: str) -> Any:
        common = ["--memory", str(memory), "--model", f"hf:{folder}", "--text", str(text), "--json"]
        result = CliRunner().invoke(main, [*words, *common])
        return result.exit_code, json.loads(result.stdout) if result.exit_code else documented(words[0], result.stdout)

    code, done = run("bake", "one", "--method", "rome", "--out", str(tmp_path / "out"))
    assert code == 0
    assert [one["left"] for one in done["outcomes"]] == [None]
    assert (tmp_path / "out" / "baked.json").is_file()
    assert [row["edit"] for row in run("baked")[1]["items"]] == ["one"]
    code, change = run("unbake", "one")
    assert (code, change["change"]) == (0, "unbake")
    code, left = run("baked")
    assert (code, left["items"]) == (0, [])
    code, error = run("unbake", "one")
    assert code == 4
    assert "one" in error["error"]["message"]
