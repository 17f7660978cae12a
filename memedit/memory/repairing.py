"""Saving what is whole of a damaged ledger of SQLite: every row that can be read is read, alone where it must be."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_IMODE
from typing import Any

from sqlalchemy import Connection, Table, create_engine, insert

from memedit.errors import LedgerCorrupt, LedgerError, LedgerMissing, LedgerReadOnly
from memedit.memory.checksums import EVENT, SET, of_bytes, of_events
from memedit.memory.ledger_reading import BODY, ROW
from memedit.memory.migrations import migrate
from memedit.memory.rows import checksum, from_micros, read_data, read_edit, read_row
from memedit.memory.storage.copying import HELD
from memedit.memory.storage.sqlite import LEDGER_FILE, SQLite

DAMAGED = f"{LEDGER_FILE}.damaged"
AT_ONCE, PATIENCE = 500, 50  # rows that are read together / of these, how many are tried one by one in vain
Row = dict[str, Any]
Key = tuple[Any, Any]
"""A namespace's id, with an edit's, or with a revision."""
LEAST = 20  # bytes of a row in the file, so that a place that is damaged does not name billions of rows


@dataclass
class Repair:
    """What was saved of a damaged ledger, or would be.

    Args:
        saved: Rows by sort.
        lost: What is not whole and was left out, in words.
        doubtful: What was kept as it reads, and is not as it was written, in words.
        kept: Where the damaged file is kept; None where nothing was done.
    """

    saved: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)
    kept: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """The repair as JSON values."""
        kept = None if self.kept is None else str(self.kept)
        return {"saved": self.saved, "lost": self.lost, "doubtful": self.doubtful, "kept": kept}


def repair(folder: Path, *, dry_run: bool = False) -> Repair:
    """Make a new ledger of what is whole in a damaged one, which stays beside it as `ledger.sqlite.damaged`.

    No process may have the memory open. Edits that cannot be read are left out with their events, and named; so are
    vectors, which are made anew. Change sets that are not as they were written are kept as they read, and named. The
    new file may be read by whom the damaged one may.

    Raises:
        LedgerCorrupt: No edit can be read; the file is left as it is.
        LedgerError: There is no ledger, or an earlier damaged one still lies beside it, or no file can be written.
    """
    file, draft = folder / LEDGER_FILE, folder / f"{LEDGER_FILE}.draft"
    if not file.exists():
        raise LedgerMissing(f"There is no ledger in {folder}.", do="see --memory; or restore a backup")
    if not dry_run:
        check_aside(folder)
    _draft(file, draft)
    made = Repair()
    engine = create_engine(f"sqlite:///{draft}", hide_parameters=True)
    try:
        with SQLite(folder).typed_errors():
            with engine.begin() as target, closing(sqlite3.connect(file)) as source:
                source.execute("PRAGMA writable_schema = ON")  # or a file that was cut off is refused whole
                migrate(target)
                _save(source, target, made, most=max(file.stat().st_size // LEAST, 10_000))
            engine.dispose()
        if made.lost and not made.saved["edits"]:
            raise LedgerCorrupt(f"No edit can be read of {file}.", do="restore a backup with `memedit restore FILE`")
        if not dry_run:
            made.kept = set_aside(folder)
            draft.replace(file)
    finally:
        engine.dispose()
        draft.unlink(missing_ok=True)
    return made


def check_aside(folder: Path) -> None:
    """Raise `LedgerError` where a damaged ledger cannot be set aside, since another one lies there."""
    if (folder / DAMAGED).exists():
        raise LedgerError(f"{folder / DAMAGED} is there from an earlier repair.", do="move it away first")


def set_aside(folder: Path) -> Path:
    """Rename a damaged ledger, with what lies beside it; gives how it is called then."""
    file, kept = folder / LEDGER_FILE, folder / DAMAGED
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            file.with_name(file.name + ending).replace(kept.with_name(kept.name + ending))
    return kept


def _draft(file: Path, draft: Path) -> None:
    """Make an empty file, which may be read by whom the ledger may."""
    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.chmod(S_IMODE(file.stat().st_mode))
    except OSError as error:
        raise LedgerReadOnly(f"{draft} cannot be written: {error.strerror}.", do="make the folder writable") from error


def _save(source: sqlite3.Connection, target: Connection, made: Repair, *, most: int) -> None:
    read = {table.name: _rows(source, table, most, made) for table in HELD}
    names = {row["id"]: row for row in read["namespaces"]}
    whole = _whole(read["edits"], made)
    happened = [row for row in read["events"] if _is_event(row)]
    gone = _gone(happened, whole, made)
    sets = {(row["namespace_id"], row["revision"]): row for row in read["change_sets"] if _is_set(row)}
    by_set = _sealed(sets, happened, gone, names, made)
    _place(names, sets, by_set, whole, made)
    fine = [row for row in read["vectors"] if _is_vector(row)]
    if lost := len(read["vectors"]) - len(fine):
        made.lost.append(f"{lost} vectors, which are made anew when they are needed")
    kept = [one for own in by_set.values() for one in own]
    silent = whole.keys() - {(row["namespace_id"], row["edit_id"]) for row in kept}
    made.doubtful += sorted(f"edit `{edit_id}`, which is out of force: no event of it is left" for _, edit_id in silent)
    for table, rows in zip(HELD, (names.values(), whole.values(), sets.values(), kept, fine), strict=True):
        if rows:
            target.execute(insert(table), list(rows))
        made.saved[table.name] = len(rows)


def _whole(rows: Sequence[Row], made: Repair) -> dict[Key, Row]:
    """The edits that are as they were written, by namespace and id."""
    whole = {}
    for row in rows:
        try:
            read_edit(*(row[column.name] for column in BODY))
            read_row(*(row[column.name] for column in ROW))
        except LedgerCorrupt:
            made.lost.append(f"edit `{row['id']!s:.40}`")
        else:
            whole[row["namespace_id"], row["id"]] = row
    return whole


def _gone(happened: Sequence[Row], whole: Mapping[Key, Row], made: Repair) -> set[Key]:
    """The edits that there are events of and that are not whole."""
    gone = {(row["namespace_id"], row["edit_id"]) for row in happened} - whole.keys()
    purged = {(row["namespace_id"], row["edit_id"]) for row in happened if row["kind"] == "purged"}
    lost = sorted(f"edit `{edit_id:.40}`" for _, edit_id in gone - purged)
    made.lost += [one for one in lost if one not in made.lost]
    return gone


def _sealed(
    sets: Mapping[Key, Row], happened: Sequence[Row], gone: Collection[Key], names: Mapping[Any, Row], made: Repair
) -> dict[Key, list[Row]]:
    """The events of each change set without those of edits that are gone; the sets' checksums are made anew."""
    by_set: dict[Key, list[Row]] = {}
    for row in sorted(happened, key=lambda one: (one["namespace_id"], one["seq"])):
        by_set.setdefault((row["namespace_id"], row["revision"]), []).append(row)
    for key in sorted(by_set.keys() - sets.keys()):
        made.lost.append(f"change set {key[1]} of {_name(names, key[0])}, with {len(by_set.pop(key))} events")
    for key, row in sorted(sets.items()):
        own = by_set.get(key, [])
        if row["checksum"] is not None and row["checksum"] != _sum(row, own):
            about = ", ".join(sorted({f"`{one['edit_id']:.40}`" for one in own})[:10]) or "nothing that can be read"
            made.doubtful.append(f"change set {key[1]} of {_name(names, key[0])}, about {about}")
        own[:] = [one for one in own if (key[0], one["edit_id"]) not in gone or one["kind"] == "purged"]
        row["checksum"] = _sum(row, own)
    return by_set


