"""Demonstrations for IKE, made from the cases of any benchmark, as Zheng et al. 2023 made theirs from CounterFact.

For a measurement, make them from cases that are not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from memedit.edits import Demonstration, Fact
from memedit.eval.cases import Case, Kind, Probe

UPDATES = (Kind.PARAPHRASE, Kind.ALIAS, Kind.FREE_FORM)
JUDGED = ("answer", "number")  # whose `answers` can be said in a line; the letter of a choice shows nothing


def demonstrations_of(cases: Iterable[Case], *, retained: int = 4) -> Iterator[Demonstration]:
    """What the cases show of the use of an edit, an example at a time, in the order of the cases.

    `copy`: the probe in the edit's own words (efficacy). `update`: one in others (paraphrase, alias, free form).
    `retain`: one that is out of the edit's scope and whose answer is known (neighbourhood, locality, …).

    Args:
        cases: Those with one Fact; what several edits bring about together is nothing to copy.
        retained: How many `retain` examples of a case at most: CounterFact has ten neighbours each.

    Raises:
        EditRejected: A prompt or answer holds what no edit may hold.
    """
    for case in cases:
        facts = [edit for edit in case.edits if isinstance(edit, Fact)]
        if len(facts) != 1 or len(case.edits) != 1:
            continue
        kept = 0
        for probe in case.probes:
            role = _role(probe)
            if role is None or (role == "retain" and kept >= retained):
                continue
            kept += role == "retain"
            yield Demonstration(
                role=role, fact=facts[0].text, prompt=probe.prompt, answer=probe.answers[0], source=facts[0].source
            )


def _role(probe: Probe) -> Literal["copy", "update", "retain"] | None:
    if not probe.answers or probe.form not in JUDGED:
        return None
    if probe.kind is Kind.EFFICACY:
        return "copy"
    if probe.kind in UPDATES:
        return "update"
    return "retain" if probe.kind.in_scope is False else None
