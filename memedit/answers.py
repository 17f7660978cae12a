"""What a caller is given: an Answer, an Explanation, a Scored, a Classified; each with its trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memedit.edits import AnyEdit
from memedit.gate import Conversation
from memedit.gate.occlusion import Spoke
from memedit.llms import Likelihood
from memedit.messages import Reply, Request
from memedit.text import as_html
from memedit.trace import Trace, as_sent


@dataclass(frozen=True, slots=True)
class Answer:
    """What an `EditableLLM` answers.

    Args:
        text: The text.
        reply: The model's whole reply.
        trace: What was looked up, what the gate said, which calls were made.
        citations: The edits that were used, most probable first; empty when the answer is the model's own.
        revision: The revision of the namespace that the answer rests on.
        understanding: What the model says it was asked for, where the method has it say so.
    """

    text: str
    reply: Reply
    trace: Trace = field(repr=False)
    citations: tuple[AnyEdit, ...] = ()
    revision: int = 0
    understanding: str | None = None

    @property
    def edited(self) -> bool:
        """Whether an edit was in scope."""
        return bool(self.citations)

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """What a notebook shows: the text, and the edits that were used."""
        rows = [(one.id[:8], one.kind, self.trace.shown(one.text)) for one in self.citations]
        return as_html(self.text, head=("by", "kind", "edit"), rows=rows)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `EditableLLM.explain` found, without asking the model.

    Args:
        looked_up: What of the request was looked up.
        trace: The look-up, with each candidate's probability and reasons.
        request: The first request that would be sent; None when the memory answers alone.
        untouched: Whether that is the caller's own, unchanged.
        spoke: Which words spoke for and against the likeliest edits, where that was asked for.
    """

    looked_up: Conversation
    trace: Trace
    request: Request | None
    untouched: bool
    spoke: tuple[Spoke, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON values."""
        trace = self.trace.to_dict()
        return {
            "query": self.looked_up.query,
            "lookups": trace["lookups"],
            "hops": trace["hops"],
            "notes": trace["notes"],
            "untouched": self.untouched,
            "request": None if self.request is None else as_sent(self.request),
            "spoke": [one.to_dict() for one in self.spoke],
        }

    def __str__(self) -> str:
        sent = "" if self.request is None else "\n".join(f"  {role}: {text}" for role, text in self.request.turns)
        spoke = (f"{one.edit.id[:8]}: {one}" for one in self.spoke)
        return "\n".join([*self.trace.lines(), *spoke, "would send:", sent])


@dataclass(frozen=True, slots=True)
class Scored:
    """How likely an `EditableLLM` finds answers.

    Args:
        likelihoods: One for each answer; None where the method ends without a last call of the model.
        trace: As of an Answer.
        citations: The edits that were shown.
    """

    likelihoods: tuple[Likelihood, ...] | None
    trace: Trace = field(repr=False)
    citations: tuple[AnyEdit, ...] = ()


@dataclass(frozen=True, slots=True)
class Classified:
    """What `EditableLLM.classify` says of a text.

    Args:
        label: The label.
        probabilities: Of all labels, summing to 1; None where the model gives text alone.
        trace: As of an Answer; its notes tell what each patch said.
        citations: The edits that were used, most applicable first; empty when the label is the model's own.
    """

    label: str
    probabilities: Mapping[str, float] | None
    trace: Trace = field(repr=False)
    citations: tuple[AnyEdit, ...] = ()

    @property
    def edited(self) -> bool:
        """Whether an edit was in scope."""
        return bool(self.citations)

    def __str__(self) -> str:
        return self.label
