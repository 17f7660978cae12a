"""A run's folder: `run.json` (everything to repeat it), `probes.jsonl` (what is asked), `rows.jsonl` (one a answer).

Rows are appended a chunk at a time, so that a killed run goes on where it stopped.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import TypeAdapter

from memedit.errors import FileRejected, MissingExtra, RunRejected, StorageFull
from memedit.eval.cases import Probe
from memedit.llms import Likelihood
from memedit.text import one_line, storable

RUN, PROBES, ROWS, MEMORY, LOCK = "run.json", "probes.jsonl", "rows.jsonl", "memory", ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A probe with where it is asked.

    Args:
        case: The id of its case.
        namespace: The namespace of the run's memory that holds the edits.
        probe: What is asked.
        edits: Ids of the case's own edits.
    """

    case: str
    namespace: str
    probe: Probe
    edits: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        """Case and probe."""
        return self.case, self.probe.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one method answered to one probe.

    Args:
        method: The method, or baseline.
        case, probe: What was asked.
        text: The answer; None where only likelihoods were taken.
        edited: Whether an edit was shown to the model.
        cited: Ids of the edits used.
        gate: The five most probable candidates: (edit id, probability, passed).
        own: The probability of the case's own edit; None where it was no candidate.
        hit: Whether the gate let the case's own edit through.
        fired: Whether it let any through.
        likelihoods: Of the continuations that the probe's form asks for; None without log-probabilities.
        untouched: Whether the request went to the model as it was.
        tokens_in, tokens_out: Of all calls, where the model says.
        calls: Of models.
        seconds: Look-ups and model calls; of batches this answer's share.
        peak_mb: Highest memory of the process so far.
        judged: What the judge said; None without one.
        fed_back: Of a stream: whether its edit was added after this answer.
        in_weights: Whether the edits were in the model's weights, so that no gate was asked.
    """

    method: str
    case: str
    probe: str
    text: str | None = None
    edited: bool = False
    cited: tuple[str, ...] = ()
    gate: tuple[tuple[str, float, bool], ...] = ()
    own: float | None = None
    hit: bool = False
    fired: bool = False
    likelihoods: tuple[Likelihood, ...] | None = None
    untouched: bool = True
    tokens_in: int | None = None
    tokens_out: int | None = None
    calls: int = 0
    seconds: float = 0.0
    peak_mb: float | None = None
    judged: bool | None = None
    fed_back: bool | None = None
    in_weights: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Case and probe."""
        return self.case, self.probe


ASKED, ROW = TypeAdapter(Asked), TypeAdapter(Row)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A probe that cannot be scored, because another edit in memory answers it or contradicts it.

    Args:
        case, probe: Which.
        why: In words.
    """

    case: str
    probe: str
    why: str


@dataclass(frozen=True)
class Run:
    """A run as it lies in its folder.

    Args:
        folder: The folder.
        about: Everything to repeat it: arguments, versions, files, sample, what was set aside.
        asked: What was asked, in order.
        rows: What was answered, by method.
    """

    folder: Path
    about: dict[str, Any]
    asked: tuple[Asked, ...] = field(repr=False)
    rows: dict[str, list[Row]] = field(default_factory=dict, repr=False)

    @property
    def complete(self) -> bool:
        """Whether it came to its end."""
        return self.about.get("ended") is not None


def load_run(folder: str | Path) -> Run:
    """A run, complete or not.

    Raises:
        FileRejected: The folder holds none, or its files are damaged.
    """
    folder = Path(folder)
    try:
        about = TypeAdapter(dict[str, Any]).validate_json((folder / RUN).read_bytes())
        asked = tuple(map(ASKED.validate_json, _lines(folder / PROBES)))
        rows: dict[str, list[Row]] = {}
        for row in read_rows(folder):
            rows.setdefault(row.method, []).append(row)
    except OSError as error:
        raise FileRejected(
            f"{folder} holds no run: {error.strerror} ({Path(str(error.filename)).name}).",
            do="give the folder that `memedit eval --out` wrote",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise FileRejected(
            f"The run in {folder} is damaged: {one_line(str(error), 200)}", do="run it again in another folder"
        ) from error
    return Run(folder, about, asked, rows)


def read_rows(folder: Path) -> Iterator[Row]:
    """The whole rows of a folder; a last line that was cut off is passed over."""
    if not (folder / ROWS).exists():
        return
    raw = (folder / ROWS).read_bytes()
    for line in raw[: raw.rfind(b"\n") + 1].splitlines():
        yield ROW.validate_json(line)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other process out of a run's folder, which is made where there is none.

    Raises:
        RunRejected: Another process is at work in it, or it cannot be written.
        MissingExtra: filelock is not installed.
    """
    try:
        from filelock import FileLock, Timeout
    except ModuleNotFoundError as missing:
        raise MissingExtra("eval", package="filelock") from missing
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        raise RunRejected(f"Another process is at work in {folder}.", do="wait for it, or give another --out") from None
    except OSError as error:
        raise _full(folder, error) from error
    with lock:
        yield


def write_about(folder: Path, about: Mapping[str, Any]) -> None:
    """Write `run.json`, whole or not at all."""
    text = json.dumps(about, indent=1, ensure_ascii=False, default=str)
    replace_file(folder / RUN, storable(text).encode())


def write_asked(folder: Path, asked: Iterable[Asked]) -> None:
    """Write what is asked."""
    replace_file(folder / PROBES, b"".join(ASKED.dump_json(one) + b"\n" for one in asked))


def write_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Write these rows in place of all."""
    replace_file(folder / ROWS, _rows(rows))


def append_rows(folder: Path, rows: Sequence[Row]) -> None:
    """Append a chunk and wait until it is on disk.

    Raises:
        StorageFull: It does not fit; what stood there before is whole.
    """
    path = folder / ROWS
    before = path.stat().st_size
    try:
        with path.open("ab") as file:
            _write(file, _rows(rows))
    except OSError as error:
        with suppress(OSError):  # of a file that cannot be opened nothing was written either
            os.truncate(path, before)
        raise _full(folder, error) from error


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that it is either the old one or the new one.

    Raises:
        StorageFull: It does not fit.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            _write(file, content)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _full(path.parent, error) from error


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _full(folder: Path, error: OSError) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(
            f"No space is left for {folder}; all earlier answers are kept.", do="free some, then --resume"
        )
    return RunRejected(f"{folder} cannot be written: {error.strerror}.", do="give another folder with --out")


def _rows(rows: Iterable[Row]) -> bytes:
    return b"".join(ROW.dump_json(row) + b"\n" for row in rows)


def _lines(path: Path) -> Iterator[bytes]:
    return filter(None, path.read_bytes().split(b"\n"))
