"""The default gate with a deeper judge, for those who can spare the time: see `memedit.encoder.deep`."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from memedit.encoder.deep import BASE, deep_folder, deep_judge
from memedit.gate import thresholds as chosen
from memedit.gate.judge_gate import JudgeGate


class DeepGate(JudgeGate):
    """As `JudgeGate`, where a wider encoder reads again what the small judge leaves open.

    Args:
        base: That encoder, all-mpnet-base-v2: a folder, or its id on the hub.
        max_false_fires, threshold: As for `JudgeGate`.

    Raises:
        GateUnusable: The base cannot be read, or is another encoder; or the rate is none that the calibration reaches.
        MissingExtra: `torch` or `transformers` is not installed.
    """

    name = "deep"

    def __init__(
        self, base: str | Path = BASE, *, max_false_fires: float | None = None, threshold: float | None = None
    ) -> None:
        super().__init__(
            deep_judge(str(base)), max_false_fires=max_false_fires, threshold=threshold,
            thresholds=chosen.load(deep_folder()),
        )  # fmt: skip

    @classmethod
    def load(cls, folder: str | Path, max_false_fires: float | None = None, threshold: float | None = None) -> Self:
        """With the encoder of a folder or hub id (`deep:FOLDER`)."""
        return cls(folder, max_false_fires=max_false_fires, threshold=threshold)
