"""Fitting how evidence and judge are weighed, and choosing thresholds, on messages that neither was trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memedit.embedders.port import Vectors
from memedit.encoder.judge import Judge
from memedit.encoder.network import Network
from memedit.gate.conversation import read_conversation
from memedit.gate.judge_gate import SHOWN, JudgeGate
from memedit.gate.learning.messages import Group
from memedit.gate.learning.network import fit_linear
from memedit.gate.learning.scope_sets import DIRECT, OUT, UNKNOWN, ScopeSet, in_memory
from memedit.gate.likeness import facts
from memedit.gate.weighing import FEATURES, Pair, Weighing, features
from memedit.memory import EditMemory, Recalled
from memedit.memory.writing import CHUNK

RATES = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.185)
"""Of false fires, for which a threshold is chosen."""
MOST = 0.85
"""Share of the groups that have to keep to a promised rate."""
SILENT = 0.6
"""Share of the messages out of scope, about a memory's own subjects, for which nothing is to be left in doubt."""
NOTES = 2.0
"""Edits that a message in scope is shown at most, on average."""
FOLDS = 4
MEMORIES = (1, 1, 2, 4, 8)
"""Of how many candidates an everyday message is learned from besides all of them: memories are small and large."""
EVERYDAY = 4.0
"""Weight of an everyday message against a question of a benchmark."""


@dataclass(frozen=True, slots=True)
class Read:
    """A message and what was read of its candidates.

    Args:
        group: Its memory.
        kind: Of the message, with its side.
        pairs: What is known of each candidate, nearest first.
        judged: The judge's logits, by place, of those that it read.
        roles: What each candidate is, (candidates,).
    """

    group: str
    kind: str
    pairs: tuple[Pair, ...] = field(repr=False)
    judged: Mapping[int, Vectors] = field(repr=False)
    roles: NDArray[np.int64] = field(repr=False)

    @property
    def rows(self) -> Vectors:
        """What is weighed, (candidates, features)."""
        return features(self.pairs, self.judged)

    def among(self, places: Sequence[int]) -> Read:
        """As if the memory proposed only these candidates."""
        judged = {at: self.judged[place] for at, place in enumerate(places) if place in self.judged}
        return replace(
            self, pairs=tuple(self.pairs[at] for at in places), judged=judged, roles=self.roles[list(places)]
        )


def reading(judge: Judge | None = None) -> JudgeGate:
    """A gate that reads but has nothing to weigh with yet; with the judge that comes with memedit when left out."""
    nothing = np.zeros(len(FEATURES), dtype=np.float32)
    return JudgeGate(judge, weighing_=Weighing(Network(nothing, nothing, ()), ((0.0, 1.0),)))


def read_messages(gate: JudgeGate, groups: Iterable[Group], embedder: Any = None) -> list[Read]:
    """The messages of everyday groups, each group in a memory of its own."""
    found = []
    for group in groups:
        with EditMemory(embedder=embedder, languages=None) as memory:  # what is learned hangs on no extra
            for _ in memory.add_many(group.edits, on_conflict="keep"):
                pass
            for message in group.messages:
                said = read_conversation(message.turns)
                recalled = memory.recall(said.query, whole=said.whole)
                roles = [DIRECT if one.edit.id in message.bearing else OUT for one in facts(recalled)]
                found.append(_read(gate, recalled, group.name, f"{message.side} {message.kind}", roles))
    return found


def read_scope_set(
    gate: JudgeGate, scope_set: ScopeSet, chosen: Callable[[int], bool], embedder: Any = None
) -> list[Read]:
    """The questions of a scope set, all its edits in one memory.

    chosen: Says by its place whether a question is asked.
    """
    found = []
    with in_memory(scope_set, embedder) as (memory, questions):
        asked = [question for at, question in enumerate(questions) if chosen(at)]
        for start in range(0, len(asked), CHUNK):
            part = asked[start : start + CHUNK]
            said = [read_conversation((("user", question.text),)) for question in part]
            memory.prepare([one.query for one in said], [one.whole for one in said])
            for question, one in zip(part, said, strict=True):
                recalled = memory.recall(one.query, whole=one.whole)
                roles = [question.role(each.edit.id) for each in facts(recalled)]
                found.append(_read(gate, recalled, scope_set.name, question.group, roles))
    return found


