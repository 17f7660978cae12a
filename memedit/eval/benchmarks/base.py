"""What a benchmark is: its forms of record, each found by content, and how a record becomes a case."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from memedit.edits import as_edit
from memedit.errors import FileRejected, MemeditError
from memedit.eval.cases import Case
from memedit.plumbing.plugins import plugins

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands.

    Args:
        file: The file's name without its ending.
        number: Its position in the file, from 1.
    """

    file: str
    number: int

    def id(self, own: object = None) -> str:
        """A case id from the record's own id, or from its position."""
        return f"{self.file}:{self.number if own is None else own}"


@dataclass(frozen=True, slots=True)
class Form:
    """One form of record that a benchmark is published in.

    Args:
        name: For people.
        needs: Fields by which a record of this form is known.
        read: Makes the case. What it raises (`KeyError`, `TypeError`, `ValueError`, a `MemeditError`) makes the record
            a malformed one. Where the benchmark has an `assemble`, it may return anything for that to work on.
        without: Fields that a record of this form does not have, where `needs` alone would not tell it apart.
    """

    name: str
    needs: tuple[str, ...]
    read: Callable[[Record, Place], Any]
    without: tuple[str, ...] = ()

    def fits(self, record: Record) -> bool:
        """Whether a record is of this form."""
        return all(name in record for name in self.needs) and not any(name in record for name in self.without)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark of the field.

    Args:
        name: As given to `memedit eval`.
        title: As the paper calls it.
        measures: What it measures, in a line.
        paper: Authors, year, arXiv number.
        published: Where the official files are.
        licence: Of the data, as its publisher states it.
        forms: The forms of record it comes in; the first that fits a record reads it.
        assemble: Makes cases of what the forms gave, where a case needs several records.
        stream: Whether edits come while the benchmark runs, each after its own case was answered wrongly (MemPrompt).
        max_tokens: Of an answer.
        shipped: Gives the file that is read where none is given; None where the data does not come with memedit.
    """

    name: str
    title: str
    measures: str
    paper: str
    published: str
    licence: str
    forms: tuple[Form, ...]
    assemble: Callable[[Sequence[Any]], Iterable[Case]] | None = None
    stream: bool = False
    max_tokens: int = 20
    shipped: Callable[[], Path] | None = None


@dataclass(frozen=True, slots=True)
class Malformed:
    """A record that could not be read.

    Args:
        file: The file's name.
        number: Its position, from 1.
        why: What is wrong with it.
    """

    file: str
    number: int
    why: str


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read.

    Args:
        file: The file's name.
        sha256: Of its bytes.
        records: How many it holds, by form.
    """

    file: str
    sha256: str
    records: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the files of a benchmark hold.

    Args:
        cases: In the order of the files; of two with one id the first.
        malformed: Records that could not be read.
        repeated: How many records had an id that stood there already.
        sources: The files.
    """

    cases: tuple[Case, ...]
    malformed: tuple[Malformed, ...] = ()
    repeated: int = 0
    sources: tuple[Source, ...] = field(default=(), repr=False)


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of this name.

    Raises:
        FileRejected: There is none.
    """
    from difflib import get_close_matches

    found = plugins("benchmarks").get(name)
    if found is None:
        near = get_close_matches(name, plugins("benchmarks"), n=1)
        raise FileRejected(
            f"There is no benchmark `{name:.60}`." + (f" Did you mean `{near[0]}`?" if near else ""),
            do="see them with `memedit eval --list`",
        )
    return found.load()  # type: ignore[no-any-return]


def all_benchmarks() -> list[Benchmark]:
    """Every registered benchmark, by name."""
    return [find_benchmark(name) for name in sorted(plugins("benchmarks"))]


