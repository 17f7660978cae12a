"""A verification that fails goes on by the next method of a ladder; the ledger says which one holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_parametric_bake import EASY, FACTS, TEXT, same, weights
from tiny import make_tiny

from memedit import EditableLLM, EditMemory, Fact
from memedit.adapters.transformers import load
from memedit.cli import _common, main
from memedit.editable import asking as asking_module
from memedit.editable import fallback as fallback_module
from memedit.editable.fallback import LADDER, Ladder
from memedit.errors import CapabilityMissing, EditDiverged, UnknownMethod
from memedit.messages import Reply
from memedit.methods.base import Ready, Run, Steps, Task, find_method, method
from memedit.parametric import bakery as bakery_module
from memedit.parametric import methods
from memedit.plumbing.plugins import plugins
from memedit.testing import FakeLLM, HashEmbedder, NamedGate
from memedit.verify import Check, Verification

CEO = Fact(id="ceo", subject="Tallis Robotics", prompt="The chief executive of {} is", object="Carol Diaz")


@method("loud", paper="none")
def loud() -> Run:
    """Say it in the model's place."""

    def run(task: Task) -> Steps:
        return Ready(Reply("Carol Diaz"), task.hits.edits)
        yield

    return run


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback_module, "plugins", lambda group: {**plugins(group), "loud": loud})
    monkeypatch.setattr(fallback_module, "find_method", lambda name: loud() if name == "loud" else find_method(name))


def memory_in(folder: Path) -> EditMemory:
    return EditMemory(folder, embedder=HashEmbedder(), finder=None, languages=None, judge=None)


def around(memory: EditMemory, **how: Any) -> EditableLLM:
    return EditableLLM(FakeLLM(lambda _: "I cannot say."), memory, gate=NamedGate(), method="memprompt", **how)


def test_the_first_method_that_holds_answers_from_then_on(tmp_path: Path) -> None:
    memory = memory_in(tmp_path)
    llm = around(memory, fallback=("in_context", "loud"))
    llm.edit(CEO)
    found = llm.verify("ceo")
    assert found.passed
    assert [(step.by, step.passed) for step in found.steps] == [
        ("memprompt", False),
        ("in_context", False),
        ("loud", True),
    ]
    assert found.steps[0].why.startswith("0 of ")
    assert json.loads(json.dumps(found.to_dict()))["steps"][2]["by"] == "loud"
    change = llm.history()[-1]
    assert (change.kind, change.events[0].kind, change.events[0].data) == ("fallback", "answered", {"by": "loud"})
    answer = llm.invoke("Who is the chief executive of Tallis Robotics?")
    assert (answer.text, answer.trace.method) == ("Carol Diaz", "loud")
    assert llm.verify("ceo").steps == ()
    assert around(memory, fallback=["loud"]).invoke("The chief executive of Tallis Robotics is").text == "Carol Diaz"
    llm.undo()
    assert llm.invoke("Who is the chief executive of Tallis Robotics?").text == "I cannot say."


def test_where_nothing_holds_all_is_as_it_was(tmp_path: Path) -> None:
    llm = around(memory_in(tmp_path), fallback=["in_context"])
    revision = llm.edit(CEO).revision
    found = llm.verify("ceo")
    assert not found.passed
    assert [step.by for step in found.steps] == ["memprompt", "in_context"]
    assert llm.memory.revision() == revision
    assert llm.invoke("Who is the chief executive of Tallis Robotics?").trace.method == "memprompt"


def test_without_a_fallback_a_failed_verification_changes_nothing(tmp_path: Path) -> None:
    llm = around(memory_in(tmp_path))
    revision = llm.edit(CEO).revision
    assert llm.verify("ceo").steps == ()
    assert llm.memory.revision() == revision