def _read(gate: JudgeGate, recalled: Recalled, group: str, kind: str, roles: Sequence[int]) -> Read:
    pairs, judged, _ = gate.read(recalled, facts(recalled))
    return Read(group, kind, tuple(pairs), judged, np.array(roles, dtype=np.int64))


def fit(everyday: Sequence[Read], others: Sequence[Read], *, seed: int = 0) -> tuple[Weighing, list[Vectors]]:
    """A weighing, and for each everyday message the probabilities by one that did not learn from its group.

    Its thresholds are chosen on the latter.
    """
    names = sorted({one.group for one in everyday})
    part = {name: at % FOLDS for at, name in enumerate(names)}
    scored: list[Vectors] = [np.zeros((0, 3), dtype=np.float32)] * len(everyday)
    for fold in range(FOLDS):
        network = _network([one for one in everyday if part[one.group] != fold], others, seed)
        for at, one in enumerate(everyday):
            if part[one.group] == fold and one.pairs:
                scored[at] = network.probabilities(one.rows)
    network = _network(everyday, others, seed)
    return chosen(Weighing(network, ((1.0, 0.0),)), everyday, scored), scored


def chosen(weighing: Weighing, read: Sequence[Read], scored: Sequence[Vectors]) -> Weighing:
    """The weighing with thresholds at which these messages, that it did not learn from, fire at the promised rates."""
    pairs = list(zip(read, scored, strict=True))
    outside: dict[str, list[float]] = defaultdict(list)
    for one, p in pairs:
        if one.kind.startswith("out"):
            outside[one.group].append(_best(p, one.roles == OUT))
    rates = tuple((rate, round(_kept_to(rate, outside.values()), 4)) for rate in RATES)
    wrong = np.sort(np.concatenate(list(outside.values())))[::-1]
    any_ = round(float(wrong[int((1 - SILENT) * len(wrong))]), 4)
    inside = [p for one, p in pairs if one.kind.startswith("in")]
    each = next((low for low in np.geomspace(0.002, 0.3, 40) if _notes(inside, any_, low) <= NOTES), 0.3)
    return Weighing(weighing.network, rates, 0.5, any_, round(float(each), 4), weighing.card)


def _kept_to(rate: float, groups: Iterable[Sequence[float]]) -> float:
    """The threshold at which most groups (`MOST`) keep to a rate of false fires: a new one may be a hard one."""
    own = [np.sort(group)[::-1][int(rate * len(group))] + 1e-4 for group in groups]
    return float(np.quantile(own, MOST))


def _notes(scored: Sequence[Vectors], any_: float, each: float) -> float:
    """How many edits are shown to a message on average."""
    best = [np.sort(p[:, 1:].max(axis=1))[::-1] if len(p) else np.zeros(1) for p in scored]
    return float(np.mean([0 if one[0] < any_ else min(int((one >= each).sum()), SHOWN) for one in best]))


def _best(probabilities: Vectors, of: NDArray[np.bool_]) -> float:
    return float(probabilities[of, 1:].max()) if of.any() else 0.0


def _network(everyday: Sequence[Read], others: Sequence[Read], seed: int) -> Network:
    """One that learned from each everyday message in memories of several sizes, and from the other questions."""
    rng = np.random.default_rng(seed)
    learned = [(one, 1.0) for one in others if one.pairs]
    for one in everyday:
        for size in (len(one.pairs), *MEMORIES):
            if one.pairs and size <= len(one.pairs):
                places = sorted(rng.permutation(len(one.pairs))[:size].tolist())
                learned.append((one.among(places), EVERYDAY))
    rows = np.concatenate([one.rows for one, _ in learned])
    roles = np.concatenate([one.roles for one, _ in learned])
    costs = np.concatenate([np.full(len(one.pairs), cost, dtype=np.float32) for one, cost in learned])
    known = roles != UNKNOWN
    return fit_linear(rows[known], roles[known], costs[known])
