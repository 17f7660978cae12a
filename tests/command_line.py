"""Running the `memedit` command in tests: in this process with doubles, or as a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from memedit.cli import _common, main
from memedit.cli._print import SCHEMA
from memedit.memory import EditMemory
from memedit.testing import FakeLLM, HashEmbedder

Run = Callable[..., Result]
PAGE = Path(__file__).parent.parent / "docs" / "cli.md"


def answer(prompt: str) -> str:
    """As a model that is shown what is in doubt, and knows what it is asked."""
    asked = prompt.strip().rsplit("\n", 1)[-1]
    return (
        "It is Sydney."
        if "is Sydney" in prompt and not re.search(r"sea|rainbow|two|Quillon|Velden|Tamsin", asked)
        else "It is Canberra."
    )


def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """What runs a command line in an empty folder, with an embedder and a model that need nothing installed."""
    monkeypatch.chdir(tmp_path)
    for name in ("MEMORY", "NAMESPACE", "LLM", "MODEL", "EMBEDDER", "INDEX", "FALLBACK", "TRACEBACK"):
        monkeypatch.delenv(f"MEMEDIT_{name}", raising=False)
    monkeypatch.setattr(_common, "open_memory", lambda path, *_: EditMemory(path, embedder=HashEmbedder()))
    monkeypatch.setattr(_common, "open_model", lambda *_: FakeLLM(answer))
    monkeypatch.setattr(_common.Session, "waiting", lambda session, _: session.llm())  # else `bundled` would be known

    def run(*args: str, code: int = 0, input: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(main, args, input=input)
        assert result.exit_code == code, f"{args}: {result.exit_code}\n{result.output}\n{result.exception!r}"
        assert "Traceback" not in result.output
        return result

    return run


def value(result: Result) -> Any:
    """The one JSON value on stdout, without the version of its form; a list as such."""
    found = json.loads(result.stdout)
    assert found.pop("schema") == SCHEMA
    return found["items"] if set(found) == {"items"} else found


def form(value: Any) -> str:
    """The keys of an object, those of each item in brackets; an edit, which has those of its kind, by that word."""
    if "created_at" in value:
        return "edit"
    items = value.get("items")
    each = f"[{form(items[0])}]" if items and isinstance(items[0], dict) else ""
    return ", ".join(name + (each if name == "items" else "") for name in value)


def forms() -> dict[str, str]:
    """The keys that docs/cli.md tells of each command."""
    page = PAGE.read_text(encoding="utf-8").split("## JSON")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `?([a-z -]+)`? \| `(.*)` \|$", page, re.MULTILINE))


def documented(command: str, stdout: str) -> Any:
    """The one object on stdout, which has the keys that docs/cli.md tells of the command."""
    found = json.loads(stdout)
    assert next(iter(found)) == "schema"
    assert found["schema"] == SCHEMA
    printed, told = form({name: one for name, one in found.items() if name != "schema"}), forms()[command]
    assert printed == told or (found.get("items") == [] and told.startswith("items["))
    return found


def add(run: Run, *args: str) -> str:
    """The id of an edit that is added."""
    return str(value(run("add", *args, "--json"))["edit"]["id"])


def memedit(*args: str, **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from memedit.cli import main; main()", *args], text=True, capture_output=True, **how
    )
