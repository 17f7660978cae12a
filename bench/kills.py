"""Processes killed (`kill -9`) at any moment of whatever they write to a memory, and what is wrong with it afterwards.

python bench/kills.py 1000 --into FOLDER    a killed run goes on where it was
python bench/kills.py show --into FOLDER    the table

A writer changes a memory for ever and says each time what is done; `wrong` says what is not as it said.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from care import opened

from memedit.memory import EditMemory
from memedit.memory.events import baked

ROUND = 50  # kills that one memory suffers, before another takes its place
Say = Callable[[str], None]


def add(memory: EditMemory, trial: int, say: Say) -> None:
    for receipt in memory.add_many((f"firm {trial}.{n} is {n}" for n in count()), chunk=7):
        say(receipt.id)


def import_(memory: EditMemory, trial: int, say: Say) -> None:
    folder = Path(str(memory.path))
    for n in count():
        file = folder / f"in-{trial}.jsonl"
        file.write_text("".join(json.dumps({"statement": f"town {trial}.{n}.{m} is {m}"}) + "\n" for m in range(20)))
        for receipt in memory.import_(file):
            say(receipt.id)


def rebuild(memory: EditMemory, trial: int, say: Say) -> None:
    say(memory.add(f"rebuilt {trial} is here").id)
    while True:
        memory.rebuild_index(embed=True)


def purge(memory: EditMemory, trial: int, say: Say) -> None:
    for n in count():
        secret = f"geheim{trial}x{n}x"
        gone = memory.add(f"the word is {secret}").id
        memory.purge(gone)
        say(secret)


def backup(memory: EditMemory, trial: int, say: Say) -> None:
    for n in count():
        say(memory.add(f"saved {trial}.{n} is {n}").id)
        memory.backup(Path(str(memory.path)) / f"{trial}-{n}.backup")
        say(f"{trial}-{n}.backup")


def bake(memory: EditMemory, trial: int, say: Say) -> None:
    """As `Bakery` keeps what it wrote: the change on its shelf, then the ledger's word for it."""
    import torch

    from memedit.parametric.delta import Delta
    from memedit.parametric.groups import Shelf

    shelf = Shelf(memory.path)
    for n in count():
        edit = memory.add(f"baked {trial}.{n} is {n}").id
        change = Delta({1: (torch.full((64, 1), float(n)), torch.ones(1, 64))}, {"rewrites": [edit], "trial": trial})
        name = shelf.put(change)
        memory.record("bake", [baked(edit, weights="bench", delta=name, method="rome", strength=1.0, silent=False)])
        say(f"delta {name}")


WRITERS = (add, import_, rebuild, purge, backup, bake)


def wrong(folder: Path, said: list[str], secrets: list[str]) -> list[str]:
    """What a memory lacks of what was acknowledged, or holds that is purged, or cannot do any more."""
    with opened(folder) as memory:
        found = memory.check()
        known = {edit.id for edit in memory.edits()}
        ids = [one for one in said if not one.endswith(".backup") and not one.startswith(("delta ", "geheim"))]
        found += [f"lost {one}" for one in ids if one not in known]
        for one in said:
            if one.endswith(".backup"):
                memory.restore(folder / one, overwrite=True, dry_run=True)  # refuses what is not whole
            if one.startswith("delta "):
                from memedit.parametric.groups import Shelf

                Shelf(folder).get(one.removeprefix("delta "))
        made = [change for change in memory.history() if change.kind == "import"]
        found += [f"half an import: {len(one.events)}" for one in made if len(one.events) != 20]
        again = memory.add(f"{random.random()} is a number")
        found += [] if memory.get(again.id) == again.edit else ["cannot go on"]
        memory.undo()
    for file in folder.rglob("*"):
        if secrets and file.is_file() and not file.name.endswith(".backup"):
            held = file.read_bytes()
            found += [f"{file.name} holds what was purged" for one in secrets if one.encode() in held]
    return found


def killed(folder: Path, trial: int, chance: random.Random) -> dict[str, Any]:
    """One process that writes, killed at a moment nobody chose."""
    writer = WRITERS[trial % len(WRITERS)]
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        try:
            with opened(folder) as memory, os.fdopen(writes, "w") as out:

                def say(one: str) -> None:
                    out.write(f"{one}\n")
                    out.flush()

                writer(memory, trial, say)
        finally:
            os._exit(3)  # a writer never ends by itself
    os.close(writes)
    with os.fdopen(reads) as told:
        first = told.readline()
        time.sleep(chance.uniform(0, 0.25))
        os.kill(child, signal.SIGKILL)
        said = [first, *told.readlines()]
    _, status = os.waitpid(child, 0)
    whole = [line.strip() for line in said if line.endswith("\n")]
    if not os.WIFSIGNALED(status):
        sys.exit(f"trial {trial}: {writer.__name__} ended by itself")
    return {"trial": trial, "writer": writer.__name__.strip("_"), "said": whole}


def kills(many: int, file: Path) -> None:
    import memedit.parametric.delta  # noqa: F401  (once, and not in each process that is killed)

    done = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    with file.open("a") as log:
        for start in range(0, many, ROUND):
            if start + ROUND <= len(done):
                continue
            with tempfile.TemporaryDirectory() as place:
                folder, secrets = Path(place) / "memory", list[str]()
                with opened(folder) as memory:
                    memory.add("It began.")
                for trial in range(start, min(start + ROUND, many)):
                    made = killed(folder, trial, random.Random(trial))
                    said = made.pop("said")
                    secrets += [one for one in said if one.startswith("geheim")]
                    made |= {"acknowledged": len(said), "wrong": wrong(folder, said, secrets)}
                    if trial >= len(done):
                        log.write(json.dumps(made) + "\n")
                        log.flush()


def show(file: Path) -> None:
    trials = [json.loads(line) for line in file.read_text().splitlines()]
    print("| killed while it did | kills | acknowledged | wrong afterwards |\n|---|---|---|---|")
    for writer in [*dict.fromkeys(one["writer"] for one in trials), "all"]:
        of_it = [one for one in trials if writer in (one["writer"], "all")]
        said = sum(one["acknowledged"] for one in of_it)
        faults = sum(len(one["wrong"]) for one in of_it)
        print(f"| {writer} | {len(of_it)} | {said:,} | {faults} |")
    for one in trials:
        for fault in one["wrong"]:
            print(f"trial {one['trial']}, {one['writer']}: {fault}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", help="how many, or `show`")
    parser.add_argument("--into", type=Path, default=Path("bench/out/care"))
    asked = parser.parse_args()
    asked.into.mkdir(parents=True, exist_ok=True)
    file = asked.into / "kills.jsonl"
    if asked.what != "show":
        kills(int(asked.what), file)
    show(file)


if __name__ == "__main__":
    main()
