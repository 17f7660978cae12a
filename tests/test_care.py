"""What a memory withstands: writers of every kind that are killed, a clock that is set back, a process that forks."""

from __future__ import annotations

import json
import os
import runpy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memedit.memory import EditMemory
from memedit.testing import HashEmbedder

BENCH = Path(__file__).parent.parent / "bench"


@pytest.fixture(scope="module")
def care() -> dict[str, Any]:
    return runpy.run_path(str(BENCH / "care.py"))


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(BENCH)
    return runpy.run_path(str(BENCH / "kills.py"))


def test_whoever_is_killed_has_lost_nothing_that_was_acknowledged(kills: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    kept = tmp_path / "kills.jsonl"
    kills["kills"](12, kept)
    trials = [json.loads(line) for line in kept.read_text().splitlines()]
    assert {one["writer"] for one in trials} == {"add", "import", "rebuild", "purge", "backup", "bake"}
    assert all(one["acknowledged"] for one in trials)
    assert [one["wrong"] for one in trials] == [[]] * 12
    kills["kills"](12, kept)  # what was done is not done again
    assert len(kept.read_text().splitlines()) == 12


def test_what_is_wrong_after_a_kill_is_seen(kills: dict[str, Any], tmp_path: Path) -> None:
    with EditMemory(tmp_path, embedder=HashEmbedder(64)) as memory:
        kept = memory.add("The word is geheim1x1x.").id
    found = kills["wrong"](tmp_path, [kept, "nobody"], ["geheim1x1x"])
    assert "lost nobody" in found
    assert any("holds what was purged" in one for one in found)


def test_figures_of_sizes_are_kept_and_their_growth_is_told(
    care: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for edits in (10, 100):
        row = {"edits": edits, "open, s": edits / 10, "look-up, ms": 2.0}
        (tmp_path / f"grow-{edits}.json").write_text(json.dumps(row))
    care["show"](tmp_path)
    assert "| **exponent** | +1.00 | +0.00 |" in capsys.readouterr().out


def test_a_clock_that_is_set_back_changes_no_order(tmp_path: Path) -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    with EditMemory(tmp_path, embedder=HashEmbedder(64), clock=lambda: now) as memory:
        first = memory.add("Firm A is big.")
        now -= timedelta(days=400)
        second = memory.add("Firm B is small.")
        memory.retract(first.id)
        assert [change.revision for change in memory.history()] == [1, 2, 3]
        assert [edit.id for edit in memory.edits()] == [second.id]
        memory.undo()
        assert {edit.id for edit in memory.edits()} == {first.id, second.id}
        assert {one.edit.id for one in memory.recall("Firm").candidates} == {first.id, second.id}
        assert memory.check() == []
    with EditMemory(tmp_path, embedder=HashEmbedder(64), clock=lambda: now) as memory:
        assert {edit.id for edit in memory.edits()} == {first.id, second.id}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_process_that_forks_after_the_memory_was_loaded(tmp_path: Path) -> None:
    with EditMemory(tmp_path, embedder=HashEmbedder(64)) as memory:
        first = memory.add("Firm A is big.")
        assert memory.recall("Firm A").candidates
        child = os.fork()
        if child == 0:
            try:
                memory.add("Firm B is small.")
                seen = {one.edit.text for one in memory.recall("Firm").candidates}
                os._exit(0 if len(seen) >= 2 else 4)
            finally:
                os._exit(5)
        second = memory.add("Firm C is old.")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert {edit.text for edit in memory.edits()} == {"Firm A is big.", "Firm B is small.", "Firm C is old."}
        assert {one.edit.id for one in memory.recall("Firm").candidates} >= {first.id, second.id}
        assert memory.check() == []
