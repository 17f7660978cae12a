"""Cases made from public bug reports of memories, caches and routers: is an edit used where it must be, and only there?

    python bench/reports.py CASES.jsonl

No language model: a stand-in that answers nothing, so what counts is whether an edit is let through or left in doubt.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

from memedit import EditableLLM, EditMemory
from memedit.errors import MemeditError
from memedit.gate import as_gate
from memedit.testing import FakeLLM


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--gate")
    parser.add_argument("--failed", action="store_true", help="show each case that fails")
    asked = parser.parse_args()
    gate = as_gate(asked.gate)
    found: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for line in asked.cases.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        right, shown, said = judged(case, gate)
        found[case["kind"]].append((right, shown))
        if asked.failed and not right:
            print(case["id"], case["expect"], "|", case["edits"], "|", case["turns"], "|", said)
    for kind, results in sorted(found.items()):
        right, shown = map(sum, zip(*results, strict=True))
        print(f"{right:4} of {len(results):3}, with doubt {shown:3}  {kind}")
    right, shown = map(sum, zip(*(one for results in found.values() for one in results), strict=True))
    print(f"{right} right, and {shown} with what is in doubt, of {sum(map(len, found.values()))}")


def judged(case: dict[str, object], gate: object) -> tuple[bool, bool, str]:
    """Whether an edit is let through as is expected; whether it would at least be shown; and what happened."""
    fake = FakeLLM()
    with EditMemory() as memory:
        llm = EditableLLM(fake, memory, gate=gate, doubt="leave")
        try:
            for edit in case["edits"]:  # type: ignore[attr-defined]
                llm.edit(edit)
            answer = llm.invoke(case["turns"])
        except MemeditError as error:
            return False, False, repr(error)
        looked_up = [verdict for hits in answer.trace.lookups for verdict in hits.verdicts]
        passed, doubtful = any(one.passed for one in looked_up), any(one.doubtful for one in looked_up)
        if case["expect"] == "in":
            return passed, passed or doubtful, ""
        quiet = not answer.edited and len(answer.trace.calls) <= 1
        best = max((one.probability for one in looked_up), default=0.0)
        return quiet, quiet, f"edited {answer.edited}, calls {len(answer.trace.calls)}, p {best:.2f}"


if __name__ == "__main__":
    main()
