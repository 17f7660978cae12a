"""Plain questions: what one statement answers, asked as people type, and what lies close to it.

    python bench/plain.py                --gate for another than the default; --missed shows what goes wrong;
        --asides puts something around each question that changes nothing of it

`tests/data/plain.jsonl`: 50 statements with 250 questions that each answers or decides and 150 that it does not, by a
hand that had seen nothing else of memedit. Each statement once alone in a memory, once among all of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from memedit import EditableLLM, EditMemory, Verdict
from memedit.eval.stats import Share
from memedit.gate import Gate, as_gate
from memedit.testing import FakeLLM

FILE = Path("tests/data/plain.jsonl")
ASIDES = (
    "{} I can't recall.", "my memory is terrible, {}", "{} (sorry, I'm new here)", "yo {}", "{} thank u so much",
    "could someone remind me {}", "{} as of this week?", "so I keep mixing this up: {}", "{} just so I get it right",
    "Evening! {}", "{} once more?", "hey team, {}", "{} real quick", "tell me please {}",
    "{} these are confusing times",
)  # fmt: skip
"""Around a question, whose marks are taken off where something follows; none of them is one that the judge learned."""
RATES = (0.01, 0.02, 0.05, 0.10, 0.185)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--gate")
    parser.add_argument("--missed", action="store_true")
    parser.add_argument("--asides", action="store_true")
    asked = parser.parse_args()
    records = [json.loads(line) for line in asked.file.read_text(encoding="utf-8").splitlines()]
    if asked.asides:
        records = [_around(record, at) for at, record in enumerate(records)]
    for together in (False, True):
        report(list(decided(records, as_gate(asked.gate), together)), together, asked.missed)


def _around(record: dict[str, list[str]], at: int) -> dict[str, list[str]]:
    """A record with its questions as they stand beside asides, in turn."""
    asides = [ASIDES[(7 * at + place) % len(ASIDES)] for place in range(len(record["in"]) + len(record["out"]))]
    said = [
        aside.format(question if aside.endswith("{}") else question.rstrip(" ?.!"))
        for aside, question in zip(asides, record["in"] + record["out"], strict=True)
    ]
    return record | {"in": said[: len(record["in"])], "out": said[len(record["in"]) :]}


Decided = tuple[str, str, bool, Verdict | None]
"""Statement, question, whether the one decides the other, and the verdict on it where it was a candidate."""


def decided(records: Sequence[dict[str, list[str]]], gate: Gate, together: bool) -> Iterator[Decided]:
    """The verdicts, record by record; each in a memory of its own, or all together."""
    memories = [records] if together else [[record] for record in records]
    for held in memories:
        with EditMemory() as memory:
            llm = EditableLLM(FakeLLM(), memory, gate=gate)
            receipts = [memory.add(str(record["statement"]), on_conflict="keep") for record in held]
            for record, receipt in zip(held, receipts, strict=True):
                for side in ("in", "out"):
                    for question in record[side]:
                        verdicts = llm.explain(question).trace.lookups[0].verdicts
                        own = next((one for one in verdicts if one.edit.id == receipt.id), None)
                        yield receipt.edit.text, question, side == "in", own


def report(found: Sequence[Decided], together: bool, missed: bool) -> None:
    inside, outside = ([one for *_, said, one in found if said == side] for side in (True, False))
    likely, wrong = (np.array([one.probability if one else 0.0 for one in side]) for side in (inside, outside))
    at = [np.sort(wrong)[::-1][int(rate * len(wrong))] for rate in RATES]
    print("all in one memory:" if together else "each alone:", len(inside), "in scope,", len(outside), "out")
    print(
        "  recall at", *(f"{rate:.1%}: {(likely > least).mean():.1%} " for rate, least in zip(RATES, at, strict=True))
    )
    print(
        f"  as shipped: recall {_share(inside, 'passed')}, false fires {_share(outside, 'passed')}, "
        f"with what is in doubt {_share(inside, 'shown')}, {_share(outside, 'shown')}"
    )
    for statement, question, side, one in found if missed else ():
        if side != bool(one and one.passed):
            print("  missed" if side else "  fired", f"{one.probability if one else 0:.2f}", question, "|", statement)


def _share(verdicts: Sequence[Verdict | None], how: str) -> str:
    let = [bool(one and (one.passed or (how == "shown" and one.doubtful))) for one in verdicts]
    share = Share(sum(let), len(let))
    low, high = share.interval
    return f"{100 * share.value:.1f} ({100 * low:.0f}–{100 * high:.0f})"


if __name__ == "__main__":
    main()
