"""The gate in the whole system: CounterFact's probes with all 13,035 edits in memory, against a perfect gate.

`python bench/system.py run FOLDER --cases 30` makes the run (a killed one goes on where it stopped), with the published
files below MEMEDIT_DATA; `python bench/system.py show FOLDER` prints the table.

A perfect gate hands over the case's own edits in scope and nothing out of scope. Its rows are those of the oracle in
scope and those of the unedited model out of it, so it needs no run of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from memedit.eval import Run, Score, load_run, score_run
from memedit.eval.contenders import ORACLE, UNEDITED

PERFECT = "perfect gate"
SHOWN = (
    ("all", "S"), ("efficacy", "contains"), ("paraphrase", "contains"), ("neighbourhood", "identical"),
    ("efficacy", "recall"), ("paraphrase", "recall"), ("neighbourhood", "false fires"),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "show"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", default="30")
    parser.add_argument("--methods", default="in_context", help="with commas")
    options = parser.parse_args()
    if options.what == "run":
        run(options.folder, options.cases, options.methods)
    else:
        print("\n".join(table(load_run(options.folder))))


def run(folder: Path, cases: str, methods: str) -> None:
    data = Path(os.environ["MEMEDIT_DATA"]) / "counterfact"
    files = ["--data", str(data / "counterfact_sample500.jsonl"), "--fill", str(data / "counterfact_easyedit.jsonl")]
    how = ["--method", f"{UNEDITED},{ORACLE},{methods}", "--llm-option", "dtype=bfloat16", "--resume"]
    given = [*files, "--limit", cases, *how, "--out", str(folder)]
    subprocess.run([sys.executable, "-m", "memedit", "eval", "counterfact", *given], check=True)


def table(one: Run) -> list[str]:
    """Figures down, contenders across."""
    found = score_run(with_perfect_gate(one))
    methods = list(dict.fromkeys(score.method for score in found))
    known = {(score.kind, score.metric, score.method): score for score in found}
    lines = [f"| probe | metric | {' | '.join(methods)} |", f"|---|---|{'---|' * len(methods)}"]
    for kind, metric in SHOWN:
        cells = (_cell(known.get((kind, metric, method))) for method in methods)
        lines.append(f"| {kind} | {metric} | {' | '.join(cells)} |")
    return lines


def with_perfect_gate(one: Run) -> Run:
    """The run with the rows a perfect gate would have given."""
    kinds = {asked.key: asked.probe.kind for asked in one.asked}
    parts = ((ORACLE, True), (UNEDITED, False))
    rows = [row for name, inside in parts for row in one.rows[name] if kinds[row.key].in_scope is inside]
    return replace(one, rows={**one.rows, PERFECT: tuple(rows)})


def _cell(score: Score | None) -> str:
    if score is None or not score.n:
        return "–"
    return f"{100 * score.value:.1f} ({100 * score.low:.1f}–{100 * score.high:.1f}; n {score.n})"


if __name__ == "__main__":
    main()
