"""What every method in front of a model has to show: edits are answered, and what is out of scope is not touched.

One check for all of them (`methods/`, a file each with its paper); how they compare is in BENCHMARKS.md, by
`memedit eval`.
"""

from __future__ import annotations

from memedit import EditableLLM, EditMemory
from memedit.eval.cases import Kind
from memedit.systems.ground import Ground, asked
from memedit.systems.registry import Finding
from memedit.text import says


def check(ground: Ground, method: str, edits: int = 12, near: int = 2, max_tokens: int = 12) -> Finding:
    """All edits in one memory; their prompts, and neighbours of them.

    Args:
        ground: With the model.
        method: A name of `memedit methods`.
        edits: How many.
        near: Neighbours of each that are asked.
        max_tokens: Of an answer.
    """
    cases = ground.cases[:edits]
    inside, outside = asked(cases, Kind.EFFICACY), asked(cases, Kind.NEIGHBOURHOOD, near)
    with EditMemory() as memory:
        for case in cases:
            memory.add(case.edits[0])
        editable = EditableLLM(ground.llm, memory, method=method)
        told = editable.batch([prompt for prompt, _, _ in inside], max_tokens=max_tokens)
        apart = editable.batch([prompt for prompt, _, _ in outside], max_tokens=max_tokens)
        bare = editable.ask_base([prompt for prompt, _, _ in outside], max_tokens=max_tokens)
    held = sum(says(one.text, (wanted,)) for one, (_, wanted, _) in zip(told, inside, strict=True)) / len(inside)
    same = sum(one.text == other.text for one, other in zip(apart, bare, strict=True)) / len(outside)
    figure = f"{edits} edits: {held:.0%} answered as edited; {same:.0%} of {len(outside)} neighbours answered as before"
    return Finding(figure, held >= 0.9 and same >= 0.95, {"edited": held, "same": same})
