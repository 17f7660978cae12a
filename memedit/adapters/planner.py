"""A small model trained to take questions apart, for the method `multihop`.

`memedit multihop train` calls `train`; `EditableLLM(…, models={"planner": "planner:FOLDER"})` uses what it made.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from memedit.adapters import tuning
from memedit.adapters.causal import LocalLLM
from memedit.messages import as_request
from memedit.multihop.lessons import Lesson
from memedit.multihop.planning import trained_form, written


def train(llm: LocalLLM, lessons: Iterable[Lesson], **how: Any) -> dict[str, Any]:
    """Train a planner. See `tuning.train`."""
    samples = [
        tuning.Sample(trained_form(as_request(""), one.question), written((one.name, one.steps)), one.group)
        for one in lessons
    ]
    return tuning.train(llm, samples, "planner", **how)


def load(source: str, **options: Any) -> LocalLLM:
    """`planner:FOLDER`: what `memedit multihop train` made. See `tuning.load`."""
    return tuning.load(source, "planner", made_by="memedit multihop train", **options)
