"""Edits in files: JSON lines, and YAML for people and git."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from memedit.edits import AnyEdit, as_edit
from memedit.errors import EditRejected, FileRejected

YAML_SUFFIXES = (".yaml", ".yml")
JSON_SUFFIXES = (".jsonl", ".ndjson")


def write_edits(path: Path, edits: Sequence[AnyEdit]) -> None:
    """Write edits to a file; a file that is there is replaced at once, or not at all.

    Raises:
        FileRejected: Its name ends in neither form, or it cannot be written.
    """
    dump = _dump_yaml if _form(path) == "yaml" else _dump_jsonl
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(dump(edits))
        os.replace(file.name, path)
    except OSError as error:
        raise FileRejected(f"{path} cannot be written: {error.strerror}.", do="name another file") from error


def read_edits(path: Path) -> list[AnyEdit]:
    """The edits of a file, in order.

    Raises:
        FileRejected: It cannot be read; the message names the line or entry.
    """
    load = _load_yaml if _form(path) == "yaml" else _load_jsonl
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FileRejected(f"{path} cannot be read: {error.strerror}.", do="check the name") from error
    except UnicodeDecodeError as error:
        raise FileRejected(
            f"{path} is not UTF-8: {error.reason} at byte {error.start}.", do="save it as UTF-8"
        ) from error
    edits = []
    for place, value in load(path, text):
        try:
            edits.append(as_edit(value))
        except EditRejected as error:
            raise FileRejected(f"{path}, {place}: {error.what}", do="correct it; nothing was imported") from error
    return edits


def _form(path: Path) -> str:
    if path.suffix in YAML_SUFFIXES:
        return "yaml"
    if path.suffix in JSON_SUFFIXES:
        return "jsonl"
    known = ", ".join((*JSON_SUFFIXES, *YAML_SUFFIXES))
    raise FileRejected(
        f"The form of {path} is told by its ending, and `{path.suffix}` is none of {known}.", do="rename it"
    )


def _dump_jsonl(edits: Sequence[AnyEdit]) -> str:
    return "".join(json.dumps(edit.to_dict(), ensure_ascii=False) + "\n" for edit in edits)


def _dump_yaml(edits: Sequence[AnyEdit]) -> str:
    values = [edit.to_dict() for edit in edits]
    return yaml.safe_dump({"edits": values}, allow_unicode=True, sort_keys=False, width=100)


def _load_jsonl(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                raise FileRejected(
                    f"{path}, line {number} is not JSON: {error}.", do="one JSON object a line"
                ) from error


def _load_yaml(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    try:
        # An alias can make a small file into a huge value, and nobody writes edits with them.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise FileRejected(f"{path} uses YAML aliases (`*name`).", do="write the values out")
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, FileRejected):
            raise
        raise FileRejected(f"{path} is not YAML: {' '.join(str(error).split())}.", do="correct it") from error
    entries = data.get("edits") if isinstance(data, dict) else data
    if entries is None:
        entries = []
    if not isinstance(entries, list):
        raise FileRejected(f"{path} holds no list of edits.", do="write a list, or `edits:` followed by one")
    for number, entry in enumerate(entries, start=1):
        yield f"entry {number}", entry
