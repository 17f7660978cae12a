"""What it takes to go on with a run: the same settings, files, model and embedder, and chunks that are whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from memedit.errors import RunRejected
from memedit.eval.asking import asked_of
from memedit.eval.plan import Plan
from memedit.eval.runs import RUN, Asked, Row, load_run, write_about, write_asked, write_rows

SAME = ("benchmark", "seed", "limit", "edits_in_memory", "llm", "llm_options", "embedder", "memedit", "cases", "asked")
"""Of `run.json`: what a resumed run must share with the one it goes on with."""


def begin(out: Path, about: dict[str, Any], plan: Plan, batch: int) -> dict[str, list[Row]]:
    """Begin a run in a locked folder, or take the whole chunks of the one that lies there.

    Raises:
        RunRejected: That is another run.
        StorageFull: There is no space to begin.
    """
    done: dict[str, list[Row]] = {}
    if (out / RUN).exists():
        before = load_run(out)
        if differing := _differing(before.about, about):
            raise RunRejected(
                f"The run in {out} is another one: {', '.join(differing)} differ.",
                do="give the same arguments, or another --out",
            )
        for name, rows in before.rows.items():
            done[name] = _whole_chunks(rows, asked_of(name, plan.asked), batch)
        about["began"] = before.about["began"]
        about["judge"] = about["judge"] or before.about.get("judge")
    write_asked(out, plan.asked)
    write_rows(out, [row for rows in done.values() for row in rows])
    write_about(out, about)
    return done


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What two runs do not have in common."""
    settings = [name for name, value in now["settings"].items() if before["settings"].get(name) != value]
    files = [name for name in ("data", "fill") if _hashes(before[name]) != _hashes(now[name])]
    judges = ["judge"] if before.get("judge") and now["judge"] and before["judge"] != now["judge"] else []
    return settings + files + judges + [name for name in SAME if before.get(name) != now[name]]


def _hashes(sources: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [source["sha256"] for source in sources]


def _whole_chunks(rows: Sequence[Row], asked: Sequence[Asked], batch: int) -> list[Row]:
    """The rows up to the last chunk that is whole."""
    matching = 0
    for row, one in zip(rows, asked, strict=False):
        if row.key != one.key:
            break
        matching += 1
    return list(rows[: matching if matching == len(asked) else matching // batch * batch])
