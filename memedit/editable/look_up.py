"""Looking up: what the memory proposes for queries, what of it holds now, and the gate's verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memedit.edits import AnyEdit, Behaviour, Erasure, Fact
from memedit.gate import Gate, Hits, Verdict
from memedit.gate.latest import with_the_latest
from memedit.memory import EditMemory, Recalled
from memedit.methods.base import Recall
from memedit.text.when import named_time


def looked_up(memory: EditMemory, gate: Gate, namespace: str, asked: Sequence[Recall]) -> list[Hits]:
    """One `Hits` a query; their texts are embedded, and the gate decides, in batches."""
    found = iter(_each(memory, gate, namespace, [part for one in asked for part in one.each]))
    return [_joined([next(found) for _ in one.each]) for one in asked]


def _joined(found: Sequence[Hits]) -> Hits:
    whole, *parts = found
    return whole.with_parts(parts) if parts else whole


def _each(memory: EditMemory, gate: Gate, namespace: str, asked: Sequence[Recall]) -> list[Hits]:
    memory.prepare([one.query for one in asked], [one.whole for one in asked], namespace=namespace)
    found = [_holding(memory, _recalled(memory, namespace, one)) for one in asked]
    decided = iter(gate.decide_many([one for one in found if one.candidates]))
    erasures = tuple(one for one in memory.of_kind("erasure", namespace=namespace) if isinstance(one, Erasure))
    told = memory.of_kind("behaviour", namespace=namespace, nameless=True)
    standing = sorted((one for one in told if isinstance(one, Behaviour)), key=lambda one: one.created_at)
    verdicts = [_latest(memory, one, next(decided)) if one.candidates else () for one in found]
    return [
        Hits(one.query, said, one.revision, one.index, erasures, tuple(standing))
        for one, said in zip(found, verdicts, strict=True)
    ]


def _recalled(memory: EditMemory, namespace: str, asked: Recall) -> Recalled:
    found = memory.recall(asked.query, namespace=namespace, kinds=asked.kinds, whole=asked.whole)
    return replace(found, among=asked.among, system=asked.system)


def _holding(memory: EditMemory, recalled: Recalled) -> Recalled:
    """What of it holds in the world at the time that the query names, or now; no gate judges what governs all."""
    scoped = tuple(one for one in recalled.candidates if not _is_standing(one.edit))
    if len(scoped) < len(recalled.candidates):
        recalled = replace(recalled, candidates=scoped)
    if not any(_is_bounded(one.edit) for one in scoped):
        return recalled
    now = memory.clock()
    then = named_time(recalled.query, now) or now
    holding = (one for one in recalled.candidates if not isinstance(one.edit, Fact) or one.edit.holds_at(then))
    return replace(recalled, candidates=tuple(holding))


def _latest(memory: EditMemory, recalled: Recalled, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    judge = memory.judge
    return tuple(with_the_latest(recalled, verdicts, judge) if judge else verdicts)


def _is_bounded(edit: AnyEdit) -> bool:
    return isinstance(edit, Fact) and (edit.valid_from is not None or edit.valid_until is not None)


def _is_standing(edit: AnyEdit) -> bool:
    return isinstance(edit, Behaviour) and edit.standing
