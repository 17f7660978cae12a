"""In-context editing: the edits in scope are given to the model as reference data (ICE in KnowEdit, Zhang et al. 2024).

Unlike the published baselines the edit is retrieved and gated, never handed over by the evaluation.
"""

from __future__ import annotations

from memedit.methods.base import Final, Run, Steps, Task, method
from memedit.methods.frames import completion, context

SHORT = 600  # characters; a longer request holds more than a question, and is sent whole


@method("in_context", paper="Zhang et al. 2024, arXiv:2401.01286 (ICE)")
def in_context(*, max_edits: int = 5) -> Run:
    """Give the edits in scope to the model as reference data, in the frame that suits its kind.

    A small local model (`base`, `instruct`) is shown the most probable edit in a few-shot completion, where it follows
    best, provided that the edit answers, and the request is short and asks for text. Otherwise a block of notes is
    given, also with the edits that only lie on the way to the answer.

    Args:
        max_edits: How many edits are given at most, most probable first.
    """

    def run(task: Task) -> Steps:
        request = task.request
        short = request.only_text_back and len(request.text) <= SHORT
        answers = tuple(verdict.edit for verdict in task.hits.direct[:1])
        if task.models["base"].kind != "chat" and short and answers and answers[0].kind == "fact":
            return Final(completion(request, answers, task.hits.query), answers)
        edits = task.hits.edits[:max_edits]
        return Final(context(request, edits), edits)
        yield  # a method is a generator, also when one call is all it needs

    return run
