"""Carrying out a method's effects: one after another, asynchronously, streamed at the end, or many in lockstep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memedit.answers import Answer
from memedit.edits import Demonstration
from memedit.gate.port import Hits
from memedit.llms import LLM, Capability, join
from memedit.messages import Reply
from memedit.methods.base import Decode, Effect, Final, Generate, Ready, Recall, Score, Steps, Support
from memedit.plumbing.threads import aclosed_after, closed_after
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

    def run(self, jobs: Sequence[Job | Exception], *, keep: bool = False) -> list[Answer]:
        """The answers, the jobs' effects carried out in lockstep so that they form batches.

        keep: Whether what a job raises, or what stands in the place of a job that could not be made, takes the place
            of its answer.
        """
        ends = self.lockstep(jobs, keep=keep)
        batch, answers = _sent(ends, None)
        while batch is not None:
            batch, answers = _sent(ends, self._each(batch) if keep else self.perform(batch))
        return answers

    async def arun(self, jobs: Sequence[Job | Exception], *, keep: bool = False) -> list[Answer]:
        """As `run`, off the event loop: so is what methods compute between their effects."""
        ends = self.lockstep(jobs, keep=keep)
        batch, answers = await asyncio.to_thread(self._looked_up, ends, None, keep)
        while batch is not None:
            results = await (self._aeach(batch) if keep else self.aperform(batch))
            batch, answers = await asyncio.to_thread(self._looked_up, ends, results, keep)
        return answers

    def stream(self, job: Job) -> Iterator[Final | Ready | Reply | Answer]:
        """What the method came to, the pieces of the last reply, then the Answer."""
        end = self._until_end(job)
        yield end
        if isinstance(end, Ready):
            yield from (end.reply, _answer(job, end, end.reply))
            return
        began, pieces = time.perf_counter(), []
        with closed_after(self.models[end.model].stream(end.request)) as given:
            for piece in given:
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
        async with aclosed_after(self.models[end.model].astream(end.request)) as given:
            async for piece in given:
                pieces.append(piece)
                yield piece
        yield _streamed(job, end, pieces, time.perf_counter() - began)

    def first_call(self, job: Job) -> Final | Ready | Effect:
        """Carry out look-ups only: the first model call the job would make."""
        effect = self._until_asked(job, None)
        if isinstance(effect, (Final, Ready)):
            _end(job, effect)
        return effect

    def _until_asked(self, job: Job, result: Any) -> Final | Ready | Effect:
        """The next effect that asks a model; the look-ups before it are carried out.

        Together, so that an async caller pays for one change of threads and not for one a step.
        """
        effect = _advance(job, result)
        while isinstance(effect, (Recall, Support)):
            effect = _advance(job, self.perform([(job, effect)])[0])
        return effect

    def _looked_up(
        self, ends: Any, results: list[Any] | None, keep: bool
    ) -> tuple[list[tuple[Job, Effect | Final]] | None, list[Answer]]:
        """As `_until_asked`, of `lockstep`: the next batch with anything in it that asks a model."""
        batch, answers = _sent(ends, results)
        while batch is not None and all(isinstance(effect, (Recall, Support)) for _, effect in batch):
            batch, answers = _sent(ends, self._each(batch) if keep else self.perform(batch))
        return batch, answers

    def _until_end(self, job: Job) -> Final | Ready:
        effect = _advance(job, None)
        while not isinstance(effect, (Final, Ready)):
            effect = _advance(job, self.perform([(job, effect)])[0])
        return effect

    async def _auntil_end(self, job: Job) -> Final | Ready:
        effect = await asyncio.to_thread(self._until_asked, job, None)
        while not isinstance(effect, (Final, Ready)):
            results = await self.aperform([(job, effect)])
            effect = await asyncio.to_thread(self._until_asked, job, results[0])
        return effect

    # ---- lockstep -------------------------------------------------------------------------------------------------

    def lockstep(self, jobs: Sequence[Job | Exception], *, keep: bool = False) -> Any:
        """Yield batches of (job, effect), receive their results, return the answers in the order of the jobs.

        keep: As for `run`; a result may be an exception then.
        """
        answers: dict[int, Any] = {}
        pending: dict[int, Effect | Final] = {}
        results: dict[int, Any] = {place: job if isinstance(job, Exception) else None for place, job in enumerate(jobs)}
        while results:
            for place, result in results.items():
                job, waiting = jobs[place], pending.pop(place, None)
                if isinstance(job, Exception) or isinstance(result, Exception):
                    answers[place] = result
                    continue
                if isinstance(waiting, Final):
                    answers[place] = _answer(job, waiting, result)
                    continue
                try:
                    step = _advance(job, result)
                except Exception as error:
                    if not keep:
                        raise
                    answers[place] = error
                    continue
                if isinstance(step, Ready):
                    answers[place] = _answer(job, step, step.reply)
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

    def _each(self, batch: Sequence[tuple[Job, Effect | Final]]) -> list[Any]:
        """As `perform`, with exceptions for results: where a batch fails, each of it is carried out by itself."""
        results: list[Any] = [None] * len(batch)
        for places in _groups(batch).values():
            try:
                outcome = self.perform([batch[place] for place in places])
            except Exception as error:
                alone = len(places) == 1
                outcome = [error] if alone else [self._each([batch[place]])[0] for place in places]
            for place, result in zip(places, outcome, strict=True):
                results[place] = result
        return results

    async def _aeach(self, batch: Sequence[tuple[Job, Effect | Final]]) -> list[Any]:
        """As `_each`, off the event loop."""
        results: list[Any] = [None] * len(batch)
        for places in _groups(batch).values():
            try:
                outcome = await self.aperform([batch[place] for place in places])
            except Exception as error:
                alone = len(places) == 1
                outcome = [error] if alone else [(await self._aeach([batch[place]]))[0] for place in places]
            for place, result in zip(places, outcome, strict=True):
                results[place] = result
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


def _sent(ends: Any, results: list[Any] | None) -> tuple[list[tuple[Job, Effect | Final]] | None, list[Answer]]:
    """The next batch of `lockstep`, or None and the answers. (No StopIteration comes out of a thread.)"""
    try:
        return ends.send(results), []
    except StopIteration as done:
        return None, done.value


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
