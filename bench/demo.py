"""The scores of `memedit demo --all`, which is run first: python bench/demo.py"""

from __future__ import annotations

import json
import subprocess
import sys

from memedit.eval.stats import Share


def main() -> None:
    command = [sys.executable, "-m", "memedit", "demo", "--all", "--json"]
    run = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    for name, score in run["scores"].items():
        print(f"{name}: {Share(score['good'], score['of'])}")
    print(
        f"set aside: {run['set_aside']}; undone: {sum(line['good'] for line in run['undone'])} of {len(run['undone'])}"
    )
    print(f"seconds: {run['seconds']}")


if __name__ == "__main__":
    main()
