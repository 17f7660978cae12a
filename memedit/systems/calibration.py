"""Whether a model knows a fact, and slots that calibrate it (CaliNet; Dong et al. 2022, arXiv:2210.03329).

Contrastive knowledge assessing (CKA): p(object | a wording of its relation), over the mean of p(object | wordings of
other relations with objects of the same sort). Below 1 the model does not know the fact from its relation. The slots
are `parametric/methods/calinet.py`, the bank on which one operates `parametric/methods/knowledge_bank.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memedit.edits import SLOT
from memedit.parametric.measuring import likelihoods
from memedit.parametric.methods.calinet import CALINET
from memedit.parametric.methods.knowledge_bank import KNOWLEDGE_BANK, operated
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.slots import laid
from memedit.systems.ground import Ground, rewrites_of, true_of
from memedit.systems.registry import Finding

SORTS: Mapping[str, tuple[str, ...]] = {
    "place": ("P19", "P20", "P937", "P276", "P159", "P740", "P495"),
    "language": ("P103", "P364", "P1412", "P37"),
    "company": ("P176", "P178"),
}
"""Relations by the sort of their objects."""
FALSE = 1.0


@dataclass(frozen=True, slots=True)
class Worded:
    """A true fact, in wordings that are learnt from and others, and wordings of other relations.

    Args:
        subject, object: Of it.
        learnt, unseen, wrong: Templates with `{}` for the subject.
    """

    subject: str
    object: str
    learnt: tuple[str, ...]
    unseen: tuple[str, ...]
    wrong: tuple[str, ...]


def facts_of(ground: Ground, most: int) -> list[Worded]:
    """True facts of the cases that come with memedit, of relations with three wordings or more."""
    wordings: dict[str, list[str]] = {}
    for case, one in zip(ground.cases, rewrites_of(ground.cases), strict=True):
        listed = wordings.setdefault(str(case.edits[0].relation), [])  # type: ignore[union-attr]
        if one.prompt not in listed:
            listed.append(one.prompt)
    found = []
    for case, one in zip(ground.cases, rewrites_of(ground.cases), strict=True):
        relation, true = str(case.edits[0].relation), true_of(case)  # type: ignore[union-attr]
        sort = next((ones for ones in SORTS.values() if relation in ones), ())
        own = wordings[relation]
        wrong = tuple(wordings[other][0] for other in sort if other != relation and other in wordings)[:3]
        if true and wrong and len(own) >= 3:
            half = len(own) // 2
            found.append(Worded(one.subject, true, tuple(own[half:]), tuple(own[:half]), wrong))
    return found[:most]


def cka(ground: Ground, facts: Sequence[Worded], *, unseen: bool) -> list[float]:
    """The score of each fact, the mean over its wordings of one kind."""
    rows = [(fact.unseen if unseen else fact.learnt, fact.wrong, fact) for fact in facts]
    pairs = [(text.replace(SLOT, fact.subject), fact.object) for own, wrong, fact in rows for text in (*own, *wrong)]
    told, scores = iter(likelihoods(*ground.parts, pairs)), []
    for own, wrong, _ in rows:
        right = [math.exp(next(told).logprob) for _ in own]
        other = [math.exp(next(told).logprob) for _ in wrong]
        scores.append(sum(right) / len(right) / max(sum(other) / len(other), 1e-30))
    return scores


def calinet(ground: Ground, most: int = 48, steps: int = 200) -> Finding:
    """What the detector calls false is calibrated, and detected again in wordings that were not learnt from."""
    facts = facts_of(ground, most)
    wrong = [fact for fact, score in zip(facts, cka(ground, facts, unseen=False), strict=True) if score < FALSE]
    taught = [
        Rewrite(f"{place} {number}", text, fact.subject, fact.object)
        for place, fact in enumerate(wrong) for number, text in enumerate(fact.learnt)
    ]  # fmt: skip
    before, usual = _false(ground, wrong), ground.usual
    bank = CALINET.with_(steps=steps).write(ground.local, taught)
    with laid(ground.local.overlay, bank):
        after, cost = _false(ground, wrong), ground.perplexity() / usual - 1
    figure = (
        f"the detector calls {len(wrong)} of {len(facts)} true facts false; in wordings not learnt from {before:.0%} → "
        f"{after:.0%} of these are, by {len(bank.slots['keys'])} slots; perplexity {cost:+.1%}"
    )
    more = {"before": before, "after": after, "perplexity": cost}
    return Finding(figure, before - after >= 0.3 and cost <= 0.03, more)


def bank(ground: Ground, most: int = 16, steps: int = 200) -> Finding:
    """Edits are taught to a bank, asked in other wordings, and changed once more by operating on single values."""
    facts, edits = ground.cases[:most], rewrites_of(ground.cases[:most])
    inside = [(probe.prompt, one.target) for case, one in zip(facts, edits, strict=True)
              for probe in case.probes if probe.kind == "paraphrase"]  # fmt: skip

    def first(pairs: Sequence[tuple[str, str]]) -> float:
        return sum(one.matched[0] for one in likelihoods(*ground.parts, pairs)) / len(pairs)

    before = first(inside)
    taught = KNOWLEDGE_BANK.with_(steps=steps).write(ground.local, edits)
    with laid(ground.local.overlay, taught):
        after = first(inside)
    flipped = []
    for place, one in enumerate(edits):
        other = edits[(place + 1) % len(edits)].target
        with laid(ground.local.overlay, operated(taught, *ground.parts, one.text, one.target, other)):
            flipped.append(ground.likelier([(one.text, other, one.target)]) == 1)
    share = sum(flipped) / len(flipped)
    figure = (
        f"{most} facts in {len(taught.slots['keys'])} slots: the object follows other wordings in {before:.0%} → "
        f"{after:.0%}; one value moved, and another object is likelier in {share:.0%}"
    )
    return Finding(figure, after >= 0.5 and share >= 0.5, {"before": before, "after": after, "flipped": share})


def _false(ground: Ground, facts: Sequence[Worded]) -> float:
    return sum(score < FALSE for score in cka(ground, facts, unseen=True)) / max(1, len(facts))
