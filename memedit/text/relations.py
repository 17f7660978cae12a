"""What is known about relations: their names, and whether a subject has one value at a time.

The shipped table (`data/relations.json`) uses Wikidata's property ids, as the benchmarks do. A relation that is not in
it is *unknown*: no edit replaces another through it, until the user says that it has one value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from memedit.text import same_key

PROPERTY_ID = re.compile(r"[Pp]\d+")


@dataclass(frozen=True, slots=True)
class Relations:
    """Names of relations and how many values each has at a time.

    Args:
        labels: Canonical key to readable label.
        keys: Any known name, in the form of `same_key`, to canonical key.
        single: Canonical key to whether the relation has one value at a time.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    single: Mapping[str, bool] = field(default_factory=dict)

    def key(self, relation: str) -> str:
        """One key for all names of a relation: `CEO`, `chief executive officer` and `P169` give the same."""
        name = same_key(relation)
        return self.keys.get(name, name)

    def has_one_value(self, relation: str) -> bool | None:
        """Whether a subject has one value of this relation at a time; None when unknown."""
        return self.single.get(self.key(relation))

    def label(self, relation: str) -> str:
        """A readable name: `P169` gives `chief executive officer`; an unknown relation is given back."""
        return self.labels.get(self.key(relation), relation)

    def with_single(self, single: Mapping[str, bool]) -> Relations:
        """A copy in which the given relations have one value at a time (True) or several (False)."""
        own = {self.key(name): value for name, value in single.items()}
        return Relations(self.labels, self.keys, {**self.single, **own})


@cache
def shipped_relations() -> Relations:
    """The table that comes with memedit."""
    rows = json.loads(resources.files("memedit.data").joinpath("relations.json").read_text(encoding="utf-8"))
    keys = {same_key(name): row["id"].casefold() for row in rows for name in (row["id"], *row["names"])}
    labels = {row["id"].casefold(): row["names"][0] for row in rows}
    return Relations(labels, keys, {row["id"].casefold(): row["single"] for row in rows})
