"""Which edits have the same relation, as far as texts tell: so that a gate can be tested on relations it never saw."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from memedit.edits import Fact
from memedit.embedders.port import Vectors, dots
from memedit.text.relations import PROPERTY_ID, shipped_relations

ALIKE = 0.6
"""Cosine of relation texts from which a relation without a property id counts as one that has one."""
LOOSE = 0.55  # cosine from which two relations without property ids count as one


def relation_groups(facts: Sequence[Fact], vectors: Vectors) -> list[str]:
    """A group for each Fact: its relation's property id; without one, that of the nearest relation that has one; else
    a group of relations like it.

    Facts that name a relation in words stay together, whatever their texts are.

    Args:
        facts: Of all sets.
        vectors: Of their relation texts, (len(facts), d).
    """
    members: dict[str, list[int]] = defaultdict(list)
    for at, fact in enumerate(facts):
        members[_name(fact)].append(at)
    texts: dict[str, Vectors] = {}
    for name, group in members.items():
        mean = vectors[group].mean(axis=0)
        texts[name] = mean / max(float(np.linalg.norm(mean)), 1e-9)
    known = {facts[at].relation_text: name for name, group in members.items() if _is_id(name) for at in group}
    rows = {facts[at].relation_text: at for at in range(len(facts))}
    landmarks = list(known)
    anchors = vectors[[rows[text] for text in landmarks]] if landmarks else vectors[:0]
    found = {name: name for name in members if _is_id(name)}
    leaders: list[str] = []
    for name in sorted(set(members) - set(found), key=lambda one: -len(members[one])):
        near = dots(anchors, texts[name]) if landmarks else np.empty(0)
        if near.size and near.max() >= ALIKE:
            found[name] = known[landmarks[int(near.argmax())]]
            continue
        like = dots(np.stack([texts[one] for one in leaders]), texts[name]) if leaders else np.empty(0)
        if like.size and like.max() >= LOOSE:
            found[name] = leaders[int(like.argmax())]
            continue
        leaders.append(name)
        found[name] = name
    return [found[_name(fact)] for fact in facts]


def fold(group: str, folds: int) -> int:
    """The fold of a group; the same in every run."""
    return int(hashlib.sha256(group.encode()).hexdigest(), 16) % folds


def _name(fact: Fact) -> str:
    named = fact.relation or (fact.tags[0] if fact.tags else None)
    return shipped_relations().key(named) if named else f"text: {fact.relation_text}"


def _is_id(name: str) -> bool:
    return PROPERTY_ID.fullmatch(name) is not None
