"""Choosing the temperature of the judge's readings, and thresholds, on messages that it was not trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memedit.embedders.port import Vectors
from memedit.encoder.judge import Judge
from memedit.gate.conversation import read_conversation
from memedit.gate.judge_gate import SHOWN, JudgeGate, cosines, minilm_vector
from memedit.gate.learning import apart, manner
from memedit.gate.learning.messages import Group
from memedit.gate.learning.scope_sets import DIRECT, OUT
from memedit.gate.likeness import facts
from memedit.gate.scorer import in_scope_odds
from memedit.gate.thresholds import Thresholds
from memedit.memory import EditMemory

RATES = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.185)
"""Of false fires, for which a threshold is chosen."""
SILENT = 0.67
"""Share of the messages out of scope, about a memory's own subjects, for which nothing is left in doubt; six in ten are
wanted of groups that nothing was chosen on, where it may be some points less."""
FAR = 12.0
"""Log-odds for each unit of cosine. These readings are likeliest at 17, which costs recall at 10 % false fires."""
NOTES = 2.0
"""Edits that a message in scope is shown at most, on average."""
TEMPERATURES = np.geomspace(0.5, 4, 43)
STANDS_FOR = 3.0  # messages, by one of these: people write more of them than were read
LEAST = -12.0  # log-odds of what was not read
GAPS = (6.0, 5.0, 4.0, 3.5, 3.0, 2.75, 2.5, 2.25, 2.0, 1.75, 1.5, 1.0)
"""Of log-odds."""


@dataclass(frozen=True, slots=True)
class Read:
    """A message and what was read of its candidates.

    Args:
        group: Its memory.
        kind: Of the message, with its side.
        judged: The judge's logits, by place, of those that it read.
        roles: What each candidate is, nearest first; (candidates,).
        vector: Of the message, by MiniLM; None where another embedder made it.
        cosines: Of the candidates, by the finder.
    """

    group: str
    kind: str
    judged: Mapping[int, Vectors] = field(repr=False)
    roles: NDArray[np.int64] = field(repr=False)
    vector: Vectors | None = field(default=None, repr=False)
    cosines: Sequence[float] = field(default=(), repr=False)

    def probabilities(self, by: Thresholds) -> Vectors:
        """Of `LABELS`, (candidates, 3)."""
        return by.probabilities(self.judged, [by.shift(self.vector) + by.off(one) for one in self.cosines])

    @property
    def counts(self) -> bool:
        """Whether thresholds are chosen on it: with what has nothing to do with a memory, any would look good."""
        return self.kind.removeprefix("out ") not in apart.KINDS

    @property
    def bears(self) -> bool:
        """Whether one of the candidates does."""
        return bool((self.roles != OUT).any())

    @property
    def best(self) -> float:
        """The judge's log-odds of what was likeliest: of what bears, where something does."""
        read = (in_scope_odds(logits) for at, logits in self.judged.items() if (self.roles[at] != OUT) == self.bears)
        return max(map(float, read), default=LEAST)


def reading(judge: Judge | None = None) -> JudgeGate:
    """A gate that reads and has no thresholds yet; with the judge that comes with memedit when left out."""
    return JudgeGate(judge, thresholds=Thresholds(1.0, ((0.0, 1.0),)))


def read_messages(gate: JudgeGate, groups: Iterable[Group], embedder: Any = None) -> list[Read]:
    """The messages of everyday groups, each group in a memory of its own."""
    found = []
    for group in groups:
        with EditMemory(embedder=embedder, languages=None) as memory:  # what is chosen hangs on no extra
            for _ in memory.add_many(group.edits, on_conflict="keep"):
                pass
            for message in group.messages:
                said = read_conversation(message.turns)
                recalled = memory.recall(said.query, whole=said.whole)
                proposed = facts(recalled)
                roles = [DIRECT if one.edit.id in message.bearing else OUT for one in proposed]
                judged, _ = gate.read(recalled, proposed)
                kind, vector = f"{message.side} {message.kind}", minilm_vector(recalled)
                near = cosines(recalled, proposed)
                found.append(Read(group.name, kind, judged, np.array(roles, np.int64), vector, near))
    return found


def chosen(read: Sequence[Read]) -> Thresholds:
    """The temperature of the readings, what the manner of a message adds, and thresholds at which these messages fire
    at the promised rates.
    """
    counts = [one for one in read if one.counts]
    at = Thresholds(_temperature(counts), ((1.0, 0.0),))
    at = replace(at, manner=_manner(read, at.temperature), far=FAR)
    scored = [(one, one.probabilities(at)) for one in counts]
    wrong = np.sort([_best(p, one.roles == OUT) for one, p in scored if one.kind.startswith("out")])[::-1]
    rates = tuple((rate, round(float(wrong[int(rate * len(wrong))]) + 1e-4, 4)) for rate in RATES)
    any_ = round(float(wrong[int((1 - SILENT) * len(wrong))]), 4)
    inside = [p[:, 1:].max(axis=1) for one, p in scored if one.kind.startswith("in") and len(p)]
    behind = next((gap for gap in GAPS if _notes(inside, any_, gap) <= NOTES), GAPS[-1])
    return replace(at, rates=rates, bridge=0.5, any=any_, behind=behind)


def _temperature(read: Sequence[Read]) -> float:
    """That at which what was read is most probable."""
    logits = np.stack([logits for one in read for logits in one.judged.values()])
    bears = np.array([one.roles[at] != OUT for one in read for at in one.judged])
    odds = in_scope_odds(logits)
    signed = np.where(bears, -odds, odds)
    costs = [np.logaddexp(0, signed / temperature).mean() for temperature in TEMPERATURES]
    return round(float(TEMPERATURES[int(np.argmin(costs))]), 3)


def _manner(read: Sequence[Read], temperature: float) -> tuple[float, ...]:
    found = [
        (one.vector, one.best / temperature, one.bears, 1.0 if one.counts else STANDS_FOR)
        for one in read
        if one.vector is not None and (one.bears or not one.kind.startswith("in"))
    ]
    if not found:
        return ()
    vectors, odds, bears, counts = zip(*found, strict=True)
    return manner.fit(np.stack(vectors), np.array(odds, dtype=np.float32), np.array(bears), np.array(counts))


def _notes(likely: Sequence[Vectors], any_: float, behind: float) -> float:
    """How many edits are shown to a message on average. likely: Probabilities of its candidates, each (candidates,)."""
    shown = []
    for one in likely:
        odds = np.log(one) - np.log1p(-one)
        shown.append(min(int((odds >= odds.max() - behind).sum()), SHOWN) if one.max() >= any_ else 0)
    return float(np.mean(shown))


def _best(probabilities: Vectors, of: NDArray[np.bool_]) -> float:
    return float(probabilities[of, 1:].max()) if of.any() else 0.0
