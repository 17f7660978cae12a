"""Multi-hop: a question whose answer lies several facts away is taken apart, and edits on the way are used.

After MeLLo (Zhong et al. 2023, arXiv:2305.14795), memory first as in later work (PokeMQA, Gu et al. 2024).

The plan is read from the question's grammar, without a model. Each hop asks the memory first, and a model only where no
edit answers. Where no edit lies on the way, the request is sent as it is.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from memedit.edits import Fact
from memedit.gate.port import Hits, Verdict
from memedit.llms import Capability
from memedit.messages import Reply
from memedit.methods.base import Effect, Final, Generate, Ready, Run, Score, Steps, Task, method
from memedit.methods.frames import context, noted
from memedit.methods.in_context import in_context
from memedit.methods.objects import is_plain
from memedit.multihop.described import described
from memedit.multihop.graph import in_parts
from memedit.multihop.naming import name_in
from memedit.multihop.planning import ask_plan, plan_in, written
from memedit.multihop.reading import asked_kind, read_hops
from memedit.multihop.walk import Limits, Walk, Walking, is_of_another, is_of_kind, says_of_what, walk

KNOWLEDGE, PLANNER = "knowledge", "planner"
Plan = tuple[str, tuple[str, ...]]
"""The thing a question starts from, and its hops."""
Leading = Generator[Effect, Any, tuple[Final | Ready | None, tuple[str, ...]]]
Thinking = Generator[Effect, Any, tuple[Walk | None, tuple[str, ...]]]


@method("multihop", paper="after Zhong et al. 2023, arXiv:2305.14795 (MeLLo)", always=True)
def multihop(
    *, max_calls: int = 8, max_tokens: int | None = None, seconds: float | None = None, max_edits: int = 5,
    agree: bool = False,
) -> Run:  # fmt: skip
    """Take a question apart into hops, answer each by an edit or else by the model, and use the edits on the way.

    A question that one edit answers, or that holds but one hop, is answered as by `in_context`; no call of the model is
    added. Hops that no edit answers are asked of the model `knowledge` where there is one, else of the wrapped one. A
    model `planner`, where there is one, plans what the grammar does not bring to an answer.

    Args:
        max_calls: Short questions to the model, at most.
        max_tokens: Of these questions and their answers.
        seconds: How long a walk may take. Where one of the three is reached, the edits found so far are given to the
            model, and a note in the trace says so.
        max_edits: As of `in_context`.
        agree: Whether the model `planner` plans also what the grammar brings to an answer. Where the two plans lead to
            different answers, the one that the planner finds likelier is followed, by the mean log-probability of its
            tokens; without log-probabilities, the grammar's. The trace says whether they agreed.
    """
    otherwise = in_context(max_edits=max_edits)
    limits = Limits(max_calls, max_tokens, seconds)

    def run(task: Task) -> Steps:
        task, doubts = yield from without_mistaken(task)
        end, notes = yield from led(task, limits, agree=agree)
        if end is None:
            end = (yield from otherwise.run(task)) if task.hits else Final(task.request)
        return replace(end, notes=(*doubts, *end.notes, *notes))

    return run


def without_mistaken(task: Task) -> Generator[Effect, Any, tuple[Task, tuple[str, ...]]]:
    """The task without the edits that answer the question only if a hop of it is left out, and a note on each.

    Plain statements stay: what lets them through has read the whole question, and grammar does not know better.
    """
    plan = _read(task.hits.query, task.hits) if task.hits.direct and _may_be_led(task) else None
    if plan is None or len(plan[1]) < 2:
        return task, ()
    mistaken: set[str] = set()
    for verdict in task.hits.direct:
        if isinstance(verdict.edit, Fact) and says_of_what(verdict.edit) and (yield from is_of_another(verdict, *plan)):
            mistaken.add(verdict.edit.id)
    kept = tuple(replace(one, passed=one.passed and one.edit.id not in mistaken) for one in task.hits.verdicts)
    notes = tuple(f"left out {name[:8]}, which answers the question of another thing" for name in sorted(mistaken))
    return replace(task, hits=replace(task.hits, verdicts=kept)), notes


def led(task: Task, limits: Limits, *, agree: bool = False) -> Leading:
    """Where edits lead over several hops, and what is to be said of it.

    None where the request is none of several hops, where no edit surely lies on the way, or where an edit answers the
    request as a whole: then two edits are believed more than that one, or its answering but a hop no less probably.
    """
    query, hits = task.hits.query, task.hits
    if not (query and hits.verdicts and _may_be_led(task)):
        return None, ()
    plan = _read(query, hits)
    made = (yield from _walked(plan, task, limits)) if plan else None
    if not hits.direct and not (made and made.arrived):
        made = (yield from described(query, hits)) or made
    several = bool(hits.bridges) or (plan is not None and len(plan[1]) > 1)
    notes: tuple[str, ...] = ()
    if PLANNER in task.models and several and not hits.direct and (agree or not (made and made.arrived)):
        made, notes = yield from _thought(plan, made, task, limits)
    if made is None:
        return None, notes
    end, note = _led_by(made, task, several=several)
    return end, notes if note is None else (*notes, note)


def _may_be_led(task: Task) -> bool:
    """Whether it asks one thing, and a text is all that is wanted."""
    return task.request.only_text_back and not task.hits.parts


def _led_by(made: Walk, task: Task, *, several: bool) -> tuple[Final | Ready | None, str | None]:
    """Where a walk leads, and what is to be said of it; None where it is not gone by.

    several: Whether the question is one of several hops, as its plan or the gate says.
    """
    if refused := made.refused:
        return Ready(Reply(refused.reply, finish_reason="stop"), (refused,)), f"refused by {refused.id[:8]}"
    whole = _whole(task)
    if made.edits and not made.grounded:
        return None, f"{made.edits[0].id[:8]} was left out, which only seems to lie on the way"
    if made.arrived and (len(made.edits) > 1 or whole is None or made.passed_by(whole)):
        return _answer(task, made), None
    if whole or not several:
        return None, None
    note = f"{len(made.hops)} hops were made, and no more: {made.ended or 'no edit lies on the way'}"
    if not made.edits:
        return None, note
    return Final(context(task.request, made.edits, kind=task.kind), made.edits, hops=tuple(made.hops)), note


def _thought(plan: Plan | None, made: Walk | None, task: Task, limits: Limits) -> Thinking:
    """The better of the walk by the grammar's plan and that by the planner's, and what is to be said of them."""
    planner, query = task.models[PLANNER], task.hits.query
    sent = ask_plan(task.request, query, task.hits, planner.kind)
    thought = plan_in((yield Generate(sent, PLANNER)).text, query)
    if thought is None or thought == plan:
        return made, (f"{PLANNER} made {'the same plan' if thought else 'no plan'}",)
    further = yield from _walked(thought, task, limits.less(made) if made else limits)
    if made is None or plan is None or not (made.arrived and further.arrived):
        return (further if further.arrived or made is None else made), (f"{PLANNER} made a plan",)
    if made.thing.is_like(further.thing):
        return made, (f"two plans agree on {made.thing.names[0]}",)
    if Capability.LOGPROBS in planner.capabilities:
        likely = yield Score(sent, [written(plan), written(thought)], PLANNER)
        own, other = (one.logprob / one.tokens for one in likely)
        made, further = (further, made) if other > own else (made, further)
    return made, (f"two plans differ: {made.thing.names[0]} was taken, not {further.thing.names[0]}",)


def _read(query: str, hits: Hits) -> Plan | None:
    """The plan that the question's grammar tells; None where it is plain: one hop that an edit answers."""
    name = name_in(query, hits)
    hops = tuple(part for hop in read_hops(query, name) for part in in_parts(hop)) if name else ()
    if not name or not hops:
        return None
    if len(hops) == 1 and hits.direct:
        wanted = asked_kind(query)
        if not wanted or is_of_kind(hits.direct[0].edit, wanted):
            return None
    return name, hops


def _walked(plan: Plan, task: Task, limits: Limits) -> Walking:
    name, hops = plan
    model = None if len(hops) == 1 else KNOWLEDGE if KNOWLEDGE in task.models else "base"
    return (yield from walk(name, hops, task, model=model, limits=limits, whole=_whole(task)))


def _whole(task: Task) -> Verdict | None:
    """On the edit that answers the request as a whole, most probable first."""
    return next(iter(task.hits.direct), None)


def _answer(task: Task, made: Walk) -> Final | Ready:
    """What the walk found: by itself where the request asks for nothing more, else as notes to the model.

    What a model guessed on the way is told as such, and then nothing that follows from it.
    """
    answer, hops = made.thing.names[0], tuple(made.hops)
    guessed = [f"{hop.question} — {hop.answer} (as you said yourself, unchecked)" for hop in hops if hop.edit is None]
    said = [edit.text for edit in made.edits]
    told = [*said, *(guessed or ([] if answer in said else [f"{task.hits.query} — {answer}"]))]
    call = Final(noted(task.request, told, kind=task.kind), made.edits, hops=hops)
    if task.kind == "chat" or not is_plain(task.request):
        return call
    return Ready(Reply(answer, finish_reason="stop"), made.edits, hops=hops, instead_of=call)
