"""Multi-hop: a question whose answer lies several facts away is taken apart, and edits on the way are used.

After MeLLo (Zhong et al. 2023, arXiv:2305.14795), memory first as in later work (PokeMQA, Gu et al. 2024).

The plan is read from the question's grammar, without a model. Each hop asks the memory first, and a model only where no
edit answers. Where no edit lies on the way, the request is sent as it is.
"""

from __future__ import annotations

from dataclasses import replace

from memedit.edits import Fact
from memedit.messages import Reply
from memedit.methods.base import Final, Ready, Run, Steps, Task, method
from memedit.methods.frames import context
from memedit.methods.in_context import in_context
from memedit.methods.objects import is_plain
from memedit.multihop.naming import name_in
from memedit.multihop.reading import asked_kind, read_hops
from memedit.multihop.walk import Limits, Walk, is_of_kind, walk

KNOWLEDGE = "knowledge"
NO_EDIT = "no edit lies on the way"


@method("multihop", paper="after Zhong et al. 2023, arXiv:2305.14795 (MeLLo)", always=True)
def multihop(*, max_hops: int = 8, max_calls: int = 8, seconds: float | None = None, max_edits: int = 5) -> Run:
    """Take a question apart into hops, answer each by an edit or else by the model, and use the edits on the way.

    A question that one edit answers, or that holds but one hop, is answered as by `in_context`; no call of the model is
    added. Hops that no edit answers are asked of the model `knowledge` where there is one, else of the wrapped one.

    Args:
        max_hops: A question with more is not taken apart.
        max_calls: Short questions to the model, at most.
        seconds: How long a walk may take; it ends with what it has.
        max_edits: As of `in_context`.
    """
    otherwise = in_context(max_edits=max_edits)
    limits = Limits(calls=max_calls, hops=max_hops, seconds=seconds)

    def run(task: Task) -> Steps:
        query, hits = task.hits.query, task.hits
        name = name_in(query, hits) if query and task.request.only_text_back else None
        hops = read_hops(query, name) if name else ()
        wanted = asked_kind(query) if hits.direct else None
        plain = len(hops) == 1 and bool(hits.direct) and not (wanted and not is_of_kind(hits.direct[0].edit, wanted))
        if name and 0 < len(hops) <= max_hops and not plain:
            model = (KNOWLEDGE if KNOWLEDGE in task.models else "base") if len(hops) > 1 else None
            kind = task.models[model or "base"].kind
            made = yield from walk(name, hops, task.request, kind, model=model, limits=limits)
            if made.edits and made.ended is None:
                return _answer(task, made)
            if len(hops) > 1:
                end = (yield from otherwise.run(task)) if hits else Final(task.request)
                return replace(end, notes=(*end.notes, f"{len(hops)} hops led nowhere: {made.ended or NO_EDIT}"))
        if not hits:
            return Final(task.request)
        return (yield from otherwise.run(task))

    return run


def _answer(task: Task, made: Walk) -> Final | Ready:
    """What the walk found: by itself where the request asks for nothing more, else as a note to the model."""
    answer, hops = made.thing.names[0], tuple(made.hops)
    told = (*made.edits, Fact(f"{task.hits.query} — {answer}"))
    call = Final(context(task.request, told), made.edits, hops=hops)
    if task.models["base"].kind == "chat" or not is_plain(task.request):
        return call
    return Ready(Reply(answer, finish_reason="stop"), made.edits, hops=hops, instead_of=call)
