"""The default method: one request may hit edits of several kinds at once, and each kind is shown once, as suits it.

A question that Facts answer over several hops is led along them. Of edits that contradict one another the newest holds,
then the most specific. What is left, most probable first, within a budget, goes to the method of its kind, or, where it
is of several, into one block a kind.
"""

from __future__ import annotations

from dataclasses import replace

from memedit.edits import Feedback
from memedit.gate.port import Verdict
from memedit.methods.agreement import agreed, within
from memedit.methods.base import Final, Run, Steps, Task, method
from memedit.methods.behave import behave
from memedit.methods.blocks import composed
from memedit.methods.clarifying import understanding
from memedit.methods.describe import describe
from memedit.methods.memprompt import memprompt
from memedit.methods.multihop import led, without_mistaken
from memedit.methods.patches import patches
from memedit.multihop.walk import Limits


def _facts_first(kept: list[Verdict]) -> tuple[list[Verdict], tuple[str, ...]]:
    """What is shown to a model that only continues or follows: several blocks at once are too much for it, so where a
    Fact is in scope, what goes with it in a block of its own is left out; and a note on that.
    """
    told = [one for one in kept if one.edit.kind in ("fact", "feedback")]
    if len(told) == len(kept) or not any(one.edit.kind == "fact" for one in told):
        return kept, ()
    rest = ", ".join(one.edit.id[:8] for one in kept if one not in told)
    return told, (f"left out beside a Fact, for a small model: {rest}",)


@method("auto", paper="memedit", always=True)
def auto(*, max_edits: int = 5, budget: int = 512) -> Run:
    """Choose what is shown, and hand it to the method that suits its kind and the model.

    Edits that contradict a newer one, and those that no longer fit, are left out, which the trace says. Where only
    Facts are in scope, or nothing is, a question of several hops goes as by `multihop`.

    Args:
        max_edits: How many edits are shown at most.
        budget: Tokens that their texts may take together.
    """
    plain = memprompt(max_edits=max_edits)  # shows facts as in_context does where no feedback is in scope
    alone = {
        "patch": patches(combine="all", max_patches=max_edits),
        "description": describe(max_descriptions=max_edits),
        "behaviour": behave(max_behaviours=max_edits),
    }

    def run(task: Task) -> Steps:
        led_notes: tuple[str, ...] = ()
        if all(one.edit.kind == "fact" for one in task.hits.passed):
            task, doubts = yield from without_mistaken(task)
            end, led_notes = yield from led(task, Limits())
            led_notes = doubts + led_notes
            if end is not None:
                return replace(end, notes=doubts + end.notes)
        if not task.hits:
            return Final(task.request, notes=led_notes)
        kept, older = agreed(task.hits.passed)
        kept, over = within(kept, budget, task.models["base"].count_tokens)
        kept, beside = (kept, ()) if task.kind == "chat" else _facts_first(kept)
        chosen = replace(task, hits=replace(task.hits, verdicts=tuple(kept)))
        kinds = {one.edit.kind for one in kept}
        if not kinds & alone.keys():
            end = yield from plain.run(chosen)
        elif len(kinds) == 1:
            end = yield from alone[kinds.pop()].run(chosen)
        else:
            end = _together(chosen)
        return replace(end, notes=led_notes + older + over + beside + end.notes)

    def _together(task: Task) -> Final:
        said = tuple(edit for edit in task.hits if isinstance(edit, Feedback))[:1]
        rest = tuple(edit for edit in task.hits if not isinstance(edit, Feedback))[:max_edits]
        stated = understanding if said and task.request.only_text_back else None
        request = composed(task.request, (*said, *rest), kind=task.kind, state=stated is not None)
        return Final(request, (*said, *rest), understanding=stated)

    return run
