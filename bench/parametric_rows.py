"""The rows of bench/parametric.py: what each is called, the lines that it leaves behind, and the table of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memedit.eval.stats import Share
from memedit.parametric.slots import Change

SHOWN = ("ES", "EM", "PS", "NS", "apart")
HEAD = (
    "row", "edits", *SHOWN, "NS unedited", "perplexity (worst)", "norm", "s an edit", "undo, s", "MiB", "peak, GiB",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    name: str
    method: str
    edits: int
    alone: bool
    turn: int | None

    @classmethod
    def of(cls, name: str) -> Row:
        method, edits, *turn = name.split(":")
        alone = turn == ["alone"]
        return cls(name, method, int(edits), alone, int(turn[0]) if turn and not alone else None)


class Log:
    """The lines of a row."""

    def __init__(self, folder: Path, name: str) -> None:
        self.file, self.changes = folder / f"{name}.jsonl", folder / name
        text = self.file.read_text(encoding="utf-8") if self.file.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # without what a killed run wrote half of
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]

    def add(self, **line: Any) -> None:
        self.changes.mkdir(parents=True, exist_ok=True)
        self.lines.append(line)
        self.file.write_text("".join(json.dumps(one) + "\n" for one in self.lines), encoding="utf-8")

    def all(self, key: str) -> list[Any]:
        return [one[key] for one in self.lines if key in one]

    def last(self, key: str) -> Any:
        return next(iter(self.all(key)[::-1]), None)

    def sum(self, *keys: str) -> float:
        return sum(sum(self.all(key)) for key in keys)

    def keep(self, name: str, change: Change) -> None:
        """A change as a file, whole or not at all."""
        self.changes.mkdir(parents=True, exist_ok=True)
        draft = self.changes / f".{name}"
        change.save(draft)
        draft.replace(self.changes / name)


def show(into: Path) -> None:
    """The rows as a table, each beside the unedited model on the same records."""
    print(f"| {' | '.join(HEAD)} |")
    print("|---" * len(HEAD) + "|")
    unedited = next((Log(into, one.stem) for one in sorted(into.glob("unedited*.jsonl"))), None)
    for file in sorted(into.glob("*.jsonl"), key=lambda one: one.stat().st_mtime):
        log = Log(into, file.stem)
        scored = [one["case"] for one in log.lines if "case" in one]
        plain = said(unedited, "NS", set(scored)) if unedited else ""
        many = log.all("perplexity")
        end = log.last("end") or {}
        cells = [
            file.stem + ("" if log.all("end") else " (not done)"), str(len(scored)),
            *(said(log, name) for name in SHOWN), plain,
            f"{sum(many) / len(many):.2f}" + (f" ({max(many):.2f})" if len(many) > 1 else "") if many else "",
            f"{max(log.all('norm')):.3f}" if log.all("norm") else "",
            f"{log.sum('seconds', 'searched') / log.sum('wrote'):.2f}" if log.all("wrote") else "",
            *(f"{end[name]:.2f}" if name in end else "" for name in ("undo", "mib")),
            f"{max(log.all('peak'), default=0):.2f}",
        ]  # fmt: skip
        print("| " + " | ".join(cells) + " |")


def said(log: Log, name: str, cases: set[int] | None = None) -> str:
    """A share with its 95 % interval."""
    lines = [one for one in log.lines if "votes" in one and (cases is None or one["case"] in cases)]
    cast = [vote for one in lines for vote in one["votes"][name]]
    if not cast:
        return ""
    share = Share(sum(cast), len(cast))
    low, high = share.interval
    return f"{100 * share.value:.1f} [{100 * low:.0f}, {100 * high:.0f}]"
