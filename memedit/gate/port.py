"""The Gate port: which candidates are in scope of an input, how probably, and why."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, Protocol

from memedit.edits import AnyEdit, Behaviour, Erasure, Fact
from memedit.memory import Recalled

Role = Literal["direct", "bridge"]
"""What an edit in scope is to a question: its answer (`direct`), or a fact on the way to the answer (`bridge`)."""
SAID = (("p(direct)", "p(bridge)"), ("direct", "bridge"))  # what evidence calls the probabilities of both roles


class Evidence(Protocol):
    """What a gate measured; put into words and numbers only when somebody looks."""

    def reasons(self) -> tuple[str, ...]:
        """Why, in words, for people."""

    def numbers(self) -> dict[str, float]:
        """The measured features, by name."""


When = Literal["earlier", "later"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of one candidate.

    Args:
        edit: The candidate.
        probability: That it is in scope in this role, in [0, 1].
        passed: Whether it is let through.
        evidence: What this rests on.
        role: The likelier of the two roles.
        doubtful: Whether it may bear on the message, and may not: it is not let through, or not surely.
        noted: Where it contradicts another candidate, whether it was noted earlier or later; it is shown with its date.
    """

    edit: AnyEdit
    probability: float
    passed: bool
    evidence: Evidence | None = None
    role: Role = "direct"
    doubtful: bool = False
    noted: When | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, in words, for people."""
        return self.evidence.reasons() if self.evidence else ()

    @property
    def mark(self) -> str:
        """✓ for an edit that is let through, ? for another that may bear on the message."""
        return "✓" if self.passed else "?" if self.doubtful else "·"

    @property
    def line(self) -> str:
        """What the edit says, with the date on which it was noted where that matters."""
        if self.noted is None:
            return self.edit.text
        return f"{self.edit.text} (noted {self.noted}, on {self.edit.created_at:%Y-%m-%d})"

    @property
    def numbers(self) -> dict[str, float]:
        """The measured features, by name."""
        return self.evidence.numbers() if self.evidence else {}

    @property
    def shares(self) -> tuple[float, float]:
        """The probabilities of `direct` and `bridge`; of a gate that gives but one, that of its role and 0."""
        numbers = self.numbers
        for direct, bridge in SAID:
            if direct in numbers and bridge in numbers:
                return numbers[direct], numbers[bridge]
        return (self.probability, 0.0) if self.role == "direct" else (0.0, self.probability)


@dataclass(frozen=True, slots=True)
class Hits:
    """What looking up one query gave.

    Args:
        query: The text that was looked up.
        verdicts: One a candidate, most probable first.
        revision: The revision of the namespace that was read.
        index: The index that proposed them.
        erasures: All that are in force where it was looked up, in scope or not.
        standing: The instructions in force there that govern every answer, oldest first.
        parts: What looking up each thing gave, where a message asks several; of each edit the likeliest verdict counts.
    """

    query: str
    verdicts: tuple[Verdict, ...] = ()
    revision: int = 0
    index: str = "none"
    erasures: tuple[Erasure, ...] = ()
    standing: tuple[Behaviour, ...] = ()
    parts: tuple[Hits, ...] = ()

    @property
    def passed(self) -> tuple[Verdict, ...]:
        """Those let through, most probable first."""
        return tuple(verdict for verdict in self.verdicts if verdict.passed)

    @property
    def doubtful(self) -> tuple[Verdict, ...]:
        """Those that may bear on it and may not, let through or not, most probable first."""
        return tuple(verdict for verdict in self.verdicts if verdict.doubtful)

    @property
    def edits(self) -> tuple[AnyEdit, ...]:
        """The edits in scope, most probable first."""
        return tuple(verdict.edit for verdict in self.passed)

    @property
    def direct(self) -> tuple[Verdict, ...]:
        """Those let through that answer the query themselves."""
        return tuple(verdict for verdict in self.passed if verdict.role == "direct")

    @property
    def bridges(self) -> tuple[Verdict, ...]:
        """Those let through that lie on the way to the answer."""
        return tuple(verdict for verdict in self.passed if verdict.role == "bridge")

    def probability_of(self, edit: AnyEdit) -> float:
        """How probably an edit is in scope; 0 where it was no candidate."""
        return next((verdict.probability for verdict in self.verdicts if verdict.edit.id == edit.id), 0.0)

    def but_for(self, kind: str, other: Hits) -> Hits:
        """The same with the verdicts on a kind of edit taken from another look-up."""
        rest = [verdict for verdict in self.verdicts if verdict.edit.kind != kind]
        taken = [verdict for verdict in other.verdicts if verdict.edit.kind == kind]
        return replace(self, verdicts=tuple(sorted((*rest, *taken), key=lambda verdict: -verdict.probability)))

    def with_parts(self, parts: Sequence[Hits]) -> Hits:
        """The same with what looking up each thing gave that the message asks."""
        every = (*self.verdicts, *(one for part in parts for one in part.verdicts))
        likeliest: dict[str, Verdict] = {}
        for one in sorted(every, key=lambda one: (not one.passed, -one.probability)):
            likeliest.setdefault(one.edit.id, one)
        verdicts = sorted(likeliest.values(), key=lambda one: -one.probability)
        return replace(self, verdicts=tuple(verdicts), parts=tuple(parts))

    def without(self, ids: Collection[str]) -> Hits:
        """The same without the verdicts on these edits."""
        kept = tuple(one for one in self.verdicts if one.edit.id not in ids)
        return replace(self, verdicts=kept, parts=tuple(one.without(ids) for one in self.parts))

    def __iter__(self) -> Iterator[AnyEdit]:
        return iter(self.edits)

    def __bool__(self) -> bool:
        return bool(self.passed)


class Gate(ABC):
    """The scope classifier (SERAC's term, Mitchell et al. 2022)."""

    name: str
    thresholds: Mapping[Role, float] = MappingProxyType({})
    """Probability from which an edit is let through, by role; empty where it follows from something else."""
    heeds_radius = False
    """Whether the `radius` of a Fact is added to its log-odds."""

    @abstractmethod
    def decide(self, recalled: Recalled) -> list[Verdict]:
        """One verdict a candidate, most probable first. Candidates of one query are judged together."""

    def decide_many(self, recalled: Sequence[Recalled]) -> list[list[Verdict]]:
        """As `decide`, for many queries; a gate that asks a model asks it in batches."""
        return [self.decide(one) for one in recalled]

    def reach(self, verdict: Verdict) -> float:
        """The radius from which its edit is let through, by what was said of it at its present one.

        Infinite where no radius lets it through. Of gates that heed radii.
        """
        return reach(verdict, verdict.shares, self.thresholds[verdict.role])


def reach(verdict: Verdict, said: tuple[float, float], threshold: float) -> float:
    """As `Gate.reach`, of a verdict that rests on these probabilities of the roles, and on this threshold.

    With p the probability of its role, s that of both, and t the threshold, a change r of the radius lets it through
    where p·eʳ ≥ t·(1 - s + s·eʳ).
    """
    both = min(sum(said), 1 - 1e-7)
    room = max(said) - threshold * both
    if room <= 0:
        return math.inf
    present = verdict.edit.radius if isinstance(verdict.edit, Fact) else 0.0
    return present + math.log(threshold * (1 - both) / room)
