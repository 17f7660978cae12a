"""How the model is asked, in one vocabulary on all commands that ask it; and old names, which still work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import Run, add, answer, memedit, value

from memedit import Fact, Patch
from memedit.answers import Explanation
from memedit.cli import WHERE, _common
from memedit.cli.ask import show_explanation
from memedit.gate import Conversation, Hits, Verdict
from memedit.testing import FakeLLM
from memedit.trace import Trace

CAPITAL = ("--subject", "Australia", "--relation", "capital", "--object", "Sydney", "--prompt", "The capital of {} is")
QUESTION = "What is the capital of Australia?"
ASKING = ("ask", "chat", "explain", "verify", "test")


@pytest.fixture
def seen(run: Run, monkeypatch: pytest.MonkeyPatch) -> FakeLLM:
    """The model that is asked, which keeps what it was asked."""
    model = FakeLLM(answer)
    monkeypatch.setattr(_common, "open_model", lambda *_: model)
    return model


@pytest.mark.parametrize("name", ASKING)
def test_each_command_that_asks_has_the_same_options(run: Run, name: str) -> None:
    text = run(name, "--help").stdout
    for option in ("--method", "--gate", "--system", "--option", "--max-tokens", "--fallback", "--llm", "--memory"):
        assert f"  {option} " in text


def _asked(run: Run, name: str, *how: str) -> None:
    edit_id = add(run, *CAPITAL)
    Path("edits.yaml").write_text(
        "- {subject: Australia, relation: capital, object: Sydney, prompt: 'The capital of {} is'}"
    )
    words: dict[str, tuple[str, ...]] = {
        "ask": (QUESTION,), "chat": (), "verify": (edit_id,), "test": ("edits.yaml", "--memory", ".memedit"),
    }  # fmt: skip
    run(name, *words[name], *how, input=f"{QUESTION}\n" if name == "chat" else None)


@pytest.mark.parametrize("name", ["ask", "chat", "verify", "test"])
def test_system_and_options_reach_the_model(run: Run, seen: FakeLLM, name: str) -> None:
    _asked(
        run, name, "--system", "Be brief.", "--option", "temperature=0.5", "--option", "stop=end", "--max-tokens", "9"
    )
    assert seen.requests
    for request in seen.requests:
        assert "Be brief." in request.text
        assert {**request.options, "temperature": 0.5, "stop": "end", "max_tokens": 9} == request.options


@pytest.mark.parametrize("name", ASKING)
def test_method_and_gate_are_looked_for_by_name(run: Run, name: str) -> None:
    edit_id = add(run, *CAPITAL)
    Path("edits.yaml").write_text("- A is B.")
    words = {"ask": QUESTION, "explain": QUESTION, "verify": edit_id, "test": "edits.yaml"}
    given = [words[name]] if name in words else []
    assert "nonsense" in run(name, *given, "--method", "nonsense", code=2, input="").stderr
    assert "nonsense" in run(name, *given, "--gate", "nonsense", code=2, input="").stderr


def test_explain_says_what_method_system_and_options_would_do(run: Run) -> None:
    add(run, *CAPITAL)
    how = (
        "--method",
        "in_context",
        "--gate",
        "embedding",
        "--system",
        "Be brief.",
        "--option",
        "seed=1",
        "--llm",
        "openai:gpt",
    )
    shown = value(run("explain", QUESTION, *how, "--json"))
    assert "Be brief." in shown["request"]["messages"][0]["content"]
    assert shown["request"]["options"]["seed"] == 1
    assert "by method in_context" in run("explain", QUESTION, *how).stdout


def test_an_option_is_a_name_and_a_value(run: Run) -> None:
    run("init")
    assert "NAME=VALUE, not `warm`" in run("ask", "x", "--option", "warm", code=2).stderr


@pytest.mark.parametrize("old", ["--model", "MEMEDIT_MODEL"])
def test_the_old_name_of_the_model_still_works(run: Run, monkeypatch: pytest.MonkeyPatch, old: str) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(_common, "open_model", lambda spec, _: opened.append(spec) or FakeLLM(answer))
    add(run, *CAPITAL)
    if old.isupper():
        monkeypatch.setenv(old, "hf:old")
    run("ask", QUESTION, *([] if old.isupper() else [old, "hf:old"]))
    monkeypatch.setenv("MEMEDIT_LLM", "hf:new")
    run("ask", QUESTION)
    assert opened == ["hf:old", "hf:new"]


def test_no_help_shows_an_old_name(run: Run) -> None:
    for name in WHERE:
        words = run(name, "--help").stdout.split()
        assert "--model" not in words
        assert "--folder" not in words
    assert "--memory" in run("demo", "--help").stdout
    assert memedit("demo", "--folder").stderr.startswith("memedit: Option")  # it needs a value, and so is known


@pytest.mark.parametrize(
    ("edit", "said"),
    [(Fact("The capital of Norland is Oslo."), "on the way"), (Patch(condition="c", consequence="d"), "looked up")],
)
def test_a_further_look_up_is_on_the_way_unless_it_is_a_patch_s(capsys, edit, said) -> None:
    hits = Hits("b", (Verdict(edit, 0.9, passed=True),))
    trace = Trace("default", "auto", lookups=[Hits("a", parts=(Hits("part", hits.verdicts),)), hits])
    show_explanation(Explanation(Conversation(), trace, None, untouched=True), "model")
    told = capsys.readouterr().out
    assert said in told.split("“b”")[0].splitlines()[-1]
    assert f"by itself  “part”  {edit.id[:8]}\n" in told


def test_what_a_question_mark_means_is_said_where_there_is_one(capsys) -> None:
    for doubtful in (False, True):
        hits = Hits("a", (Verdict(Fact("A is B."), 0.3, passed=False, doubtful=doubtful),))
        trace = Trace("default", "auto", lookups=[hits])
        show_explanation(Explanation(Conversation(), trace, None, untouched=True), "model")
        assert ("left out for a small one" in capsys.readouterr().out) is doubtful
