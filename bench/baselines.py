"""The first baseline table: every baseline and `in_context` on five benchmarks, for BENCHMARKS.md.

`python bench/baselines.py run FOLDER [BENCHMARK…]` makes the runs (an hour or two for all; a killed one goes on where
it stopped), with the published files below MEMEDIT_DATA; `show FOLDER [BENCHMARK…]` prints the tables.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from memedit.eval import Run, Score, load_run, score_run

METHODS = ("unedited", "in_context_oracle", "bm25", "dense_top1", "in_context")
DUNE = ("scientific", "new_info", "arithmetic", "debiasing_i", "debiasing_ii")
RUNS: dict[str, tuple[str, ...]] = {
    "wiki_counterfact": ("--data", "knowedit/wiki_counterfact_train.jsonl"),
    "zsre": ("--data", "zsre/zsre_eval_portability.jsonl"),
    "counterfact": (
        "--data", "counterfact/counterfact_sample500.jsonl", "--fill", "counterfact/counterfact_easyedit.jsonl",
    ),
    "mquake": ("--data", "mquake/mquake_cf_3k.jsonl", "--ids", "mquake/mquake_2002_case_ids.json"),
    "dune": tuple(part for end in ("", "_locality") for name in DUNE for part in ("--data", f"dune/{name}{end}.jsonl")),
}  # fmt: skip
HEADLINE = {
    "generation": ("contains", "chosen letter", "number", "identical", "M-Acc", "H-Acc", "n-gram entropy"),
    "likelihood": ("ranking", "token accuracy", "likeliest choice", "S"),
    "gate": ("recall", "precision", "false fires"),
    "cost": ("tokens in", "seconds"),
}


def run(folder: Path, *names: str) -> None:
    """Every run that is not complete yet."""
    data = Path(os.environ["MEMEDIT_DATA"])
    for name in names or RUNS:
        given = RUNS[name]
        files = [part if part.startswith("--") else str(data / part) for part in given]
        model = ["--llm-option", "dtype=bfloat16", "--llm-option", "batch_size=32"]
        how = ["--limit", "100", *model, "--method", ",".join(METHODS), "--out", str(folder / name), "--resume"]
        subprocess.run([sys.executable, "-m", "memedit", "eval", name, *files, *how], check=True)


def show(folder: Path, *names: str) -> None:
    """The tables, in Markdown."""
    for name in names or RUNS:
        if (folder / name / "run.json").exists():
            one = load_run(folder / name)
            print("\n".join(table(one, score_run(one))), "\n")


def table(one: Run, scores: list[Score]) -> list[str]:
    """Kinds and metrics down, methods across."""
    about, known = one.about, {(score.kind, score.metric, score.method): score for score in scores}
    size = f"{len(about['cases'])} cases, {about['asked']} probes, {len(about['set_aside'])} set aside"
    lines = [
        f"### {about['title']}: {size}, {about['edits']} edits in memory\n",
        f"| protocol | probe | metric | n | {' | '.join(METHODS)} |",
        f"|---|---|---|---:|{'---|' * len(METHODS)}",
    ]
    for protocol, metrics in HEADLINE.items():
        of_it = [score for score in scores if score.protocol == protocol and score.metric in metrics]
        for kind, metric in dict.fromkeys((score.kind, score.metric) for score in of_it):
            row = [known.get((kind, metric, method)) for method in METHODS]
            n = max(score.n for score in row if score)
            lines.append(f"| {protocol} | {kind} | {metric} | {n} | {' | '.join(map(cell, row))} |")
    return lines


def cell(score: Score | None) -> str:
    """A figure with its interval; shares in percent."""
    if score is None or not score.n:
        return "–"
    if score.is_share:
        return f"{100 * score.value:.1f} ({100 * score.low:.0f}–{100 * score.high:.0f})"
    return f"{score.value:.3g}"


if __name__ == "__main__":
    {"run": run, "show": show}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
