"""How far each edit's own scope has to reach, told by its probes and by the edits around it.

An edit's radius is added to the gate's log-odds that it is in scope, so that the radius at which a text comes into
scope follows from what the gate said of it, without asking again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from memedit.edits import MAX_RADIUS, Fact
from memedit.errors import GateUnusable
from memedit.gate.conversation import Conversation, read_conversation
from memedit.gate.learning.judging import verdicts_on
from memedit.gate.port import Gate, Verdict
from memedit.memory import EditMemory
from memedit.text import words

MARGIN = 0.1  # log-odds between the radius and what it has to keep apart, where there is room
Wanted = Literal["change", "stay", "neighbour"]


@dataclass(frozen=True, slots=True)
class Limit:
    """A text, and the radius from which the edit is in scope of it.

    Args:
        text: A probe's prompt, or a neighbour's key text.
        wanted: A probe that must change, or stay; or the key text of another edit in memory, which must stay.
        radius: Infinite where the memory does not propose the edit for the text.
    """

    text: str
    wanted: Wanted
    radius: float

    def kept_at(self, radius: float) -> bool:
        """Whether it is as wanted at this radius."""
        return (self.radius <= radius) == (self.wanted == "change")


@dataclass(frozen=True, slots=True)
class Reach:
    """An edit, and what decides how far its scope has to reach."""

    edit: Fact
    limits: tuple[Limit, ...]

    @property
    def least(self) -> Limit | None:
        """The probe that must change which asks for the widest scope."""
        return max((one for one in self.limits if one.wanted == "change"), key=lambda one: one.radius, default=None)

    @property
    def most(self) -> Limit | None:
        """What must stay and comes into scope first."""
        return min((one for one in self.limits if one.wanted != "change"), key=lambda one: one.radius, default=None)

    @property
    def radius(self) -> float | None:
        """The radius nearest to the present one with which all is as wanted; None where there is none."""
        low = self.least.radius if self.least else -MAX_RADIUS
        high = self.most.radius if self.most else math.inf
        if low > MAX_RADIUS or high <= -MAX_RADIUS or low >= high:
            return None
        if low <= self.edit.radius < high:
            return self.edit.radius
        margin = min(MARGIN, (high - low) / 2)
        sought = low + margin if self.edit.radius < low else high - margin
        sought = max(-MAX_RADIUS, min(MAX_RADIUS, sought))
        short = round(sought, 3)
        return short if low <= short < high else sought

    def kept(self, radius: float) -> int:
        """How many of its limits are as wanted at this radius."""
        return sum(one.kept_at(radius) for one in self.limits)


def reaches(
    memory: EditMemory, gate: Gate, *, namespace: str, progress: Callable[[int, int], None] | None = None
) -> list[Reach]:
    """What every Fact with probes of its own asks of its radius; Facts that do not hold now are left out.

    Args:
        memory: Whose edits.
        gate: Judges the texts; one that heeds radii.
        namespace: Whose edits.
        progress: Told after each edit how many are done, of how many.

    Raises:
        GateUnusable: The gate does not heed an edit's radius.
    """
    check_heeds(gate)
    now = memory.clock()
    held = [edit for edit in memory.edits(namespace=namespace, kind="fact") if isinstance(edit, Fact)]
    asked = [edit for edit in held if edit.probes and edit.holds_at(now)]
    found = []
    for edit in asked:
        found.append(_reach(memory, gate, edit, namespace))
        if progress:
            progress(len(found), len(asked))
    return found


def check_heeds(gate: Gate) -> None:
    """Refuse a gate that takes no notice of radii.

    Raises:
        GateUnusable: It does not.
    """
    if not gate.heeds_radius:
        raise GateUnusable(
            f"A gate of kind `{gate.name}` does not heed an edit's radius.", do="use `judge` or `evidence`"
        )


def _reach(memory: EditMemory, gate: Gate, edit: Fact, namespace: str) -> Reach:
    wanted: dict[str, Wanted] = dict.fromkeys(_neighbours(memory, edit, namespace), "neighbour")
    wanted |= {probe.prompt: probe.must for probe in edit.probes}
    asked = [
        read_conversation((("user", text),)) if what != "neighbour" else Conversation(text, text)
        for text, what in wanted.items()
    ]
    judged = verdicts_on(memory, gate, asked, namespace=namespace)
    limits = (
        Limit(text, what, _radius(edit, verdicts, gate))
        for (text, what), verdicts in zip(wanted.items(), judged, strict=True)
    )
    return Reach(edit, tuple(limits))


def _neighbours(memory: EditMemory, edit: Fact, namespace: str) -> Iterator[str]:
    """The key texts of the edits around one, save those that ask the same."""
    for found in memory.recall(edit.key_text, namespace=namespace, kinds=("fact",)).candidates:
        other = found.edit
        if not isinstance(other, Fact) or other.id == edit.id or words(other.key_text) == words(edit.key_text):
            continue
        if other.slot is None or other.slot != edit.slot:
            yield other.key_text


def _radius(edit: Fact, verdicts: Sequence[Verdict], gate: Gate) -> float:
    """The radius from which the edit is let through."""
    return next((gate.reach(verdict) for verdict in verdicts if verdict.edit.id == edit.id), math.inf)
