"""How far each edit's scope may reach, learned from its uses, with a bound on how often it is let through wrongly.

After vCache (Schroeder et al. 2025, arXiv:2502.03771), where every entry of a cache has a threshold of its own, learned
from feedback under a bound on errors that the user gives. There a logistic curve is fitted to each entry; here edits
are pooled, since most have few uses.

What is known of an edit's errors is told in `error_bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from memedit.edits import MAX_RADIUS, Fact
from memedit.errors import FileRejected
from memedit.gate.conversation import read_conversation
from memedit.gate.learning.error_bounds import STEP, ErrorBounds, Seen, log_odds, probability
from memedit.gate.learning.judging import verdicts_on
from memedit.gate.learning.radius import check_heeds
from memedit.gate.port import Gate
from memedit.memory import EditMemory
from memedit.text import an
from memedit.uses import Use, read_uses


@dataclass(frozen=True, slots=True)
class Learned:
    """An edit and what its uses say.

    Args:
        edit: As it is.
        seen: Its uses.
        radius: What its radius may become.
        bound: Upper bound of its error at that radius, at the confidence that was asked for.
        before: The same at the present radius.
    """

    edit: Fact
    seen: tuple[Seen, ...]
    radius: float
    bound: float
    before: float

    @property
    def rejected(self) -> int:
        """How many of its uses were rejected."""
        return sum(not one.accepted for one in self.seen)

    def passed(self, radius: float) -> int:
        """In how many of its uses it is let through at a radius."""
        return sum(one.limit <= radius for one in self.seen)


def held_uses(memory: EditMemory, path: str | Path, *, namespace: str) -> dict[str, tuple[Fact, list[Use]]]:
    """The uses of a file by the edit in force that they speak of.

    A use of an earlier version that differs in its radius alone is one of the version in force.

    Raises:
        FileRejected: A line cannot be read, or names no Fact in force; the message names file and line.
    """
    uses = read_uses(path)
    in_force = memory.edits(namespace=namespace)
    known = memory.recorded({use.edit for _, use in uses}, namespace=namespace)
    by_id = {edit.id: edit for edit in in_force}
    same = {_but_for_radius(edit): edit for edit in in_force if isinstance(edit, Fact)}
    found: dict[str, tuple[Fact, list[Use]]] = {}
    for line, use in uses:
        edit = by_id.get(use.edit)
        if edit is None and isinstance(former := known.get(use.edit), Fact):
            edit = same.get(_but_for_radius(former))
        if not isinstance(edit, Fact):
            if edit is None:
                what = f"no edit `{use.edit:.40}` is in force in namespace `{namespace}`"
                do = "give the whole id, and the memory and namespace of its edit; or take the line out"
            else:
                what, do = f"`{use.edit:.40}` is {an(edit.kind)}, and only Facts have a radius", "take the line out"
            raise FileRejected(f"{path}, line {line}: {what}.", do=do)
        found.setdefault(edit.id, (edit, []))[1].append(use)
    return found


def learn(
    memory: EditMemory,
    gate: Gate,
    uses: Mapping[str, tuple[Fact, Sequence[Use]]],
    *,
    namespace: str,
    error: float = 0.02,
    confidence: float = 0.95,
    progress: Callable[[int, int], None] | None = None,
) -> list[Learned]:
    """The radius that its uses allow each edit, and the bound on its error there (see `radii`).

    Args:
        memory: Whose edits.
        gate: Judges the messages; one that heeds radii.
        uses: By the id of their edit.
        namespace: Whose edits.
        error: Share of an edit's uses in which it may be let through wrongly.
        confidence: With which that is to hold.
        progress: Told after each edit how many are done, of how many.

    Raises:
        GateUnusable: The gate does not heed an edit's radius.
        MissingExtra: scipy is not installed.
    """
    check_heeds(gate)
    seen = []
    for edit, used in uses.values():
        seen.append(_seen(memory, gate, edit, used, namespace))
        if progress:
            progress(len(seen), len(uses))
    edits = [edit for edit, _ in uses.values()]
    return radii(list(zip(edits, seen, strict=True)), error=error, confidence=confidence)


def radii(
    seen: Sequence[tuple[Fact, Sequence[Seen]]], *, error: float = 0.02, confidence: float = 0.95
) -> list[Learned]:
    """The radius that its uses allow each edit.

    Narrower by as little as the bound asks for; wider only where that lets through more of the edit's own accepted
    uses, and no further than needed for that.

    What is guaranteed: among edits such as these, the share of those whose error is above `error` at the radius given
    here is at most 1 - `confidence`. It rests on two assumptions. The uses of an edit are exchangeable with later ones:
    they are not picked, and people go on to ask what they asked. And edits vary as the Dirichlet process of
    `error_bounds` says, with some m and a that its priors do not exclude. Where they vary otherwise, the share is
    approximate (edits that follow logistic curves: 0 to 8 % in simulations instead of 5, and up to 29 instead of 20, so
    ask for a high confidence). Nothing is said of one edit by itself, nor of messages for which it was neither let
    through nor shown in doubt: a wider radius may let it through there, and no use tells how often.

    Args:
        seen: Edits with what the gate says of their uses, one at least.
        error: Share of an edit's uses in which it may be let through wrongly.
        confidence: With which that is to hold.

    Raises:
        MissingExtra: scipy is not installed.
    """
    pool = ErrorBounds([uses for _, uses in seen], error, confidence)
    allowed = pool.allowed()
    found = []
    for place, (edit, uses) in enumerate(seen):
        most = float(allowed[place])
        wider = [one.limit for one in uses if one.accepted and edit.radius < one.limit <= most]
        radius = min(most, edit.radius, MAX_RADIUS)
        if wider:
            radius = min(math.ceil(max(wider) / STEP) * STEP, most)
        radius = edit.radius if radius == edit.radius else round(radius, 3)
        found.append(
            Learned(edit, tuple(uses), radius, pool.bound(place, radius), pool.bound(place, edit.radius))
        )  # fmt: skip
    return found


def _seen(memory: EditMemory, gate: Gate, edit: Fact, uses: Sequence[Use], namespace: str) -> list[Seen]:
    judged = verdicts_on(memory, gate, [read_conversation(use.turns) for use in uses], namespace=namespace)
    found = []
    for use, verdicts in zip(uses, judged, strict=True):
        own = next((verdict for verdict in verdicts if verdict.edit.id == edit.id), None)
        if own is None:
            found.append(Seen(math.inf, 0.0, use.accepted))
            continue
        odds = log_odds(sum(own.shares)) - edit.radius
        found.append(Seen(gate.reach(own), float(probability(odds)), use.accepted))
    return found


def _but_for_radius(edit: Fact) -> str:
    return edit.with_(radius=0.0).content_hash
