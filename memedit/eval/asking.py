"""Asking one method every probe of a plan, a chunk at a time, and writing down what it answered and what it cost."""

from __future__ import annotations

import math
import random
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from memedit.answers import Answer, Scored
from memedit.editable import EditableLLM
from memedit.eval.benchmarks import Benchmark
from memedit.eval.cases import Kind
from memedit.eval.contenders import ORACLE, UNEDITED
from memedit.eval.forms import continuations, is_generated, right
from memedit.eval.in_weights import InWeights
from memedit.eval.plan import Plan
from memedit.eval.remembered import Remembered
from memedit.eval.runs import Asked, Row, append_rows
from memedit.eval.settings import Settings
from memedit.llms import Capability, Likelihood
from memedit.memory import EditMemory
from memedit.messages import Message, Request
from memedit.text import storable

SHOWN = 5  # candidates of the gate that a row keeps
Progress = Callable[[str, int, int], None]
"""Called with (what is being done, how many are done, of how many)."""


def quiet(what: str, done: int, of: int) -> None:
    """No progress is shown."""


@dataclass(kw_only=True)
class Asking:
    """A run under way.

    Args:
        settings: Of the run.
        benchmark: Which is asked.
        plan: What is asked.
        llm: The base model, which remembers what it answered.
        memory: The edits, each group of cases in its namespace.
        out: The run's folder.
        done: Rows that are there from before, by method: whole chunks.
        progress: Called after every chunk.
    """

    settings: Settings
    benchmark: Benchmark
    plan: Plan
    llm: Remembered
    memory: EditMemory
    out: Path
    done: Mapping[str, list[Row]]
    progress: Progress = quiet
    seconds: dict[str, float] = field(default_factory=lambda: {"answering": 0.0, "scoring": 0.0})
    _unedited: dict[tuple[str, str], Row] = field(default_factory=dict)

    def run(self, name: str, editable: EditableLLM) -> None:
        """All probes of one method, from where it stopped."""
        asked = asked_of(name, self.plan.asked)
        done, size = self.done.get(name, []), self.settings.batch_of(self.benchmark)
        if self._is_fed(name):
            self._feed(name, [row for row in done if row.fed_back])
        for start in range(0, len(asked), size):
            chunk = asked[start : start + size]
            rows = done[start : start + size]
            if not rows:
                rows = self._ask(name, editable, chunk)
                append_rows(self.out, rows)
                if self._is_fed(name):  # only now: were it lost, so would the rows be
                    self._feed(name, [row for row in rows if row.fed_back])
            if name == UNEDITED:
                self._remember(chunk, rows)
            self.progress(name, start + len(chunk), len(asked))

    def _ask(self, name: str, editable: EditableLLM, chunk: Sequence[Asked]) -> list[Row]:
        rows = {one.key: Row(method=name, case=one.case, probe=one.probe.id) for one in chunk}
        likelihood = self.settings.likelihood and Capability.LOGPROBS in self.llm.capabilities
        answered = [one for one in chunk if self.settings.generate and is_generated(one.probe)]
        scored = [one for one in chunk if likelihood and continuations(one.probe)]
        began = time.perf_counter()
        answers = editable.batch(map(self._request, answered), namespace=self._where(name, answered))
        for one, answer in zip(answered, answers, strict=True):
            rows[one.key] = self._row(rows[one.key], one, answer)
        halfway = time.perf_counter()
        for one, found in zip(scored, self._score(name, editable, scored), strict=True):
            row = rows[one.key] if rows[one.key].text is not None else self._row(rows[one.key], one, found)
            rows[one.key] = replace(row, likelihoods=_rounded(found.likelihoods))
        self.seconds["answering"] += halfway - began
        self.seconds["scoring"] += time.perf_counter() - halfway
        if self._is_fed(name):
            rows |= {one.key: self._with_feedback(one, rows[one.key]) for one in chunk}
        written = isinstance(editable, InWeights)
        return [replace(row, peak_mb=_peak_mb(), in_weights=written) for row in rows.values()]

    def _score(self, name: str, editable: EditableLLM, scored: Sequence[Asked]) -> list[Scored]:
        if not scored:  # a model without log-probabilities is not asked for them
            return []
        texts, where = [continuations(one.probe) for one in scored], self._where(name, scored)
        return editable.score(map(self._request, scored), texts, namespace=where)

    def _request(self, one: Asked) -> Request:
        prompt = one.probe.prompt
        options = {"max_tokens": one.probe.max_tokens or self.settings.max_tokens or self.benchmark.max_tokens}
        if turns := one.probe.turns:
            messages = tuple(Message(role, text) for role, text in turns)
            return Request(messages, options, "messages", source=turns)
        return Request((Message("user", prompt),), options, "raw" if self.settings.raw else "text", source=prompt)

    def _where(self, name: str, asked: Sequence[Asked]) -> list[str]:
        """The namespace of each probe: of its group, of its own case for the oracle, of the method in a stream."""
        if name == ORACLE:
            return [own_namespace(one.case) for one in asked]
        return [stream_namespace(name) if self._is_fed(name) else one.namespace for one in asked]

    def _row(self, row: Row, one: Asked, answer: Answer | Scored) -> Row:
        trace = answer.trace
        own = self.plan.cases[one.case].edits
        ids, texts = {edit.id for edit in own}, {edit.text for edit in own}
        verdicts = [verdict for hits in trace.lookups for verdict in hits.verdicts]
        its = [verdict for verdict in verdicts if verdict.edit.id in ids or verdict.edit.text in texts]
        seconds, usage = trace.seconds, [call.usage for call in trace.calls if call.usage]
        base = self._unedited.get(one.key)
        if (
            trace.untouched and base is not None and not self.settings.ask_again
        ):  # its answer was taken over; it costs what it cost
            seconds = trace.lookup_seconds + base.seconds
        return replace(
            row,
            text=storable(answer.text) if isinstance(answer, Answer) else None,
            edited=bool(answer.citations),
            cited=tuple(edit.id for edit in answer.citations),
            gate=tuple((each.edit.id, round(each.probability, 4), each.passed) for each in verdicts[:SHOWN]),
            own=max((round(each.probability, 4) for each in its), default=None),
            hit=any(each.passed for each in its),
            fired=any(each.passed for each in verdicts),
            untouched=trace.untouched,
            tokens_in=sum(each.get("input", 0) for each in usage) if usage else None,
            tokens_out=sum(each.get("output", 0) for each in usage) if usage else None,
            calls=len(trace.calls),
            seconds=round(seconds, 4),
        )

    def _remember(self, chunk: Sequence[Asked], rows: Sequence[Row]) -> None:
        for one, row in zip(chunk, rows, strict=True):
            self._unedited[row.key] = row
            if not self.settings.ask_again:
                self.llm.remember(self._request(one), row, continuations(one.probe))

    # ---- streams --------------------------------------------------------------------------------------------------

    def _is_fed(self, name: str) -> bool:
        return self.benchmark.stream and name != UNEDITED

    def _with_feedback(self, one: Asked, row: Row) -> Row:
        """Whether a user objects to this answer: with probability `feedback` where it is wrong."""
        is_wrong = right(one.probe, row) is False
        draw = random.Random(f"{self.settings.seed} {one.case} {one.probe.id}").random()  # noqa: S311 - a draw, no secret
        return replace(row, fed_back=is_wrong and draw < self.settings.feedback)

    def _feed(self, name: str, rows: Sequence[Row]) -> None:
        edits = [edit for row in rows for edit in self.plan.cases[row.case].edits]
        for _ in self.memory.add_many(edits, namespace=stream_namespace(name)):
            pass


def asked_of(name: str, asked: Sequence[Asked]) -> list[Asked]:
    """What a method is asked: conditions (RippleEdits) are asked of the unedited model alone."""
    return [one for one in asked if name == UNEDITED or one.probe.kind is not Kind.CONDITION]


def own_namespace(case: str) -> str:
    """The namespace that holds one case's edits and no others."""
    return f"case {case}"


def stream_namespace(method: str) -> str:
    """The namespace that fills while a method answers a stream."""
    return f"stream {method}"


def _rounded(likelihoods: Sequence[Likelihood] | None) -> tuple[Likelihood, ...] | None:
    """To four digits; None where one of them is no number."""
    if not likelihoods or not all(math.isfinite(one.logprob) for one in likelihoods):
        return None
    return tuple(replace(one, logprob=round(one.logprob, 4)) for one in likelihoods)


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024**2))
