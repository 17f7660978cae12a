"""`report.md`: the scores as tables for papers, one for every protocol, in GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from memedit.eval.report.about import (
    command_of,
    facts_of,
    files_of,
    methods_of,
    names_of,
    title_of,
    visible,
    warnings_of,
)
from memedit.eval.report.grid import Column, Table, kind_title, tables
from memedit.eval.runs import Run
from memedit.eval.scores import Score

READ = "Figures with 95 % intervals; bold: better than every other method, intervals apart."
SPECIAL = re.compile(r"[\\`*\[\]<>|~&]|\b_\B|\B_\b|\B_\B")


def markdown(runs: Sequence[Run], scores: Mapping[Path, Sequence[Score]]) -> str:
    """The tables of these runs, below one another."""
    parts = zip(names_of(runs), runs, strict=True)
    return "\n\n".join(block for name, run in parts for block in _blocks(name, run, scores.get(run.folder, ()))) + "\n"


def _blocks(name: str, run: Run, scores: Sequence[Score]) -> list[str]:
    blocks = [f"# {_plain(title_of(run))}: {_plain(name)}"]
    blocks += [f"> **{_plain(warning)}**" for warning in warnings_of(run)]
    blocks.append("\n".join(f"- {_plain(label)}: {_plain(value)}" for label, value in facts_of(run)))
    for table in tables(scores, methods_of(run)):
        blocks += [f"## {table.title}", f"{table.note} {READ}", _table(table)]
    if command := command_of(run):
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
        blocks += ["## How to repeat it", f"{fence}sh\n{visible(command)}\n{fence}"]
    blocks += ["\n".join(f"- {_plain(file)}: SHA-256 {_plain(sha256)}" for file, _, sha256 in files_of(run))]
    return list(filter(None, blocks))


def _table(table: Table) -> str:
    """Methods as columns, so that a table of many kinds and metrics stays narrow."""
    head = ["kind", "metric", "n", *table.methods]
    lines = [_line(head), "|" + "---|" * 2 + "---:|" * (len(head) - 2)]
    for column in table.columns:
        n = column.n + (f" ({column.not_scored} not scored)" if column.not_scored else "")
        metric = f"{column.metric}, %" if column.share else column.metric
        lines.append(_line([kind_title(column.kind), metric, n], *(_cell(column, method) for method in table.methods)))
    return "\n".join(lines)


def _cell(column: Column, method: str) -> str:
    value, interval = column.value(method), column.interval(method)
    shown = f"**{value}**" if column.best == method else value
    return f"{shown} [{interval}]" if interval else shown


def _line(texts: Sequence[str], *cells: str) -> str:
    return "| " + " | ".join([*map(_plain, texts), *cells]) + " |"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return SPECIAL.sub(r"\\\g<0>", visible(" ".join(text.split())))
