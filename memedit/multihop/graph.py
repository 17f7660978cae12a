"""A memory's Facts as a graph of (subject, relation, object), and what follows from them by rules.

The rules are data (`data/rules.json`): symmetric and inverse relations, relations that imply another, and compositions
(an uncle is a parent's brother). Only those that hold always are there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

from memedit.edits import SLOT, AnyEdit, Fact
from memedit.text import words
from memedit.text.relations import PROPERTY_ID, shipped_relations

ROUNDS = 3  # of deriving from what was derived
DERIVED = "derived"
"""The tag of Facts that follow from others."""
OF_IT = re.compile(
    rf"(?i)^(?:the )?(?:names? of the )?(.+?) (?:of|in|for|which) {re.escape(SLOT)}(?: is| are| was| were)?$"
)
ITS = re.compile(rf"(?i)^{re.escape(SLOT)}(?:'s|’s) (.+?)(?: is| are| was| were)?$")
IT_DOES = re.compile(rf"(?i)^{re.escape(SLOT)} (?:(?:is|was|are|were) )?(.+?)(?: by| to| with| the)?$")


@dataclass(frozen=True, slots=True)
class Triple:
    """One fact of the graph.

    Args:
        subject: A name.
        relation: Its readable name.
        object: A name.
        edits: Ids of the edits it rests on.
        rule: By which rule it follows; None where an edit says it.
    """

    subject: str
    relation: str
    object: str
    edits: tuple[str, ...] = ()
    rule: str | None = None

    @property
    def key(self) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
        """The same for triples that say the same."""
        return words(self.subject), shipped_relations().key(self.relation), words(self.object)

    def to_dict(self) -> dict[str, Any]:
        """The triple as JSON values."""
        return {
            "subject": self.subject, "relation": self.relation, "object": self.object, "edits": list(self.edits),
            "rule": self.rule,
        }  # fmt: skip

    def __str__(self) -> str:
        how = f"  [{self.rule}]" if self.rule else ""
        return f"{self.subject} —{self.relation}→ {self.object}{how}"


@dataclass(frozen=True, slots=True)
class Graph:
    """Triples, and the names of what they are about.

    Args:
        triples: In the order of the edits; of a relation with one value at a time, the newest.
        aliases: A name in the form of `words`, to the name it is an alias of.
    """

    triples: tuple[Triple, ...] = ()
    aliases: Mapping[tuple[str, ...], str] = field(default_factory=dict)

    @classmethod
    def of(cls, edits: Iterable[AnyEdit], *, at: datetime | None = None) -> Graph:
        """The graph of the Facts among edits.

        Args:
            edits: Those in force; Facts of which no subject, relation and object can be told are left out.
            at: A time in the world; left out are Facts that do not hold then.
        """
        latest: dict[Any, tuple[datetime, Triple]] = {}
        aliases: dict[tuple[str, ...], str] = {}
        for fact in (edit for edit in edits if isinstance(edit, Fact)):
            told = triple_of(fact)
            if told is None or (at is not None and not fact.holds_at(at)):
                continue
            aliases |= {words(alias): told.subject for alias in fact.aliases}
            aliases |= {words(alias): told.object for alias in fact.object_aliases}
            key = told.key[:2] if shipped_relations().has_one_value(told.relation) else told.key
            if key not in latest or latest[key][0] <= fact.created_at:
                latest[key] = fact.created_at, told
        return cls(tuple(triple for _, triple in latest.values()), aliases)

    def name(self, name: str) -> str:
        """The name a thing goes by in the graph."""
        return self.aliases.get(words(name), name)

    def about(self, name: str) -> tuple[Triple, ...]:
        """What is said of a thing, by any of its names."""
        wanted = words(self.name(name))
        return tuple(triple for triple in self.triples if words(self.name(triple.subject)) == wanted)

    def follow(self, name: str, relation: str) -> tuple[Triple, ...]:
        """What a relation of a thing leads to."""
        key = shipped_relations().key(relation)
        return tuple(triple for triple in self.about(name) if shipped_relations().key(triple.relation) == key)

    def with_derived(self) -> Graph:
        """The graph with all that follows from it by the rules."""
        known = {triple.key: triple for triple in self.triples}
        for _ in range(ROUNDS):
            new = {triple.key: triple for triple in self._following(known.values())}
            if not new.keys() - known.keys():
                break
            known = new | known
        return Graph(tuple(known.values()), self.aliases)

    def _following(self, triples: Iterable[Triple]) -> Iterator[Triple]:
        given, rules = list(triples), shipped_rules()
        by_subject: dict[tuple[tuple[str, ...], str], list[Triple]] = {}
        for one in given:
            by_subject.setdefault((words(self.name(one.subject)), one.key[1]), []).append(one)
        for one in given:
            for turned in rules.turned.get(one.key[1], ()):
                yield Triple(one.object, turned, one.subject, one.edits, f"inverse of {one.relation}")
            for implied in rules.implied.get(one.key[1], ()):
                yield Triple(one.subject, implied, one.object, one.edits, f"implied by {one.relation}")
            for second, whole in rules.composed.get(one.key[1], ()):
                for other in by_subject.get((words(self.name(one.object)), second), ()):
                    if words(other.object) != words(one.subject):
                        by = f"{other.relation} of the {one.relation}"
                        yield Triple(
                            one.subject, whole, other.object, tuple(dict.fromkeys(one.edits + other.edits)), by
                        )


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules by the key of a relation.

    Args:
        turned: What the object is to the subject.
        implied: What else the object is to the subject.
        composed: The relation that follows behind, and what both come to.
        parts: Of a composed relation, where each has one value at a time: the mother's mother.
    """

    turned: Mapping[str, tuple[str, ...]]
    implied: Mapping[str, tuple[str, ...]]
    composed: Mapping[str, tuple[tuple[str, str], ...]]
    parts: Mapping[str, tuple[str, ...]]


