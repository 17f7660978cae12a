"""Scope examples of daily life, made of the shipped phrasings: invented subjects, asked for what an edit says of them,
for something else, under another name, for what lies one step further, and strangers asked for the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from memedit.edits import SLOT, Fact
from memedit.gate.learning.scope_sets import Question, ScopeSet

Relation = Mapping[str, Any]

ASKED_OF = {"person": "person", "place": "city", "company": "company"}
"""Of what kind an object of this type is, so that the next step of a two-step question can be asked of it."""
PLAIN = 0.3  # share of edits that are bare statements, without subject and template
STRANGERS = 6  # names of each kind of which nothing is in memory


@cache
def kinds() -> dict[str, tuple[dict[str, Any], tuple[Relation, ...]]]:
    """By kind of subject: its line with names and aliases, and its relations."""
    lines = resources.files("memedit.data").joinpath("phrasings.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if line.strip()]
    named = {record["kind"]: record for record in records if "names" in record}
    return {
        kind: (record, tuple(one for one in records if one["kind"] == kind and "relation" in one))
        for kind, record in named.items()
    }


def everyday(*, seed: int = 0) -> ScopeSet:
    """A memory of invented facts of daily life, up to half of what is known of a subject, and questions about all."""
    rng = random.Random(seed)  # noqa: S311 - examples, no secrets
    edits: list[Fact] = []
    questions: list[Question] = []
    for kind, (record, relations) in kinds().items():
        names = rng.sample(record["names"], len(record["names"]))
        for name in names[:STRANGERS]:
            questions += (_about(rng.choice(_wordings(one)), name, "neighbourhood") for one in relations)
        for name in names[STRANGERS:]:
            held = rng.sample(relations, rng.randint(1, (len(relations) + 1) // 2))
            ids = {relation["relation"]: f"everyday-{len(edits) + at}" for at, relation in enumerate(held)}
            edits += [_edit(name, kind, one, ids[one["relation"]], rng) for one in held]
            for relation in relations:
                questions += _asked(name, record["aliases"].get(name, ()), relation, ids, rng)
    return ScopeSet("everyday", tuple(edits), tuple(questions), only_training=True)


def _edit(name: str, kind: str, relation: Relation, edit_id: str, rng: random.Random) -> Fact:
    value, template = rng.choice(relation["objects"]), rng.choice(relation["statements"])
    label = f"{kind}: {relation['relation']}"
    if rng.random() < PLAIN:
        return Fact(f"{template.replace(SLOT, name)} {value}.", id=edit_id, tags=(label,))
    if rng.random() < PLAIN:
        template = rng.choice(relation["questions"])
    return Fact(subject=name, relation=label, prompt=template, object=value, id=edit_id)


def _asked(
    name: str, aliases: Sequence[str], relation: Relation, ids: Mapping[str, str], rng: random.Random
) -> Iterator[Question]:
    wordings = _wordings(relation)
    edit_id = ids.get(relation["relation"])
    if edit_id is None:
        yield from (_about(text, name, "same subject") for text in rng.sample(wordings, 2))
        return
    here = frozenset([edit_id])
    yield from (_about(text, name, "paraphrase", direct=here) for text in rng.sample(wordings, 4))
    # What comes close to one relation may ask for another one of the subject's.
    others = frozenset(ids.values()) - here
    yield from (_about(text, name, "same subject", unsure=others) for text in rng.sample(relation["close"], 2))
    yield from (_about(rng.choice(wordings), alias, "alias", direct=here) for alias in aliases)
    if further := ASKED_OF.get(relation["value"]):
        step = rng.choice(rng.choice(kinds()[further][1])["questions"])
        yield _about(step, relation["noun"].replace(SLOT, name), "two hops", bridges=here)


def _wordings(relation: Relation) -> list[str]:
    return [*relation["questions"], *relation["statements"]]


def _about(template: str, name: str, group: str, **scope: frozenset[str]) -> Question:
    return Question(template.replace(SLOT, name), group=group, **scope)
