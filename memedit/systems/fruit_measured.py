"""FRUIT's measure on documents made of CounterFact: what has to change does, and nothing else (`systems.fruit`).

A document tells a fact, its neighbours (other subjects of the same value), and sentences about nothing of it. Its own
data lie in a bucket that this does not reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memedit.edits import Fact
from memedit.eval.cases import Case, Kind
from memedit.eval.update_rouge import update_rouge
from memedit.memory import EditMemory
from memedit.messages import as_request
from memedit.systems.fruit import update
from memedit.systems.ground import Ground, asked
from memedit.systems.registry import Finding

ASIDE = ("It was first told in 1998.", "Nothing else of note is known.")
FREELY = "Rewrite the text so that it agrees with this fact: {}\n\nText: {}\n\nRewritten text:"


@dataclass(frozen=True, slots=True)
class Document:
    """A document before and after.

    Args:
        source: As it was.
        target: As it should be.
        fact: Why.
    """

    source: str
    target: str
    fact: Fact


def documents(cases: Sequence[Case]) -> list[Document]:
    """One of each case whose edit says what was true before."""
    made = []
    for case in cases:
        fact = case.edits[0]
        if not isinstance(fact, Fact) or not fact.previous_object or not fact.object or not fact.cloze:
            continue
        near = [f"{prompt} {true}." for prompt, true, _ in asked([case], Kind.NEIGHBOURHOOD, 2)]

        def told(value: str, cloze: str = fact.cloze, near: list[str] = near) -> str:
            return "  ".join([ASIDE[0], near[0], f"{cloze} {value}.", *near[1:], ASIDE[1]])

        made.append(Document(told(fact.previous_object), told(fact.object), fact))
    return made


def check(ground: Ground, most: int = 60, free: int = 6) -> Finding:
    """Documents updated by a memory that holds the edits of all of them; a few rewritten freely by the model."""
    wanted = documents(ground.cases[:most])
    with EditMemory() as memory:
        for one in wanted:
            memory.add(one.fact)
        found = [update(one.source, memory) for one in wanted]
    right = sum(done.text == one.target for done, one in zip(found, wanted, strict=True)) / len(wanted)
    kept = [
        sentence.text == sentence.before
        for done, one in zip(found, wanted, strict=True) for sentence in done.sentences
        if sentence.before.strip() in one.target
    ]  # fmt: skip
    cited = all(one.fact.id in done.changed[0].edits for done, one in zip(found, wanted, strict=True) if done.changed)
    ours = _mean([done.text for done in found], wanted)
    freely = _mean(_freely(ground.llm, wanted[:free]), wanted[:free])
    copied = _mean([one.source for one in wanted], wanted)
    figure = (
        f"{len(wanted)} documents: {right:.0%} exactly as they should be, {sum(kept) / len(kept):.1%} of {len(kept)} "
        f"other sentences byte-identical; UpdateROUGE-1 {ours:.2f} (copied {copied:.2f}, rewritten "
        f"freely by the model {freely:.2f})"
    )
    reached = sum(kept) == len(kept) and cited and ours > max(copied, freely)
    return Finding(figure, reached, {"exact": right, "rouge1": ours, "copied": copied, "freely": freely})


def _mean(texts: Sequence[str], wanted: Sequence[Document]) -> float:
    scores = [
        update_rouge(text, one.target, one.source)["rouge1"] for text, one in zip(texts, wanted, strict=True)
    ]  # fmt: skip
    return sum(scores) / len(scores)


def _freely(llm: Any, wanted: Sequence[Document]) -> list[str]:
    asked = [FREELY.format(one.fact.statement, one.source) for one in wanted]
    return [reply.text for reply in llm.generate([as_request(text, {"max_tokens": 100}) for text in asked])]
