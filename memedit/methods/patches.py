"""Language patches (Murty et al. 2022, arXiv:2211.03318): where a condition holds of the text, its consequence counts.

A condition is a property of the text, so the whole text is looked up, not only what it asks, and every patch of the
namespace is judged. In free generation the gate is hard: what follows from the patches in scope is given to the model
as reference data. `EditableLLM.classify` mixes probabilities instead, where the model gives them.
"""

from __future__ import annotations

from pathlib import Path

from memedit.errors import UnknownMethod
from memedit.gate import patch_scorer
from memedit.methods.base import Final, Method, Run, Steps, Task, method
from memedit.methods.blocks import composed
from memedit.methods.classification import Reading, applicable
from memedit.methods.in_context import in_context

COMBINE = ("most", "all")


@method("patches", paper="Murty et al. 2022, arXiv:2211.03318", whole_text=True)
def patches(*, combine: str = "most", max_patches: int = 4, trained: str | Path | None = None) -> Run:
    """Apply patches (if the condition holds of the text, then the consequence) to what the model answers or classifies.

    Edits of other kinds are given to the model as `in_context` gives them.

    Args:
        combine: `most` takes the most applicable patch alone (the paper's rule), `all` each in the share of its
            probability.
        max_patches: How many are used at most with `all`, most applicable first.
        trained: A folder of `memedit patches train`, for its interpreter; what comes with memedit when left out. Its
            gate is chosen by `EditableLLM(gate=FOLDER)`.
    """
    reading(combine=combine, max_patches=max_patches, trained=trained)  # refuses what makes no sense
    alone = in_context()

    def run(task: Task) -> Steps:
        used, others = applicable(task.hits, 1 if combine == "most" else max_patches)
        if not used:
            return (yield from alone.run(task))
        notes = tuple(f"patch {one.edit.id[:8]} applies with {one.probability:.2f}" for one in used)
        shown = (*(one.edit for one in used), *others)
        return Final(composed(task.request, shown, kind=task.kind), shown, notes=notes)

    return run


def reading(*, combine: str = "most", max_patches: int = 4, trained: str | Path | None = None) -> Reading:
    """How patches are read in a classification; the arguments are those of the method.

    Raises:
        UnknownMethod: They make no sense.
        GateUnusable: The folder holds no trained interpreter.
    """
    if combine not in COMBINE or max_patches < 1:
        raise UnknownMethod(
            f"Method `patches` has no combine={combine!r} with max_patches={max_patches!r}.",
            do=f"combine is one of {', '.join(COMBINE)}, and max_patches at least 1",
        )
    scorer = patch_scorer.shipped() if trained is None else patch_scorer.load(trained)
    return Reading(tuple(scorer.interpreter.tolist()), combine, max_patches)


def reading_of(chosen: Method) -> Reading:
    """How a method reads patches: as configured where it is `patches`, else by default."""
    return reading(**(chosen.config if chosen.name == "patches" else {}))
