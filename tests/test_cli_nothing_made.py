"""What is misspelt on the command line is said before anything is made on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from memedit.cli import main


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["mcp", "--gate", "nothing"], "neither a gate's folder"),
        (["mcp", "--index", "nothing"], "not `nothing`"),
        (["mcp", "--embedder", "nothing"], "No embedder `nothing`"),
        (["mcp", "--namespace", ""], "A namespace is one line"),
        (["chat", "--model", "nothing"], "No model `nothing`"),
        (["add", "Oslo is a city.", "--embedder", "nothing"], "No embedder `nothing`"),
        (["add", "   "], "statement is empty"),
        (["init", "--index", "nothing"], "not `nothing`"),
        (["init", "--namespace", " a"], "A namespace is one line"),
    ],
)
def test_no_memory_is_made_for_what_is_misspelt(given: list[str], said: str, tmp_path: Path) -> None:
    if given[0] == "mcp":
        pytest.importorskip("mcp")
    done = CliRunner().invoke(main, [*given, "--memory", str(tmp_path / "memory")], input="")
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "memory").exists()
