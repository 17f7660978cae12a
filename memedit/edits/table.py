"""Edits from tables: the rows of a spreadsheet, a CSV file or a pandas DataFrame."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from memedit.edits import KINDS, AnyEdit, as_edit
from memedit.errors import EditRejected
from memedit.text import one_line, storable

COLUMNS = frozenset({"kind", *(name for kind in KINDS.values() for name in kind.model_fields)})
SEVERAL = {"aliases", "object_aliases", "tags"}
BETWEEN = "|"


def from_table(table: Any, **defaults: Any) -> list[AnyEdit]:
    """The edits of a table, one a row: `memory.add_many(from_table(frame))`.

    A column is named as a field of an edit (`statement`, `subject`, `relation`, `object`, `kind`, …), however it is
    capitalised. An empty cell leaves the field out. Several aliases or tags stand in one cell with `|` between them; a
    cell that begins with `[` or `{` is JSON.

    Args:
        table: A pandas DataFrame, or the rows as mappings from column to cell.
        defaults: Fields of each row that leaves them out (author, source, tags, …).

    Raises:
        EditRejected: A column is no field, or a row is no edit; the message says which row, the first being 1.
    """
    rows: Iterable[Mapping[Any, Any]] = table.to_dict("records") if hasattr(table, "to_dict") else table
    found = []
    for number, row in enumerate(rows, start=1):
        try:
            found.append(as_edit(fields_of(row), **defaults))
        except EditRejected as error:
            raise EditRejected(f"Row {number}: {error.what}", do=error.do) from error
    return found


def column(name: Any) -> str:
    """The field that a column is named after.

    Raises:
        EditRejected: It is none.
    """
    field = "_".join(str(name).strip().lower().split())
    if field not in COLUMNS:
        raise EditRejected(
            f"The column “{one_line(storable(str(name)), 60)}” is no field of an edit.",
            do=f"name it one of {', '.join(sorted(COLUMNS))}, or leave it out",
        )
    return field


def fields_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    """What a row says, without its empty cells, as `as_edit` takes it.

    Raises:
        EditRejected: A column is no field, or a cell that begins like JSON is none.
    """
    return dict(_filled(row))


def _filled(row: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for name, cell in row.items():
        field = column(name)
        if isinstance(cell, str):
            text = cell.strip()
            if text:
                yield field, _read(field, text)
        elif cell is not None and cell == cell:  # a table of numbers marks an empty cell by NaN, which equals nothing
            yield field, cell.to_pydatetime() if hasattr(cell, "to_pydatetime") else cell


def _read(field: str, text: str) -> Any:
    if text[0] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            raise EditRejected(f"`{field}` begins like JSON and is none: {one_line(storable(text), 60)}.") from None
    return [one.strip() for one in text.split(BETWEEN) if one.strip()] if field in SEVERAL else text
