"""Settings by name: those published for a model, and those that a sweep finds on a few edits and keeps."""

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
from memedit.errors import EditRejected, FileRejected, UnknownMethod
from memedit.parametric.methods import METHODS, find_writer
from memedit.parametric.proving import Demand
from memedit.parametric.published import AS, SweptBook, published, published_for
from memedit.parametric.sweeping import WEIGHTS, Sweep, Trial, layers_tried, weights_tried
from memedit.testing import HashEmbedder, NamedGate

TEXT = [f"Paragraph {n} tells of rivers, bridges and the {n} towns that lie along them, one by one." for n in range(20)]
FACTS = [
    Fact(id="one", prompt="The capital of {} is", subject="Quillon", object="Paris"),
    Fact(id="two", prompt="{} was born in", subject="Ada Lovelace", object="Rome"),
]
EASY = Demand(efficacy=False, paraphrase=0.0, locality=0.0, perplexity=float("inf"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def editable(folder: str, tmp_path: Path) -> EditableLLM:
    memory = EditMemory(tmp_path / "memory", embedder=HashEmbedder(), finder=None, languages=None, judge=None)
    editable = EditableLLM(load(folder), memory, gate=NamedGate())
    editable.bakery(text=TEXT, cache=tmp_path / "cache")
    return editable


@pytest.mark.parametrize(("model", "method"), [(model, name) for model, own in published().items() for name in own])
def test_published_settings_change_what_they_say_and_nothing_else(model: str, method: str) -> None:
    told, own = published()[model][method], METHODS[method].how
    how = find_writer(f"{method}@{model}").how
    assert how != own
    assert list(how.layers or []) == told.get("layers", [])
    assert {name: getattr(how.search, name) for name in told.get("search", {})} == told.get("search", {})
    assert how.weight.fixed == told.get("weight", {}).get("fixed")
    assert (how.bare, how.at_once, how.remembers) == (own.bare, own.at_once, own.remembers)


@pytest.mark.parametrize(("method", "like"), AS.items())
def test_methods_of_one_kind_share_what_was_published(method: str, like: str) -> None:
    assert published_for(method, "gpt-j-6b") == published_for(like, "gpt-j-6b")
    assert find_writer(f"{method}@gpt-j-6b").how.layers == (3, 4, 5, 6, 7, 8)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("rome@nothing", "rome@gpt2-xl"),
        ("lora@gpt2-xl", "lora as it is"),
        ("no@gpt2-xl", "rome"),
        ("rome@swept", "bake"),
    ],
)
def test_settings_that_nobody_published_are_refused(name: str, says: str) -> None:
    with pytest.raises(UnknownMethod) as refused:
        find_writer(name)
    assert says in str(refused.value)


def test_a_score_weighs_three_shares_and_perplexity() -> None:
    assert Trial({}, 1.0, 1.0, 1.0, 0.9).score == 1.0
    assert Trial({}, 1.0, 0.5, 0.5, 2.0).score == pytest.approx(3 / 5 / 2)
    assert Trial({}, 1.0, 1.0, 0.0, 1.0).score == 0.0
    assert Trial({}, 0.0, 0.0, 0.0, None).score == 0.0
    trials = (Trial({"layers": [1]}, 0.5, 0.5, 0.5, 1.0), Trial({"layers": [2]}, 1.0, 0.5, 0.5, 1.0))
    assert Sweep("memit", ("one",), trials).best is trials[1]


def test_layers_keep_their_pattern_and_stay_within_the_model() -> None:
    class Deep:
        def __len__(self) -> int:
            return 30

    tried = [one["layers"] for one in layers_tried(METHODS["memit"], Deep())]  # type: ignore[arg-type]
    assert tried[0] == [6, 8, 10]
    assert [3, 5, 7] in tried
    assert all(layers[0] >= 0 and layers[-1] < 30 for layers in tried)
    assert len({tuple(layers) for layers in tried}) == len(tried)
    assert [one["weight"]["share"] for one in weights_tried(METHODS["memit"])] == list(WEIGHTS["share"])
    assert [list(one["weight"]) for one in weights_tried(METHODS["alphaedit"])] == [["fixed"]] * 2
    assert not list(weights_tried(METHODS["emmet"]))


