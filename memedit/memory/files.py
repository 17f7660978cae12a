"""Edits in files: JSON lines, YAML for people and git; tables and plain lines are only read. What waits says so."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Literal

import yaml

from memedit.edits import AnyEdit, EditLike, as_edit
from memedit.edits.table import column, fields_of
from memedit.errors import EditRejected, FileRejected
from memedit.text import decoded, one_line, storable

YAML_SUFFIXES = (".yaml", ".yml")
JSON_SUFFIXES = (".jsonl", ".ndjson")
YAML = re.compile(r"(?:#.*\n|\s*\n)*(?:---|-\s|\[|edits:)")  # how it begins
TABLE = re.compile(r"[a-z_]+(?:(,|\t)[a-z_]+)+\r?\n")  # its head: names of fields
TABLE_SUFFIXES = (".csv", ".tsv")
TEXT_SUFFIXES = (".txt",)
Form = Literal["jsonl", "yaml", "table", "text"]
ONLY_READ = {"table": "a table", "text": "a file of plain lines"}
BULLET = re.compile(r"^\s*(?:(?:[-*•>]|\d{1,3}[.)])\s+)?(?:\[[ xX]\]\s+)?")
LISTED = re.compile(r"^\s*(?:[-*•>]|\d{1,3}[.)])\s")
UNNUMBERED = re.compile(r"^\s*(?:[-*•>]\s+)?(?:\[[ xX]\]\s+)?")
HEADING = re.compile(r"\s*(?:#{1,6}\s.*|[-=*_]{3,}\s*)$")
MARK = "proposed"


@dataclass(frozen=True, slots=True)
class Entries:
    """What a file holds.

    Args:
        stated: Its edits, in order; a plain statement stays one, since the memory tells of what kind it is.
        proposed: Those that wait for approval (`proposed: true`), in order.
    """

    stated: list[EditLike] = field(default_factory=list)
    proposed: list[AnyEdit] = field(default_factory=list)

    @property
    def edits(self) -> list[AnyEdit]:
        """Its edits, a plain statement as a Fact."""
        return [as_edit(one) for one in self.stated]

    def within(self, namespace: str, **fields: Any) -> list[EditLike]:
        """`stated`, whatever namespace they came from; edits with these fields, whatever they say of them."""
        fields = fields | {"namespace": namespace}
        return [one if isinstance(one, str) else as_edit(one).with_(**fields) for one in self.stated]


def write_edits(path: Path, edits: Sequence[AnyEdit], proposed: Sequence[AnyEdit] = ()) -> None:
    """Write edits, with what Erasures keep, to a file; one that is there is replaced at once, or not at all.

    Raises:
        FileRejected: Its name ends in neither of the two, or it cannot be written.
    """
    form = _form(path)
    if form in ONLY_READ:
        raise FileRejected(f"{_shown(path)}: {ONLY_READ[form]} is only read.", do="name a .jsonl or .yaml file")
    text = dump_edits(edits, form, proposed)
    draft = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        os.replace(draft, path)
    except (OSError, ValueError) as error:  # ValueError: its name holds a NUL
        with suppress(OSError, ValueError):
            draft.unlink(missing_ok=True)
        raise FileRejected(f"{_shown(path)} cannot be written: {_why(error)}.", do="name another file") from error


def read_edits(path: Path) -> list[AnyEdit]:
    """The edits of a file, in order, without those that wait for approval. Raises as `read_entries`."""
    return read_entries(path).edits


def read_entries(path: Path) -> Entries:
    """What a file holds.

    Raises:
        FileRejected: It cannot be read; the message names the line or entry.
    """
    if path.is_dir() or not path.exists():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileRejected(f"{_shown(path)} cannot be read: it {what}.", do="check the name")
    _form(path)  # before it is read
    try:
        text = decoded(path.read_bytes())
    except UnicodeDecodeError as error:
        raise FileRejected(
            f"{_shown(path)} is not UTF-8: {error.reason} at byte {error.start}.", do="save it as UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        raise FileRejected(f"{_shown(path)} cannot be read: {_why(error)}.", do="check the name") from error
    return parse_entries(text, path)


def parse_entries(text: str, path: PurePath) -> Entries:
    """What a file's text holds; its name tells the form.

    Raises:
        FileRejected: It cannot be read; the message names the line or entry.
    """
    load = {"yaml": _load_yaml, "jsonl": _load_jsonl, "table": _load_table, "text": _load_text}[_form(path)]
    found = Entries()
    for place, value in load(path, text):
        waits = isinstance(value, dict) and value.pop(MARK, False)
        try:
            if not isinstance(waits, bool):
                raise EditRejected(f"`{MARK}` is true or left out, not {waits!a:.40}.")
            edit = as_edit(value)
        except EditRejected as error:
            what = f"{_shown(path)}, {place}: {error.what}"
            raise FileRejected(what, do="correct it; nothing was imported") from error
        if waits:
            found.proposed.append(edit)
        else:
            found.stated.append(value if isinstance(value, str) else edit)
    return found


def ending_of(text: str) -> str:
    """How the name of a file with this text would end, by how it begins: `jsonl`, `yaml`, `csv`, `tsv` or `txt`."""
    if text[0] in '{"':
        return "jsonl"
    if YAML.match(text):
        return "yaml"
    table = TABLE.match(text)
    return "txt" if table is None else "csv" if table[1] == "," else "tsv"


def dump_edits(edits: Sequence[AnyEdit], form: Form, proposed: Sequence[AnyEdit] = ()) -> str:
    """Edits as the text of a file, with what Erasures keep: leave these out where that is not to be told.

    proposed: Those that wait for approval, which are marked.
    """
    values = [edit.to_dict(secrets=True) for edit in edits]
    values += [{MARK: True, **edit.to_dict(secrets=True)} for edit in proposed]
    return _dump_yaml(values) if form == "yaml" else _dump_jsonl(values)


def _form(path: PurePath) -> Form:
    if path.suffix in YAML_SUFFIXES:
        return "yaml"
    if path.suffix in JSON_SUFFIXES:
        return "jsonl"
    if path.suffix in TABLE_SUFFIXES:
        return "table"
    if path.suffix in TEXT_SUFFIXES:
        return "text"
    known = ", ".join((*JSON_SUFFIXES, *YAML_SUFFIXES, *TABLE_SUFFIXES, *TEXT_SUFFIXES))
    raise FileRejected(
        f"The form of {_shown(path)} is told by its ending, which is none of {known}.",
        do="save it in one of these forms",
    )


def _dump_jsonl(values: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def _dump_yaml(values: Sequence[dict[str, Any]]) -> str:
    return yaml.safe_dump({"edits": values}, allow_unicode=True, sort_keys=False, width=100)


def _load_jsonl(path: PurePath, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                raise FileRejected(
                    f"{_shown(path)}, line {number} is not JSON: {error}.",
                    do="one JSON object a line; plain lines are read from a .txt file, or by `memedit add -`",
                ) from error


def _load_yaml(path: PurePath, text: str) -> Iterator[tuple[str, Any]]:
    try:
        # An alias can make a small file into a huge value, and nobody writes edits with them.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise FileRejected(f"{_shown(path)} uses YAML aliases (`*name`).", do="write the values out")
        data = yaml.safe_load(text)
    except FileRejected:
        raise
    except Exception as error:  # beside YAMLError, its constructors raise what a wrong value brings about
        reason = one_line(str(error), 300) or type(error).__name__
        raise FileRejected(f"{_shown(path)} is not YAML: {reason.rstrip('.')}.", do="correct it") from error
    entries = data.get("edits", data) if isinstance(data, dict) else data
    if entries is None:
        entries = []
    if not isinstance(entries, list):
        raise FileRejected(
            f"{_shown(path)} holds no list of edits.",
            do="write a list, or `edits:` followed by one; a statement of plain text is a line `- text`",
        )
    for number, entry in enumerate(entries, start=1):
        yield f"entry {number}", entry


def _load_table(path: PurePath, text: str) -> Iterator[tuple[str, Any]]:
    head = text.partition("\n")[0]
    between = "\t" if path.suffix == ".tsv" else max(",;\t", key=head.count)  # some spreadsheets write semicolons
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True)
    try:
        names = [MARK if name.strip().lower() == MARK else column(name) for name in next(rows, [])]
        if twice := [name for name in names if name and names.count(name) > 1]:
            raise EditRejected(f"Two of its columns are `{twice[0]}`.", do="name each once; nothing was imported")
        for row in rows:
            if len(row) > len(names):
                raise EditRejected(f"It has {len(row)} cells under {len(names)} columns.")
            cells = dict(zip(names, row, strict=False))
            waits = {MARK: cells.pop(MARK).strip().lower() in ("true", "yes", "1")} if MARK in cells else {}
            if fields := fields_of(cells):
                yield f"line {rows.line_num}", fields | waits
    except (csv.Error, EditRejected) as error:
        too_long = "field limit" in str(error)  # as the reader says it
        told = (
            f"a cell has more than {csv.field_size_limit():,} characters." if too_long else f"it is no table: {error}."
        )
        what = getattr(error, "what", told)
        do = getattr(error, "do", None) or "correct it; nothing was imported"
        raise FileRejected(f"{_shown(path)}, line {rows.line_num}: {what}", do=do) from error


def _load_text(path: PurePath, text: str) -> Iterator[tuple[str, Any]]:
    """A statement a line, without what makes it a list: bullets, numbers, headings, rules."""
    lines = text.split("\n")
    alone = sum(map(bool, map(LISTED.match, lines))) < 2  # “1. Mai ist Feiertag” is no list
    bullet = UNNUMBERED if alone else BULLET
    for number, line in enumerate(lines, start=1):
        if not HEADING.match(line) and (statement := bullet.sub("", line, count=1).strip()):
            yield f"line {number}", statement


def _shown(path: PurePath) -> str:
    return storable(str(path))


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
