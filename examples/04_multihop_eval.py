"""Multi-hop questions of MQuAKE: load it, wrap a model, evaluate, print the table.

python examples/04_multihop_eval.py                                     a few records, with the bundled SmolLM2
python examples/04_multihop_eval.py MQuAKE-CF-3k.json gguf:FILE 200     the published file, another model, 200 cases

M-Acc: any of a case's three wordings is answered right. H-Acc: and so is each of its hops.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from memedit.eval import Score, Settings, evaluate, score_run

RECORDS = Path(__file__).parent.parent / "tests" / "data" / "benchmarks" / "mquake.jsonl"
METHODS = ["in_context", "multihop"]
SHOWN = [
    ("multi-hop", "M-Acc", "a wording of three right"),
    ("multi-hop", "contains", "questions right"),
    ("multi-hop", "H-Acc", "all hops right"),
    ("hop", "contains", "hops right"),
    ("all", "tokens in", "tokens a question"),
    ("all", "seconds", "seconds a question"),
]


def cell(score: Score) -> str:
    """A figure with its 95 % interval."""
    if score.is_share:
        return f"{100 * score.value:.0f} % ({100 * score.low:.0f}–{100 * score.high:.0f})"
    return f"{score.value:.3g}"


def main() -> None:
    file, llm, limit = (*sys.argv[1:], *(str(RECORDS), "bundled", "6")[len(sys.argv) - 1 :])
    settings = Settings(benchmark="mquake", data=(file,), limit=int(limit), likelihood=False)
    with TemporaryDirectory() as folder:  # name one of your own to keep the answers, and to go on with --resume
        run = evaluate(settings, llm, METHODS, Path(folder) / "run")
        scores = {(score.kind, score.metric, score.method): score for score in score_run(run)}
    columns = ["unedited", *METHODS]
    print(f"{'':26}" + "".join(f"{name:>18}" for name in columns))
    for kind, metric, words in SHOWN:
        row = (scores.get((kind, metric, name)) for name in columns)
        print(f"{words:26}" + "".join(f"{cell(one) if one and one.n else '–':>18}" for one in row))


if __name__ == "__main__":
    main()
