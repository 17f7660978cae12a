"""Methods that write weights, measured as any other: alone and in turns; afterwards the model is as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from test_eval_run import COUNTERFACT
from tiny import make_tiny

from memedit.adapters.transformers import load
from memedit.cli import main
from memedit.errors import CapabilityMissing, FileRejected, RunRejected, UnknownMethod
from memedit.eval.in_weights import WEIGHTS, Look, looks_of, retention
from memedit.eval.report import write_report
from memedit.eval.runner import evaluate
from memedit.eval.runs import Run
from memedit.eval.scores import score_run
from memedit.eval.settings import Settings
from memedit.parametric import methods
from memedit.parametric.running_text import RunningText
from memedit.testing import FakeLLM, HashEmbedder

TEXT = [f"Paragraph {n} tells of rivers, bridges and the {n} towns that lie along them, one by one." for n in range(20)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tiny(tmp_path_factory.mktemp("tiny"), context=4096)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods that take no time, on little text."""
    monkeypatch.setitem(methods.TRAINED, "ft_m", methods.TRAINED["ft_m"].with_(layers=(1,), steps=40, rate=2e-2))
    monkeypatch.setitem(methods.ATTACHED, "grace", methods.ATTACHED["grace"].with_(steps=100))
    monkeypatch.setattr(RunningText, "of", classmethod(lambda cls, texts=None: cls(tuple(TEXT[2:]), tuple(TEXT[:2]))))


def data(tmp_path: Path, count: int) -> str:
    file = tmp_path / "few.jsonl"
    file.write_text("".join(f"{line}\n" for line in COUNTERFACT.read_text().splitlines()[:count]))
    return str(file)


def go(llm: Any, out: Path, *names: str, resume: bool = False, **settings: Any) -> Run:
    given = {"benchmark": "counterfact", "max_tokens": 2, "raw": True} | settings
    return evaluate(Settings(**given), llm, names, out, resume=resume, embedder=HashEmbedder())


def ranking(run: Run, method: str) -> float:
    """How often a case's own prompt finds the new object likelier than the true one."""
    return next(
        one.value for one in score_run(run)
        if (one.method, one.kind, one.protocol, one.metric) == (method, "efficacy", "likelihood", "ranking")
    )  # fmt: skip


def test_edits_in_the_weights_answer_and_are_gone_afterwards(folder: str, tmp_path: Path) -> None:
    llm = load(folder)
    before = {name: one.clone() for name, one in llm.model.state_dict().items()}
    run = go(llm, tmp_path / "out", "ft_m", "grace", data=(data(tmp_path, 2),), edits_in_memory=1)
    assert all(bool((one == before[name]).all()) for name, one in llm.model.state_dict().items())
    assert ranking(run, "ft_m") == ranking(run, "grace") == 1.0
    assert ranking(run, "unedited") < 1.0
    assert all(row.in_weights and not row.untouched for row in run.rows["ft_m"])
    assert not any(row.in_weights for row in run.rows["unedited"])
    scores = score_run(run)
    assert not [one for one in scores if one.protocol == "gate" and one.method != "unedited"]
    kinds = {(one.method, one.kind, one.n) for one in scores if one.protocol == "weights"}
    assert kinds == {("ft_m", "after 1 edit", 2), ("grace", "after 1 edit", 2)}
    assert {"generation", "likelihood"} <= {one.protocol for one in scores if one.method == "ft_m"}


def test_a_stream_shows_what_becomes_of_the_model(folder: str, tmp_path: Path) -> None:
    run = go(load(folder), tmp_path / "out", "ft_m", data=(data(tmp_path, 3),), turn=1, generate=False)
    looks = looks_of(run.folder)
    assert [(look.method, look.namespace, look.written, look.left) for look in looks] == [
        ("ft_m", "all", count, 0) for count in (1, 2, 3)
    ]
    assert looks[-1].changed[1] > looks[0].changed[1] > 0
    assert looks[0].norms[1] != 1.0
    assert looks[0].perplexity != looks[-1].perplexity
    kept = retention(looks)
    assert kept.shape == (3, 3)
    assert np.isnan(kept).tolist() == [[False, True, True], [False, False, True], [False, False, False]]
    assert kept[0, 0] == 1.0
    assert kept[1, 0] == looks[1].kept[0]
    of_it = [one for one in score_run(run) if one.protocol == "weights"]
    assert [one.kind for one in of_it if one.metric == "edits kept"] == [
        "after 1 edit", "after 2 edits", "after 3 edits",
    ]  # fmt: skip
    assert all("after 2 edits" in file.read_text() for file in write_report([run], tmp_path / "page"))
    assert "Edits kept by ft_m" in (tmp_path / "page" / "report.html").read_text()
    again = go(
        load(folder), tmp_path / "out", "ft_m", "lora", data=(data(tmp_path, 3),), turn=1, generate=False, resume=True
    )
    assert {look.method for look in looks_of(again.folder)} == {"ft_m", "lora"}
    with pytest.raises(RunRejected, match="turn"):
        go(load(folder), tmp_path / "out", data=(data(tmp_path, 3),), turn=2, generate=False, resume=True)


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    few = (data(tmp_path, 2),)
    with pytest.raises(UnknownMethod, match="no_such"):
        go(FakeLLM(), tmp_path / "one", "no_such", data=few)
    with pytest.raises(CapabilityMissing, match="weights"):
        go(FakeLLM(), tmp_path / "two", "rome", data=few)
    with pytest.raises(RunRejected, match="turn is 0"):
        Settings(benchmark="counterfact", data=few, turn=0)
    (tmp_path / WEIGHTS).write_text("{}\n")
    with pytest.raises(FileRejected, match="damaged"):
        looks_of(tmp_path)


def test_a_look_that_was_taken_again_counts_once(tmp_path: Path) -> None:
    from memedit.eval.in_weights import logging_to

    log = logging_to(tmp_path)
    for perplexity in (3.0, 4.0):
        log(Look("rome", "all", 2, 1, 0.5, perplexity, {3: 1.01}, {3: 0.1}, (True, False)))
    assert [(look.perplexity, look.norms, look.kept) for look in looks_of(tmp_path)] == [
        (4.0, {3: 1.01}, (True, False))
    ]


def test_the_command_line_measures_weights_beside_memory(folder: str, tmp_path: Path) -> None:
    words = ["eval", "counterfact", "--data", data(tmp_path, 2), "--llm", f"hf:{folder}", "--method", "ft_m,in_context"]
    words += ["--turn", "1", "--max-tokens", "2", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "after 2 edits" in result.output
    result = CliRunner().invoke(main, [*words[:-1], str(tmp_path / "other"), "--json"])
    scores = json.loads(result.stdout)["scores"]
    assert {one["method"] for one in scores if one["protocol"] == "weights"} == {"ft_m"}
