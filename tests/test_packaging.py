"""What an installation holds, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import memedit
from memedit.cli import main

ROOT = Path(__file__).parent.parent
HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "chromadb",
    "langchain_core",
    "openai",
    "onnxruntime",
    "model2vec",
    "sqlalchemy",
)


def test_import_is_fast_and_light() -> None:
    code = f"import sys, memedit; print([name for name in {HEAVY} if name in sys.modules])"
    times = []
    for _ in range(5):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - began)
        assert done.stdout.strip() == "[]"
    assert min(times) < 0.3


def test_the_face_imports_nothing_from_extras() -> None:
    code = (
        f"import sys; from memedit import EditableLLM, EditMemory; print([n for n in {HEAVY[:-1]} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_deciding_loads_nothing_of_learning() -> None:
    code = (
        "import sys, memedit.gate.asking, memedit.gate.cascade, memedit.gate.embedding; "
        "print([name for name in sys.modules if name.startswith('memedit.gate.learning')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", memedit.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(memedit, name) is not None


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute"):
        memedit.nothing_of_the_kind  # noqa: B018


def test_links_show_the_parts() -> None:
    assert (ROOT / "adapters").resolve() == ROOT / "memedit" / "adapters"
    assert (ROOT / "eval").resolve() == ROOT / "memedit" / "eval"


def test_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    # Built from a copy, because a build leaves its traces in the folder it is built from.
    source = tmp_path / "source"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    assert listed.returncode == 0, listed.stderr
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(path.read_bytes())
    (source / "adapters").symlink_to("memedit/adapters")
    (source / "eval").symlink_to("memedit/eval")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(source)],
        check=True,
        capture_output=True,
    )
    wheel = next((tmp_path / "dist").glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"memedit"}
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "memedit").rglob("*.py")}
    assert modules <= set(names)
    for data in (
        "py.typed",
        "data/relations.json",
        "data/NOTICE.md",
        "data/encoders/judge.onnx",
        "data/encoders/deep/change.npz",
        "data/everyday/test.jsonl",
        "adapters/server/page/index.html",
    ):
        assert f"memedit/{data}" in names
    licences = [name for name in names if ".dist-info/licenses/" in name]
    assert any(name.endswith("LICENSE") for name in licences)
    assert wheel.stat().st_size < 60_000_000


def test_containers_start_what_there_is() -> None:
    """Every option that Dockerfile and compose file give exists, and so does every file that is copied."""
    composed = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["memedit"]
    done = CliRunner().invoke(main, [*composed["command"], "--help"])
    assert done.exit_code == 0, done.output
    for name in composed["environment"]:
        if name.startswith("MEMEDIT_"):
            assert name in done.output
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")]
    assert all((ROOT / name).exists() for name in kept)
    extras = (ROOT / "Dockerfile").read_text().partition("/src[")[2].partition("]")[0].split(",")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert declared.keys() >= set(extras)
