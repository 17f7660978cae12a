"""What happened on the way to an answer, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from memedit.edits import AnyEdit, Erasure
from memedit.gate import Hits
from memedit.messages import Request
from memedit.secrecy import kept_asked, kept_unasked, reveals
from memedit.text import as_html, one_line

CallKind = Literal["generate", "score", "decode", "final"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model.

    Args:
        kind: What was asked of it; `final` is the call whose reply is the answer.
        model: Which of the models.
        request: What it was sent.
        seconds: How long it took; for calls made in one batch, the time of the batch.
        batch: How many calls were made together.
        usage: Tokens (`input`, `output`), where the model says.
    """

    kind: CallKind
    model: str
    request: Request
    seconds: float
    batch: int = 1
    usage: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hop:
    """One step on the way to an answer that lies several facts away.

    Args:
        question: What was asked.
        answer: What came of it.
        by: Who says so: `edit`, or the name of a model.
        edit: The edit that says so, if one does.
        probability: That it is in scope of the question; None where a model answered, or
            where it gives a name to what is described.
    """

    question: str
    answer: str
    by: str
    edit: AnyEdit | None = None
    probability: float | None = None

    def __str__(self) -> str:
        likely = "" if self.probability is None else f", {self.probability:.2f}"
        said = f"edit {self.edit.id[:8]}{likely}" if self.edit else self.by
        return f"{one_line(self.question, 70)} → {one_line(self.answer, 50)}  ({said})"

    def to_dict(self) -> dict[str, Any]:
        """The hop as JSON values."""
        return {
            "question": self.question, "answer": self.answer, "by": self.by,
            "edit": self.edit.id if self.edit else None, "probability": self.probability,
        }  # fmt: skip


@dataclass(slots=True)
class Trace:
    """What was looked up, what the gate said, which calls were made; filled while the answer is made.

    What is written out of it holds nothing that an Erasure in force keeps, which is named in its place.

    Args:
        namespace: Whose edits were looked up.
        method: The method in charge.
        lookups: Each look-up with the gate's verdicts.
        calls: Each call of a model, in order.
        notes: What the method decided, in words.
        hops: The way to an answer that lies several facts away.
        lookup_seconds: How long looking up and gating took; of a batch, this request's share.
        untouched: Whether the request went to the model exactly as the caller gave it.
        turns: The conversation that was looked up, (role, text) of each message; in memory only, never in `to_dict`.
        in_doubt: Edits that the model was shown as such that may not apply.
    """

    namespace: str
    method: str
    lookups: list[Hits] = field(default_factory=list, repr=False)
    calls: list[Call] = field(default_factory=list, repr=False)
    notes: list[str] = field(default_factory=list)
    hops: list[Hop] = field(default_factory=list, repr=False)
    lookup_seconds: float = 0.0
    untouched: bool = True
    turns: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    in_doubt: tuple[AnyEdit, ...] = ()

    @property
    def revision(self) -> int:
        """The newest revision that was read."""
        return max((hits.revision for hits in self.lookups), default=0)

    @property
    def seconds(self) -> float:
        """How long the answer took, in look-ups and model calls; of batches, this request's share."""
        return self.lookup_seconds + sum(call.seconds / call.batch for call in self.calls)

    @property
    def usage(self) -> dict[str, int]:
        """Tokens (`input`, `output`) of all calls that were made for the answer, those of memedit itself among them.

        `answer.reply.usage` is the last call's alone. A call whose model says nothing of tokens adds none.
        """
        names = dict.fromkeys(name for call in self.calls for name in call.usage)
        return {name: sum(call.usage.get(name, 0) for call in self.calls) for name in names}

    def shown(self, text: str) -> str:
        """A text as it may be written out: in the place of one that tells what is erased, which Erasure keeps it."""
        asked = {one.edit.id for hits in self.lookups for one in hits.passed if isinstance(one.edit, Erasure)}
        context = "\n".join([*(hits.query for hits in self.lookups), text])
        for erasure in {one.id: one for hits in self.lookups for one in hits.erasures}.values():
            if reveals(text, kept_asked(erasure) if erasure.id in asked else kept_unasked(erasure, context)):
                return f"(kept by {erasure.id[:8]})"
        return text

    def lines(self) -> Iterator[str]:
        """The trace for people, a line at a time."""
        for hits in self.lookups:
            query = one_line(self.shown(hits.query))
            yield f"looked up “{query}” in {self.namespace} at revision {hits.revision} ({hits.index})"
            yield from (f"  and by itself “{one_line(self.shown(one.query))}”" for one in hits.parts)
            for verdict in hits.verdicts[:8]:
                why = self.shown("; ".join(verdict.reasons))
                said = f"{verdict.edit.id[:8]}  {one_line(self.shown(verdict.edit.text), 70)}"
                yield f"  {verdict.mark} {verdict.probability:.2f}  {said}  ({why})"
        for call in self.calls:
            yield f"{call.kind} on {call.model}: {call.seconds:.2f} s"
        for place, hop in enumerate(self.hops, 1):
            yield f"hop {place}: {self.shown_hop(hop)}"
        yield from map(self.shown, self.notes)
        yield "the request was sent unchanged" if self.untouched else f"answered by {self.method}"

    def _repr_html_(self) -> str:
        """What a notebook shows: `lines`."""
        return as_html("\n".join(self.lines()))

    def further(self, hits: Hits) -> bool:
        """Whether this was looked up on the way to an answer over several facts; the whole text, which is looked up for
        patches, is not.
        """
        return hits is not self.lookups[0] and any(one.edit.kind != "patch" for one in hits.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """The trace as JSON values."""
        return {
            "namespace": self.namespace,
            "method": self.method,
            "revision": self.revision,
            "untouched": self.untouched,
            "notes": list(map(self.shown, self.notes)),
            "hops": [self.shown_hop(hop).to_dict() for hop in self.hops],
            "lookups": [
                {
                    "query": self.shown(hits.query),
                    "further": self.further(hits),
                    "parts": [self.shown(one.query) for one in hits.parts],
                    "revision": hits.revision,
                    "index": hits.index,
                    "verdicts": [
                        {
                            "edit": verdict.edit.id,
                            "text": self.shown(verdict.edit.text),
                            "probability": round(verdict.probability, 4),
                            "passed": verdict.passed,
                            "doubtful": verdict.doubtful,
                            "reasons": list(map(self.shown, verdict.reasons)),
                            "evidence": {name: round(value, 4) for name, value in verdict.numbers.items()},
                        }
                        for verdict in hits.verdicts
                    ],
                }
                for hits in self.lookups
            ],
            "usage": self.usage,
            "calls": [
                {"kind": call.kind, "model": call.model, "seconds": round(call.seconds, 4), "usage": dict(call.usage)}
                for call in self.calls
            ],
        }

    def shown_hop(self, hop: Hop) -> Hop:
        """A hop as it may be written out."""
        return replace(hop, question=self.shown(hop.question), answer=self.shown(hop.answer))


def as_sent(request: Request) -> dict[str, Any]:
    """A request as it goes to a model, as JSON values."""
    messages = [message.to_openai() for message in request.messages]
    return {"form": request.form, "messages": messages, "options": dict(request.options)}