@cache
def shipped_rules() -> Rules:
    """The rules that come with memedit."""
    told = json.loads(resources.files("memedit.data").joinpath("rules.json").read_text(encoding="utf-8"))
    key, one_value = shipped_relations().key, shipped_relations().has_one_value
    turned: dict[str, tuple[str, ...]] = {}
    implied: dict[str, tuple[str, ...]] = {}
    composed: dict[str, tuple[tuple[str, str], ...]] = {}
    for first, second in [*told["inverse"], *([name, name] for name in told["symmetric"])]:
        turned[key(first)] = (*turned.get(key(first), ()), second)
    for first, second in told["implies"]:
        implied[key(first)] = (*implied.get(key(first), ()), second)
    for rule in told["compositions"]:
        first, second = rule["path"]
        composed[key(first)] = (*composed.get(key(first), ()), (key(second), rule["relation"]))
    paths = {key(rule["relation"]): tuple(rule["path"]) for rule in told["compositions"]}
    return Rules(turned, implied, composed, {name: path for name, path in paths.items() if all(map(one_value, path))})


def in_parts(description: str) -> tuple[str, ...]:
    """A description by a composed relation in its parts: “the maternal grandmother of {}” is the mother of {}, twice.

    Any other description is its only part.
    """
    said = OF_IT.match(description)
    parts = shipped_rules().parts.get(shipped_relations().key(said[1])) if said else None
    return tuple(f"the {relation} of {SLOT}" for relation in parts) if parts else (description,)


def derived_facts(edits: Iterable[AnyEdit], *, of: Iterable[str] | None = None) -> list[Fact]:
    """The Facts that follow from edits by the rules, tagged `derived`, with the edits they rest on as their source.

    Args:
        edits: Those in force.
        of: Ids; only what rests on one of these. All when left out.
    """
    wanted = None if of is None else set(of)
    graph = Graph.of(edits)
    return [
        Fact(
            subject=triple.subject,
            relation=triple.relation,
            object=triple.object,
            source=f"follows from {', '.join(triple.edits)} ({triple.rule})",
            tags=(DERIVED,),
        )
        for triple in graph.with_derived().triples
        if triple.rule and (wanted is None or wanted & set(triple.edits))
    ]


def with_derived(edit: AnyEdit, others: Iterable[AnyEdit]) -> list[AnyEdit]:
    """An edit, and behind it the Facts that follow from it and others."""
    return [edit, *derived_facts([*others, edit], of=(edit.id,))]


def triple_of(fact: Fact) -> Triple | None:
    """Subject, relation and object of a Fact, by its fields or its wording; None where they are not told apart."""
    names, thing = fact.names, fact.thing
    if not names or thing is None:
        return None
    relation = fact.relation
    if relation is None:
        cloze = fact.prompt or fact.key_text.replace(names[0], SLOT, 1)
        said = next((found[1] for form in (OF_IT, ITS, IT_DOES) if (found := form.match(cloze.strip()))), None)
        if said is None:
            return None
        relation = said
    label = shipped_relations().label(relation) if PROPERTY_ID.fullmatch(relation) else relation
    return Triple(names[0], label, thing, (fact.id,))