def read(benchmark: Benchmark, files: Sequence[str | Path]) -> Reading:
    """The cases of a benchmark's files: JSON lines, one JSON array, JSON columns, or text with a passage a line.

    Edits as `memedit export` writes them are cases without probes: they only lie in the memory. A record that
    cannot be read is listed in `malformed`, with the reason.

    Raises:
        FileRejected: A file cannot be read at all, or holds no record of this benchmark.
    """
    made: list[Any] = []
    own: list[Case] = []
    malformed: list[Malformed] = []
    sources = []
    for file in map(Path, files):
        counts: dict[str, int] = {}
        raw = _bytes(file)
        for number, record in _records(file, raw):
            try:
                form = _form(benchmark, record)
                (own if form is OWN else made).append(form.read(record, Place(file.stem, number)))
                counts[form.name] = counts.get(form.name, 0) + 1
            except (KeyError, TypeError, ValueError, AttributeError, IndexError, MemeditError) as error:
                malformed.append(Malformed(file.name, number, _why(error)))
        if not counts:
            first = malformed[-1].why if malformed else "it is empty"
            raise FileRejected(
                f"{file} holds no record of {benchmark.title}: {first}",
                do=f"it needs {' or '.join(', '.join(form.needs) for form in benchmark.forms)}; "
                "see `memedit eval --list`",
            )
        sources.append(Source(file.name, sha256(raw).hexdigest(), counts))
    cases = [*(benchmark.assemble(made) if benchmark.assemble else made), *own]
    by_id: dict[str, Case] = {}
    for case in cases:
        by_id.setdefault(case.id, case)
    return Reading(tuple(by_id.values()), tuple(malformed), len(cases) - len(by_id), tuple(sources))


def digest(*parts: object) -> str:
    """The same 16 hexadecimal digits for the same content, whichever file it stands in."""
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _own(record: Record, place: Place) -> Case:
    return Case(id=f"edit:{record['id']}", edits=(as_edit(record),))


OWN = Form("edits of memedit", ("kind", "id", "created_at"), _own)


def _form(benchmark: Benchmark, record: Any) -> Form:
    if isinstance(record, ValueError):
        raise record
    if not isinstance(record, Mapping):
        raise TypeError(f"a {type(record).__name__} stands where an object should")
    for form in (*benchmark.forms, OWN):
        if form.fits(record):
            return form
    raise ValueError(f"its fields are {', '.join(list(record)[:8]) or 'none'}, which is no form of {benchmark.title}")


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise FileRejected(f"{file} cannot be read: {error.strerror}.", do="check the name") from error


def _records(file: Path, raw: bytes) -> Iterator[tuple[int, Any]]:
    """(position, record) of a file; in place of a line that is no JSON, the error."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileRejected(f"{file} is not UTF-8 text: {error.reason}.", do="give the published file") from None
    if file.suffix == ".txt":
        lines = [line.strip() for line in text.split("\n")]
        yield from enumerate(({"text": line} for line in lines if line), start=1)
        return
    if text.lstrip().startswith("["):
        try:
            yield from enumerate(json.loads(text), start=1)
        except (ValueError, RecursionError) as error:
            raise FileRejected(f"{file} is no valid JSON: {error}", do="give the published file") from None
        return
    if columns := _columns(text):
        yield from enumerate(columns, start=1)
        return
    for number, line in enumerate(filter(str.strip, text.split("\n")), start=1):
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, ValueError(f"no valid JSON: {error}")


def _columns(text: str) -> list[dict[str, Any]]:
    """The records of one JSON object: a list a field (DUNE, language patches), or by number (UniEdit); else none."""
    try:
        whole = json.loads(text) if text.lstrip().startswith("{") else None
    except ValueError:
        return []  # more than one line of JSON
    if isinstance(whole, dict) and whole and all(name.isdecimal() for name in whole):
        return list(whole.values())
    if not isinstance(whole, dict) or not all(isinstance(column, list) for column in whole.values()):
        return []
    if len({len(column) for column in whole.values()}) != 1:
        return []
    return [dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True)]


def _why(error: Exception) -> str:
    if isinstance(error, MemeditError):
        return error.what
    if isinstance(error, KeyError):
        return f"the field {error} is missing"
    return str(error)[:300] or type(error).__name__
