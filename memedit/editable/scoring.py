"""How likely a model finds answers: the last call of a method's steps, scored instead of answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from memedit.answers import Scored
from memedit.editable.drive import Driver, Job
from memedit.llms import LLM, Likelihood
from memedit.messages import Reply
from memedit.methods.base import Final, Ready, Score, Steps


def score(driver: Driver, jobs: Sequence[Job], continuations: Sequence[Sequence[str]]) -> list[Scored]:
    """The scores of each job's continuations; see `EditableLLM.score`."""
    found: list[list[Likelihood]] = [[] for _ in jobs]
    answers = driver.run(
        [
            replace(job, steps=_scored(job.steps, texts, row, driver.models))
            for job, texts, row in zip(jobs, continuations, found, strict=True)
        ]
    )
    for answer in answers:
        answer.trace.untouched = bool(answer.trace.calls) and answer.trace.calls[-1].request.untouched
    return [
        Scored(tuple(row) or None, answer.trace, answer.citations) for row, answer in zip(found, answers, strict=True)
    ]


def _scored(steps: Steps, texts: Sequence[str], found: list[Likelihood], models: Mapping[str, LLM]) -> Steps:
    """The same steps with the last call scored; what it gives for each text is put into `found`."""
    end = yield from steps
    call = end if isinstance(end, Final) else end.instead_of
    if call is not None:
        plain = call.request.form == "raw" or models[call.model].kind == "base"
        behind = [_behind(text, plain=plain, as_given=call.request.untouched) for text in texts]
        found += yield Score(call.request, behind, call.model)
    return Ready(Reply(""), end.citations)


def _behind(text: str, *, plain: bool, as_given: bool) -> str:
    """A continuation as it stands behind a request: after a blank in plain text, without one in a chat's answer."""
    if not plain:
        return text.lstrip()
    return text if as_given else f" {text.lstrip()}"
