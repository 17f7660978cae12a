"""A span for each call, by OpenTelemetry's conventions for generative AI: which model, how many tokens, which edits
were applied, and how long looking up and the method took. Texts are told only where that is asked for.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from memedit.answers import Answer
from memedit.editable import EditableLLM
from memedit.editable.drive import Driver, Job
from memedit.errors import MissingExtra
from memedit.messages import Reply
from memedit.methods.base import Final, Ready
from memedit.plumbing.threads import aclosed_after, closed_after

try:
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider, get_tracer, use_span
except ImportError as error:
    raise MissingExtra("otel", package=error.name or "opentelemetry-api") from error

USAGE = {"input": "gen_ai.usage.input_tokens", "output": "gen_ai.usage.output_tokens"}


def traced(editable: EditableLLM, *, provider: TracerProvider | None = None, texts: bool = False) -> EditableLLM:
    """The same model, with a span for each call.

    Args:
        editable: Whose `invoke`, `stream` and `batch`, and their asynchronous forms, are told of.
        provider: Where spans go; the process's own when left out.
        texts: Whether what was asked, what was answered and what the edits say is told as well.
    """
    tracer = get_tracer("memedit", tracer_provider=provider)
    return editable.driven(lambda models, recall, support: TracedDriver(models, recall, support, tracer, texts))


@dataclass(frozen=True)
class TracedDriver(Driver):
    """Carries out effects, and tells of each job.

    Args:
        tracer: Makes the spans.
        texts: Whether texts are told.
    """

    tracer: Tracer
    texts: bool = False

    def run(self, jobs: Sequence[Job | Exception], *, keep: bool = False) -> list[Answer]:
        with self._told_of(jobs) as answers:
            answers += super().run(jobs, keep=keep)
        return answers

    async def arun(self, jobs: Sequence[Job | Exception], *, keep: bool = False) -> list[Answer]:
        with self._told_of(jobs) as answers:
            answers += await super().arun(jobs, keep=keep)
        return answers

    def stream(self, job: Job) -> Iterator[Final | Ready | Reply | Answer]:
        with self._streamed(job) as told, closed_after(super().stream(job)) as found:
            for one in found:
                told.note(one)
                yield one

    async def astream(self, job: Job) -> AsyncIterator[Final | Ready | Reply | Answer]:
        with self._streamed(job) as told:
            async with aclosed_after(super().astream(job)) as found:
                async for one in found:
                    told.note(one)
                    yield one

    @contextmanager
    def _told_of(self, jobs: Sequence[Job | Exception]) -> Iterator[list[Any]]:
        """Spans of these jobs; of one alone it is the current one, so that what is done for it stands below it."""
        spans = [None if isinstance(job, Exception) else self._telling(job) for job in jobs]
        answers: list[Any] = []
        alone = spans[0].span if len(spans) == 1 and spans[0] else None
        try:
            with use_span(alone, record_exception=False, set_status_on_exception=False) if alone else _nothing():
                yield answers
        except BaseException as error:
            answers = [error] * len(spans)
            raise
        finally:
            for one, answer in zip(spans, answers, strict=True):
                if one is not None:
                    one.note(answer)
                    one.end()

    @contextmanager
    def _streamed(self, job: Job) -> Iterator[Telling]:
        """The span of one job, which is not the current one: a stream is read wherever its reader is."""
        told = self._telling(job)
        try:
            yield told
        except Exception as error:
            told.note(error)
            raise
        finally:
            if not told.left:
                told.end()

    def _telling(self, job: Job) -> Telling:
        return Telling(self, job)


class Telling:
    """The span of one job.

    Args:
        driver: Carries it out.
        job: The job.

    Attributes:
        left: Whether it is ended by somebody else, later.
    """

    def __init__(self, driver: TracedDriver, job: Job) -> None:
        model = driver.models["base"]
        operation = "chat" if model.kind == "chat" else "text_completion"
        self.left = False
        self._job, self._texts, self._began = job, driver.texts, time.perf_counter()
        attributes = {"gen_ai.operation.name": operation, "gen_ai.request.model": model.name}
        self.span: Span = driver.tracer.start_span(
            f"{operation} {model.name}", kind=SpanKind.CLIENT, attributes=attributes
        )

    def note(self, found: Any) -> None:
        """What came of the job, or of a part of it."""
        if isinstance(found, BaseException):
            self.span.set_status(Status(StatusCode.ERROR))
            self.span.set_attribute("error.type", type(found).__qualname__)
            if self._texts:
                self.span.record_exception(found)
        elif isinstance(found, Answer):
            self.span.set_attributes(self._of(found))
            self.tokens(self._job.trace.usage)

    def tokens(self, usage: Any) -> None:
        """How many tokens were read and written, where that is known."""
        self.span.set_attributes({name: usage[kind] for kind, name in USAGE.items() if usage.get(kind)})

    def end(self) -> None:
        """Nothing more happens."""
        self.span.end()

    def _of(self, answer: Answer) -> dict[str, Any]:
        trace = answer.trace
        cited = answer.citations
        asked = sum(call.seconds for call in trace.calls)
        told: dict[str, Any] = {
            "memedit.namespace": trace.namespace,
            "memedit.revision": answer.revision,
            "memedit.method": trace.method,
            "memedit.untouched": trace.untouched,
            "memedit.edits": [edit.id for edit in cited],
            "memedit.probabilities": [
                max((hits.probability_of(edit) for hits in trace.lookups), default=0.0) for edit in cited
            ],
            "memedit.in_doubt": [edit.id for edit in trace.in_doubt],
            "memedit.calls": len(trace.calls),
            "memedit.gate.seconds": trace.lookup_seconds,
            "memedit.model.seconds": asked,
            "memedit.method.seconds": max(time.perf_counter() - self._began - trace.lookup_seconds - asked, 0.0),
        }
        if answer.reply.finish_reason:
            told["gen_ai.response.finish_reasons"] = [answer.reply.finish_reason]
        if self._texts:
            told["gen_ai.input.messages"] = [f"{role}: {text}" for role, text in trace.turns]
            told["gen_ai.output.messages"] = [answer.text]
            told["memedit.texts"] = [edit.text for edit in cited]
        return told


@contextmanager
def _nothing() -> Iterator[None]:
    yield
