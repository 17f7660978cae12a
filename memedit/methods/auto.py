"""The default method: one request may hit Facts, Feedback and Patches at once, and each kind is shown once."""

from __future__ import annotations

from dataclasses import replace

from memedit.methods.agreement import agreed, within
from memedit.methods.base import Run, Steps, Task, method
from memedit.methods.memprompt import memprompt


@method("auto", paper="memedit")
def auto(*, max_edits: int = 5, budget: int = 512) -> Run:
    """Choose what is shown, and hand it to the method that suits its kind and the model.

    Edits that contradict a newer one, and those that no longer fit, are left out, which the trace says.

    Args:
        max_edits: How many edits are shown at most.
        budget: Tokens that their texts may take together.
    """
    shown = memprompt(max_edits=max_edits)  # which shows as in_context does where no feedback is in scope

    def run(task: Task) -> Steps:
        kept, older = agreed(task.hits.passed)
        kept, over = within(kept, budget, task.models["base"].count_tokens)
        chosen = replace(task, hits=replace(task.hits, verdicts=tuple(kept)))
        end = yield from shown.run(chosen)
        return replace(end, notes=older + over + end.notes)

    return run
