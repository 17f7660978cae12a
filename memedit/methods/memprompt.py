"""MemPrompt (Madaan et al. 2022, arXiv:2201.06009): what a user once said of a misunderstood request goes with the next
one like it, and the answer says what it took to be meant, so that the user can object (`EditableLLM.feedback`).

Unlike the publication, a request in whose scope no feedback lies is sent as it is, and states no understanding.
"""

from __future__ import annotations

from typing import Literal, get_args

from memedit.edits import Feedback
from memedit.methods.base import Final, Run, Steps, Task, method
from memedit.methods.clarifying import appended, completion, noted, understanding
from memedit.methods.frames import SHORT, context
from memedit.methods.in_context import in_context

Frame = Literal["auto", "completion", "notes", "appended"]


@method("memprompt", paper="Madaan et al. 2022, arXiv:2201.06009")
def memprompt(*, max_clarifications: int | None = 1, max_edits: int = 5, frame: Frame = "auto") -> Run:
    """Add what a user said of a misunderstood request to the next one like it; the answer states its understanding.

    Where no feedback is in scope, but other edits are, they are shown as `in_context` shows them. With tools, a
    response format or images in the request, the clarification is added and no understanding asked for.

    Args:
        max_clarifications: How many are shown, most probable first; the publication's one. None for all.
        max_edits: How many other edits are shown beside them, at most.
        frame: `completion` (few-shot, for a small model), `notes` (for one that follows instructions), `appended`
            (behind the request, for a model with a prompt of its own that shows what clarifications are), or `auto`:
            the first for a short request to a small local model, else the second. Where other edits are shown as well,
            `notes` stands for the first.

    Raises:
        ValueError: There is no such frame, or `max_clarifications` is below 1.
    """
    if frame not in get_args(Frame):
        raise ValueError(f"frame is one of {', '.join(get_args(Frame))}, not {frame!r}")
    if max_clarifications is not None and max_clarifications < 1:
        raise ValueError(f"max_clarifications is at least 1, or None for all, not {max_clarifications}")
    otherwise = in_context(max_edits=max_edits)

    def run(task: Task) -> Steps:
        request = task.request
        said = tuple(edit for edit in task.hits if isinstance(edit, Feedback))[:max_clarifications]
        if not said:
            return (yield from otherwise.run(task))
        rest = tuple(edit for edit in task.hits if not isinstance(edit, Feedback))[:max_edits]
        small = task.kind != "chat" and len(request.text) <= SHORT
        chosen = frame
        if not request.only_text_back or (rest and frame != "appended"):
            chosen = "notes"
        elif frame == "auto":
            chosen = "completion" if small else "notes"
        if chosen == "completion":
            return Final(completion(request, said, task.hits.query), said, understanding=understanding)
        shown = context(request, rest, kind=task.kind) if rest else request
        if chosen == "appended":
            return Final(appended(shown, said), (*said, *rest), understanding=understanding)
        stated = understanding if request.only_text_back else None
        return Final(noted(shown, said, kind=task.kind, state=stated is not None), (*said, *rest), understanding=stated)

    return run
