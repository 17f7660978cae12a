"""CounterFact+ and NKL (Hoelscher-Obermaier et al. 2023, arXiv:2305.17553): what an edit does behind its own statement.

A neighbour's prompt is read behind the edit's statement. NKL is the divergence of the next token's distribution before
an edit from that after it, and tells of changes that leave the likelier of two objects as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from memedit.editable.look_up import looked_up
from memedit.eval.cases import Case, Kind
from memedit.gate import as_gate
from memedit.memory import EditMemory
from memedit.methods.base import Recall
from memedit.parametric.measuring import next_logprobs
from memedit.parametric.meta import Meta
from memedit.parametric.methods import find_writer
from memedit.parametric.slots import laid
from memedit.systems.ground import Ground, asked, rewrites_of
from memedit.systems.registry import Finding


def nkl(before: torch.Tensor, after: torch.Tensor) -> float:
    """The mean KL(before ‖ after) of next-token distributions, in nats.

    Args:
        before, after: Log-probabilities, (texts, vocabulary).
    """
    before, after = before.double(), after.double()
    return float((before.exp() * (before - after)).sum(-1).mean())


def neighbours(cases: Sequence[Case], most: int, *, plus: bool = False) -> list[str]:
    """Prompts about neighbours; as CounterFact+ has them behind the statement of the case's edit."""
    return [
        f"{case.edits[0].text.rstrip('.')}. {prompt}" if plus else prompt
        for case in cases
        for prompt, _, _ in asked([case], Kind.NEIGHBOURHOOD, most)
    ]


def check(ground: Ground, method: str = "memit_seq", edits: int = 3, near: int = 4) -> Finding:
    """Edits in weights, their neighbours with and without the statement before them; and whether the gate fires there.

    Args:
        ground: With the model.
        method: That writes the edits.
        edits: How many.
        near: Neighbours of each.
    """
    cases = ground.cases[:edits]
    texts = [neighbours(cases, near), neighbours(cases, near, plus=True)]
    before = [next_logprobs(*ground.parts, one) for one in texts]
    writer = find_writer(method)
    assert not isinstance(writer, Meta)
    with laid(ground.local.overlay, writer.write(ground.local, rewrites_of(cases))):
        moved = [nkl(old, next_logprobs(*ground.parts, one)) for old, one in zip(before, texts, strict=True)]
    with EditMemory() as memory:
        list(memory.add_many([case.edits[0] for case in cases]))
        fired = [
            sum(bool(hits.passed) for hits in looked_up(memory, as_gate(), "default", [Recall(one) for one in part]))
            for part in texts
        ]
    figure = (
        f"{edits} edits by `{method}`, {len(texts[0])} neighbours: NKL {moved[0]:.3f}, behind the edit's statement "
        f"{moved[1]:.3f}; in memory the gate fires at {fired[0]} and {fired[1]}, and NKL is 0 at the others"
    )
    return Finding(figure, moved[1] > moved[0], {"nkl": moved, "fired": fired})
