"""In-context editing: the edits in scope are given to the model as reference data (ICE in KnowEdit, Zhang et al. 2024).

Unlike the published baselines the edit is retrieved and gated, never handed over by the evaluation.
"""

from __future__ import annotations

from memedit.edits import Fact
from memedit.llms import Capability
from memedit.messages import Reply
from memedit.methods.base import Final, Ready, Run, Score, Steps, Task, method
from memedit.methods.frames import completion, is_short, noted
from memedit.methods.objects import object_answer, statement_answer, to_be_made

SAID = "the object of the edit answers by itself"
STATED = "what the edit states answers by itself"
LIKELIER = "of what holds and what held before, “{}” is likelier behind the edit"


@method("in_context", paper="Zhang et al. 2024, arXiv:2401.01286 (ICE)")
def in_context(*, max_edits: int = 5, objects: bool = True, weigh: bool = False) -> Run:
    """Give the edits in scope to the model as reference data, in the frame that suits its kind.

    A small local model (`base`, `instruct`) is shown the most probable edit in a few-shot completion, where it follows
    best, provided that the edit answers, and the request is short and asks for text. Otherwise a block of notes is
    given, also with the edits that only lie on the way to the answer.

    Args:
        max_edits: How many edits are given at most, most probable first.
        objects: Whether, with a small local model, the edit answers by itself: its object where a cloze or a short
            question asks for nothing else, else its statement, unless the request is to be continued, or asks for a
            text to be made. No model is called then.
        weigh: Whether that answer is instead whichever the model finds likelier behind the edit, the object or what
            held before (`previous_object`). Needs log-probabilities; where they or it are missing, the object is it.
    """

    def run(task: Task) -> Steps:
        request = task.request
        answers = tuple(verdict.edit for verdict in task.hits.direct[:1])
        fact = bool(answers) and answers[0].kind == "fact"
        shown = task.hits.passed[:max_edits]
        lines = [one.line for one in shown]
        notes = Final(noted(request, lines, kind=task.kind), tuple(one.edit for one in shown))
        if task.kind != "chat" and is_short(request) and fact and (task.kind != "instruct" or not to_be_made(request)):
            one_blank = completion(request, answers, task.hits.query)
            call = notes if task.hits.parts else Final(one_blank, answers)  # several things do not fit into one blank
            said = object_answer(request, task.hits) if objects else None
            if said is None:
                stated = statement_answer(request, task.hits) if objects else None
                if stated is None:
                    return call
                text, told = stated
                return Ready(Reply(text, finish_reason="stop"), told, (STATED,), instead_of=call)
            note = SAID
            before = answers[0].previous_object if isinstance(answers[0], Fact) else None
            if weigh and before and Capability.LOGPROBS in task.models["base"].capabilities:
                new, old = yield Score(call.request, [f" {said}", f" {before}"])
                said = said if new.logprob / new.tokens >= old.logprob / old.tokens else before
                note = LIKELIER.format(said)
            return Ready(Reply(said, finish_reason="stop"), answers, (note,), instead_of=call)
        return notes

    return run
