"""Keeping what Erasures erase, under every method: what is asked for is refused without asking the model, edits that
tell it are not shown, and what else is answered about its subject is checked, and decoded again with it blocked.

A guardrail around the model (Thaker et al. 2024, arXiv:2403.03329), not unlearning: it holds at once, for any model,
and can be undone; the weights still know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from memedit.edits import Erasure, Fact
from memedit.embedders import Vectors
from memedit.gate.port import Verdict
from memedit.llms import Capability, Mixer
from memedit.messages import Reply
from memedit.methods.base import Decode, Final, Generate, Ready, Run, Steps, Task
from memedit.secrecy import BEGUN, kept_asked, kept_unasked, reveals, tells
from memedit.text import FUNCTION_WORDS, words

LAST = 400  # characters of what was decoded that are read again for each token


def watched(answer: Run) -> Run:
    """A way to an answer under all Erasures in force.

    Where one is asked for, directly or through a Fact that holds it, it is refused and no model is called. Elsewhere
    it is answered without the edits that tell what is erased. If the reply tells it, it is decoded again with that
    blocked, where the model gives log-probabilities; if it still does, it is replaced by the refusal.

    An Erasure that is in scope is kept in any words. Of one that is not, what cannot be mistaken is kept (a code, a
    number of some length), and anything else where its subject is spoken of.
    """

    def under(task: Task) -> Steps:
        erased = [one for one in task.hits.passed if isinstance(one.edit, Erasure)]
        in_scope = tuple(one.edit for one in erased if isinstance(one.edit, Erasure))
        erasures = (*in_scope, *(one for one in task.hits.erasures if one not in in_scope))
        if not erasures:
            return (yield from answer(task))
        others = [one for one in task.hits.passed if not isinstance(one.edit, Erasure)]
        kept, asked = [], [one for one in erased if one.role == "direct"]
        for one in others:
            by = next((kept for kept in erasures if tells(one.edit, kept, in_scope=kept in in_scope)), None)
            if by is None:
                kept.append(one)
            elif one.role == "direct" and isinstance(one.edit, Fact):
                asked.append(Verdict(by, one.probability, True))
        notes = (
            (f"left out {len(others) - len(kept)} edits that tell what is erased",) if len(kept) < len(others) else ()
        )
        if asked:
            first = max(asked, key=lambda one: one.probability).edit
            assert isinstance(first, Erasure)
            return Ready(Reply(first.reply, finish_reason="stop"), (first,), (*notes, f"refused by {first.id[:8]}"))
        rest = replace(task, hits=replace(task.hits, verdicts=tuple(kept)))
        end = yield from answer(rest)
        return (yield from _checked(task, end, in_scope, erasures, notes))

    return under


def blocking(secrets: Sequence[str], spell: Callable[[Sequence[int]], str]) -> Mixer:
    """Decoding in which no token is chosen that says a secret, or begins the last word of one.

    Args:
        secrets: What is not to be said.
        spell: Gives the text of tokens.
    """
    written: list[int] = []

    def choose(logprobs: Vectors) -> Vectors:
        scores: Vectors = logprobs[0].copy()
        token = int(np.argmax(scores))
        while np.isfinite(scores[token]) and _begins(spell([*written, token]), secrets):
            scores[token] = -np.inf
            token = int(np.argmax(scores))
        written.append(token)
        return scores

    return choose


def _checked(
    task: Task, end: Final | Ready, in_scope: Sequence[Erasure], erasures: Sequence[Erasure], notes: tuple[str, ...]
) -> Steps:
    """The answer if it reveals nothing; else one that does not."""
    asked = "\n".join(text for _, text in task.request.turns)

    def kept(one: Erasure, reply: Reply) -> tuple[str, ...]:
        return kept_asked(one) if one in in_scope else kept_unasked(one, "\n".join((asked, *_parts(reply))))

    def told(reply: Reply) -> Erasure | None:
        return next((one for one in erasures if _revealed(reply, kept(one, reply))), None)

    notes += end.notes
    given: Reply | None = None
    if isinstance(end, Ready):
        reply = end.reply
    else:
        model = task.models[end.model]
        reply = given = yield Generate(end.request, end.model)
        if told(reply) and Capability.LOGPROBS in model.capabilities and end.request.only_text_back:
            secrets = [secret for one in erasures for secret in kept(one, reply)]
            reply = yield Decode([end.request], blocking(secrets, model.spell), end.model)
            notes += ("decoded again with what is erased blocked",)
    by = told(reply)
    if by is not None:
        reply = Reply(by.reply, finish_reason="stop")
        notes += (f"the reply told what is erased, and was replaced by {by.id[:8]}",)
    understood = end.understanding
    untouched = isinstance(end, Final) and end.request.untouched and reply is given
    if callable(understood):
        understood = understood(reply.text)
    if by is None:  # an Erasure that changed nothing is no edit of the answer
        cited = end.citations if reply is given or isinstance(end, Ready) else (*in_scope, *end.citations)
    else:  # nothing else is left of the answer
        cited, understood = tuple(dict.fromkeys((*in_scope, by))), None
    return Ready(
        reply, cited, notes, understanding=understood,
        instead_of=end if isinstance(end, Final) and reply is given else None, untouched=untouched,
    )  # fmt: skip


def _revealed(reply: Reply, secrets: Sequence[str]) -> bool:
    """Whether any part of a reply reveals a secret, also a tool call, or another of several answers."""
    return any(reveals(text, secrets) for text in _parts(reply))


def _parts(reply: Reply) -> tuple[str, str, str]:
    return reply.text, str(reply.tool_calls), str(reply.raw)


def _begins(text: str, secrets: Sequence[str]) -> bool:
    """Whether a text says a secret, or ends in one as far as the first letters of its last word."""
    text = text[-max([LAST, *(4 * len(one) for one in secrets)]) :]
    if reveals(text, secrets):
        return True
    ends = words(text)
    for secret in map(words, secrets):
        tail = ends[-len(secret) :] if secret else ()
        if len(tail) == len(secret) and tail and tail[:-1] == secret[:-1] and secret[-1].startswith(tail[-1]):
            return len(tail[-1]) >= BEGUN and tail[-1] not in FUNCTION_WORDS
    return False
