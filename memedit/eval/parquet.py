"""A run's rows as a Parquet file, for data frames."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from memedit.errors import MissingExtra
from memedit.eval.runs import Run


def write_parquet(run: Run) -> Path:
    """Write `rows.parquet`: every row with its probe's kind, prompt and accepted answers.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as missing:
        raise MissingExtra("eval", package="pyarrow") from missing
    probes = {one.key: one.probe for one in run.asked}
    rows = []
    for row in (row for rows in run.rows.values() for row in rows):
        probe = probes[row.key]
        flat = asdict(row) | {"kind": str(probe.kind), "prompt": probe.prompt, "answers": list(probe.answers)}
        flat["gate"] = [{"edit": edit, "probability": value, "passed": passed} for edit, value, passed in row.gate]
        rows.append(flat)
    path = run.folder / "rows.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path
