"""How long `memedit ask` takes before the first word, and of what: imports, the memory's encoders, the model.

python bench/first_word.py                      5 processes of each, in turn
python bench/first_word.py --against FOLDER     beside another checkout of memedit, such as an older one

Each is a process of its own on a memory of three edits, whose first character on stdout is waited for. The processor
time is told beside the time that passes, since it is nearly the same on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent.parent
EDITS = ("The CEO of Tallis Robotics is Carol Diaz.", "The capital of Velden is Marn.", "Quillon opens at nine.")
ASKED = "Who is the CEO of Tallis Robotics?"
TOLD = ("--max-tokens", "8", "--stream")
RUNS = {
    "python": ["-c", "print(1)"],
    "import memedit": ["-c", "import memedit; print(1)"],
    "memedit --help": ["-m", "memedit", "--help"],
    "memedit list": ["-m", "memedit", "list"],
    "memedit explain (encoders, no model)": ["-m", "memedit", "explain", ASKED],
    "import torch, transformers": ["-c", "import torch, transformers.models.llama.modeling_llama; print(1)"],
    "memedit ask": ["-m", "memedit", "ask", ASKED, *TOLD],
    "memedit ask, nothing in scope": ["-m", "memedit", "ask", "What is two and two?", *TOLD],
}


def first_word(words: list[str], checkout: Path, memory: Path) -> tuple[float, float]:
    """Seconds that pass, and of the processor, until a process has printed something."""
    environment = {
        **os.environ, "PYTHONPATH": str(checkout), "MEMEDIT_MEMORY": str(memory), "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "MEMEDIT_LLM": "bundled", "MEMEDIT_MODEL": "bundled",
    }  # fmt: skip
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=memory
    ) as process:
        assert process.stdout is not None
        if not process.stdout.read(1):
            sys.exit(f"{' '.join(words)} said nothing")
        passed = time.perf_counter() - began
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        process.kill()
    return passed, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="the root of another checkout")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--only", default="", help="runs whose name has this in it")
    asked = parser.parse_args()
    checkouts = [HERE, *([asked.against] if asked.against else [])]
    with tempfile.TemporaryDirectory() as place:
        memories = {checkout: Path(place, str(at)) for at, checkout in enumerate(checkouts)}  # each of its own schema
        for checkout, memory in memories.items():
            memory.mkdir()
            for one in EDITS:
                add = [sys.executable, "-m", "memedit", "add", one, "--memory", str(memory)]
                made_by = {**os.environ, "PYTHONPATH": str(checkout)}
                subprocess.run(add, check=True, capture_output=True, cwd=memory, env=made_by)  # `-m` looks there first
        names = [name for name in RUNS if asked.only in name]
        spent: dict[tuple[str, Path], list[tuple[float, float]]] = {}
        for turn in range(asked.times + 1):  # the first fills the caches of the disk
            for name in names:
                for checkout in checkouts:
                    found = first_word(RUNS[name], checkout, memories[checkout])
                    spent.setdefault((name, checkout), []).extend([found] if turn else [])
    print(f"| until the first character | {' | '.join(f'{one.name}: s, of processor' for one in checkouts)} |")
    print(f"|---|{'---|' * len(checkouts)}")
    for name in names:
        cells = []
        for checkout in checkouts:
            passed, worked = zip(*spent[name, checkout], strict=True)
            cells.append(f"{statistics.median(passed):.2f}, {statistics.median(worked):.2f}")
        print(f"| `{name}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
