"""Demonstrations for IKE, made from one's own edits: each shows what becomes of a question when a fact is new.

`memedit.eval.demonstrations` makes them of benchmark cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from memedit.edits import Demonstration, Fact


def demonstrations(facts: Iterable[Fact]) -> Iterator[Demonstration]:
    """What the Facts themselves can show.

    `copy`: the fact asked in its own words. `update`: asked in others (its question, or a probe that must change).
    `retain`: a question that another fact leaves as it was: a probe that must stay and says what is expected, or the
    cloze of the Fact before with the object that it had.

    Args:
        facts: Those with a prompt or a question, and an object; others are passed over.
    """
    told = [fact for fact in facts if fact.answer is not None]
    for fact in told:
        answer = str(fact.answer)
        if fact.cloze:
            yield Demonstration(role="copy", fact=fact.text, prompt=fact.cloze, answer=answer)
        asked = [fact.question] if fact.question else []
        for prompt in (*asked, *(probe.prompt for probe in fact.probes if probe.must == "change")):
            yield Demonstration(role="update", fact=fact.text, prompt=prompt, answer=answer)
        for probe in fact.probes:
            if probe.must == "stay" and probe.expect:
                yield Demonstration(role="retain", fact=fact.text, prompt=probe.prompt, answer=probe.expect[0])
    for before, fact in pairwise(told):
        if before.cloze and before.previous_object and before.subject != fact.subject:
            yield Demonstration(role="retain", fact=fact.text, prompt=before.cloze, answer=before.previous_object)
