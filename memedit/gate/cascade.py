"""A cascade of two gates: a cheap one decides what is clear, a dear one what it leaves in doubt.

PokeMQA has such a pair (Gu et al. 2024, arXiv:2312.15194): a detector, and a disambiguator where it finds several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memedit.gate.port import Gate, Verdict
from memedit.memory import Recalled


class Cascade(Gate):
    """The first gate's verdicts stand below `low` and above `high`; what lies between is judged by the second.

    The judge sees the candidates in doubt and no others, and is not asked where there are none, which is the common
    case. Where it says nothing of one, the first gate's verdict stands.

    Args:
        first: The cheap gate.
        judge: The dear one.
        low, high: Probabilities of the first gate; at them, the judge is asked.
    """

    def __init__(self, first: Gate, judge: Gate, *, low: float = 0.05, high: float = 0.95) -> None:
        if not 0 <= low <= high <= 1:
            raise ValueError(f"0 ≤ low ≤ high ≤ 1 is expected, not low {low} and high {high}")
        self.first = first
        self.judge = judge
        self.low = low
        self.high = high
        self.name = f"{first.name}+{judge.name}"

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return self.decide_many([recalled])[0]

    def decide_many(self, recalled: Sequence[Recalled]) -> list[list[Verdict]]:
        first = self.first.decide_many(recalled)
        doubts = [self._in_doubt(one, verdicts) for one, verdicts in zip(recalled, first, strict=True)]
        asked = [one for one in doubts if one.candidates]
        judged = iter(self.judge.decide_many(asked) if asked else [])
        return [
            _merged(verdicts, next(judged)) if doubt.candidates else verdicts
            for verdicts, doubt in zip(first, doubts, strict=True)
        ]

    def _in_doubt(self, recalled: Recalled, verdicts: Sequence[Verdict]) -> Recalled:
        between = {verdict.edit.id for verdict in verdicts if self.low <= verdict.probability <= self.high}
        return replace(recalled, candidates=tuple(one for one in recalled.candidates if one.edit.id in between))


def _merged(first: Sequence[Verdict], judged: Sequence[Verdict]) -> list[Verdict]:
    better = {verdict.edit.id: verdict for verdict in judged}
    return sorted((better.get(one.edit.id, one) for one in first), key=lambda verdict: -verdict.probability)
