"""Plug-and-play adaptation for continuously updated question answering (Lee et al. 2022, arXiv:2204.12785).

What a namespace learned lies in an adapter of its own, and a selector decides for each question whether the adapter
is plugged in. Theirs compares vectors with a threshold; here memedit's gate is the selector. A question that it does
not let through is read by the model as it was, bit by bit; another namespace's adapter is swapped in in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memedit.editable.look_up import looked_up
from memedit.edits import Fact
from memedit.eval.cases import Kind
from memedit.gate import Gate
from memedit.llms import Likelihood
from memedit.memory import EditMemory
from memedit.methods.base import Recall
from memedit.parametric.delta import Delta
from memedit.parametric.measuring import likelihoods
from memedit.parametric.method import Local
from memedit.parametric.methods.lora import LORA
from memedit.parametric.rewrites import as_rewrite
from memedit.parametric.slots import laid
from memedit.systems.ground import Ground, asked
from memedit.systems.registry import Finding

STEPS = 80


@dataclass(frozen=True)
class Plugs:
    """Adapters by namespace, and what selects them.

    Args:
        local: The model.
        memory: Whose facts they hold, and what the gate looks up.
        gate: The selector.
        adapters: One a namespace.
    """

    local: Local
    memory: EditMemory
    gate: Gate
    adapters: dict[str, Delta]

    def learn(self, namespace: str, *, steps: int = STEPS) -> None:
        """Teach the adapter of a namespace its facts in force, in the place of the one that it had."""
        facts = [one for one in self.memory.edits(namespace=namespace, kind="fact") if isinstance(one, Fact)]
        writer = LORA.with_(at_once=None, steps=steps)
        self.adapters[namespace] = writer.write(self.local, [as_rewrite(one) for one in facts])

    def selected(self, questions: Sequence[str], namespace: str) -> list[bool]:
        """For which questions the adapter is plugged in."""
        if namespace not in self.adapters:
            return [False] * len(questions)
        hits = looked_up(self.memory, self.gate, namespace, [Recall(one) for one in questions])
        return [bool(one.passed) for one in hits]

    def likelihoods(self, pairs: Sequence[tuple[str, str]], namespace: str) -> list[Likelihood]:
        """How likely answers are behind questions, each read with the adapter or without it."""
        plugged = self.selected([question for question, _ in pairs], namespace)
        parts = self.local.anatomy, self.local.tokenizer
        rest = iter(likelihoods(*parts, [pair for pair, on in zip(pairs, plugged, strict=True) if not on]))
        inside = [pair for pair, on in zip(pairs, plugged, strict=True) if on]
        if not inside:
            return list(rest)
        with laid(self.local.overlay, self.adapters[namespace]):
            changed = iter(likelihoods(*parts, inside))
        return [next(changed if on else rest) for on in plugged]


def check(ground: Ground, facts: int = 12, steps: int = STEPS, near: int = 2) -> Finding:
    """Two namespaces, an adapter each: updates hold, what is not selected is the very same, and swapping swaps."""
    from memedit.gate import as_gate

    halves = ground.cases[:facts:2], ground.cases[1:facts:2]
    with EditMemory() as memory:
        for name, part in zip("ab", halves, strict=True):
            for case in part:
                memory.add(case.edits[0], namespace=name)
        plugs = Plugs(ground.local, memory, as_gate(), {})
        for name in "ab":
            plugs.learn(name, steps=steps)
        held = []
        for name, part in zip("ab", halves, strict=True):
            pairs = [(prompt, wanted) for prompt, wanted, _ in asked(part, Kind.EFFICACY)]
            held += [all(one.matched) for one in plugs.likelihoods(pairs, name)]
            held += [not on for on in plugs.selected([prompt for prompt, _ in pairs], "b" if name == "a" else "a")]
        beside = [(prompt, true) for prompt, true, _ in asked(halves[0], Kind.NEIGHBOURHOOD, near)]
        on = plugs.selected([prompt for prompt, _ in beside], "a")
        read, bare = plugs.likelihoods(beside, "a"), likelihoods(*ground.parts, beside)
    # Other rows in a batch round otherwise, so what is not selected is compared to within that.
    same = [abs(a.logprob - b.logprob) < 1e-3 for a, b, fired in zip(read, bare, on, strict=True) if not fired]
    share = sum(held) / len(held)
    figure = (
        f"{facts} updates in two namespaces: {share:.0%} answered by their own adapter and left alone by the other; "
        f"{sum(same)} of {len(same)} neighbours that the gate leaves are the same ({sum(on)} fired)"
    )
    return Finding(figure, share >= 0.95 and all(same), {"held": share, "fired": sum(on)})
