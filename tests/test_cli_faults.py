"""Exit codes, one for each sort of error, and remedies in words of the shell."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from command_line import Run, add, value

import memedit
from memedit import errors
from memedit.cli import _common, _faults
from memedit.cli._faults import CODES, CORRUPT, NETWORK, NOT_FOUND, STORAGE, WRONG, code_of, fault_of, in_shell

ROOT = Path(__file__).parent.parent
PACKAGE = Path(memedit.__file__).parent
# Errors of code that no command reaches: wrappers of clients and frameworks, and parts of a Python program.
OF_PYTHON = re.compile(
    r"adapters/(_clients|_anthropic_client|_openai_client|_open|_agent_tools|inspect_ai|langchain|lm_eval|server|wire|"
    r"anthropic|openai|transformers|_chat)\b|embedders/(langchain|openai|port)|index/langchain|"
    r"functions|messages|editable|classify|feedback|fallback|drive|llms|eval/settings|memory/storage/(__init__|port)|"
    r"methods/(base|classification|interpreter)|parametric/(method|slots|understanding|running_text|layout)\b"
)
PYTHON = re.compile(
    r"(?<!--option )\b(?<!\?)[a-z_]+=(?!value)|\w\(\)|\w\(…\)|\.\w+\(|\b(None|True|EditMemory|EditableLLM)\b"
)


def test_the_page_has_the_table_of_the_code() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    rows = dict(re.findall(r"^\| (\d+) \| ([^|]+?) \|", page, re.MULTILINE))
    assert rows == {str(code): meaning for code, (meaning, _) in CODES.items()}


def test_every_class_of_the_table_is_one() -> None:
    known = {*vars(errors), *vars(__builtins__ if not isinstance(__builtins__, dict) else __import__("builtins"))}
    assert {name for _, names in CODES.values() for name in names} <= known


def test_a_subclass_ends_as_its_nearest_base() -> None:
    assert code_of(errors.IndexUnreachable("x")) == NETWORK
    assert code_of(errors.IndexUnusable("x")) == CORRUPT
    assert code_of(errors.FileRejected("x")) == WRONG
    assert code_of(ConnectionRefusedError()) == NETWORK
    assert fault_of(FileNotFoundError(2, "No such file", "x.txt")).code == WRONG


def test_a_common_option_before_the_command_is_told_its_place(run: Run) -> None:
    assert "behind the command: `memedit list --memory …`" in run("--memory", "x", "list", code=WRONG).stderr
    assert "behind the command" not in run("--nonsense", "list", code=WRONG).stderr
    assert "behind the command" not in run("list", "--nonsense", code=WRONG).stderr


def test_what_is_not_there(run: Run) -> None:
    assert "no memory" in run("list", code=NOT_FOUND).stderr
    add(run, "A is B.")
    for args in (("show", "zz"), ("retract", "zz"), ("verify", "zz"), ("revert", "9"), ("list", "--as-of", "9")):
        run(*args, code=NOT_FOUND)
    run("undo")
    assert value(run("undo", "--json", code=NOT_FOUND))["error"]["type"] == "NothingToUndo"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.LedgerUnreachable("x"), NETWORK),
        (errors.ProviderError("x"), NETWORK),
        (errors.LedgerCorrupt("x"), CORRUPT),
        (errors.LedgerBusy("x"), STORAGE),
        (errors.CapabilityMissing("x"), WRONG),
    ],
)
def test_what_fails_tells_how(run: Run, monkeypatch: pytest.MonkeyPatch, error: errors.MemeditError, code: int) -> None:
    run("init")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(_common, "open_model", fail)
    assert value(run("ask", "x", "--json", code=code))["error"]["type"] == type(error).__name__


def _remedies() -> list[tuple[str, str]]:
    """Where each `do=` of the package stands, and what it says; what is filled in is left out."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for given in node.keywords if isinstance(node, ast.Call) else ():
                pieces = given.value.values if isinstance(given.value, ast.JoinedStr) else [given.value]
                if given.arg == "do":
                    said = [one.value for one in pieces if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                    found.append((where, "".join(said)))
    return found


def test_no_remedy_that_a_command_gives_is_of_python() -> None:
    remedies = [(where, do) for where, do in _remedies() if not OF_PYTHON.match(where)]
    assert len(remedies) > 150
    assert [(where, in_shell(do)) for where, do in remedies if PYTHON.search(in_shell(do) or "")] == []


@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("see `memedit history` or `history()`", "see `memedit history`"),
        ("see `baked()` for what is", "see `memedit baked` for what is"),
        ("set ANTHROPIC_API_KEY, or pass api_key=", "set ANTHROPIC_API_KEY"),
        ("check that base_url is of such an API", "check that --base-url is of such an API"),
        ("add Facts with subject=, prompt= and object=", "add Facts with --subject, --prompt and --object"),
        ("retract them first, or add with on_conflict='supersede' or 'keep'",
         "retract them first, or add with --on-conflict supersede or keep"),
        ("give a temperature above 0, or n=1", "give a temperature above 0, or --option n=1"),
        ("check --base-url", "check --base-url"),
    ],
)  # fmt: skip
def test_a_remedy_is_said_of_the_shell(python: str, shell: str) -> None:
    assert in_shell(python) == shell


def test_a_command_says_so(run: Run) -> None:
    add(run, "--subject", "Australia", "--relation", "capital", "--object", "Sydney")
    words = ("--subject", "Australia", "--relation", "capital", "--object", "Perth", "--on-conflict", "error")
    assert "or add with --on-conflict supersede or keep" in run("add", *words, code=WRONG).stderr
    assert _faults.in_shell(None) is None
