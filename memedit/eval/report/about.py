"""What a run says of itself, in words: every key of its `run.json` may be missing."""

from __future__ import annotations

import shlex
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

from memedit.eval.asking import asked_of
from memedit.eval.contenders import BASELINES
from memedit.eval.runs import Run
from memedit.text import DIRECTION_MARKS, JOINERS, NUMBER_SIGNS

Facts = list[tuple[str, str]]
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
KEPT = frozenset("\n\t" + JOINERS + DIRECTION_MARKS + NUMBER_SIGNS)


def visible(text: str) -> str:
    """The text with control and deceptive characters shown as ⟨U+202E⟩, so that a page cannot be reordered by one."""
    return "".join(
        f"⟨U+{ord(char):04X}⟩" if unicodedata.category(char) in HIDDEN and char not in KEPT else char for char in text
    )


def names_of(runs: Sequence[Run]) -> list[str]:
    """What to call the runs: their folders' names, or their paths where these are the same."""
    names = Counter(run.folder.name for run in runs)
    return [run.folder.name if names[run.folder.name] == 1 else str(run.folder) for run in runs]


def title_of(run: Run) -> str:
    """The benchmark's title."""
    return str(run.about.get("title") or run.about.get("benchmark") or "Unnamed benchmark")


def methods_of(run: Run) -> list[str]:
    """The run's methods, and behind them its baselines."""
    listed = run.about.get("methods")
    known = dict.fromkeys([*(listed if isinstance(listed, list) else ()), *run.rows])
    return sorted(map(str, known), key=lambda name: [*BASELINES].index(name) + 1 if name in BASELINES else 0)


def edits_of(run: Run) -> int | None:
    """How many edits a request meets in memory: those of its group, or all."""
    loaded = run.about.get("edits_in_memory")
    found = loaded if isinstance(loaded, int) else run.about.get("edits")
    return found if isinstance(found, int) else None


def command_of(run: Run) -> str | None:
    """The command that repeats the run."""
    command = run.about.get("command")
    return shlex.join(map(str, command)) if isinstance(command, list) and command else None


def files_of(run: Run) -> list[tuple[str, str, str]]:
    """(file, records, SHA-256) of the data."""
    return [
        (str(one.get("file", "?")), _counted(one.get("records")), str(one.get("sha256", "")))
        for one in _listed(run, "data")
    ]


def warnings_of(run: Run) -> list[str]:
    """What a reader has to know before the figures."""
    counts = {name: (len(run.rows.get(name, ())), len(asked_of(name, run.asked))) for name in methods_of(run)}
    short = {name: (done, asked) for name, (done, asked) in counts.items() if done < asked}
    found = [] if run.complete else ["This run did not come to its end. Its figures rest on the answers it has."]
    if short:
        said = ", ".join(f"{name} {done:,} of {asked:,}" for name, (done, asked) in short.items())
        found.append(f"Not every probe was answered: {said}.")
    return found


def facts_of(run: Run) -> Facts:
    """Label and value of everything that is known, in the order of reading."""
    about, aside = run.about, Counter(_reason(one.get("why")) for one in _listed(run, "set_aside"))
    seconds = about.get("seconds")
    facts: list[tuple[str, Any]] = [
        ("Paper", about.get("paper")),
        ("Model", about.get("llm")),
        ("Sample", _sample(run)),
        ("Set aside", _tally(aside) or "none"),
        ("Malformed records", _malformed(run)),
        ("Repeated records", about.get("repeated") or None),
        ("Edits in memory", _edits(about)),
        ("Seed", about.get("seed")),
        ("Began", about.get("began")),
        ("Ended", about.get("ended")),
        ("Took", _took(seconds.get("total")) if isinstance(seconds, dict) else None),
        ("memedit", about.get("memedit")),
        ("Python", about.get("python")),
        ("Packages", _pairs(about.get("packages"))),
    ]
    return [(label, str(value)) for label, value in facts if value not in (None, "")]


def _sample(run: Run) -> str:
    cases = run.about.get("cases")
    count = len(cases) if isinstance(cases, list) else cases if isinstance(cases, int) else None
    count = len({one.case for one in run.asked}) if count is None else count
    limit = run.about.get("limit")
    return f"{_many(count, 'case')}, {_many(len(run.asked), 'probe')}" + (f" (limit {limit:,})" if limit else "")


def _malformed(run: Run) -> str:
    found = _listed(run, "malformed")
    shown = "; ".join(f"{one.get('file', '?')} {one.get('number', '?')}: {one.get('why', '')}" for one in found[:3])
    return f"{len(found):,} ({shown}{'; …' if len(found) > 3 else ''})" if found else "none"


def _edits(about: dict[str, Any]) -> str | None:
    loaded, edits = about.get("edits_in_memory"), about.get("edits")
    said = f"{edits:,}" if isinstance(edits, int) else None
    if isinstance(loaded, int):
        return f"groups of {_many(loaded, 'case')}" + (f"; {said} in all" if said else "")
    if edits == 0:
        return "none at the start"
    return f"{said} (all at once)" if said and loaded == "all" else said or loaded


def _reason(why: object) -> str:
    """Why a probe was set aside, without the edit that is named behind the colon."""
    return str(why or "no reason given").partition(": ")[0]


def _tally(counts: Counter[str]) -> str:
    said = "; ".join(f"{why}: {count:,}" for why, count in counts.most_common(5))
    return f"{_many(counts.total(), 'probe')} ({said}{'; …' if len(counts) > 5 else ''})" if counts else ""


def _took(seconds: object) -> str | None:
    if not isinstance(seconds, (int, float)):
        return None
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _counted(records: object) -> str:
    return _pairs(records) if isinstance(records, dict) else f"{records:,}" if isinstance(records, int) else ""


def _pairs(values: object) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) if isinstance(values, dict) else ""


def _listed(run: Run, name: str) -> list[dict[str, Any]]:
    found = run.about.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
