"""The scores of a `memedit demo --all --json` run, for BENCHMARKS.md: python bench/demo.py FILE"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from memedit.eval.stats import Share


def main(path: str) -> None:
    run = json.loads(Path(path).read_text(encoding="utf-8"))
    for name, score in run["scores"].items():
        print(f"{name}: {Share(score['good'], score['of'])}")
    print(
        f"set aside: {run['set_aside']}; undone: {sum(line['good'] for line in run['undone'])} of {len(run['undone'])}"
    )
    print(f"seconds: {run['seconds']}")


if __name__ == "__main__":
    main(sys.argv[1])
