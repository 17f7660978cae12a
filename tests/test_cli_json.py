"""What `--json` prints: one object with the version of its form, whose keys docs/cli.md tells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from command_line import PAGE, Run, add, answer, documented, forms

from memedit import EditableLLM, EditMemory
from memedit.cli import demo, main
from memedit.cli._print import SCHEMA
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

SERVERS = ("serve", "mcp")
TABLES = (
    "baked", "bake", "unbake",  # tests/test_parametric_bake.py
    "delta add", "delta apply", "delta negate", "delta scale", "delta show",  # tests/test_systems_weights.py
    "gate train", "patches evaluate", "patches train",  # tests/test_cli_gate.py, tests/test_patches.py
)  # fmt: skip
"""What tests look at for several commands in one place."""
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


def test_the_page_tells_the_keys_of_each_command(run: Run) -> None:
    Path("edits.yaml").write_text(
        "- {id: au, subject: Australia, relation: capital, object: Sydney, prompt: 'The capital of {} is'}\n"
    )
    run("add", "--file", "edits.yaml")
    add(run, "Canberra is a city.", "--propose")
    run("backup", "old.backup")
    for name, words in LINES.items():
        said = "Who wrote Hamlet?\n" if name == "chat" else None
        documented(name, run(*words, "--json", code=4 if name == "an error" else 0, input=said).stdout)
    assert f'`"schema": {SCHEMA}`' in PAGE.read_text(encoding="utf-8")


def commands(group: click.Group, *words: str) -> Iterator[str]:
    """Each command that ends in something done."""
    context = click.Context(group)
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        if isinstance(one, click.Group):
            yield from commands(one, *words, name)
        else:
            yield " ".join((*words, name))


def test_no_command_prints_what_no_page_tells_and_no_test_looks_at() -> None:
    tests = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py"))
    # `documented` is called with the name of a command, or with a part of a table such as LINES.
    looked_at = {*LINES, *re.findall(r'documented\(\s*"([a-z][a-z -]+)"', tests), *TABLES}
    missing = []
    for command in commands(main):
        told = [name for name in forms() if name == command or name.startswith(f"{command} -")]
        if command not in SERVERS and not (told and set(told) <= looked_at):
            missing.append(command)
    assert not missing
    assert set(forms()) == looked_at


def test_the_demonstration(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def model(*_: object, **__: object) -> Iterator[EditableLLM]:
        yield EditableLLM(FakeLLM(answer), EditMemory(embedder=HashEmbedder()), gate=NamedGate())

    monkeypatch.setattr(demo, "_model", model)
    documented("demo", run("demo", "--json").stdout)


@pytest.mark.parametrize("command", SERVERS)
def test_what_serves_has_no_json(run: Run, command: str) -> None:
    run("init")
    assert "has no --json" in json.loads(run(command, "--json", code=2).stdout)["error"]["message"]
