"""What a planner is trained on: questions of one to four hops with their plans, made of the phrasings that come with
memedit. Relations of the shipped table, which the field's benchmarks ask about, are left out.

A hop is a phrase around the thing before it: a noun (“the drummer of X”), a possessive (“X's drummer”), or a clause
(“the person who plays the drums in X”, “the place where X is set”); the last is a question, or the beginning of a
statement.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from memedit.edits import SLOT
from memedit.gate.learning.everyday import Relation, kinds
from memedit.text import same_key
from memedit.text.relations import shipped_relations

MOST_HOPS = 4
DEPTHS = (0.1, 0.4, 0.3, 0.2)  # shares of questions of one, two, three, four hops
FURTHER = {
    "person": ("person", "employee", "athlete"),
    "place": ("city", "country", "building", "hotel", "school"),
    "company": ("company", "shop", "band", "bank", "airline", "sports team", "restaurant"),
}
"""As what kinds an object of this type can be asked about further."""
HEADS = {
    "person": ("the person", "the man", "the woman", "the individual"),
    "place": ("the place", "the city", "the location", "the town", "the country"),
    "company": ("the company", "the organisation", "the firm", "the one"),
}
PREPOSITIONS = ("by", "in", "at", "with", "from", "to", "for", "on", "near")
ASKING = ("What is {}?", "Which is {}?", "Can you tell me {}?", "What is the name of {}?", "{} is", "Name {}.")
WHO = ("Who is {}?", "Who was {}?")


@dataclass(frozen=True, slots=True)
class Lesson:
    """A question and its plan.

    Args:
        question: Of one hop or several.
        name: What it starts from.
        steps: Each with `{}` for what the step before found.
        group: The last relation; questions of one group are learned from or held out together.
    """

    question: str
    name: str
    steps: tuple[str, ...]
    group: str


def lessons(count: int, *, seed: int = 0) -> list[Lesson]:
    """So many lessons, no two of the same question.

    Args:
        count: How many.
        seed: Of the draws.
    """
    draw, found = random.Random(seed), dict[str, Lesson]()  # noqa: S311 - examples, no secrets
    while len(found) < count:
        made = _made(draw)
        found[made.question] = made
    return list(found.values())


def _made(draw: random.Random) -> Lesson:
    depth = draw.choices(range(1, MOST_HOPS + 1), DEPTHS)[0]
    kind = draw.choice([kind for kind in _relations() if depth == 1 or _leading(kind)])
    name = phrase = draw.choice(kinds()[kind][0]["names"])
    steps: list[str] = []
    while len(steps) < depth - 1 and (open_to := _leading(kind)):
        relation = draw.choice(open_to)
        around = draw.choice(list(_phrases(relation, draw, owned=not steps)))
        phrase = around.replace(SLOT, phrase)
        steps.append(_step(around))
        kind = draw.choice([one for one in FURTHER[relation["value"]] if _relations().get(one)])
    last = draw.choice(_relations()[kind])
    asked, step = _asked(last, draw, owned=len(steps) < 2)
    question = asked.replace(SLOT, phrase)
    return Lesson(question[0].upper() + question[1:], name, (*steps, step), last["noun"])


@cache
def _relations() -> dict[str, tuple[Relation, ...]]:
    """By kind of subject, those that no benchmark is known to ask about."""
    known = shipped_relations().keys
    held = {
        kind: tuple(one for one in relations if not {same_key(one["relation"]), same_key(_noun(one))} & known.keys())
        for kind, (_, relations) in kinds().items()
    }
    return {kind: relations for kind, relations in held.items() if relations}


def _leading(kind: str) -> list[Relation]:
    """The relations of a kind whose objects can be asked about further."""
    return [one for one in _relations()[kind] if one["value"] in FURTHER]


def _phrases(relation: Relation, draw: random.Random, *, owned: bool) -> Iterator[str]:
    """Phrases for its object; `owned`: whether the thing in the slot may own it, which a long phrase may not."""
    yield relation["noun"]
    if owned and relation["noun"].endswith(f" of {SLOT}"):
        yield f"{SLOT}'s {_noun(relation)}"
    head, which = draw.choice(HEADS[relation["value"]]), "whom" if relation["value"] == "person" else "which"
    for statement in relation["statements"]:
        said, _, last = statement.rpartition(" ")
        if not statement.startswith(f"{SLOT} ") or said == SLOT:
            continue
        yield f"{head} {statement}"
        yield f"{head} that {statement}"
        if last in PREPOSITIONS:
            yield f"{head} {last} {which} {said}"
            if relation["value"] == "place":
                yield f"{head} where {said}"
    for question in relation["questions"]:
        if question.startswith("Who ") and question.endswith(f"{SLOT}?"):
            yield f"{head} who {question[4:-1]}"


def _asked(relation: Relation, draw: random.Random, *, owned: bool) -> tuple[str, str]:
    """A question about a thing, and the step it comes to."""
    plain = relation["noun"]
    if draw.random() < 0.5:
        wording = draw.choice(WHO if relation["value"] == "person" and draw.random() < 0.5 else ASKING)
        around = plain
        if owned and plain.endswith(f" of {SLOT}"):
            around = draw.choice((plain, f"{SLOT}'s {_noun(relation)}"))
        return wording.replace(SLOT, around), _step(around)
    around = draw.choice([*relation["questions"], *relation["statements"]])
    return around, around


def _step(around: str) -> str:
    """“{}'s drummer” is “the drummer of {}”."""
    owned = around.removeprefix(f"{SLOT}'s ")
    return f"the {owned} of {SLOT}" if owned != around else around


def _noun(relation: Any) -> str:
    """“the drummer of {}” without its ends."""
    return str(relation["noun"]).removeprefix("the ").removesuffix(f" of {SLOT}")
