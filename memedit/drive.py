"""Carrying out a method's effects: one after another, asynchronously, streamed at the end, or many in lockstep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memedit.edits import Demonstration
from memedit.errors import RequestRejected
from memedit.gate.port import Hits
from memedit.llms import LLM, Capability, join
from memedit.messages import Answer, Reply
from memedit.methods.base import Decode, Effect, Final, Generate, Ready, Recall, Score, Steps, Support
from memedit.trace import Call, CallKind, Trace


@dataclass(frozen=True)
class Job:
    """One request under way: its steps and what has happened so far."""

    steps: Steps
    trace: Trace


@dataclass(frozen=True)
class Driver:
    """Carries out effects.

    Args:
        models: The models that effects may name.
        recall: Looks queries of a namespace up, and asks the gate.
        support: Looks up the Demonstrations of a namespace nearest to a text.
    """

    models: Mapping[str, LLM]
    recall: Callable[[str, Sequence[Recall]], list[Hits]]
    support: Callable[[str, str, int], list[Demonstration]]

    def run(self, jobs: Sequence[Job]) -> list[Answer]:
        """The answers, the jobs' effects carried out in lockstep so that they form batches."""
        ends = self.lockstep(jobs)
        try:
            batch = next(ends)
            while True:
                batch = ends.send(self.perform(batch))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    async def arun(self, jobs: Sequence[Job]) -> list[Answer]:
        """As `run`, off the event loop."""
        ends = self.lockstep(jobs)
        try:
            batch = next(ends)
            while True:
                batch = ends.send(await self.aperform(batch))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    def stream(self, job: Job) -> Iterator[Final | Ready | Reply | Answer]:
        """What the method came to, the pieces of the last reply, then the Answer."""
        end = self._until_end(job)
        yield end
        if isinstance(end, Ready):
            yield from (end.reply, _answer(job, end, end.reply))
            return
        began, pieces = time.perf_counter(), []
        for piece in self.models[end.model].stream(end.request):
            pieces.append(piece)
            yield piece
        yield _streamed(job, end, pieces, time.perf_counter() - began)

    async def astream(self, job: Job) -> AsyncIterator[Final | Ready | Reply | Answer]:
        """As `stream`, off the event loop."""
        end = await self._auntil_end(job)
        yield end
        if isinstance(end, Ready):
            yield end.reply
            yield _answer(job, end, end.reply)
            return
        began, pieces = time.perf_counter(), []
        async for piece in self.models[end.model].astream(end.request):
            pieces.append(piece)
            yield piece
        yield _streamed(job, end, pieces, time.perf_counter() - began)

    def first_call(self, job: Job) -> Final | Ready | Effect:
        """Carry out look-ups only: the first model call the job would make."""
        effect = _advance(job, None)
        while isinstance(effect, (Recall, Support)):
            effect = _advance(job, self.perform([(job, effect)])[0])
        if isinstance(effect, (Final, Ready)):
            _end(job, effect)
        return effect

    def _until_end(self, job: Job) -> Final | Ready:
        effect = _advance(job, None)
        while not isinstance(effect, (Final, Ready)):
            effect = _advance(job, self.perform([(job, effect)])[0])
        return effect

    async def _auntil_end(self, job: Job) -> Final | Ready:
        effect = _advance(job, None)
        while not isinstance(effect, (Final, Ready)):
            effect = _advance(job, (await self.aperform([(job, effect)]))[0])
        return effect

    # ---- lockstep -------------------------------------------------------------------------------------------------

    def lockstep(self, jobs: Sequence[Job]) -> Any:
        """Yield batches of (job, effect), receive their results, return the answers in the order of the jobs."""
        answers: dict[int, Answer] = {}
        pending: dict[int, Effect | Final] = {}
        results: dict[int, Any] = dict.fromkeys(range(len(jobs)))
        while results:
            for place, result in results.items():
                waiting = pending.get(place)
                if isinstance(waiting, Final):
                    answers[place] = _answer(jobs[place], waiting, result)
                    del pending[place]
                    continue
                step = _advance(jobs[place], result)
                if isinstance(step, Ready):
                    answers[place] = _answer(jobs[place], step, step.reply)
                    pending.pop(place, None)
                else:
                    pending[place] = step
            # Finals wait until every job has come to its own, so that they form one batch.
            due: dict[int, Effect | Final] = {
                place: step for place, step in pending.items() if not isinstance(step, Final)
            }
            due = due or dict(pending)
            if not due:
                break
            outcome = yield [(jobs[place], step) for place, step in due.items()]
            results = dict(zip(due, outcome, strict=True))
        return [answers[place] for place in range(len(jobs))]

    # ---- effects --------------------------------------------------------------------------------------------------

    def perform(self, batch: Sequence[tuple[Job, Effect | Final]]) -> list[Any]:
        """The results of a batch of effects, those of one kind and model together."""
        results: list[Any] = [None] * len(batch)
        for (kind, target), places in _groups(batch).items():
            effects = [batch[place][1] for place in places]
            began = time.perf_counter()
            if kind is Recall:
                outcome: list[Any] = self.recall(target, effects)  # type: ignore[arg-type]
            elif kind is Support:
                outcome = [self.support(target, effect.query, effect.k) for effect in effects]  # type: ignore[union-attr]
            else:
                outcome = self._ask(self.models[target], effects)
            self._settle(batch, places, outcome, results, time.perf_counter() - began)
        return results

    async def aperform(self, batch: Sequence[tuple[Job, Effect | Final]]) -> list[Any]:
        """As `perform`, off the event loop."""
        results: list[Any] = [None] * len(batch)
        for (kind, target), places in _groups(batch).items():
            effects = [batch[place][1] for place in places]
            began = time.perf_counter()
            if kind is Recall:
                outcome: list[Any] = await asyncio.to_thread(self.recall, target, effects)  # type: ignore[arg-type]
            elif kind is Support:
                outcome = [
                    await asyncio.to_thread(self.support, target, effect.query, effect.k)  # type: ignore[union-attr]
                    for effect in effects
                ]
            elif kind in (Generate, Final):
                requests = [effect.request for effect in effects]  # type: ignore[union-attr]
                outcome = await self.models[target].agenerate(requests)
            else:
                outcome = await asyncio.to_thread(self._ask, self.models[target], effects)
            self._settle(batch, places, outcome, results, time.perf_counter() - began)
        return results

    def _ask(self, model: LLM, effects: Sequence[Any]) -> list[Any]:
        if isinstance(effects[0], (Score, Decode)):
            model.require(Capability.LOGPROBS, by=type(effects[0]).__name__)
        if isinstance(effects[0], Score):
            return model.score([effect.request for effect in effects], [effect.continuations for effect in effects])
        if isinstance(effects[0], Decode):
            return [self._decoded(model, effect) for effect in effects]
        return model.generate([effect.request for effect in effects])

    def _decoded(self, model: LLM, effect: Decode) -> Reply:
        if not effect.others:
            return model.decode(effect.requests, effect.mixer)
        return model.decode_with([self.models[name] for name in effect.others], effect.requests, effect.mixer)

    @staticmethod
    def _settle(
        batch: Sequence[tuple[Job, Any]], places: Sequence[int], outcome: Sequence[Any], results: list[Any],
        seconds: float,
    ) -> None:  # fmt: skip
        for place, result in zip(places, outcome, strict=True):
            job, effect = batch[place]
            results[place] = result
            if isinstance(effect, Recall):
                job.trace.lookups.append(result)
                job.trace.lookup_seconds += seconds / len(places)
            elif isinstance(effect, Support):
                job.trace.lookup_seconds += seconds / len(places)
            else:
                request = effect.requests[0] if isinstance(effect, Decode) else effect.request
                kind: CallKind = type(effect).__name__.lower()  # type: ignore[assignment]
                usage = result.usage if isinstance(result, Reply) else {}
                job.trace.calls.append(Call(kind, effect.model, request, seconds, len(places), usage))


