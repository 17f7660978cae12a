"""The house is in order: no circles, no long files, and ARCHITECTURE.md says where what is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted((ROOT / "memedit").rglob("*.py"))
}
ROWS = re.findall(r"^\| .+? \| `(memedit/[\w/.]+)`, `(\w+)` \| `(tests/[\w/.]+)` \|$", PAGE, re.MULTILINE)


def imported(file: Path) -> Iterator[str]:
    """The modules of memedit that a file imports, inside a function and for types, too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{one.name}" for one in node.names]
        else:
            continue
        for name in names:
            while name and name not in MODULES:
                name = name.rpartition(".")[0]
            if name:
                yield name


def test_no_two_files_import_one_another() -> None:
    graph = {name: {one for one in imported(file) if one != name} for name, file in MODULES.items()}
    assert sum(map(len, graph.values())) > 1_000
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_no_file_is_longer_than_350_lines() -> None:
    long = {name: len(file.read_text(encoding="utf-8").splitlines()) for name, file in MODULES.items()}
    assert {name: lines for name, lines in long.items() if lines > 350} == {}


def test_the_page_names_what_lies_at_the_root() -> None:
    house = PAGE.split("## The house")[1].split("```")[1]
    told = set(re.findall(r"^  ([\w.]+(?:\.py|/)) ", house, re.MULTILINE))
    there = {file.name for file in (ROOT / "memedit").glob("*.py")} | {
        f"{file.parent.name}/" for file in (ROOT / "memedit").glob("*/__init__.py")
    }
    assert there == told


@pytest.mark.parametrize(("file", "name", "test"), ROWS)
def test_what_is_to_be_opened_is_there(file: str, name: str, test: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    defined = {getattr(node, "name", None) for node in ast.walk(tree)}
    defined |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assert name in defined
    assert (ROOT / test).exists()


def test_the_table_is_read() -> None:
    table = PAGE.split("## To change something")[1].split("\n## ")[0]
    assert len(ROWS) == table.count("\n| ") - 1 > 15
