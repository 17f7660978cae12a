"""The frame of the systems: declarations, results that are kept, the page, and what the command says."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import documented

from memedit.cli import main
from memedit.errors import CapabilityMissing
from memedit.systems import running
from memedit.systems.ground import Ground
from memedit.systems.pictures import draw
from memedit.systems.registry import Finding, System, find_system, systems

ONE = System(
    "one",
    "One | the first",
    "Changes",
    "A. 2023",
    "built",
    "memedit systems one",
    "≥ 1",
    "leace:check",
    missing="a\nlot",
)


class Counted:
    """A check that counts how often it is called."""

    def __init__(self, met: bool = True) -> None:
        self.calls, self.met = 0, met

    def __call__(self, ground: Ground, **how: object) -> Finding:
        self.calls += 1
        return Finding(f"call {self.calls}", self.met, {"how": how})


@pytest.mark.parametrize("name", systems())
def test_a_declaration_is_whole_and_its_check_is_there(name: str) -> None:
    one = systems()[name]
    assert callable(getattr(import_module(one.module), one.check.partition(":")[2]))
    assert (import_module(one.module).__doc__ or "").strip()
    assert any(year in one.paper for year in map(str, range(2018, 2027)))
    assert one.command.startswith(("memedit ", "python bench/"))


def test_results_are_kept_until_declaration_or_model_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = Counted()
    monkeypatch.setattr("memedit.systems.leace.check", check)
    first = list(running.run_all([ONE], Ground("m"), tmp_path))
    again = list(running.run_all([ONE], Ground("m"), tmp_path))
    assert check.calls == 1
    assert first == again
    list(running.run_all([ONE], Ground("other"), tmp_path))
    assert check.calls == 2
    list(running.run_all([replace(ONE, how={"facts": 3})], Ground("other"), tmp_path))
    assert check.calls == 3


def test_what_cannot_be_run_says_why_and_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(ground: Ground) -> Finding:
        raise CapabilityMissing("No weights.")

    monkeypatch.setattr("memedit.systems.leace.check", refuse)
    [result] = running.run_all([ONE], Ground("m"), tmp_path)
    assert result.met is None
    assert "No weights." in result.figure
    assert not list(tmp_path.iterdir())
    page = running.page([(ONE, result)], "m")
    assert "– CapabilityMissing: No weights." in page


def test_the_page_holds_a_line_a_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memedit.systems.leace.check", Counted(met=False))
    page = running.page([(ONE, running.run(ONE, Ground("m")))], "m")
    line = page.splitlines()[-1]
    assert "One \\| the first" in line
    assert "a lot" in line
    assert "✗ call 1" in line
    assert "0 of 1 reach it, 1 miss it" in page
    assert "## Changes" in page
    tried = replace(ONE, tried="larger steps")
    assert running.page([(tried, running.run(tried, Ground("m")))], "m").endswith("✗ call 2. Tried: larger steps |\n")
    assert running.page([(ONE, None)], "m").endswith("| – not run |\n")
    assert line.replace("\\|", "").count("|") == 8


def test_the_command_lists_checks_and_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad = Counted(), Counted(met=False)
    monkeypatch.setattr("memedit.systems.leace.check", good)
    monkeypatch.setattr("memedit.systems.registry.systems", lambda: {"one": ONE})
    runner = CliRunner()
    assert "One | the first" in runner.invoke(main, ["systems"]).stdout
    assert json.loads(runner.invoke(main, ["systems", "--json"]).stdout)["items"][0]["check"] == "leace:check"
    done = runner.invoke(main, ["systems", "one", "--json"])
    assert (done.exit_code, documented("systems one", done.stdout)["met"]) == (0, True)
    done = runner.invoke(main, ["systems", "--all", "--page", "page.md"])
    assert done.exit_code == 0
    assert "1 of 1 reach" in done.stdout
    assert "✓ call 2" in Path("page.md").read_text(encoding="utf-8")
    done = runner.invoke(main, ["systems", "--page", "again.md"])  # of what is kept, without running anything
    assert (done.exit_code, good.calls) == (0, 2)
    assert Path("again.md").read_text(encoding="utf-8") == Path("page.md").read_text(encoding="utf-8")
    assert runner.invoke(main, ["systems", "--all", "--part", "2", "2"]).stdout.startswith("0 of 0 reach")
    assert runner.invoke(main, ["systems", "--all", "--part", "3", "2"]).exit_code == 2
    assert runner.invoke(main, ["systems", "--part", "1", "2"]).exit_code == 2
    monkeypatch.setattr("memedit.systems.leace.check", bad)
    assert runner.invoke(main, ["systems", "one"]).exit_code == 1
    wrong = runner.invoke(main, ["systems", "nothing"])
    assert wrong.exit_code == 2 or wrong.exit_code == 1
    assert "There is no system `nothing`" in wrong.output
    assert runner.invoke(main, ["systems", "one", "--all"]).exit_code == 2
    with pytest.raises(LookupError):
        find_system("nothing")


PAINTED = {"alphas": [0.0, 0.5, 1.0], "patched": [0.0, 0.4, 0.5], "supported": [0.9, 0.9, 0.6]}
TAUGHT = {name: [0.0, 0.25, 140.0] for name in ("before", "A", "B", "A+B", "-A")}


@pytest.mark.parametrize(
    ("name", "more", "says"), [("paint", PAINTED, "neighbours"), ("task_arithmetic", TAUGHT, "− A")]
)
def test_a_picture_is_drawn_of_the_figures(tmp_path: Path, name: str, more: dict[str, object], says: str) -> None:
    files = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for file in files:
        draw(find_system(name), more, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    told = re.sub(r"<!-- (.*?) -->", r"\1", files[0].read_text(encoding="utf-8"))
    assert find_system(name).title in told
    assert says in told


def test_the_command_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check = Counted()
    monkeypatch.setattr("memedit.systems.leace.check", lambda ground: replace(check(ground), more=PAINTED))
    told = {"one": replace(ONE, picture=find_system("paint").picture), "two": replace(ONE, name="two")}
    monkeypatch.setattr("memedit.systems.registry.systems", lambda: told)
    runner = CliRunner()
    for wrong in (["one", "--plot", "one.txt"], ["two", "--plot", "two.svg"], ["--plot", "one.svg"]):
        assert runner.invoke(main, ["systems", *wrong]).exit_code == 2
    assert check.calls == 0  # refused before anything is measured
    assert runner.invoke(main, ["systems", "one", "--plot", "one.png"]).exit_code == 0
    assert Path("one.png").read_bytes().startswith(b"\x89PNG")
    assert runner.invoke(main, ["systems", "--all", "--page", "page.md"]).exit_code == 0
    assert "([picture](page/one.svg))" in Path("page.md").read_text(encoding="utf-8")
    assert [file.name for file in Path("page").iterdir()] == ["one.svg"]
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    bare = runner.invoke(main, ["systems", "--page", "bare.md"])
    assert bare.exit_code == 0
    assert "no pictures were drawn" in bare.stderr
    assert "✓ call" in Path("bare.md").read_text(encoding="utf-8")


def test_the_page_of_the_docs_has_the_lines_that_are_declared() -> None:
    """`make systems` writes it; only the figures, behind the declared cells, are not known here."""
    docs = Path(__file__).parent.parent / "docs"
    lines = [one for one in (docs / "systems.md").read_text(encoding="utf-8").splitlines() if one.startswith("| **")]
    wanted = [running.row(one) for one in systems().values()]
    assert [line[: len(start)] for line, start in zip(lines, wanted, strict=True)] == wanted
    figures = [line[len(start) + 1 :] for line, start in zip(lines, wanted, strict=True)]
    assert all(one.startswith(("✓ ", "✗ ", "– ")) and len(one) > 5 for one in figures)
    assert "      - systems.md\n" in (docs.parent / "mkdocs.yml").read_text(encoding="utf-8")
