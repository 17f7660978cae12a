"""The Gate port: which candidates are in scope of an input, how probably, and why."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from memedit.edits import AnyEdit
from memedit.memory import Recalled


class Evidence(Protocol):
    """What a gate measured; put into words and numbers only when somebody looks."""

    def reasons(self) -> tuple[str, ...]:
        """Why, in words, for people."""

    def numbers(self) -> dict[str, float]:
        """The measured features, by name."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of one candidate.

    Args:
        edit: The candidate.
        probability: That it is in scope, in [0, 1].
        passed: Whether it is let through.
        evidence: What this rests on.
    """

    edit: AnyEdit
    probability: float
    passed: bool
    evidence: Evidence | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, in words, for people."""
        return self.evidence.reasons() if self.evidence else ()

    @property
    def numbers(self) -> dict[str, float]:
        """The measured features, by name."""
        return self.evidence.numbers() if self.evidence else {}


@dataclass(frozen=True, slots=True)
class Hits:
    """What looking up one query gave.

    Args:
        query: The text that was looked up.
        verdicts: One a candidate, most probable first.
        revision: The revision of the namespace that was read.
        index: The index that proposed them.
    """

    query: str
    verdicts: tuple[Verdict, ...] = ()
    revision: int = 0
    index: str = "none"

    @property
    def passed(self) -> tuple[Verdict, ...]:
        """Those let through, most probable first."""
        return tuple(verdict for verdict in self.verdicts if verdict.passed)

    @property
    def edits(self) -> tuple[AnyEdit, ...]:
        """The edits in scope, most probable first."""
        return tuple(verdict.edit for verdict in self.passed)

    def __iter__(self) -> Iterator[AnyEdit]:
        return iter(self.edits)

    def __bool__(self) -> bool:
        return bool(self.passed)


class Gate(ABC):
    """The scope classifier (SERAC's term, Mitchell et al. 2022)."""

    name: str

    @abstractmethod
    def decide(self, recalled: Recalled) -> list[Verdict]:
        """One verdict a candidate, most probable first. Candidates of one query are judged together."""
