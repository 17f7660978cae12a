"""`add --from-document`: the Facts of a text, shown, and added as far as they are accepted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memedit.cli._common import Session, read_text
from memedit.cli._print import Piece, busy, say, table

if TYPE_CHECKING:
    from memedit.editable.documents import Proposal
    from memedit.edits import Fact


def proposed(session: Session, path: Path) -> Proposal:
    """What the wrapped model and the rules find in a document; `-` is stdin.

    Raises:
        FileRejected: It cannot be read.
        RequestRejected: It holds no text, or too much.
    """
    from memedit.editable.documents import propose
    from memedit.errors import FileRejected

    if str(path) == "-":
        text, name = read_text("-", what="document"), None
    else:
        name = path.name
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise FileRejected(f"{path} is not UTF-8 text.", do="give a .txt or .md file") from error
        except OSError as error:
            raise FileRejected(f"{path} cannot be read: {error.strerror}.", do="check the name") from error
    llm = session.llm()
    with busy("reading the document…"):
        return propose(text, llm, source=name)


def accepted(found: Proposal, *, everything: bool) -> list[Fact]:
    """Those of the candidates that the user wants, by their numbers; all without being asked where `everything`."""
    say((f"{len(found.facts)} facts in {found.sentences} sentences", "bold"), err=True)
    if found.dropped:
        say((f"{found.dropped} more named what does not stand in the text, and were left out", "dim"), err=True)
    if not found.facts:
        return []
    rows: list[list[Piece]] = [
        [(str(place), "cyan"), fact.text, fact.source or ""] for place, fact in enumerate(found.facts, 1)
    ]
    table(["", "fact", "from"], rows, wrap=["fact", "from"])
    if everything:
        return list(found.facts)
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody can be asked which to add: give --yes to add all, or --json to only see them.")
    while True:
        said = click.prompt("Add which? (numbers such as 1,3-5; all; none)", default="all")
        try:
            return [found.facts[place - 1] for place in numbers(said, len(found.facts))]
        except ValueError as error:
            say((str(error), "yellow"), err=True)


def numbers(said: str, most: int) -> list[int]:
    """“1,3-5” as numbers from 1 to `most`, in order; “all” and “none” as well.

    Raises:
        ValueError: It says something else; in words.
    """
    said = said.strip().lower()
    if said in ("all", "none", ""):
        return list(range(1, most + 1)) if said == "all" else []
    chosen: set[int] = set()
    for part in said.replace(" ", ",").split(","):
        if not part:
            continue
        first, dash, last = part.partition("-")
        if not (first.isdigit() and (last.isdigit() or not dash)):
            raise ValueError(f"“{part}” is no number from 1 to {most}")
        chosen |= set(range(int(first), int(last or first) + 1))
    if outside := chosen - set(range(1, most + 1)):
        raise ValueError(f"there is no {min(outside)}; the numbers go from 1 to {most}")
    return sorted(chosen)


def as_values(found: Proposal) -> dict[str, Any]:
    """The candidates as JSON values."""
    facts: Sequence[Fact] = found.facts
    return {"facts": [fact.to_dict() for fact in facts], "dropped": found.dropped, "sentences": found.sentences}
