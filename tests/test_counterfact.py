"""The main job on real records and the real model: edited in scope, untouched elsewhere, gone after undo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from memedit import EditableLLM, EditMemory
from memedit.eval.benchmarks import find_benchmark, read
from memedit.eval.benchmarks.counterfact import bundled_cases
from memedit.eval.plan import make_plan
from memedit.text import says

if TYPE_CHECKING:
    from memedit.adapters.causal import LocalLLM

RECORDS = Path(__file__).parent / "data/counterfact_20.jsonl"


@pytest.mark.model
def test_edits_hold_where_they_are_in_scope_and_nowhere_else(smollm: LocalLLM, tmp_path: Path) -> None:
    plan = make_plan(read(find_benchmark("counterfact"), [RECORDS]).cases)
    asked = {kind: [one.probe for one in plan.asked if one.probe.kind == kind] for kind in ("efficacy", "paraphrase")}
    neighbours = [one.probe.prompt for one in plan.asked if one.probe.kind == "neighbourhood"][::16]
    with EditMemory(tmp_path) as memory:
        llm = EditableLLM(smollm, memory)
        llm.edit_many(plan.memories["all"])
        for kind, share in (("efficacy", 0.75), ("paraphrase", 0.6)):
            probes = asked[kind][:: len(asked[kind]) // 8][:8]
            answers = llm.batch([probe.prompt for probe in probes], max_tokens=12)
            good = [says(answer.text, probe.answers) for answer, probe in zip(answers, probes, strict=True)]
            assert sum(good) / len(good) >= share
        alone = [reply.text for reply in llm.ask_base(neighbours, max_tokens=12)]
        assert [answer.text for answer in llm.batch(neighbours, max_tokens=12)] == alone

        prompts = [probe.prompt for probe in asked["efficacy"][:4]]
        alone = [reply.text for reply in llm.ask_base(prompts, max_tokens=12)]
        assert [answer.text for answer in llm.batch(prompts, max_tokens=12)] != alone
        llm.undo()
        assert [answer.text for answer in llm.batch(prompts, max_tokens=12)] == alone


def test_the_bundled_cases_are_whole() -> None:
    cases = bundled_cases()
    assert len(cases) == 150
    assert {len([probe for probe in case.probes if probe.kind == "neighbourhood"]) for case in cases} == {10}