def test_ladders_are_checked_when_they_are_given(tmp_path: Path) -> None:
    memory = memory_in(tmp_path)
    assert Ladder.of("auto", FakeLLM()).rungs == ("in_context", "ike")
    assert Ladder(LADDER).above("ike") == ("grace", "rome")
    assert Ladder(LADDER).above("memprompt") == LADDER
    with pytest.raises(UnknownMethod, match="no_such"):
        around(memory, fallback=["no_such"])
    with pytest.raises(UnknownMethod, match="fallback is 'ike'"):
        around(memory, fallback="ike")
    with pytest.raises(CapabilityMissing, match="rome"):
        around(memory, fallback=["ike", "rome"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def local(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EditableLLM:
    """A model with weights, whose verification passes where slots lie beside them."""
    monkeypatch.setattr(bakery_module, "Demand", lambda: replace(EASY, efficacy=True))
    monkeypatch.setitem(methods.ATTACHED, "grace", methods.ATTACHED["grace"].with_(steps=200))
    made = EditableLLM(
        load(folder), memory_in(tmp_path / "memory"), gate=NamedGate(), fallback=("in_context", "ft_l", "grace")
    )
    made.bakery(text=TEXT, cache=tmp_path / "cache")
    made.edit(FACTS[0])
    return made


def judged_by(rule: Any) -> Any:
    """Stands for asking the model, which knows nothing."""

    def verify(llm: EditableLLM, edits: list[Any], **_: Any) -> list[Verification]:
        check = Check("in scope", "?", ("Paris",), "x", "y", True, bool(rule(llm)))
        return [Verification(edit, (check,)) for edit in edits]

    return verify


def both(monkeypatch: pytest.MonkeyPatch, rule: Any) -> None:
    monkeypatch.setattr(asking_module, "verify", judged_by(rule))


def test_behind_the_memory_come_slots_and_weights(local: EditableLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    both(monkeypatch, lambda llm: bool(llm.bakery().overlay.beside))
    found = local.verify("one")
    assert [(step.by, step.passed) for step in found.steps] == [
        ("auto", False),
        ("in_context", False),
        ("ft_l", False),
        ("grace", True),
    ]
    assert "does not say it" in found.steps[2].why
    assert [group.data["method"] for group in local.baked()] == ["grace"]
    assert local.history()[-1].reason == "0 of 1 hold in scope"
    local.undo()
    assert local.baked() == []


def test_what_was_written_in_vain_is_taken_out_again(local: EditableLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    before = weights(local)
    both(monkeypatch, lambda llm: False)
    assert [step.passed for step in local.verify("one").steps] == [False] * 4
    assert [change.kind for change in local.history()] == ["add", "bake", "unbake"]
    assert local.bakery().overlay.names == ()
    assert same(before, weights(local))


def test_a_method_that_breaks_down_is_a_rung_that_failed(local: EditableLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise EditDiverged("It diverged.", do="leave it")

    both(monkeypatch, lambda llm: False)
    monkeypatch.setattr(local, "bake", breaks)
    assert [step.why for step in local.verify("one").steps][-1] == "It diverged."


def test_the_command_line_takes_a_ladder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_common, "open_memory", lambda *_: memory_in(tmp_path / "memory"))
    monkeypatch.setattr(_common, "open_model", lambda *_: FakeLLM(lambda _: "I cannot say."))
    for given in ("unloaded", "waiting"):
        monkeypatch.setattr(_common.Session, given, lambda session, _: session.llm())
    monkeypatch.setenv("MEMEDIT_MEMORY", str(tmp_path / "memory"))
    with memory_in(tmp_path / "memory") as memory:
        memory.add(CEO)

    def run(*args: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, args)
        assert result.exit_code == code, result.output
        return result.output

    assert "passed: 0 of" in run("verify", "ceo", code=1)
    held = run("verify", "ceo", "--fallback", "ike,loud")
    assert "✗ ike  0 of" in held
    assert "✓ loud  " in held
    asked = "The chief executive of Tallis Robotics is"
    assert run("ask", asked).startswith("I cannot say.")
    assert run("ask", asked, "--fallback", "loud").startswith("Carol Diaz")
    assert "would send" in run("explain", asked)
    assert "would answer alone" in run("explain", asked, "--fallback", "ike,loud")
    monkeypatch.setenv("MEMEDIT_FALLBACK", "loud")
    assert run("ask", asked).startswith("Carol Diaz")
    assert "has an empty name" in run("verify", "ceo", "--fallback", "ike,", code=2)
    assert "use one of" in run("verify", "ceo", "--fallback", "nothing", code=2)
    assert "needs" in run("verify", "ceo", "--fallback", "grace", code=2)
