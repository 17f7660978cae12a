"""The patch gate as a gate of its own: it judges patches by what was learned, and has another gate judge the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from memedit.gate import patch_scorer
from memedit.gate.patch_scorer import PatchScorer
from memedit.gate.port import Gate, Verdict
from memedit.memory import Recalled


class PatchGate(Gate):
    """Judges Patches by p(condition applies | text) (Murty et al. 2022, equation 1), and other edits by another gate.

    Args:
        weights: What was learned; what comes with memedit when left out.
        others: Judges the other kinds of edit; the default gate, loaded when it is first needed, when left out.
        threshold: Probability from which a patch is let through; that of the weights when left out.
    """

    name = "patches"

    def __init__(
        self, weights: PatchScorer | None = None, *, others: Gate | None = None, threshold: float | None = None
    ) -> None:
        weights = weights or patch_scorer.shipped()
        self.weights = weights if threshold is None else weights.with_(threshold=threshold)
        self._others = others

    @property
    def threshold(self) -> float:
        """Probability from which a patch is let through."""
        return self.weights.threshold

    @classmethod
    def load(cls, folder: str | Path, *, others: Gate | None = None, threshold: float | None = None) -> Self:
        """The gate that was trained into a folder.

        Raises:
            GateUnusable: The folder holds none that this version can use.
        """
        return cls(patch_scorer.load(folder), others=others, threshold=threshold)

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return self.decide_many([recalled])[0]

    def decide_many(self, recalled: Sequence[Recalled]) -> list[list[Verdict]]:
        rest = [
            replace(one, candidates=tuple(found for found in one.candidates if found.edit.kind != "patch"))
            for one in recalled
        ]
        asked = [one for one in rest if one.candidates]
        judged = iter(self._other().decide_many(asked) if asked else ())
        found = []
        for one, other in zip(recalled, rest, strict=True):
            patches = [candidate for candidate in one.candidates if candidate.edit.kind == "patch"]
            verdicts = [*(next(judged) if other.candidates else ()), *self.weights.judge(one, patches)]
            found.append(sorted(verdicts, key=lambda verdict: -verdict.probability))
        return found

    def _other(self) -> Gate:
        if self._others is None:
            from memedit.gate import as_gate

            self._others = as_gate()
        return self._others
