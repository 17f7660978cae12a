"""README, the docs and the examples are executed; what they say of commands, figures and calls is compared."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml

import memedit
from memedit import EditableLLM, EditMemory, Fact
from memedit.cli import main
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

if TYPE_CHECKING:
    from memedit.adapters.causal import LocalLLM

ROOT = Path(__file__).parent.parent
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md"))}
LIGHT = ("async", "care", "cli", "erasing", "extending", "patches", "security", "tenants")
CLIENTS = ("anthropic", "openai", "outgrowing")
ENCODERS = ("concepts", "policies")
BUNDLED = ("chatbot", "correcting", "multihop", "tutorial")
ELSEWHERE = {
    "frameworks": "test_frameworks.py", "gate": "test_cli_gate.py", "langchain": "test_langchain_chains.py",
    "languages": "test_languages.py", "mcp": "test_mcp.py",
    "baking": "test_docs.py",  # its first block is examples/09_bake.py in short
}  # fmt: skip
SAYS = {
    "04_multihop_eval.py": "a wording of three right",
    "03_patches_sentiment.py": "undone",
    "02_feedback.py": "understood as: the synonym",
    "09_bake.py": "in the weights: []",
}  # what the others say: Carol Diaz
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.model
@pytest.mark.parametrize("place", range(len(BLOCK.findall((ROOT / "README.md").read_text()))))
def test_readme_block_runs(place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = BLOCK.findall((ROOT / "README.md").read_text())[place]
    exec(compile(code, f"README.md, block {place + 1}", "exec"), {"__name__": "__main__"})


def run_page(page: str) -> None:
    """Its blocks go on from one another, in one folder."""
    given = {"__name__": "__main__"}
    for place, code in enumerate(BLOCK.findall(PAGES[page]), start=1):
        exec(compile(code, f"docs/{page}.md, block {place}", "exec"), given)


def test_every_page_with_code_is_run_somewhere() -> None:
    with_code = {page for page, text in PAGES.items() if BLOCK.search(text)}
    assert with_code == {*LIGHT, *CLIENTS, *ENCODERS, *BUNDLED, *ELSEWHERE}
    for page, file in ELSEWHERE.items():
        assert page in (ROOT / "tests" / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", LIGHT)
def test_a_page_runs_with_nothing_loaded(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("memedit.memory.encoders.default_embedder", HashEmbedder)
    run_page(page)


@pytest.mark.parametrize("page", CLIENTS)
def test_a_page_about_clients_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langchain_core" if page == "outgrowing" else page)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "none-needed")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none-needed")
    run_page(page)


@pytest.mark.model
@pytest.mark.parametrize("page", ENCODERS)
def test_a_page_runs_with_the_encoders(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page)


@pytest.mark.model
@pytest.mark.parametrize("page", BUNDLED)
def test_a_page_runs_on_the_bundled_model(
    page: str, smollm: LocalLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("memedit.adapters.transformers.load_bundled", lambda *_, **__: smollm)
    monkeypatch.setattr("memedit.adapters.planner.load", lambda *_, **__: FakeLLM())  # nobody trained one
    run_page(page)


def commands(text: str) -> list[list[str]]:
    """The arguments of every `memedit` command in the fenced and indented blocks of a page."""
    fenced = re.findall(r"^```(?:sh)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    found = []
    for line in "\n".join([*fenced, *re.findall(r"^    (memedit .*)", text, re.MULTILINE)]).splitlines():
        if not re.match(r"(\w+=\S+ )?memedit ", line):
            continue
        for part in re.split(r"\s(?=memedit\s)|\|", re.sub(r"\s#.*|&$", "", line)):
            words = shlex.split(part)
            if words[:1] == ["memedit"]:
                found.append(words[1:])
    return found


def read_by(command: click.Command, args: list[str]) -> None:
    """Raise where a command line is none."""
    context = command.context_class(command)
    if isinstance(command, click.Group) and args and not args[0].startswith("-"):
        _, inner, rest = command.resolve_command(context, args)
        assert inner is not None
        return read_by(inner, rest)
    _, unread, _ = command.make_parser(context).parse_args(list(args))
    assert unread == []
    return None


@pytest.mark.parametrize("page", ["README", *PAGES])
def test_every_command_in_the_docs_is_a_command(page: str) -> None:
    text = PAGES.get(page) or (ROOT / "README.md").read_text(encoding="utf-8")
    for args in commands(text):
        try:
            read_by(main, args)
        except (click.UsageError, AssertionError) as error:
            pytest.fail(f"memedit {shlex.join(args)}: {error}")


def test_commands_of_a_page_are_found() -> None:
    assert commands('```\nmemedit a "b c"   memedit d # e\nmemedit f - | memedit g -\n```\n\n    memedit h\n') == [
        ["a", "b c"], ["d"], ["f", "-"], ["g", "-"], ["h"],
    ]  # fmt: skip
    with pytest.raises(click.UsageError):
        read_by(main, ["ask", "--no-such-option"])


# ---- what the pages say ---------------------------------------------------------------------------------------------


def called(act: Callable[[], object]) -> list[str]:
    """The functions of memedit that are called, by the order of their first calls."""
    seen: dict[str, None] = {}

    def look(frame: Any, event: str, _: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.startswith("memedit."):
            seen.setdefault(f"{module.removeprefix('memedit.')}.{frame.f_code.co_qualname}")

    sys.setprofile(look)
    try:
        act()
    finally:
        sys.setprofile(None)
    return list(seen)


def test_the_pictures_show_what_is_called() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "_site" / "pictures.py"))
    llm = EditableLLM(FakeLLM(), EditMemory(embedder=HashEmbedder()), gate=NamedGate())
    llm.edit(Fact(subject="Globex", relation="CEO", object="Bo Lind"))
    assert "Bo Lind" in llm("Who runs Globex?")  # the namespace is loaded

    def edit_and_ask() -> None:
        llm.edit(Fact(subject="Acme", relation="CEO", object="Carol Diaz"))
        llm("Who runs Acme?")

    for steps, act in ((drawn["EDIT"], edit_and_ask), (drawn["REQUEST"], lambda: llm("Who runs Acme?"))):
        names = [step.name for step in steps]
        assert [name for name in called(act) if name in names] == names


def test_the_pictures_are_those_that_are_drawn() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "_site" / "pictures.py"))
    for file, picture in drawn["PICTURES"].items():
        assert (ROOT / "docs" / "pictures" / file).read_text(encoding="utf-8") == picture


def test_the_reference_has_every_public_name() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    told = {name.rpartition(".")[2] for name in re.findall(r"^::: ([\w.]+)$", pages, re.MULTILINE)}
    assert {*memedit.__all__} - {"__version__", "MemeditError"} <= told
    assert "::: memedit.errors\n" in pages


@pytest.mark.parametrize(("page", "kind"), [("memory", EditMemory), ("index", EditableLLM)])
def test_the_reference_lists_every_verb(page: str, kind: type) -> None:
    text = (ROOT / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")
    listed = re.search(r"members:\s+\[(.*?)\]", text, re.DOTALL)
    assert listed is not None
    assert sorted(re.findall(r"\w+", listed[1])) == sorted(name for name in dir(kind) if not name.startswith("_"))


def test_figures_that_are_compared_stand_in_the_benchmarks() -> None:
    """Each row's numbers, and the command that makes them, whatever the lines are broken at."""
    known = " ".join((ROOT / "BENCHMARKS.md").read_text(encoding="utf-8").split())
    rows = re.findall(
        r"^\| (.*?) \| (.*?) \| (?:`(.*?)`|the same) \|$", PAGES["compare"].split("## In figures")[1], re.M
    )
    assert len(rows) > 5
    for question, figure, command in rows:
        assert command in known, command
        for number in re.findall(r"\d[\d.,]*\d|\d", question + figure):
            assert number in known, number


def test_the_citation_is_of_this_version() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == memedit.__version__


@pytest.mark.model
def test_the_block_on_fallbacks_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = next(code for code in BLOCK.findall((ROOT / "docs" / "baking.md").read_text()) if "fallback=" in code)
    exec(compile(code, "docs/baking.md", "exec"), {"__name__": "__main__"})
    assert "in scope" in capsys.readouterr().out


@pytest.mark.model
@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(example)], capture_output=True, text=True, cwd=tmp_path, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert SAYS.get(example.name, "Carol Diaz") in done.stdout


def test_every_file_the_readme_links_to_is_there() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / link).exists(), link