def _groups(batch: Sequence[tuple[Job, Effect | Final]]) -> dict[tuple[type, str], list[int]]:
    """Places in the batch by kind of effect and target: a model, or for look-ups the namespace."""
    groups: dict[tuple[type, str], list[int]] = {}
    for place, (job, effect) in enumerate(batch):
        target = job.trace.namespace if isinstance(effect, (Recall, Support)) else effect.model
        groups.setdefault((type(effect), target), []).append(place)
    return groups


def _advance(job: Job, result: Any) -> Effect | Final | Ready:
    try:
        return job.steps.send(result)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


def _streamed(job: Job, end: Final, pieces: Sequence[Reply], seconds: float) -> Answer:
    reply = join(pieces or [Reply("")])
    job.trace.calls.append(Call("final", end.model, end.request, seconds, usage=reply.usage))
    return _answer(job, end, reply)


def _end(job: Job, end: Final | Ready) -> None:
    job.trace.untouched = end.untouched if isinstance(end, Ready) else end.request.untouched
    job.trace.notes += end.notes
    job.trace.hops += end.hops
    job.trace.in_doubt += end.in_doubt if isinstance(end, Final) else ()


def _answer(job: Job, end: Final | Ready, reply: Reply) -> Answer:
    _end(job, end)
    said = end.understanding
    understanding = said(reply.text) if callable(said) else said
    return Answer(reply.text, reply, job.trace, end.citations, job.trace.revision, understanding)


class AnswerStream:
    """The text of an answer in pieces, for `for` or `async for`.

    Attributes:
        trace: What happened so far.
        end: What the method came to, with the edits it used; known before the first piece.
        answer: The whole Answer, once the stream has ended.
    """

    def __init__(self, driver: Driver, job: Job) -> None:
        self._driver = driver
        self._job = job
        self._begun = False
        self.trace = job.trace
        self.end: Final | Ready | None = None
        self.answer: Answer | None = None

    def replies(self) -> Iterator[Reply]:
        """The pieces as the model gave them, with its own objects at `raw` (tool calls, log-probabilities, …)."""
        self._begin()
        for piece in self._driver.stream(self._job):
            if isinstance(piece, Reply):
                yield piece
            else:
                self._note(piece)

    async def areplies(self) -> AsyncIterator[Reply]:
        """As `replies`, for `async for`."""
        self._begin()
        async for piece in self._driver.astream(self._job):
            if isinstance(piece, Reply):
                yield piece
            else:
                self._note(piece)

    def _note(self, found: Final | Ready | Answer) -> None:
        if isinstance(found, Answer):
            self.answer = found
        else:
            self.end = found

    def _begin(self) -> None:
        if self._begun:
            raise RequestRejected("This stream was read already.", do="see its `answer`, or ask again")
        self._begun = True

    def __iter__(self) -> Iterator[str]:
        return (piece.text for piece in self.replies() if piece.text)

    async def __aiter__(self) -> AsyncIterator[str]:
        async for piece in self.areplies():
            if piece.text:
                yield piece.text