def _place(
    names: dict[Any, Row], sets: Mapping[Key, Row], by_set: Mapping[Key, Sequence[Row]], whole: Mapping[Key, Row],
    made: Repair,
) -> None:  # fmt: skip
    """Say of each namespace where it stands; one whose name is lost gets another."""
    for row in names.values():
        if row["checksum"] is not None and row["checksum"] != checksum([row["name"]]):
            row["name"] = None
    for namespace_id in sorted({key[0] for key in (*sets, *whole)} | names.keys()):
        row = names.setdefault(namespace_id, {"id": namespace_id, "name": None})
        if not isinstance(row["name"], str):
            row["name"] = f"recovered-{namespace_id}"
            made.lost.append(f"the name of a namespace, which is now `{row['name']}`")
        revisions = [key[1] for key in sets if key[0] == namespace_id]
        seqs = [one["seq"] for key, own in by_set.items() if key[0] == namespace_id for one in own]
        row |= {"revision": max(revisions, default=0), "seq": max(seqs, default=0), "checksum": checksum([row["name"]])}


def _rows(source: sqlite3.Connection, table: Table, most: int, made: Repair) -> list[Row]:
    """The rows of a table that can be read, found by their place, past what is damaged and without its indexes.

    Of rows that are damaged so that they have one key, the last is taken.
    """
    source.text_factory = lambda data: data.decode("utf-8", "replace")
    columns = [column.name for column in table.columns]
    try:
        there = {row[1] for row in source.execute(f"PRAGMA table_info({table.name})")}
        last = source.execute(f"SELECT max(rowid) FROM {table.name} NOT INDEXED").fetchone()[0] or 0
    except sqlite3.DatabaseError:
        there, last = set(columns), most
    last = min(last, most) if isinstance(last, int) else most
    asked = ", ".join(name if name in there else f"NULL AS {name}" for name in columns)
    query = f"SELECT {asked} FROM {table.name} NOT INDEXED WHERE rowid BETWEEN ? AND ? ORDER BY rowid"
    keys = [column.name for column in table.primary_key]
    found: dict[tuple[Any, ...], Row] = {}
    is_whole = True

    def read(first: int, to: int, tried: list[int]) -> Iterator[Sequence[Any]]:
        try:
            yield from source.execute(query, (first, to)).fetchall()
        except sqlite3.DatabaseError:
            if first == to:
                tried.append(first)
            elif len(tried) < PATIENCE:
                middle = (first + to) // 2
                yield from read(first, middle, tried)
                yield from read(middle + 1, to, tried)

    for start in range(1, last + 1, AT_ONCE):
        tried: list[int] = []
        for values in read(start, min(start + AT_ONCE - 1, last), tried):
            row = dict(zip(columns, values, strict=True))
            found[tuple(row[name] for name in keys)] = row
        is_whole = is_whole and not tried
    if not is_whole:
        made.lost.append(f"rows of `{table.name}` that cannot be read")
    return list(found.values())


def _is_event(row: Row) -> bool:
    numbers = all(isinstance(row[name], int) for name in ("namespace_id", "seq", "revision"))
    try:
        read_data(row["data"])
    except LedgerCorrupt:
        return False
    return (
        numbers and isinstance(row["edit_id"], str) and isinstance(row["kind"], str) and row["active"] in (0, 1, None)
    )


def _is_set(row: Row) -> bool:
    try:
        from_micros(row["at"])
    except LedgerCorrupt:
        return False
    return isinstance(row["namespace_id"], int) and isinstance(row["revision"], int) and isinstance(row["kind"], str)


def _is_vector(row: Row) -> bool:
    typed = isinstance(row["text_hash"], str) and isinstance(row["embedder"], str) and isinstance(row["vector"], bytes)
    return typed and row["checksum"] in (None, of_bytes(row["vector"]))


def _sum(row: Row, own: Sequence[Row]) -> int:
    told = [[one[column.name] for column in EVENT] for one in own]
    return of_events(told, checksum([row[column.name] for column in SET]))


def _name(names: Mapping[Any, Row], namespace_id: int) -> str:
    return f"namespace `{names[namespace_id]['name']}`" if namespace_id in names else f"namespace {namespace_id}"
