"""Writing edits and proving each: what fails is left out and the rest written again, until all that is left holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from memedit.edits import AnyEdit
from memedit.errors import CapabilityMissing
from memedit.parametric.beside import Beside
from memedit.parametric.curve import Curve, curve
from memedit.parametric.delta import Delta
from memedit.parametric.method import Local, Stream
from memedit.parametric.methods import Writer
from memedit.parametric.proving import Demand, Proof, Prover
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.slots import Change

ROUNDS = 3
"""How often edits are written, each time without what failed, before they are given up."""
Strength = float | Literal["auto"]
"""What a change is multiplied by; `auto`: what its curve says."""
Values = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, and how each edit fared.

    Args:
        change: Of those that hold; None where none does.
        proofs: By edit.
        faults: Why an edit does not hold, by edit.
        perplexity: Of running text, with the change.
        strength: What the change was multiplied by; it is in the change already.
        curve: From which `auto` picked it.
    """

    change: Change | None
    proofs: dict[str, Proof] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    perplexity: float = 0.0
    strength: float = 1.0
    curve: Curve | None = None


def write(
    local: Local, writer: Writer, pairs: Sequence[tuple[AnyEdit, Rewrite]], prover: Prover, demand: Demand,
    strength: Strength, stream: Stream,
) -> Written:  # fmt: skip
    """The change of what holds. The model is the same afterwards.

    Args:
        local: The model.
        writer: The method.
        pairs: Edits, with what is written for each.
        prover: Which asked the model before.
        demand: What each has to show.
        strength: What the change is multiplied by.
        stream: What lies over the weights already.

    Raises:
        CapabilityMissing: A strength is given for what lies beside the weights.
        EditDiverged: The method broke down.
    """
    if isinstance(writer, Beside) and strength not in ("auto", 1.0):
        raise CapabilityMissing(
            f"`{writer.name}` puts slots beside the weights, which have no strength.", do="leave out the strength"
        )
    left = [rewrite for _, rewrite in pairs]
    proofs: dict[str, Proof] = {}
    faults: dict[str, str] = {}
    values: Values = {}
    for _ in range(ROUNDS):
        if not left:
            break
        change, factor, along = _drawn(local, writer, left, prover, demand, strength, stream, values)
        with local.overlay.over("proving", change):
            proofs |= prover.proofs([one.id for one in left])
            after = prover.perplexity()
        failed = {one.id: fault for one in left if (fault := proofs[one.id].fault(demand))}
        if not failed and after <= demand.perplexity * prover.before:
            return Written(change, proofs, faults, after, factor, along)
        if not failed:
            told_so = f"perplexity rose from {prover.before:.1f} to {after:.1f}"
            failed = {one.id: told_so for one in left}
        faults |= failed
        left = [one for one in left if one.id not in failed]
    given_up = {one.id: f"others failed {ROUNDS} times beside it" for one in left}
    return Written(None, proofs, faults | given_up, prover.before)


def values_of(change: Change) -> Values:
    """The values that were found for what a change wrote, by the edit's id; none of what lies beside the weights."""
    if not isinstance(change, Delta):
        return {}
    return {edit_id: change.kept["values"][:, place] for place, edit_id in enumerate(change.made["rewrites"])}


def _drawn(
    local: Local, writer: Writer, left: Sequence[Rewrite], prover: Prover, demand: Demand, strength: Strength,
    stream: Stream, values: Values,
) -> tuple[Change, float, Curve | None]:  # fmt: skip
    """The change of all that are left, its strength, and the curve it was picked from. `values` learns its values."""
    if isinstance(writer, Beside):
        return writer.write(local, left), 1.0, None
    delta = writer.write(local, left, stream, values=values)
    values |= values_of(delta)
    if strength != "auto":
        return delta * strength, strength, None
    along = curve(local.overlay, delta, prover, [one.id for one in left], demand=demand)
    return delta * along.best(), along.best(), along
