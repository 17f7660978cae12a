"""The cross-encoder gate: query and edit are read together, SERAC's cross-attention variant (Mitchell et al. 2022,
arXiv:2206.06520), with a third answer besides in scope and out: that the edit lies on the way to the answer.

`learning/cross_encoder.py` makes such a model; any cross-encoder of sentence-transformers with one output does, too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np

from memedit.edits import AnyEdit, Fact
from memedit.errors import GateUnusable, MissingExtra
from memedit.gate.likeness import facts, with_the_others
from memedit.gate.port import Gate, Verdict
from memedit.gate.roles import LABELS, Calibration, Weights, verdict
from memedit.memory import Recalled

try:
    import torch
    from sentence_transformers import CrossEncoder
except ModuleNotFoundError as missing:
    raise MissingExtra("local", package="sentence-transformers") from missing

CARD = "gate.json"
KIND, FORMAT = "cross_encoder", 1

Shown = Literal["text", "key"]
"""What the model sees of a Fact: its `text`, or its `key_text`, which leaves the object out."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a model's output is read; kept in `gate.json` beside it.

    Args:
        threshold: Probability from which a Fact is let through.
        calibration: From logits to probabilities.
        shown: What the model sees of a Fact.
    """

    threshold: float = 0.5
    calibration: Calibration = field(default_factory=Calibration)
    shown: Shown = "text"


class CrossEncoderGate(Gate):
    """Judges Facts by a cross-encoder, all candidates of all queries in one call of it.

    Args:
        model: A folder or hub id, or a loaded CrossEncoder. It has the outputs `out`, `direct` and `bridge`, as `train`
            makes it, or one output, whose logistic is the probability of being in scope (role `direct`).
        threshold: Probability from which a Fact is let through; left out, what stands in the folder's `gate.json`, and
            0.5 where there is none. The probabilities of a model without one are not calibrated.
        setting: How the output is read, in place of `gate.json`.
        batch_size: Pairs in one forward pass.
        options: Passed to `CrossEncoder` (device, …).

    Raises:
        GateUnusable: There is no cross-encoder with such outputs.
    """

    name = "cross_encoder"

    def __init__(
        self, model: str | Path | CrossEncoder, *, threshold: float | None = None, setting: Setting | None = None,
        batch_size: int = 64, **options: Any,
    ) -> None:  # fmt: skip
        self.model: CrossEncoder = _load(str(model), options) if isinstance(model, str | Path) else model
        self.setting = setting or (read_setting(Path(model)) if isinstance(model, str | Path) else Setting())
        self.threshold = self.setting.threshold if threshold is None else threshold
        self._batch_size = batch_size
        self._lock = threading.Lock()  # a tokenizer's truncation is not to be set by two threads at once
        _check_outputs(self.model)

    @classmethod
    def load(cls, source: str | Path, **options: Any) -> Self:
        """`cross_encoder:FOLDER_OR_HUB_ID`. options: as for the class."""
        return cls(source, **options)

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return self.decide_many([recalled])[0]

    def decide_many(self, recalled: Sequence[Recalled]) -> list[list[Verdict]]:
        pairs = [(one.query, found.edit) for one in recalled for found in facts(one)]
        weights = iter(self.weigh(pairs))
        return [
            with_the_others(
                one,
                [verdict(found.edit, next(weights), threshold=self.threshold, by=self.name) for found in facts(one)],
            )
            for one in recalled
        ]

    def weigh(self, pairs: Sequence[tuple[str, AnyEdit]]) -> Weights:
        """How probable each of `LABELS` is for each pair of a query and a Fact. Result (pairs, 3)."""
        texts = [(query, shown(edit, self.setting.shown)) for query, edit in pairs]
        return self.setting.calibration.weights(self.logits(texts)) if texts else np.zeros((0, len(LABELS)))

    def logits(self, texts: Iterable[tuple[str, str]]) -> Weights:
        """What the model gives for pairs of query and edit text. Result (pairs, 3) or (pairs, 1)."""
        pairs = list(texts)
        with self._lock:
            found = self.model.predict(
                pairs, batch_size=self._batch_size, show_progress_bar=False, activation_fn=torch.nn.Identity()
            )
        return np.asarray(found, dtype=np.float64).reshape(len(pairs), -1)


def shown(edit: AnyEdit, how: Shown) -> str:
    """What the model sees of an edit."""
    return edit.key_text if how == "key" and isinstance(edit, Fact) else edit.text


def read_setting(folder: Path) -> Setting:
    """What `gate.json` in this folder says; the defaults where there is none.

    Raises:
        GateUnusable: It cannot be read, tells of another kind of gate, or was written by a newer memedit.
    """
    card = folder / CARD
    if not card.is_file():
        return Setting()
    try:
        known = json.loads(card.read_text(encoding="utf-8"))
        if known["kind"] != KIND or known["format"] != FORMAT:
            raise ValueError(f"kind {known['kind']}, format {known['format']}; expected {KIND}, {FORMAT}")
        told = known["setting"]
        if told["shown"] not in get_args(Shown):
            raise ValueError(f"shown is {told['shown']!r}")
        calibration = Calibration(*(float(told[name]) for name in ("temperature", "out", "bridge")))
        return Setting(float(told["threshold"]), calibration, told["shown"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise GateUnusable(
            f"`{card}` is not the card of a cross-encoder gate: {error!r}.",
            do="train the gate again with this memedit, or update memedit",
        ) from error


def _load(source: str, options: dict[str, Any]) -> CrossEncoder:
    try:
        return CrossEncoder(source, **options)
    except (OSError, ValueError) as error:
        raise GateUnusable(
            f"No cross-encoder could be loaded from `{source}`: {error}".split("\n")[0],
            do="give a local folder with the model, or a hub id this machine can reach",
        ) from error


def _check_outputs(model: CrossEncoder) -> None:
    names = model.config.id2label
    known = [str(names[place]) for place in sorted(names)]
    if len(known) != 1 and known != list(LABELS):
        raise GateUnusable(
            f"The cross-encoder's outputs are {', '.join(known)}; expected {', '.join(LABELS)}, or a single one.",
            do="use a model with one output (a reranker), or train one with memedit.gate.learning.cross_encoder",
        )