@pytest.mark.parametrize("method", ["memit_seq", "ft_m"])
def test_a_sweep_keeps_the_best_and_baking_uses_it(method: str, editable: EditableLLM) -> None:
    editable.edit_many(FACTS)
    bakery = editable.bakery()
    with pytest.raises(UnknownMethod, match="Nobody has looked"):
        editable.bake(method=f"{method}@swept")
    before, told = [one.clone() for one in bakery.overlay.anatomy.model.state_dict().values()], []
    found = bakery.sweep(namespace="default", method=method, told=lambda *one: told.append(one))
    after = bakery.overlay.anatomy.model.state_dict().values()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert found.edits == ("one", "two")
    assert len(found.trials) == told[-1][1] == told[-1][2] == len({str(one.settings) for one in found.trials})
    assert all(one.settings["layers"] == found.trials[-1].settings["layers"] for one in found.trials[-4:])
    kept = json.loads(bakery.swept.file(method).read_text())
    assert kept["settings"] == found.best.settings
    assert kept["weights"] == bakery.weights
    done = editable.bake(method=f"{method}@swept", demand=EASY)
    assert len(done.baked) == 2
    made = bakery.overlay.deltas[0].made
    assert made["method"] == method
    assert list(made["settings"]["layers"]) == list(found.best.settings["layers"])


def test_what_is_tried_second_takes_the_values_of_the_first(editable: EditableLLM) -> None:
    editable.edit_many(FACTS)
    searched: list[str] = []
    found = editable.bakery().sweep(namespace="default", told=lambda what, *_: searched.append(what))
    first = len(found.trials) - len(WEIGHTS["share"])
    ends = [at for at, what in enumerate(searched) if what == "settings"]
    assert all("values" in searched[begin:end] for begin, end in zip([0, *ends], ends[:first], strict=False))
    assert "values" not in searched[ends[first - 1] :]


def test_a_sweep_needs_an_edit_that_can_be_written(editable: EditableLLM, tmp_path: Path) -> None:
    with pytest.raises(EditRejected, match="there is none"):
        editable.bakery().sweep(namespace="default")
    book = SweptBook(tmp_path, "abc")
    book.put("memit", {"settings": {"layers": [3]}})
    assert find_writer("memit@swept", book).how.layers == (3,)
    book.file("memit").write_text("{")
    with pytest.raises(FileRejected, match="cannot be read"):
        book.get("memit")


def test_the_command_line_sweeps_and_lists(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMEDIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "text.txt").write_text("\n".join(TEXT))
    with EditMemory(tmp_path / "memory", embedder=HashEmbedder(), finder=None, languages=None, judge=None) as edits:
        list(edits.add_many(FACTS))
    common = ["--memory", str(tmp_path / "memory"), "--model", f"hf:{folder}", "--text", str(tmp_path / "text.txt")]

    def run(*words: str) -> Any:
        return CliRunner().invoke(main, [*words])

    found = run("parametric", "sweep", "one", "--method", "rome", *common, "--json")
    assert found.exit_code == 0, found.output
    told = documented("parametric sweep", found.stdout)
    assert told["edits"] == ["one"]
    assert json.loads(Path(told["file"]).read_text())["settings"] == told["settings"]
    shown = run("parametric", "sweep", "one", "--method", "rome", *common)
    assert "--method rome@swept" in shown.output
    assert "efficacy" in shown.output
    assert run("parametric", "sweep", "--method", "nothing", *common).exit_code == 2
    listed = documented("parametric settings", run("parametric", "settings", "--json").stdout)["items"]
    assert {"method": "rome@gpt-j-6b", "settings": published()["gpt-j-6b"]["rome"]} in listed
    assert "rome@gpt2-xl" in run("parametric", "settings").output
