"""Entity descriptions (ECBD, Onoe et al. 2022, arXiv:2205.02832): what a thing is, told wherever it is mentioned.

Put in front of the text, a definition helps more than training on it (Onoe et al. 2023, arXiv:2305.01651); a document
is one edit of this kind.
"""

from __future__ import annotations

from memedit.edits import Description
from memedit.methods.base import Final, Run, Steps, Task, method
from memedit.methods.blocks import composed
from memedit.methods.in_context import in_context
from memedit.text import as_data


@method("describe", paper="Onoe et al. 2022, arXiv:2205.02832 (ECBD)")
def describe(*, max_descriptions: int = 3, max_edits: int = 5) -> Run:
    """Give the model what is known of the things a request mentions, as background; never as the answer itself.

    A plain text that is only continued gets the descriptions as paragraphs before it, as published. Edits of other
    kinds are given as `in_context` gives them.

    Args:
        max_descriptions: How many are given at most, most probable first.
        max_edits: How many other edits are given beside them, at most.
    """
    otherwise = in_context(max_edits=max_edits)

    def run(task: Task) -> Steps:
        told = tuple(edit for edit in task.hits if isinstance(edit, Description))[:max_descriptions]
        if not told:
            return (yield from otherwise.run(task))
        rest = tuple(edit for edit in task.hits if not isinstance(edit, Description))[:max_edits]
        if task.request.form == "raw" and not rest:
            paragraphs = [as_data(edit.text) for edit in reversed(told)]
            return Final(task.request.raw("\n\n".join([*paragraphs, task.request.text])), told)
        return Final(composed(task.request, (*told, *rest), kind=task.kind), (*told, *rest))

    return run
