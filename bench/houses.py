"""What people ask in a house that the system message names, and whose name they do not say.

    python bench/houses.py               --missed shows what goes wrong

`tests/data/houses.jsonl`: houses with a system message, statements of which most have the house's name, and messages of
its staff, customers, patients and members, written for memedit (CC0) by a hand that had seen nothing else of it. Each
house is one memory, asked once without the system message and once with it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from memedit import EditableLLM, EditMemory, Verdict
from memedit.eval.stats import Share
from memedit.testing import FakeLLM

FILE = Path("tests/data/houses.jsonl")
Asked = tuple[str, str | None, tuple[Verdict, ...]]
"""A message, the id of the edit that answers it, and the verdicts."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--missed", action="store_true")
    asked = parser.parse_args()
    houses = [json.loads(line) for line in asked.file.read_text(encoding="utf-8").splitlines()]
    for named in (False, True):
        found = [one for house in houses for one in decided(house, named=named)]
        print("with the system message" if named else "without", f"({len(houses)} houses)")
        inside = [(right, said) for _, right, said in found if right is not None]
        outside = [said for _, right, said in found if right is None]
        passes = share(any(one.passed and one.edit.id == right for one in said) for right, said in inside)
        shown = share(any(_is_shown(one) and one.edit.id == right for one in said) for right, said in inside)
        fires = share(any(one.passed for one in said) for said in outside)
        none = share(not any(map(_is_shown, said)) for said in outside)
        print(
            f"  in scope: let through {passes}, shown {shown}; out of scope: let through {fires}, nothing shown {none}"
        )
        for message, right, said in found if asked.missed else ():
            if wrong := sorted(one.edit.text for one in said if one.passed and one.edit.id != right):
                print(f"  wrong   {message}  →  {wrong[0]}")
            elif right and not any(one.passed for one in said):
                print(f"  missed  {message}")


def decided(house: dict[str, Any], *, named: bool) -> Iterator[Asked]:
    """The verdicts on each message."""
    told = [{"role": "system", "content": house["system"]}] if named else []
    with EditMemory() as memory:
        llm = EditableLLM(FakeLLM(), memory)
        ids = [receipt.edit.id for receipt in memory.add_many(house["statements"], on_conflict="keep")]
        asked = [(one["text"], ids[one["edit"]]) for one in house["in"]] + [(text, None) for text in house["out"]]
        for message, right in asked:
            lookups = llm.explain([*told, {"role": "user", "content": message}]).trace.lookups
            yield message, right, lookups[0].verdicts if lookups else ()


def share(votes: Iterable[bool]) -> Share:
    known = list(votes)
    return Share(sum(known), len(known))


def _is_shown(verdict: Verdict) -> bool:
    return verdict.passed or verdict.doubtful


if __name__ == "__main__":
    main()
