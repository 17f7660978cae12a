"""Makes the figures of BENCHMARKS.md again, part by part, and says at which commit each was made.

    python bench/sweep.py run [PART…]   what was not yet run at the present commit; a killed run goes on with its part
    python bench/sweep.py status        at which commit each part was run, when, and how long it took

The parts stand in `bench/sweep.toml`. What one prints is kept in `bench/out/sweep/PART.txt`; `PART.json` beside it is
written when it is over, and says commit, date, seconds and machine. The commit is the last one that touched what
figures depend on, `memedit/` and `bench/`. While these hold changes that are not committed nothing is run, since its
figures would be of no commit. What the parts write besides lies in a folder of that commit alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
KEPT = Path("bench/out/sweep")
CODE = ("memedit", "bench", ":(exclude)bench/sweep.*")  # a part whose commands changed is stale in any case


@dataclass(frozen=True, slots=True)
class Part:
    """Some commands whose output is a piece of BENCHMARKS.md; its fields are told in `bench/sweep.toml`."""

    name: str
    commands: list[str]
    heading: str
    minutes: float | None = None
    needs: tuple[str, ...] = ()

    @property
    def lacks(self) -> str:
        return " and ".join(name for name in self.needs if not os.environ.get(name))


def read_parts(file: Path) -> dict[str, Part]:
    """The parts of a file, by name, in its order."""
    return {name: Part(name, **told) for name, told in tomllib.loads(file.read_text(encoding="utf-8")).items()}


def commit(root: Path) -> str:
    """The last commit that touched what figures depend on, with `+` where something is not committed."""
    last = _git(root, "log", "-1", "--format=%h", "--", *CODE)
    return f"{last}+" if _git(root, "status", "--porcelain", "--", *CODE) else last


def known_of(root: Path, part: Part) -> dict[str, Any]:
    """What is known of the last run of a part that came to its end; empty where there is none."""
    file = root / KEPT / f"{part.name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def state(root: Path, part: Part) -> str:
    """`fresh`, `stale`, `failed`, or `not run`."""
    if not (known := known_of(root, part)):
        return "not run"
    if (known["commit"], known["commands"]) != (commit(root), part.commands):
        return "stale"
    return "failed" if known["failed"] else "fresh"


def run(root: Path, parts: Sequence[Part]) -> int:
    """Run what is not fresh. The exit status: 1 if a part failed, 2 if there is no commit to run at."""
    failed = []
    for part in parts:
        if commit(root).endswith("+"):
            print("memedit/ or bench/ holds changes that are not committed: commit them, then run", file=sys.stderr)
            return 2
        if state(root, part) == "fresh":
            continue
        if part.lacks:
            print(f"{part.name}: left out, since {part.lacks} is not set", flush=True)
            continue
        print(f"{part.name}: running", flush=True)
        known = run_part(root, part)
        print(f"{part.name}: {known['failed'] or 'done'}, {known['seconds']} s", flush=True)
        failed += [part.name] if known["failed"] else []
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run_part(root: Path, part: Part) -> dict[str, Any]:
    """Run a part; kept is what it prints, and what is known of the run, which is given back."""
    now, began, failed = commit(root), time.monotonic(), None
    (out := root / KEPT / now).mkdir(parents=True, exist_ok=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "torch": metadata.version("torch")}
    known = {"commit": now, "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M}", **machine}
    given = {"out": out, "data": os.environ.get("MEMEDIT_DATA"), "gguf": os.environ.get("MEMEDIT_GGUF")}
    measured = {**os.environ, "PYTHONPATH": str(root)}  # this checkout, whichever one is installed
    with (root / KEPT / f"{part.name}.txt").open("w", encoding="utf-8") as printed:
        print(json.dumps(known), file=printed)
        for command in part.commands:
            print(f"\n$ {command}", file=printed, flush=True)
            words = [sys.executable, *(word.format_map(given) for word in shlex.split(command)[1:])]
            done = subprocess.run(words, cwd=root, env=measured, stdout=printed, stderr=subprocess.STDOUT)
            if done.returncode:
                failed = f"exit status {done.returncode} of {command}"
                break
    if commit(root) != now:
        failed = f"the code changed from {now} while it ran"
    known |= {"seconds": round(time.monotonic() - began), "commands": part.commands, "failed": failed}
    (root / KEPT / f"{part.name}.json").write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return known


def status(root: Path, parts: Sequence[Part]) -> int:
    """Print a table of the parts."""
    print(f"{'part':28}{'state':9}{'commit':10}{'date':18}{'minutes':>8}  feeds (now at {commit(root)})")
    for part in parts:
        known = known_of(root, part)
        minutes = round(known["seconds"] / 60, 1) if known else part.minutes or "–"
        lacks = f" (needs {part.lacks})" if part.lacks else ""
        run_at = f"{known.get('commit', '–'):10}{known.get('date', '–'):18}{minutes:>8}"
        print(f"{part.name:28}{state(root, part):9}{run_at}  {part.heading}{lacks}")
    return 0


def _git(root: Path, *given: str) -> str:
    return subprocess.run(["git", *given], cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "status"))
    parser.add_argument("parts", nargs="*", metavar="PART", help="all of them when left out")
    asked, known_parts = parser.parse_args(), read_parts(ROOT / "bench/sweep.toml")
    if unknown := set(asked.parts) - set(known_parts):
        parser.error(f"no part {', '.join(sorted(unknown))}; the parts are {', '.join(known_parts)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs is ended as well
    sys.exit(
        {"run": run, "status": status}[asked.what](ROOT, [known_parts[name] for name in asked.parts or known_parts])
    )
