"""Erasure: what is asked for is refused without asking the model, and no other answer about its subject tells it.

A guardrail in front of the model (Thaker et al. 2024, arXiv:2403.03329), not unlearning: it holds at once, for any
model, and can be undone. The model is never shown what is erased.
"""

from __future__ import annotations

from memedit.methods.base import Run, method
from memedit.methods.in_context import in_context
from memedit.methods.secrets import watched


@method("erase", paper="Thaker et al. 2024, arXiv:2403.03329")
def erase(*, max_edits: int = 5) -> Run:
    """Refuse what an Erasure is about, and keep it out of what else is answered about its subject.

    With log-probabilities a reply that tells it is decoded again with those words blocked; without, it is replaced by
    the refusal. Either way the whole reply is checked before any of it is streamed. Edits of other kinds are given to
    the model as `in_context` gives them, but for those that tell what is erased.

    Args:
        max_edits: How many other edits are given at most, most probable first.
    """
    return watched(in_context(max_edits=max_edits).run)
