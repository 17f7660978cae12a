"""What baking did: one outcome an edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from memedit.edits import AnyEdit
from memedit.parametric.curve import Curve
from memedit.parametric.proving import Proof


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one edit.

    Args:
        edit: The edit.
        proof: How it fared in the weights; None where nothing could be written.
        left: Why it was left in memory; None where it was baked.
        silent: Whether the model says it by itself when it is asked, so that memory need not any more.
    """

    edit: AnyEdit
    proof: Proof | None
    left: str | None = None
    silent: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        proof = asdict(self.proof) if self.proof else None
        return {"edit": self.edit.id, "text": self.edit.text, "proof": proof, "left": self.left, "silent": self.silent}


@dataclass(frozen=True, slots=True)
class Baking:
    """What baking did.

    Args:
        method: By which it was written.
        outcomes: One an edit.
        perplexity: Of running text, before and after.
        norms: ‖W - W₀‖ / ‖W₀‖ of each layer that was written, over all that is baked.
        revision: Of the namespace afterwards.
        strength: What the change was multiplied by.
        curve: From which `strength="auto"` picked it.
    """

    method: str
    outcomes: tuple[Outcome, ...]
    perplexity: tuple[float, float]
    norms: Mapping[int, float]
    revision: int
    strength: float = 1.0
    curve: Curve | None = None

    @property
    def baked(self) -> tuple[AnyEdit, ...]:
        """The edits that are in the weights now."""
        return tuple(one.edit for one in self.outcomes if one.left is None)

    @property
    def left(self) -> tuple[Outcome, ...]:
        """What was left in memory, and why."""
        return tuple(one for one in self.outcomes if one.left is not None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "method": self.method, "outcomes": [one.to_dict() for one in self.outcomes],
            "perplexity": list(self.perplexity), "norms": dict(self.norms), "revision": self.revision,
            "strength": self.strength, "curve": self.curve.to_dict() if self.curve else None,
        }  # fmt: skip
