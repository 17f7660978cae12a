"""What `--json` prints: one object with the version of its form, whose keys docs/cli.md tells."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from command_line import Run, add

from memedit.cli._print import SCHEMA

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
LINES: dict[str, tuple[str, ...]] = {
    "init": ("init",),
    "add": ("add", "Oslo is in Norway."),
    "add --file": ("add", "--file", "edits.yaml"),
    "list": ("list",),
    "show": ("show", "au"),
    "search": ("search", "Australia"),
    "graph": ("graph",),
    "review": ("review",),
    "history": ("history",),
    "history --ops": ("history", "--ops"),
    "ask": ("ask", "What is the capital of Australia?"),
    "chat": ("chat",),
    "explain": ("explain", "What is the capital of Australia?"),
    "verify": ("verify", "au"),
    "test": ("test", "edits.yaml"),
    "export": ("export", "out.yaml"),
    "import": ("import", "edits.yaml", "--namespace", "other"),
    "apply": ("apply", "edits.yaml", "--plan"),
    "backup": ("backup", "all.backup"),
    "restore": ("restore", "old.backup", "--plan"),
    "purge": ("purge", "au", "--plan"),
    "reindex": ("reindex",),
    "namespaces": ("namespaces",),
    "methods": ("methods",),
    "doctor": ("doctor",),
    "eval --list": ("eval", "--list"),
    "systems": ("systems",),
    "an error": ("show", "nothing"),
    "retract": ("retract", "au"),
    "review --reject": ("review", "--all", "--reject"),
    "undo": ("undo",),
    "revert": ("revert", "0"),
}


def form(value: dict[str, Any]) -> str:
    """The keys of an object, those of each item in brackets; an edit, which has those of its kind, by that word."""
    if "created_at" in value:
        return "edit"
    items = value.get("items")
    each = f"[{form(items[0])}]" if items and isinstance(items[0], dict) else ""
    return ", ".join(name + (each if name == "items" else "") for name in value)


def test_the_page_tells_the_keys_of_each_command(run: Run) -> None:
    Path("edits.yaml").write_text(
        "- {id: au, subject: Australia, relation: capital, object: Sydney, prompt: 'The capital of {} is'}\n"
    )
    run("add", "--file", "edits.yaml")
    add(run, "Canberra is a city.", "--propose")
    run("backup", "old.backup")
    printed = {}
    for name, words in LINES.items():
        said = "Who wrote Hamlet?\n" if name == "chat" else None
        found = json.loads(run(*words, "--json", code=4 if name == "an error" else 0, input=said).stdout)
        assert next(iter(found)) == "schema"
        assert found.pop("schema") == SCHEMA
        printed[name] = form(found)
    page = PAGE.read_text().split("## JSON")[1]
    assert printed == dict(re.findall(r"^\| `?([a-z -]+)`? \| `(.*)` \|$", page, re.MULTILINE))
    assert f'`"schema": {SCHEMA}`' in page
