"""`patches train`, `patches evaluate`: the learned gate and interpreter of language patches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memedit.cli import _common, _gate
from memedit.cli._common import Command, Session
from memedit.cli._print import busy, say, show_json, table

if TYPE_CHECKING:
    from memedit.eval.patches import SliceScore
    from memedit.gate.learning.patch_data import PatchData, Told
    from memedit.gate.learning.patches import GateScore
    from memedit.llms import LLM

FOLDER = click.Path(path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DATA_HELP = (
    "JSON lines with text, condition, applies (true or false); with text, condition, consequence, label; or the "
    "published files of Murty et al. 2022. May be repeated."
)
LIMIT = click.option("--limit", type=click.IntRange(1), metavar="N", help="Texts of the data, drawn by --seed.")
SEED = click.option("--seed", default=0, show_default=True, help="Of every draw.")
LLM_HELP = "Also {} this model, which has to give log-probabilities: bundled, hf:FOLDER, gguf:FILE."


@click.group()
def patches() -> None:
    """Train and measure language patches: if a condition holds of a text, then a consequence.

    \b
        memedit patches evaluate --data applies.jsonl
        memedit patches train --data applies.jsonl --out my-patches
    """  # noqa: D301 - click's mark for lines that stay as they are


@patches.command(cls=Command, short_help="Measure the patch gate, and what patches do to labels.")
@click.option("--data", multiple=True, required=True, type=FILE, metavar="FILE", help=DATA_HELP)
@click.option("--gate", "source", type=FOLDER, metavar="FOLDER",
              help="What `patches train` made. [default: what comes with memedit]")  # fmt: skip
@click.option("--llm", metavar="SPEC", help=LLM_HELP.format("classify the texts with"))
@click.option("--prompt", help="How --llm is asked, with {text}. [default: four reviews, then the text]")
@LIMIT
@SEED
@click.pass_obj
def evaluate(session: Session, /, data: tuple[Path, ...], source: Path | None, **given: Any) -> None:
    """Measure how well the gate knows which conditions apply; with --llm, also accuracy with and without patches.

    Example:
        memedit patches evaluate --data applies.jsonl --json
        memedit patches evaluate --data feature.jsonl --data applies.jsonl --llm bundled --limit 200
    """
    from memedit.eval.patches import REVIEWS, score_gate, score_labels, slices
    from memedit.gate import patch_scorer

    known = _read(data, given["limit"], given["seed"])
    scorer = patch_scorer.shipped() if source is None else patch_scorer.load(source)
    embedder = _gate.embedder_of(session)
    with busy("measuring…"):
        gates = score_gate(scorer, known.pairs, embedder) if known.pairs else {}
    labels: dict[str, SliceScore] = {}
    if given["llm"] is not None:
        parts = slices(known.told, limit=given["limit"] or 400, seed=given["seed"])
        llm = _open(session, given["llm"])
        trained = None if source is None else str(source)
        prompt = REVIEWS if given["prompt"] is None else given["prompt"]
        with _gate.counted("texts classified") as told:
            labels = score_labels(
                parts,
                llm,
                scorer,
                embedder,
                prompt=prompt,
                trained=trained,
                progress=lambda _name, at, of: told(at, of),
            )
    if session.as_json:
        values = {name: one.to_dict() for name, one in labels.items()}
        show_json({"gate": {name: one.to_dict() for name, one in gates.items()}, "labels": values})
        return
    _show(gates, labels)


@patches.command(cls=Command, short_help="Train the gate and the interpreter.")
@click.option("--data", multiple=True, type=FILE, metavar="FILE", help=DATA_HELP)
@click.option("--out", type=FOLDER, required=True, metavar="FOLDER", help="Where it goes; new or empty.")
@click.option("--templates", type=click.IntRange(0), default=2_000, show_default=True, metavar="N",
              help="Mix in pairs around N texts made from the templates that come with memedit.")  # fmt: skip
@click.option("--llm", metavar="SPEC", help=LLM_HELP.format("fit the interpreter to"))
@click.option("--folds", type=click.IntRange(2), default=4, show_default=True, help="Parts of the cross-fitting.")
@LIMIT
@SEED
@click.pass_obj
def train(session: Session, /, data: tuple[Path, ...], out: Path, **given: Any) -> None:
    """Train the gate on pairs of text and condition, and measure it on describing words it was not trained on.

    Writes a folder for `EditableLLM(..., gate=FOLDER)`, and for the method's `patches(trained=FOLDER)`.

    Example:
        memedit patches train --data applies.jsonl --out my-patches
        memedit patches train --data my-pairs.jsonl --templates 0 --llm bundled --out my-patches
    """
    from memedit.gate.learning.patch_templates import made
    from memedit.gate.learning.patches import INTERPRETER, train_gate

    _gate.check_new(out)
    known = _read(data, given["limit"], given["seed"])
    pairs = [*known.pairs, *(made(given["templates"], given["seed"]) if given["templates"] else ())]
    embedder = _gate.embedder_of(session)
    weights: tuple[float, ...] = INTERPRETER
    about: dict[str, Any] | None = None
    if given["llm"] is not None:
        weights, about = _fit(session, known.told, given)
    trained = train_gate(
        pairs, embedder, folds=given["folds"], seed=given["seed"], interpreter=weights,
        progress=lambda text: say((text, "dim"), err=True),
    )  # fmt: skip
    scores = {name: one.to_dict() for name, one in trained.unseen.items()}
    card = {
        "made by": _gate.command(),
        "data": [file.name for file in data],
        "templates": given["templates"],
        "pairs": len(pairs),
        "seed": given["seed"],
        "folds": given["folds"],
        "scores on groups never trained on": scores,
        "interpreter fitted": about,
    }
    with _gate.drafted(out) as draft:
        trained.scorer.with_(card=card).save(draft)
    if session.as_json:
        show_json({"patches": str(out), "pairs": len(pairs), "scores": scores, "interpreter": about})
        return
    _show(trained.unseen, {})
    say((f"on describing words never trained on, {trained.groups} groups in {given['folds']} folds", "dim"))
    say(("✓ ", "green"), f"the patch gate is in {out}, with its card (gate.json)")


def _read(files: tuple[Path, ...], limit: int | None, seed: int) -> PatchData:
    from memedit.gate.learning.patch_data import read_patch_data

    with busy("reading…"):
        return read_patch_data(files, limit=limit, seed=seed)


def _open(session: Session, spec: str) -> LLM:
    with busy("loading the model…"):
        return _common.open_model(spec, session.base_url)


def _fit(session: Session, told: tuple[Told, ...], given: dict[str, Any]) -> tuple[tuple[float, ...], dict[str, Any]]:
    """The interpreter's weights for a model, and what is said of them."""
    from memedit.eval.patches import fit_interpreter
    from memedit.gate.learning import patch_templates
    from memedit.gate.learning.patch_data import Told

    made = [Told(*one) for one in patch_templates.told(100, given["seed"])] if given["templates"] else []
    rows = [*told, *made] if len({one.labels for one in (*told, *made)}) < 2 else list(told)
    if not rows:
        raise click.UsageError("--llm needs --data with consequences and labels, or --templates.")
    llm = _open(session, given["llm"])
    with _gate.counted("texts read") as progress:
        weights, accuracy = fit_interpreter(rows, llm, progress=progress)
    return weights, {"model": llm.name, "rows": len(rows), "accuracy on them": round(accuracy, 4)}


def _show(gates: Any, labels: dict[str, SliceScore]) -> None:
    scores: dict[str, GateScore] = dict(gates)
    if scores:
        table(
            ["gate", "pairs", "applies", "precision", "recall", "F1"],
            [
                [name, str(one.pairs), str(one.applies), *(f"{x:.4f}" for x in (one.precision, one.recall, one.f1))]
                for name, one in scores.items()
            ],
        )
    if labels:
        say()
        table(
            ["texts", "accuracy alone", "with patches", "points", "patch in scope"],
            [
                [name, _gate._cell(one.alone), _gate._cell(one.patched), f"{one.gain:+.1f}", _gate._cell(one.in_scope)]
                for name, one in labels.items()
            ],
        )
        say(("in percent, with 95 % intervals", "dim"))
