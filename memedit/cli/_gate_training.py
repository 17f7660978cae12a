"""`gate train`: examples beside the user's own, training, and what is written into the gate's folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memedit.cli import _common, _gate
from memedit.cli._common import Session
from memedit.cli._print import busy, say
from memedit.embedders import Embedder

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from memedit.embedders import Vectors
    from memedit.eval.gate_data import GateData
    from memedit.eval.gates import GateScores
    from memedit.eval.report.gate import Part
    from memedit.gate.learning.scope_sets import ScopeSet

WRITTEN = 4  # questions of both sorts a model is asked for when --generate does not say
MOST_EVERYDAY = 3_000  # shipped questions that a cross-encoder learns from, which reads every pair
NEW, SEEN, SHIPPED = "On relations never trained on", "In distribution", "The gate that comes with memedit"
NOTES = {
    NEW: "what to expect of new edits; no question's edits had their relations or subjects in what judged it",
    SEEN: "other subjects, but relations that were trained on; too good for new relations",
    SHIPPED: "on the same questions; to beat, on relations never trained on",
}


@dataclass(frozen=True)
class Made:
    """What training gave.

    Args:
        parts: Heading, note and scores of each way to measure.
        scores: The same for programs, by name.
        said: What else is to be said, a line each.
        has_page: Whether a report was written.
    """

    parts: tuple[tuple[str, str, GateScores], ...] = ()
    scores: Mapping[str, Any] | None = None
    said: tuple[str, ...] = ()
    has_page: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"scores": self.scores, "said": list(self.said)}


class Remembering(Embedder):
    """An embedder that embeds no text twice: training and measuring go over the same ones.

    Args:
        embedder: Whose vectors and id these are.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, Vectors] = {}
        self.id = embedder.id

    @property
    def space(self) -> str:
        return self._embedder.space

    def _embed(self, texts: list[str]) -> ArrayLike:
        if lacking := [text for text in dict.fromkeys(texts) if text not in self._known]:
            self._known |= dict(zip(lacking, self._embedder.embed(lacking), strict=True))
        return [self._known[text] for text in texts]


def train_evidence(session: Session, known: GateData, out: Path, given: Mapping[str, Any]) -> Made:
    """A gate of the kind `evidence`."""
    from memedit.eval.report.gate import Part
    from memedit.gate.learning.evidence import train

    more, about_more = _more(session, known, given)
    sets = (*known.sets, *more)
    embedder = Remembering(_gate.embedder_of(session))
    trained = train(sets, embedder, folds=given["folds"], seed=given["seed"], progress=stages(session))
    parts = []
    if trained.judged:
        thresholds = trained.scorer.thresholds
        for heading, judged in ((NEW, trained.judged), (SEEN, trained.judged_seen)):
            parts.append(Part.of(judged, known.sets, thresholds, heading=heading, note=NOTES[heading]))
        parts.append(_shipped(known, embedder))
    scores = {part.heading.lower(): part.scores.to_dict() for part in parts}
    card = _gate.about(session, known, seed=given["seed"], folds=given["folds"], **about_more, scores=scores)
    with _gate.drafted(out) as draft:
        replace(trained.scorer, card=card).save(draft)
        facts = {"Kind": "evidence", "Embedder": embedder.id, "Seed": given["seed"], "Folds": given["folds"]}
        _gate.write_report(draft, parts, known, f"Gate {out.name}", facts)
    said = () if parts else ("Nothing was measured: that needs questions of your own, not only made ones.",)
    return Made(tuple((part.heading, part.note, part.scores) for part in parts), scores, said, True)


def _shipped(known: GateData, embedder: Embedder) -> Part:
    """The scores of the gate that would be used without training."""
    from memedit.eval.report.gate import Part
    from memedit.gate import as_gate

    gate = as_gate()
    judged = _gate.judge_all(gate, known.sets, embedder)
    return Part.of(judged, known.sets, _gate.thresholds_of(gate), heading=SHIPPED, note=NOTES[SHIPPED])


def train_cross_encoder(session: Session, known: GateData, out: Path, given: Mapping[str, Any]) -> Made:
    """A gate of the kind `cross-encoder`; it is measured on subjects it was not trained on."""
    from memedit.gate.cross_encoder import CARD
    from memedit.gate.learning.cross_encoder import Recipe, train

    more, about_more = _more(session, known, given, most_everyday=MOST_EVERYDAY)
    embedder = _gate.embedder_of(session)
    with _gate.drafted(out) as draft, busy("training…"):
        train((*known.sets, *more), out=draft, recipe=Recipe(seed=given["seed"]), embedder=embedder)
        card = json.loads((draft / CARD).read_text(encoding="utf-8"))
        # What training itself wrote stands above what is known beside it: its data are pairs, ours are files.
        about = _gate.about(session, known, **about_more)
        card = {**about, **card, "files": about["data"], "embedder": embedder.id}
        (draft / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    scores = ", ".join(f"{name} {value:.3f}" for name, value in card["scores"].items())
    said = (f"on subjects never trained on (relations seen; `gate evaluate` on other data tells more): {scores}",)
    return Made((), {"subjects never trained on": card["scores"]}, said)


def _more(
    session: Session, known: GateData, given: Mapping[str, Any], *, most_everyday: int | None = None
) -> tuple[list[ScopeSet], dict[str, Any]]:
    """The sets that are only learned from, and what the card says of them."""
    found: list[ScopeSet] = []
    own = [one for one in known.sets if one.name in known.own]
    if (given["generate"] or given["llm"]) and not own:
        raise click.UsageError("--generate and --llm make questions around edits of your own; no --data holds any.")
    if given["generate"]:
        from memedit.gate.learning.generate import made

        found += [_named(made(one.edits, each=given["generate"], seed=given["seed"]), one) for one in own]
    if given["llm"]:
        found += _written(session, own, given)
    if given["everyday"]:
        from memedit.gate.learning.everyday import everyday

        shipped = everyday(seed=given["seed"])
        found.append(replace(shipped, questions=shipped.questions[:: _every(len(shipped.questions), most_everyday)]))
    counts = {one.name: {"edits": len(one.edits), "questions": len(one.questions)} for one in found}
    return found, {"only learned from": counts, "llm": given["llm"]}


def _written(session: Session, own: list[ScopeSet], given: Mapping[str, Any]) -> list[ScopeSet]:
    from memedit.gate.learning.generate import written

    with busy("loading the model…"):
        llm = _common.open_model(given["llm"], session.base_url)
    found = []
    for one in own:
        with _gate.counted("questions written around edits") as progress:
            fresh, dropped = written(one.edits, llm, each=given["generate"] or WRITTEN, progress=progress)
        found.append(_named(fresh, one))
        say(f"{llm.name} wrote {len(fresh.questions)} questions; {dropped} lines were of no use", err=True)
    return found


def _named(made: ScopeSet, around: ScopeSet) -> ScopeSet:
    return replace(made, name=f"{around.name}, {made.name}")


def _every(count: int, most: int | None) -> int:
    """Which of them are taken, so that there are no more than `most`."""
    return 1 if most is None else max(1, -(-count // most))


def stages(session: Session) -> Callable[[str], None] | None:
    """Says on stderr what training is at."""
    if session.as_json and not sys.stderr.isatty():
        return None
    return lambda text: say((text, "dim"), err=True)
