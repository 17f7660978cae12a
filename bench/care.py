"""The limits of a memory, and what it takes: many edits, many namespaces, look-ups and openings for ever.

python bench/care.py grow 12500 25000 50000 --into FOLDER   what edits cost, by how many there are, and how that grows
python bench/care.py namespaces 20000 --into FOLDER  namespaces of three edits each
python bench/care.py leaks --into FOLDER             100,000 look-ups, 1,000 openings: what of memory and handles stays
python bench/care.py show --into FOLDER              the tables

A killed run goes on where it was: what was measured lies in FOLDER, a file a piece. The embedder is
`HashEmbedder`, so that the figures are those of the memory alone; finder, judge and languages are off.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from memedit.edits import Fact
from memedit.memory import EditMemory
from memedit.testing import HashEmbedder

LOOK_UPS, OPENINGS = 100_000, 1_000
SAMPLE = 300  # look-ups, changes and retractions that a size is timed by


def opened(folder: Path, dimension: int = 64) -> EditMemory:
    return EditMemory(folder, embedder=HashEmbedder(dimension), finder=None, languages=None, judge=None)


def resident() -> float:
    """Megabytes that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def handles() -> int:
    return len(os.listdir("/proc/self/fd"))


# ---- many edits -----------------------------------------------------------------------------------------------------


def facts(many: int) -> Iterator[Fact]:
    for place in range(many):
        yield Fact(subject=f"Town {place}", relation="mayor", object=f"Ann {place}", prompt="The mayor of {} is")


def sized(many: int) -> dict[str, Any]:
    """What a memory of so many edits costs; in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        began = time.perf_counter()
        with opened(folder) as memory:
            for _ in memory.add_many(facts(many), chunk=2_048):
                pass
        adding = time.perf_counter() - began
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        before, began = resident(), time.perf_counter()
        with opened(folder) as memory:
            memory.recall("Who is the mayor of Town 7?")
            opening, holds = time.perf_counter() - began, resident() - before
            chance = random.Random(0)
            asked = [f"Who is the mayor of Town {chance.randrange(many)}?" for _ in range(SAMPLE)]
            look_up = timed(lambda n: memory.recall(asked[n]))
            change = timed(lambda n: (memory.add(f"Gate {n} is open"), memory.recall("x")), SAMPLE // 10)
            ids = [edit.id for edit in islice(memory.edits(), SAMPLE // 10)]
            retract = timed(lambda n: (memory.retract(ids[n]), memory.recall("x")), SAMPLE // 10)
            undo = timed(lambda n: (memory.undo(), memory.recall("x")), SAMPLE // 10)
    return {
        "edits": many, "added a second": many / adding, "bytes an edit": size / many, "open, s": opening,
        "MB": holds, "look-up, ms": look_up, "add, ms": change, "retract, ms": retract, "undo, ms": undo,
    }  # fmt: skip


def timed(act: Callable[[int], Any], times: int = SAMPLE) -> float:
    """The median milliseconds of an act."""
    spent = []
    for n in range(times):
        began = time.perf_counter()
        act(n)
        spent.append(1_000 * (time.perf_counter() - began))
    return statistics.median(spent)


# ---- many namespaces, look-ups and openings -------------------------------------------------------------------------


def tenants(many: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place, opened(Path(place)) as memory:
        list(memory.add_many(facts(3), namespace="warm"))
        before, open_before, began = resident(), handles(), time.perf_counter()
        for tenant in range(many):
            list(memory.add_many(facts(3), namespace=f"tenant {tenant}"))
        adding = time.perf_counter() - began
        chance = random.Random(0)
        asked = [f"tenant {chance.randrange(many)}" for _ in range(SAMPLE)]
        cold = timed(lambda n: memory.recall("Who is the mayor of Town 1?", namespace=asked[n]))
        warm = timed(lambda n: memory.recall("Who is the mayor of Town 2?", namespace=asked[-1 - n % 100]))
        files = [file for file in Path(place).rglob("*") if file.is_file()]
        return {
            "namespaces": many, "made a second": many / adding, "first look-up, ms": cold, "look-up, ms": warm,
            "MB more": resident() - before, "handles more": handles() - open_before, "files": len(files),
            "bytes a namespace": sum(file.stat().st_size for file in files) / many,
        }  # fmt: skip


def leaks(look_ups: int = LOOK_UPS, openings: int = OPENINGS) -> dict[str, Any]:
    """Megabytes and handles by the end of a tenth, when caches are full, and by the end of all."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with opened(folder) as memory:
            list(memory.add_many(facts(1_000)))
            for n in range(look_ups):
                memory.recall(f"Who is the mayor of Town {n}?")
                if n == look_ups // 10:
                    looked = resident(), handles()
            looked_after = resident(), handles()
        for n in range(openings):
            with opened(folder) as memory:
                memory.recall("Who is the mayor of Town 7?")
            if n == openings // 10:
                at_first = resident(), handles()
        after = resident(), handles()
    return {
        "look-ups": look_ups, "MB more by look-ups": looked_after[0] - looked[0],
        "handles more by look-ups": looked_after[1] - looked[1], "openings": openings,
        "MB more by openings": after[0] - at_first[0], "handles more by openings": after[1] - at_first[1],
    }  # fmt: skip


# ---- all of it ------------------------------------------------------------------------------------------------------


def kept(file: Path, *words: object) -> None:
    """What `--child` prints, made once, by a process of its own."""
    if file.exists():
        return
    done = subprocess.run([sys.executable, __file__, "--child", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    draft = file.with_suffix(".draft")
    draft.write_text(done.stdout.splitlines()[-1] + "\n")
    draft.replace(file)


def show(into: Path) -> None:
    for group in ("grow", "namespaces", "leaks"):
        read = (json.loads(file.read_text()) for file in into.glob(f"{group}-*.json"))
        rows = sorted(read, key=lambda row: next(iter(row.values())))
        if rows:
            print(f"\n| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
            for row in rows:
                print(f"| {' | '.join(figure(value) for value in row.values())} |")
        if group == "grow" and len(rows) > 1:
            print(f"| **exponent** | {' | '.join(f'{exponent(rows, name):+.2f}' for name in [*rows[0]][1:])} |")


def figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"


def exponent(rows: list[dict[str, Any]], name: str) -> float:
    """The slope of a straight line through log(value) by log(edits): 0 is the same at any size, 1 is in proportion."""
    pairs = [(math.log(row["edits"]), math.log(max(row[name], 1e-6))) for row in rows]
    return statistics.linear_regression(*zip(*pairs, strict=True)).slope


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("grow", "namespaces", "leaks", "show"))
    parser.add_argument("sizes", nargs="*", type=int)
    parser.add_argument("--into", type=Path, default=Path("bench/out/care"))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps({"grow": sized, "namespaces": tenants, "leaks": leaks}[asked.what](*asked.sizes)))
        return
    asked.into.mkdir(parents=True, exist_ok=True)
    if asked.what == "leaks":
        kept(asked.into / "leaks-all.json", "leaks", *asked.sizes)
    elif asked.what != "show":
        for size in asked.sizes:
            kept(asked.into / f"{asked.what}-{size}.json", asked.what, size)
    show(asked.into)


if __name__ == "__main__":
    main()
