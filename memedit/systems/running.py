"""Running checks, each result kept until its call or its code changes, and the page made of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

from memedit.errors import MemeditError
from memedit.systems.ground import Ground
from memedit.systems.pictures import draw
from memedit.systems.registry import System

HEAD = """# Every system of the reading list

Made by `make systems`, which runs every check and writes this page; `memedit systems NAME`, with the name that stands
behind a title, runs one and gives its figure. *To use it* says where a user finds the system, with names of files in
the place of one's own.

Figures are of the model `{model}`, on what comes with memedit, so that anybody can see them again in minutes. They show
that a system does what it is for, not how good it is: they are of few edits, so that several systems may reach the very
same counts. Figures of whole benchmarks are in [BENCHMARKS.md](../BENCHMARKS.md); benchmarks of the field are listed by
`memedit eval --list`. *Neighbours* are questions beside an edit, which it must leave alone; what is *likelier* has the
larger probability by the model; *drawn* ones are picked at random, as many, to compare with.

✓ reaches what its line demands, ✗ misses it, – was not run. {met} of {of} reach it, {missed} miss it.
"""
TABLE = """
## {group}

| system | paper | built | not built, and why | to use it | demanded | figure |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What a check gave.

    Args:
        name: Of the system.
        key: A hash of what it was made with.
        figure: In words.
        met: Whether it reaches what is demanded; None where the check could not be run, and `figure` says why.
        more: Further figures, as JSON values.
        seconds: That it took.
    """

    name: str
    key: str
    figure: str
    met: bool | None
    more: Mapping[str, Any]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def key_of(system: System, model: str) -> str:
    """The same as long as the check, how it is called, its file, and the model are. 16 digits."""
    spec = find_spec(system.module)
    assert spec is not None  # a test finds every check
    assert spec.origin is not None
    told = json.dumps([system.check, dict(system.how), model], sort_keys=True).encode()
    return sha256(told + Path(spec.origin).read_bytes()).hexdigest()[:16]


def run(system: System, ground: Ground) -> Result:
    """Run a check now. One that cannot be run on this model says why, in its result."""
    key, begun = key_of(system, ground.model), time.perf_counter()
    try:
        found = system.run(ground)
    except MemeditError as error:
        return Result(system.name, key, f"{type(error).__name__}: {error.what}", None, {}, 0.0)
    return Result(system.name, key, found.figure, found.met, found.more, time.perf_counter() - begun)


def run_all(wanted: Sequence[System], ground: Ground, kept: Path) -> Iterator[Result]:
    """The results of checks: those that are kept and still hold, and the others run now and kept.

    Args:
        wanted: The systems.
        ground: What they stand on.
        kept: A folder of results, a file each.
    """
    for system in wanted:
        result = kept_of(system, ground.model, kept)
        if result is None:
            result = run(system, ground)
            if result.met is not None:
                kept.mkdir(parents=True, exist_ok=True)
                (kept / f"{system.name}.json").write_text(json.dumps(result.to_dict(), indent=1), encoding="utf-8")
        yield result


def kept_of(system: System, model: str, kept: Path) -> Result | None:
    """The result of a system that still holds; None where there is none."""
    file = kept / f"{system.name}.json"
    if not file.exists():
        return None
    result = Result(**json.loads(file.read_text(encoding="utf-8")))
    return result if result.key == key_of(system, model) else None


def draw_all(results: Sequence[tuple[System, Result | None]], folder: Path) -> dict[str, str]:
    """Draw what the checks found that can be drawn, into a folder; the file of each system, beside the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for system, result in results:
        if system.picture and result and result.met is not None:
            draw(system, result.more, folder / f"{system.name}.svg")
            drawn[system.name] = f"{folder.name}/{system.name}.svg"
    return drawn


def page(results: Sequence[tuple[System, Result | None]], model: str, pictures: Mapping[str, str] | None = None) -> str:
    """The table of all systems, in Markdown; None for a check that was not run.

    pictures: Files to link to, by the name of the system.
    """
    votes = [result.met for _, result in results if result]
    parts = [HEAD.format(model=model, met=votes.count(True), of=len(results), missed=votes.count(False))]
    for group, of_it in groupby(results, key=lambda one: one[0].group):
        lines = "\n".join(_line(system, result, (pictures or {}).get(system.name)) for system, result in of_it)
        parts.append(f"{TABLE.format(group=group)}{lines}\n")
    return "".join(parts)


def _line(system: System, result: Result | None, picture: str | None) -> str:
    mark = {True: "✓ ", False: "✗ ", None: "– "}[result.met if result else None]
    tried = f". Tried: {system.tried}" if system.tried and result and result.met is False else ""
    seen = f" ([picture]({picture}))" if picture else ""
    return f"{row(system)} {_cell(mark + (result.figure if result else 'not run') + seen + tried)} |"


def row(system: System) -> str:
    """The line of a system, up to its figure."""
    cells = (
        f"**{system.title}** (`{system.name}`)", system.paper, system.built, system.missing, f"`{system.command}`",
        system.works,
    )  # fmt: skip
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
