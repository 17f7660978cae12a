"""Context-aware decoding (Shi et al. 2023, arXiv:2305.14739): what the edit adds to the model's view, made stronger."""

from __future__ import annotations

from memedit.embedders import Vectors
from memedit.methods.base import Decode, Final, Ready, Run, Steps, Task, method
from memedit.methods.frames import shown


@method("context_aware", paper="Shi et al. 2023, arXiv:2305.14739", needs="logprobs")
def context_aware(*, alpha: float = 0.5, max_edits: int = 1) -> Run:
    """Choose each token by (1 + α) · log p(with the edit) − α · log p(without).

    Args:
        alpha: How far the view without the edit is turned away from; 0 is the edit in its frame.
        max_edits: Edits shown, most probable first.
    """

    def stronger(logprobs: Vectors) -> Vectors:
        found: Vectors = (1 + alpha) * logprobs[0] - alpha * logprobs[1]
        return found

    def run(task: Task) -> Steps:
        edits, query, kind = task.hits.edits[:max_edits], task.hits.query, task.kind
        call = Final(shown(task.request, edits, query, kind=kind), edits)
        if not task.request.only_text_back:
            return call
        reply = yield Decode([call.request, shown(task.request, (), query, kind=kind)], stronger)
        return Ready(reply, edits, instead_of=call)

    return run
