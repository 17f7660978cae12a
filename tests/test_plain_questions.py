"""Plain questions about what one statement says, as `bench/plain.py` measures them, with what comes with memedit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memedit import EditableLLM, EditMemory
from memedit.testing import FakeLLM

RECORDS = [json.loads(line) for line in (Path(__file__).parent / "data/plain.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def counted() -> dict[str, list[str]]:
    """For each side, what became of each question: `passed`, `doubtful` or `left`; all statements in one memory."""
    found: dict[str, list[str]] = {"in": [], "out": []}
    with EditMemory() as memory:
        llm = EditableLLM(FakeLLM(), memory)
        ids = [receipt.id for receipt in memory.add_many(record["statement"] for record in RECORDS)]
        for own, record in zip(ids, RECORDS, strict=True):
            for side, became in found.items():
                for question in record[side]:
                    verdicts = llm.explain(question).trace.lookups[0].verdicts
                    one = next((verdict for verdict in verdicts if verdict.edit.id == own), None)
                    became.append("passed" if one and one.passed else "doubtful" if one and one.doubtful else "left")
    return found


def share(became: list[str], *kinds: str) -> float:
    return sum(one in kinds for one in became) / len(became)


def test_most_are_answered_and_nearly_all_are_shown(counted: dict[str, list[str]]) -> None:
    assert share(counted["in"], "passed") >= 0.72
    assert share(counted["in"], "passed", "doubtful") >= 0.95


def test_what_lies_close_is_seldom_let_through(counted: dict[str, list[str]]) -> None:
    assert share(counted["out"], "passed") <= 0.07
