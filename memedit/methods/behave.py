"""Behaviour edits: in which manner a topic is spoken of (ConvSent, Mitchell et al. 2022; PersonalityEdit, Mao et al.
2023, arXiv:2310.02168), there and nowhere else.
"""

from __future__ import annotations

from dataclasses import replace

from memedit.edits import Behaviour
from memedit.gate.port import Hits
from memedit.llms import Kind
from memedit.methods.base import Final, Ready, Run, Steps, Task, method
from memedit.methods.blocks import composed, under
from memedit.methods.in_context import in_context
from memedit.secrecy import tells
from memedit.text import some


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


def governed(end: Final | Ready, hits: Hits, kind: Kind) -> Final | Ready:
    """The last call under the instructions that govern every answer, whatever the method.

    None is shown that tells what is erased. What an edit answers by itself, and a text that a small model continues,
    cannot be told them: they stay as they are.
    """
    standing = [one for one in hits.standing if not any(tells(one, erasure) for erasure in hits.erasures)]
    if not standing or isinstance(end, Ready) or end.request.form == "raw":
        return end
    request = under(end.request, standing, kind=kind)
    note = f"under {some(len(standing), 'standing instruction')}"
    return replace(end, request=request, citations=(*end.citations, *standing), notes=(*end.notes, note))
