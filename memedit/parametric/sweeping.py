"""Finding better settings of a method for a model on a few edits: layers first, then what weighs against the edits.

What causal tracing says of layers tells almost nothing of where edits succeed (Hase et al. 2023, arXiv:2301.04213), so
layers are tried. What is tried second keeps the values that were searched for the first, so that it costs next to
nothing with a method that solves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from memedit.errors import EditDiverged
from memedit.parametric.layout import Anatomy
from memedit.parametric.locate import Located
from memedit.parametric.method import Local
from memedit.parametric.methods import Settable
from memedit.parametric.proving import Prover
from memedit.parametric.rewrites import Rewrite

DEPTHS = (0.1, 0.2, 0.3, 0.4, 0.55)
"""Where layers begin, as shares of the depth."""
WEIGHTS = {"share": (1.0, 2.0, 10.0, 30.0), "fixed": (0.1, 10.0)}
"""Of `Weight`, beside the method's own."""
RATES = (0.1, 0.3, 3.0, 10.0)
"""Of what is trained, as multiples of the method's own."""
PROVED = ("efficacy", "paraphrase", "locality")
Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings, and what edits were with them.

    Args:
        settings: That were changed, as JSON values.
        efficacy, paraphrase, locality: Means over the edits, as they are proved.
        perplexity: Of held-out text, as a multiple of what it was; None where the method broke down.
    """

    settings: Settings
    efficacy: float
    paraphrase: float
    locality: float
    perplexity: float | None

    @property
    def score(self) -> float:
        """The harmonic mean of the three, less as perplexity rises; 0 where one is 0 or the method broke down."""
        shares = (self.efficacy, self.paraphrase, self.locality)
        if self.perplexity is None or not min(shares):
            return 0.0
        return len(shares) / sum(1 / one for one in shares) / max(1.0, self.perplexity)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"score": self.score}


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found.

    Args:
        method: Whose settings.
        edits: That were tried.
        trials: In their order, the method's own settings first.
    """

    method: str
    edits: tuple[str, ...]
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        """The one of the highest score, the first of several."""
        return max(self.trials, key=lambda one: one.score)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; `settings` are the best ones'."""
        return {
            "method": self.method, "edits": list(self.edits), "settings": dict(self.best.settings),
            "trials": [one.to_dict() for one in self.trials],
        }  # fmt: skip


def sweep(local: Local, writer: Settable, rewrites: Sequence[Rewrite], prover: Prover) -> Sweep:
    """Try settings on edits. The model is the same afterwards.

    Args:
        local: The model.
        writer: The method.
        rewrites: What is written for the edits, all of them together.
        prover: That asked about them before.
    """
    places, weights = list(layers_tried(writer, local.anatomy)), list(weights_tried(writer))
    of = len(places) + len(weights)
    trials: list[Trial] = []
    values: dict[str, dict[str, torch.Tensor]] = {}
    for second, axis in enumerate((places, weights)):
        best = max(trials, key=lambda one: one.score).settings if second else {}
        for own in axis:
            settings = {**best, **own}
            known = values.get(str(best), {}) if second else {}
            trial, found = _tried(local, writer, settings, rewrites, prover, known)
            trials.append(trial)
            values[str(settings)] = found
            local.told("settings", len(trials), of)
    return Sweep(writer.name, tuple(one.id for one in rewrites), tuple(trials))


def _tried(
    local: Local, writer: Settable, settings: Settings, rewrites: Sequence[Rewrite], prover: Prover,
    known: Mapping[str, torch.Tensor],
) -> tuple[Trial, dict[str, torch.Tensor]]:  # fmt: skip
    """What edits are with settings, and the values that were searched for them."""
    ids = [one.id for one in rewrites]
    try:
        delta = writer.as_set(settings).write(local, rewrites, values=known)
    except EditDiverged:
        return Trial(settings, 0.0, 0.0, 0.0, None), {}
    with local.overlay.over("trying", delta):
        proofs, after = list(prover.proofs(ids).values()), prover.perplexity()
    efficacy, paraphrase, locality = (
        sum(column) / len(ids) for column in ([getattr(one, name) for one in proofs] for name in PROVED)
    )
    found = {edit_id: delta.kept["values"][:, at] for at, edit_id in enumerate(ids)}
    return Trial(settings, efficacy, paraphrase, locality, after / prover.before), found


def layers_tried(writer: Settable, anatomy: Anatomy) -> Iterator[Settings]:
    """The method's own layers, and as many further up and down."""
    own = writer.how.chosen(anatomy)
    begins = [own[0], *(round(depth * (len(anatomy) - 1)) for depth in DEPTHS)]
    for begin in dict.fromkeys(begins):
        moved = [layer - own[0] + begin for layer in own]
        if moved[-1] < len(anatomy):
            yield {"layers": moved}


def weights_tried(writer: Settable) -> Iterator[Settings]:
    """What weighs against what is written, beside the method's own; an equality has nothing of the kind."""
    if not isinstance(writer, Located):
        yield from ({"rate": writer.how.rate * factor} for factor in RATES)
    elif writer.weighs:
        yield from ({"weight": {writer.weighs: one}} for one in WEIGHTS[writer.weighs])
