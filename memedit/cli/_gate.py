"""What the commands of `memedit gate` share: reading data, judging it, and showing scores."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memedit.cli._common import Session
from memedit.cli._print import busy, say, table
from memedit.cli.eval import _bars

if TYPE_CHECKING:
    from memedit.embedders import Embedder
    from memedit.eval.gate_data import GateData
    from memedit.eval.gates import GateScores
    from memedit.eval.report.gate import Part
    from memedit.eval.stats import Share
    from memedit.gate import Gate
    from memedit.gate.learning.judging import Judged
    from memedit.gate.learning.scope_sets import ScopeSet

PACKAGES = ("numpy", "torch", "sentence-transformers")  # that decide a gate's weights


def read(session: Session, specs: Sequence[str], **how: Any) -> GateData:
    """The data; the memory is only opened where labelled look-ups name its edits."""
    from memedit.eval.gate_data import read_data

    with ExitStack() as opened, busy("reading…"):
        found = read_data(
            specs, memory=lambda: opened.enter_context(session.memory()), namespace=session.namespace, **how
        )
    for note in found.notes:
        say((note, "yellow"), err=True)
    return found


def embedder_of(session: Session) -> Embedder:
    """The embedder, loaded."""
    with busy("loading the embedder…"), session.throw_away() as memory:
        return memory.embedder


def judge_all(gate: Gate, sets: Sequence[ScopeSet], embedder: Embedder) -> list[Judged]:
    """What the gate says of all questions, with a bar a set."""
    from memedit.gate.learning.judging import judge

    judged: list[Judged] = []
    with _bars() as show:
        for one in sets:
            judged += judge(gate, one, embedder, progress=_told(show, one.name))
    return judged


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr for one thing that is done."""
    with _bars() as show:
        yield _told(show, what)


def thresholds_of(gate: Gate) -> dict[str, float]:
    """From which probability a gate lets through in each role; 0.5 for one that does not say."""
    if both := gate.thresholds:
        return {"direct": float(both["direct"]), "bridge": float(both["bridge"])}
    one = float(getattr(gate, "threshold", 0.5))
    return {"direct": one, "bridge": one}


def show_scores(scores: GateScores) -> None:
    """The scores as two tables."""
    columns = ["set", "group", "questions", "recall", "on the way", "as on the way", "false fires", "not found"]
    table(
        columns,
        [
            [
                one.set, one.group, str(one.questions), _cell(one.direct), _cell(one.bridge), _cell(one.as_bridge),
                _cell(one.false_fires), _cell(one.not_found),
            ]
            for one in scores.groups
        ],
    )  # fmt: skip
    say()
    table(
        ["set", "pairs", "answers", "AUROC", "average precision", "calibration error"],
        [
            [
                one.set, str(one.pairs), str(one.answers),
                *(_figure(value) for value in (one.auroc, one.average_precision, one.calibration_error)),
            ]
            for one in scores.pairs
        ],
    )  # fmt: skip
    limits = " and ".join(f"{value:.2f} ({role})" for role, value in scores.thresholds.items())
    say((f"in percent, with 95 % intervals; let through from {limits} on", "dim"))


def about(session: Session, data: GateData, **more: Any) -> dict[str, Any]:
    """What a gate's card says of its making."""
    return {
        "memedit": version("memedit"),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command(),
        "data": [asdict(source) for source in data.sources],
        "questions": data.counts,
        "edits": {one.name: len(one.edits) for one in data.sets},
        "packages": {name: version(name) for name in PACKAGES if find_spec(name.replace("-", "_"))},
        **more,
    }


def command() -> str:
    """The command line that is being run."""
    from memedit.eval.manifest import without_secret

    return shlex.join(["memedit", *(without_secret(part) for part in sys.argv[1:])])


def write_report(folder: Path, parts: Sequence[Part], data: GateData, title: str, facts: Mapping[str, Any]) -> None:
    """The report of a gate, in its folder."""
    from memedit.eval.report.gate import write_gate_report

    with busy("writing the report…"):
        write_gate_report(folder, parts, title=title, facts=facts, sources=data.sources, command=command())


def check_new(folder: Path) -> None:
    """Refuse a folder that holds something, before anything is computed for it.

    Raises:
        RunRejected: It does.
    """
    from memedit.errors import RunRejected

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunRejected(f"{folder} is there already.", do="give --out a new or empty folder")


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes its name once it is whole; of a failure nothing is left."""
    draft = folder.with_name(f".{folder.name[:100]}.{secrets.token_hex(4)}")
    draft.mkdir(parents=True)
    try:
        yield draft
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _told(show: Callable[[str, int, int], None], what: str) -> Callable[[int, int], None]:
    return lambda done, of: show(what, done, of)


def _cell(share: Share) -> str:
    if not share.of:
        return "–"
    low, high = share.interval
    return f"{100 * share.value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _figure(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"
