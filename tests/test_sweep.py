"""The sweep: what was run at this commit is not run again, what fails is named, and BENCHMARKS.md knows its parts."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
ANEW = "Everyday messages"  # its figures come with commands, but not yet with their commit
HEADING = re.compile(r"^(#+) (.*)$")
MEASURED = re.compile(r"Measured at `[0-9a-f]{7}`.*?\bparts? .*? of the sweep")
COUNT = "python -c \"import pathlib; pathlib.Path('{name}').open('a').write('x')\""


def _loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sweep", ROOT / "bench/sweep.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sweep"] = module
    spec.loader.exec_module(module)
    return module


sweep = _loaded()


def part(name: str, *commands: str, needs: tuple[str, ...] = ()) -> object:
    return sweep.Part(name, list(commands), "Speed", needs=needs)


def counting(name: str) -> object:
    """A part that leaves one more letter in a file of its name with every run."""
    return part(name, COUNT.replace("{name}", f"{name}.ran"), f"python -c \"print('{name} spoke')\"")


def runs(root: Path, name: str) -> int:
    file = root / f"{name}.ran"
    return len(file.read_text()) if file.exists() else 0


def commit(root: Path, file: str, text: str) -> None:
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text(text)
    for given in (["add", "."], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "one"]):
        subprocess.run(["git", *given], cwd=root, check=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("bench/out/\n*.ran\n")
    commit(tmp_path, "memedit/code.py", "one = 1\n")
    return tmp_path


def test_what_is_printed_is_kept_with_commit_date_seconds_and_machine(root: Path) -> None:
    assert sweep.run(root, [counting("one")]) == 0
    assert "one spoke" in (root / "bench/out/sweep/one.txt").read_text()
    known = json.loads((root / "bench/out/sweep/one.json").read_text())
    assert known["commit"] == sweep.commit(root)
    assert known["failed"] is None
    assert {"date", "seconds", "cores", "python", "torch"} <= set(known)


def test_a_part_is_run_once_a_commit_of_the_code(root: Path) -> None:
    one = counting("one")
    assert sweep.state(root, one) == "not run"
    sweep.run(root, [one])
    commit(root, "README.md", "no code\n")
    sweep.run(root, [one])
    assert sweep.state(root, one) == "fresh"
    assert runs(root, "one") == 1
    commit(root, "memedit/code.py", "one = 2\n")
    assert sweep.state(root, one) == "stale"
    sweep.run(root, [one])
    assert runs(root, "one") == 2


def test_a_part_with_other_commands_is_stale(root: Path) -> None:
    sweep.run(root, [counting("one")])
    assert sweep.state(root, part("one", "python -c 1")) == "stale"


def test_a_killed_run_goes_on_with_the_part_it_was_in(root: Path) -> None:
    """The whole script, ended by a signal while its second part waits for a file; then again with the file there."""
    wait = "python -c \"import pathlib, time\nwhile not pathlib.Path('go.ran').exists(): time.sleep(.02)\""
    parts = [counting("one"), part("two", COUNT.replace("{name}", "two.ran"), wait), counting("three")]
    told = "".join(f"[{one.name}]\nheading = 'Speed'\ncommands = {json.dumps(one.commands)}\n" for one in parts)
    for name, text in (("sweep.py", (ROOT / "bench/sweep.py").read_text()), ("sweep.toml", told)):
        (root / "bench").mkdir(exist_ok=True)
        (root / "bench" / name).write_text(text)
    script = [sys.executable, str(root / "bench/sweep.py"), "run"]
    running = subprocess.Popen(script, cwd=root, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("two: running"):
            break
    while not runs(root, "two"):
        assert running.poll() is None
    running.terminate()
    assert running.wait(30) == 143
    running.stdout.close()
    (root / "go.ran").touch()
    done = subprocess.run(script, cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [runs(root, name) for name in ("one", "two", "three")] == [1, 2, 1]


def test_a_part_that_fails_is_named_and_the_rest_goes_on(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = part("bad", "python -c \"raise SystemExit('no such thing')\"", COUNT.replace("{name}", "after.ran"))
    assert sweep.run(root, [bad, counting("good")]) == 1
    assert "failed: bad" in capsys.readouterr().err
    assert "no such thing" in (root / "bench/out/sweep/bad.txt").read_text()
    assert (sweep.state(root, bad), runs(root, "good"), runs(root, "after")) == ("failed", 1, 0)
    assert sweep.run(root, [bad]) == 1  # it is tried again


def test_nothing_is_run_beside_changes_that_are_not_committed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "memedit/code.py").write_text("one = 3\n")
    assert sweep.run(root, [counting("one")]) == 2
    assert "not committed" in capsys.readouterr().err
    assert runs(root, "one") == 0


def test_a_part_during_which_the_code_changes_has_failed(root: Path) -> None:
    change = part("change", "python -c \"open('memedit/code.py', 'a').write('#')\"")
    assert sweep.run(root, [change]) == 1
    assert "changed" in sweep.known_of(root, change)["failed"]


def test_what_lacks_its_data_is_left_out_and_said(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEMEDIT_DATA", raising=False)
    needy = part("needy", COUNT.replace("{name}", "needy.ran"), needs=("MEMEDIT_DATA",))
    assert sweep.run(root, [needy]) == 0
    assert "MEMEDIT_DATA is not set" in capsys.readouterr().out
    assert runs(root, "needy") == 0


def test_the_table_says_when_and_how_long(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep.run(root, [counting("one")])
    capsys.readouterr()
    sweep.status(root, [counting("one"), counting("two")])
    _, one, two = capsys.readouterr().out.splitlines()
    assert one.split()[:3] == ["one", "fresh", sweep.commit(root)]
    assert "not run" in two


def test_every_command_is_pythons_and_its_script_is_there() -> None:
    for one in sweep.read_parts(ROOT / "bench/sweep.toml").values():
        for command in one.commands:
            python, script, *_ = command.split()
            assert python == "python", command
            assert script == "-m" or (ROOT / script).is_file(), command


def _sections() -> list[tuple[str, ...]]:
    """Every section of BENCHMARKS.md: its headings from the first level below the title, and its own text."""
    found: list[tuple[str, ...]] = []
    way: list[str] = []
    for line in (ROOT / "BENCHMARKS.md").read_text(encoding="utf-8").splitlines():
        if heading := HEADING.match(line):
            way = [*way[: len(heading[1]) - 1], heading[2]]
            found.append((*way, ""))
        else:
            found[-1] = (*found[-1][:-1], f"{found[-1][-1]}{line}\n")
    return [one[1:] for one in found if len(one) > 2]


def test_every_section_with_a_table_names_its_commit_and_the_parts_that_feed_it() -> None:
    parts = sweep.read_parts(ROOT / "bench/sweep.toml")
    for *way, text in _sections():
        if way[0] == ANEW or not re.search(r"^\|", text, re.MULTILINE):
            continue
        measured = MEASURED.search(" ".join(text.split()))
        assert measured is not None, way
        feed = {one.name for one in parts.values() if one.heading == way[-1]}
        assert feed, way
        assert feed <= set(re.findall(r"`([^`]+)`", measured[0])), way


def test_every_part_feeds_a_section_that_is_there() -> None:
    headings = {heading for *way, _ in _sections() for heading in way}
    for one in sweep.read_parts(ROOT / "bench/sweep.toml").values():
        assert one.heading in headings, one
