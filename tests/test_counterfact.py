"""The main job on real records and the real model: edited in scope, untouched elsewhere, gone after undo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from memedit import EditableLLM, EditMemory
from memedit.errors import FileRejected
from memedit.eval import counterfact
from memedit.eval.stats import Share

if TYPE_CHECKING:
    from memedit.adapters.transformers import LocalLLM

RECORDS = Path(__file__).parent / "data/counterfact_20.jsonl"


@pytest.mark.model
def test_edits_hold_where_they_are_in_scope_and_nowhere_else(smollm: LocalLLM, tmp_path: Path) -> None:
    cases = counterfact.load_cases(RECORDS)
    with EditMemory(tmp_path) as memory:
        llm = EditableLLM(smollm, memory)
        llm.edit_many([case.fact for case in cases])
        asked, aside = counterfact.set_aside(counterfact.questions(cases), cases)
        assert len(asked) + aside == 20 * 13
        chosen = counterfact.sample(asked, {"edit prompt": 8, "paraphrase": 8, "neighbourhood": 12}, seed=0)
        scores = counterfact.shares(counterfact.ask(llm, chosen, max_tokens=12))
        assert scores["edit prompt"].value >= 0.75
        assert scores["paraphrase"].value >= 0.6
        assert scores["neighbourhood"].value == 1.0

        prompts = [case.fact.cloze for case in cases[:4]]
        alone = [reply.text for reply in llm.ask_base(prompts, max_tokens=12)]
        assert [answer.text for answer in llm.batch(prompts, max_tokens=12)] != alone
        llm.undo()
        assert [answer.text for answer in llm.batch(prompts, max_tokens=12)] == alone


def test_a_covered_neighbour_is_set_aside() -> None:
    cases = counterfact.load_cases(RECORDS)
    first = cases[0]
    covered = counterfact.Question("neighbourhood", first, first.fact.cloze or "")
    free = counterfact.Question("neighbourhood", first, "A prompt that names nobody")
    assert counterfact.set_aside([covered, free], cases) == ([free], 1)


def test_the_sample_is_seeded() -> None:
    asked = counterfact.questions(counterfact.bundled_cases())
    assert len(asked) == 150 * 13
    each = {"edit prompt": 5, "neighbourhood": 3}
    assert counterfact.sample(asked, each, seed=1) == counterfact.sample(asked, each, seed=1)
    assert counterfact.sample(asked, each, seed=1) != counterfact.sample(asked, each, seed=2)


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"case_id": 1}', '{"case_id": 1, "requested_rewrite": {}}'])
def test_a_malformed_record_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(RECORDS.read_text().splitlines()[0] + "\n" + line)
    with pytest.raises(FileRejected, match="line 2"):
        counterfact.load_cases(path)


def test_wilson() -> None:
    low, high = Share(8, 10).interval
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert Share(0, 0).value != Share(0, 0).value  # NaN
