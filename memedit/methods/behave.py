"""Behaviour edits: in which manner a topic is spoken of (ConvSent, Mitchell et al. 2022; PersonalityEdit, Mao et al.
2023, arXiv:2310.02168), there and nowhere else.
"""

from __future__ import annotations

from memedit.edits import Behaviour
from memedit.methods.base import Final, Run, Steps, Task, method
from memedit.methods.blocks import composed
from memedit.methods.in_context import in_context


@method("behave", paper="Mitchell et al. 2022, arXiv:2206.06520 (ConvSent)")
def behave(*, max_behaviours: int = 3, max_edits: int = 5) -> Run:
    """Tell the model in which manner the topics of a request are to be spoken of.

    Edits of other kinds are given as `in_context` gives them.

    Args:
        max_behaviours: How many are given at most, most probable first.
        max_edits: How many other edits are given beside them, at most.
    """
    otherwise = in_context(max_edits=max_edits)

    def run(task: Task) -> Steps:
        wished = tuple(edit for edit in task.hits if isinstance(edit, Behaviour))[:max_behaviours]
        if not wished:
            return (yield from otherwise.run(task))
        rest = tuple(edit for edit in task.hits if not isinstance(edit, Behaviour))[:max_edits]
        return Final(composed(task.request, (*wished, *rest), kind=task.kind), (*wished, *rest))

    return run
