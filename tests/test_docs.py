"""README and examples are executed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from memedit.testing import HashEmbedder

ROOT = Path(__file__).parent.parent
SAYS = {
    "04_multihop_eval.py": "a wording of three right",
    "03_patches_sentiment.py": "undone",
    "02_feedback.py": "understood as: the synonym",
    "09_bake.py": "in the weights: []",
}  # what the others say: Carol Diaz
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.model
@pytest.mark.parametrize("place", range(len(BLOCK.findall((ROOT / "README.md").read_text()))))
def test_readme_block_runs(place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = BLOCK.findall((ROOT / "README.md").read_text())[place]
    exec(compile(code, f"README.md, block {place + 1}", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", ["care", "cli", "security"])
def test_the_pages_about_care_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their blocks go on from one another, in one folder; with an embedder that needs nothing loaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("memedit.memory.encoders.default_embedder", HashEmbedder)
    for place, code in enumerate(BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text()), start=1):
        exec(compile(code, f"docs/{page}.md, block {place}", "exec"), {"__name__": "__main__"})


@pytest.mark.model
def test_the_block_on_fallbacks_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = next(code for code in BLOCK.findall((ROOT / "docs" / "baking.md").read_text()) if "fallback=" in code)
    exec(compile(code, "docs/baking.md", "exec"), {"__name__": "__main__"})
    assert "in scope" in capsys.readouterr().out


@pytest.mark.model
@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(example)], capture_output=True, text=True, cwd=tmp_path, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert SAYS.get(example.name, "Carol Diaz") in done.stdout


def test_every_file_the_readme_links_to_is_there() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / link).exists(), link
