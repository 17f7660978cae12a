"""The report of evaluation runs: `report.html`, a page that needs nothing else, and `report.md`, tables for papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from memedit.eval.report.markdown import markdown
from memedit.eval.report.page import page
from memedit.eval.runs import Run, replace_file
from memedit.eval.scores import Score, score_run

HTML, MARKDOWN = "report.html", "report.md"


def write_report(
    runs: Sequence[Run], out: str | Path, *, scores: Mapping[Path, Sequence[Score]] | None = None
) -> list[Path]:
    """Write the report of one run, or of several side by side.

    Args:
        runs: The runs, complete or not.
        out: The folder to write to; made where there is none.
        scores: Of each run's folder; computed where they are left out.

    Returns:
        The files written.

    Raises:
        MissingExtra: Jinja2 or Matplotlib is not installed.
        StorageFull: It does not fit.
    """
    out, known = Path(out), scores or {}
    scores = {run.folder: known[run.folder] if run.folder in known else score_run(run) for run in runs}
    contents = {HTML: page(runs, scores), MARKDOWN: markdown(runs, scores)}
    out.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        replace_file(out / name, text.encode())
    return [out / name for name in contents]
