"""`gate train --kind judge`: a judge of one's own, on everyday messages and any encoder of BERT's or MPNet's kind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memedit.cli import _gate
from memedit.cli._common import Session
from memedit.cli._gate_training import Made, stages
from memedit.cli._print import busy

if TYPE_CHECKING:
    from memedit.gate.learning.messages import Group

FEWEST = 4  # groups that the thresholds are chosen on
HELD = 5  # of one's own groups, every so manieth is kept for the thresholds


def train_judge(session: Session, data: Sequence[str], out: Path, given: Mapping[str, Any]) -> Made:
    """A gate of the kind `judge`: trained, written as it is shipped, and weighed on groups that it did not learn from.

    Raises:
        GateUnusable: There is no encoder to grow from.
        FileRejected: A file is not in the form of everyday.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from memedit.encoder.export import Labelled, write_card, write_graph, write_words
    from memedit.encoder.judge import Judge
    from memedit.gate import scorer, thresholds
    from memedit.gate.learning import judge
    from memedit.gate.learning.encoding import check_base
    from memedit.gate.learning.thresholds import chosen, read_messages, reading

    check_base(given["base"])
    learned, held = _parted(data, given)
    recipe = judge.Recipe(seed=given["seed"])
    recipe = replace(recipe, minutes=given["minutes"] or recipe.minutes)
    with _gate.drafted(out) as draft:
        trained = draft / "trained"
        judge.train(learned, trained, base=given["base"], recipe=recipe, report=stages(session) or (lambda text: None))
        with busy("choosing thresholds…"):
            model = AutoModelForSequenceClassification.from_pretrained(str(trained), attn_implementation="eager")
            write_words(model, AutoTokenizer.from_pretrained(str(trained)), draft)
            write_graph(Labelled(model.eval()), draft / "judge.onnx")
            write_card(draft)
            found = chosen(read_messages(reading(Judge(draft)), held))
        names = {"learned": [group.name for group in learned], "chosen on": [group.name for group in held]}
        thresholds.save(replace(found, card=names), draft)
        about = {"kind": "judge", "base": given["base"], "minutes": recipe.minutes, "seed": recipe.seed, **names}
        (draft / scorer.CARD).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return Made(
        (), {"thresholds": {str(rate): threshold for rate, threshold in found.rates}},
        (f"learned from {len(learned)} groups; thresholds chosen on {len(held)} others",),
    )  # fmt: skip


def _parted(data: Sequence[str], given: Mapping[str, Any]) -> tuple[list[Group], list[Group]]:
    """The groups that are learned from, and those that the thresholds are chosen on."""
    from memedit.eval.benchmarks.everyday import shipped
    from memedit.gate.learning.messages import read_groups

    own = read_groups(data)
    if not own:
        raise click.UsageError(f"No messages in {', '.join(data)}: give at least one group of everyday.")
    held = own[HELD - 1 :: HELD]
    learned = [group for group in own if group not in held]
    if given["everyday"]:
        learned += read_groups([shipped("train")])
        held += read_groups([shipped("dev")])
    if len(held) < FEWEST or not learned:
        raise click.UsageError(
            f"{len(own)} groups are too few; leave out --no-everyday, or give {HELD * FEWEST} groups at least."
        )
    return learned, held
