"""`gate evaluate`, `train`, `calibrate` and `learn`: how well a gate knows what is in scope, and how to better it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memedit.cli import _gate
from memedit.cli._common import Command, Session
from memedit.cli._print import say, show_json
from memedit.cli.edits import AUTHOR, REASON

if TYPE_CHECKING:
    from memedit.eval.gate_data import GateData

FOLDER = click.Path(path_type=Path)
DATA_HELP = (
    "Edits with probes (.jsonl, .yaml), labelled look-ups (.jsonl), or NAME=FILE[,FILE…] for a benchmark of "
    "`memedit eval --list`; may be repeated."
)
DATA = click.option("--data", multiple=True, required=True, metavar="SPEC", help=DATA_HELP)
SOURCE = click.option("--gate", "source", metavar="FOLDER|NAME",
                      help="A trained gate's folder, or a kind such as embedding. [default: the one that comes with "
                      "memedit]")  # fmt: skip
LIMIT = click.option("--limit", type=click.IntRange(1), metavar="N", help="Questions of each data, drawn by --seed.")
SEED = click.option("--seed", default=0, show_default=True, help="Of every draw.")


@click.group()
def gate() -> None:
    """Measure, train and calibrate the gate, which decides what edits are in scope of.

    \b
        memedit gate evaluate --data edits.jsonl
        memedit gate train --data edits.jsonl --out my-gate
        memedit gate calibrate --data edits.jsonl --gate my-gate --out my-gate-2
        memedit gate calibrate --memory .memedit --dry-run
        memedit gate learn --data uses.jsonl --memory .memedit --dry-run
    """  # noqa: D301 - click's mark for lines that stay as they are


@gate.command(cls=Command, short_help="Measure a gate on your own data or a benchmark.")
@DATA
@SOURCE
@click.option("--out", type=FOLDER, metavar="DIR", help="Write report.html, report.md and judged.jsonl there.")
@LIMIT
@SEED
@click.pass_obj
def evaluate(
    session: Session, data: tuple[str, ...], source: str | None, out: Path | None, limit: int | None, seed: int
) -> None:
    """Measure a gate on data of which it is known what is in scope.

    All edits of one data lie in one memory, and its questions are looked up in it as requests are.

    Example:
        memedit gate evaluate --data edits.jsonl --out page
        memedit gate evaluate --data counterfact=counterfact.json --gate embedding --limit 500 --json
    """
    from memedit.eval.report.gate import Part
    from memedit.gate import as_gate

    known = _gate.read(session, data, limit=limit, seed=seed)
    judge = as_gate(source)
    embedder = _gate.embedder_of(session)
    judged = _gate.judge_all(judge, known.sets, embedder)
    part = Part.of(judged, known.sets, _gate.thresholds_of(judge))
    if out is not None:
        facts = {"Gate": judge.name, "From": source or "memedit", "Embedder": embedder.id, **_sizes(known)}
        _gate.write_report(out, [part], known, f"Gate {judge.name}", facts)
    if session.as_json:
        values = {"gate": judge.name, "embedder": embedder.id, **_data(known), **part.scores.to_dict()}
        show_json(values | {"wrong": part.count_wrong(), "report": out and str(out)})
        return
    _gate.show_scores(part.scores)
    if out is not None:
        say(("✓ ", "green"), f"a page to read, with the questions judged wrongly: {out / 'report.html'}")


@gate.command(cls=Command, short_help="Train a gate on your own data.")
@DATA
@click.option("--out", type=FOLDER, required=True, metavar="FOLDER", help="Where the gate goes; new or empty.")
@click.option("--everyday/--no-everyday", default=True, show_default=True,
              help="Mix in the examples of daily life that come with memedit.")  # fmt: skip
@click.option("--generate", type=click.IntRange(1), metavar="N",
              help="Also make N questions in scope of each edit of your own, and N near misses.")  # fmt: skip
@click.option("--llm", metavar="SPEC", help="Also have this model write such questions (N of both, or 4).")
@click.option("--folds", type=click.IntRange(2), default=4, show_default=True, help="Parts of the cross-fitting.")
@click.option("--kind", type=click.Choice(["evidence", "cross-encoder", "judge"]), default="evidence",
              show_default=True)  # fmt: skip
@click.option(
    "--base", metavar="FOLDER",
    help="Of the kind judge: the encoder that it grows from; shipped for the judge that comes with memedit. "
    "[default: MiniLM]",
)  # fmt: skip
@click.option("--minutes", type=click.FloatRange(0, min_open=True), metavar="N",
              help="Of the kind judge: how long it learns. [default: 52]")  # fmt: skip
@LIMIT
@SEED
@click.pass_obj
def train(session: Session, /, data: tuple[str, ...], out: Path, **given: Any) -> None:
    """Train a gate on your own data, and measure it on relations it was not trained on.

    Writes a folder for `EditableLLM(..., gate=FOLDER)`: weights, a card that says what they were made of, and, for the
    kind evidence, a report. The kind judge takes --data in the form of everyday (`memedit/data/everyday/README.md`).

    Example:
        memedit gate train --data edits.jsonl --generate 5 --out my-gate
        memedit gate train --data traces.jsonl --memory .memedit --data zsre=zsre.jsonl --out my-gate
        memedit gate train --kind judge --data messages.jsonl --base ./my-encoder --minutes 90 --out my-judge
    """
    from memedit.cli._gate_training import train_cross_encoder, train_evidence

    if given["llm"] is None and session.base_url:
        raise click.UsageError("--base-url goes with --llm openai:MODEL.")
    if given["kind"] != "judge" and (given["base"] or given["minutes"]):
        raise click.UsageError("--base and --minutes go with --kind judge.")
    if given["minutes"] and not math.isfinite(given["minutes"]):
        raise click.BadParameter(f"{given['minutes']} is no number of minutes.", param_hint="--minutes")
    _gate.check_new(out)
    if given["kind"] == "judge":
        from memedit.cli._judge_training import train_judge

        made, about = train_judge(session, data, out, given), {}
    else:
        known = _gate.read(
            session, data, limit=given["limit"], seed=given["seed"], bare=bool(given["generate"] or given["llm"])
        )
        run = train_evidence if given["kind"] == "evidence" else train_cross_encoder
        made, about = run(session, known, out, given), _data(known)
    if session.as_json:
        show_json({"gate": str(out), **about, **made.to_dict()})
        return
    for heading, note, scores in made.parts:
        say((heading, "bold"), f": {note}")
        _gate.show_scores(scores)
        say()
    for line in made.said:
        say(line)
    page = " and a page to read (report.html)" if made.has_page else ""
    say(("✓ ", "green"), f"the gate is in {out}, with its card (gate.json){page}")


@gate.command(cls=Command, short_help="Fit thresholds, or the reach of each edit.")
@click.option("--data", multiple=True, metavar="SPEC", help=DATA_HELP)
@SOURCE
@click.option("--out", type=FOLDER, metavar="FOLDER", help="With --data: where the gate goes; new or empty.")
@click.option("--max-false-fires", type=click.FloatRange(0, 100), default=0.5, show_default=True, metavar="PERCENT",
              help="With --data: of the questions, how many may let a wrong edit through as an answer.")  # fmt: skip
@click.option("--max-false-bridges", type=click.FloatRange(0, 100), default=0.5, show_default=True, metavar="PERCENT",
              help="With --data: the same as a fact on the way to the answer.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="With --memory: only show what would be changed.")
@LIMIT
@SEED
@AUTHOR
@REASON
@click.pass_obj
def calibrate(session: Session, /, data: tuple[str, ...], source: str | None, out: Path | None, **given: Any) -> None:
    """Set a gate's thresholds by data, or the radius of each edit in a memory by its own probes; trains nothing.

    With --data: temperature and thresholds, so that wrong edits are let through no more often than wanted.

    With --memory and no --data: for each Fact with probes, the smallest change of its radius with which the probes that
    must change are in scope, and those that must stay, and what the edits around it ask, are not. One change,
    which `memedit undo` takes back.

    Example:
        memedit gate calibrate --data edits.jsonl --gate my-gate --out my-gate-2 --max-false-fires 1
        memedit gate calibrate --memory .memedit --namespace acme --dry-run
    """
    from memedit.cli._gate_calibration import calibrate_gate, calibrate_radii

    if data:
        if out is None:
            raise click.UsageError("--out is missing: the folder for the calibrated gate.")
        if given["dry_run"]:
            raise click.UsageError("--dry-run goes with --memory, without --data.")
        _gate.check_new(out)
        known = _gate.read(session, data, limit=given["limit"], seed=given["seed"])
        calibrate_gate(session, known, source, out, given)
        return
    if not session.place_given:
        raise click.UsageError("Give --data and --out for a gate, or --memory for the edits of a memory.")
    if out is not None:
        raise click.UsageError("--out goes with --data.")
    calibrate_radii(session, source, given)


@gate.command(cls=Command, short_help="Learn the reach of each edit from its uses.")
@click.option("--data", type=FOLDER, required=True, metavar="FILE",
              help='Uses, one a line: {"turns": …, "edit": ID, "accepted": true}.')  # fmt: skip
@SOURCE
@click.option("--error", type=click.FloatRange(0, 100, min_open=True, max_open=True), default=2, show_default=True,
              metavar="PERCENT", help="Of an edit's uses, in how many it may be let through wrongly.")  # fmt: skip
@click.option("--confidence", type=click.FloatRange(50, 100, max_open=True), default=95, show_default=True,
              metavar="PERCENT", help="With which that is to hold.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only show what would be changed.")
@AUTHOR
@REASON
@click.pass_obj
def learn(session: Session, /, data: Path, source: str | None, **given: Any) -> None:
    """Set the radius of each edit that was used, so that it is let through wrongly no more often than wanted.

    A use is a message, the edit that was used for it or shown in doubt, and whether a person accepted that; an
    application gets them from an Answer with `memedit.uses.uses_of`. An edit with few uses leans on the gate and on
    the other edits. One change, which `memedit undo` takes back.

    Example:
        memedit gate learn --data uses.jsonl --memory .memedit --dry-run
        memedit gate learn --data uses.jsonl --namespace acme --error 5 --confidence 90
    """
    from memedit.cli._gate_uses import learn_radii

    learn_radii(session, data, source, given)


def _sizes(known: GateData) -> dict[str, str]:
    return {f"Data, {one.name}": f"{len(one.edits):,} edits, {len(one.questions):,} questions" for one in known.sets}


def _data(known: GateData) -> dict[str, Any]:
    """What was measured on, as JSON values."""
    return {
        "data": {one.name: {"edits": len(one.edits), "questions": len(one.questions)} for one in known.sets},
        "notes": list(known.notes),
    }
