"""How edits that are scoped by a topic are judged, whatever gate judges the Facts: Descriptions, Behaviours, Erasures.

A topic is in scope where the query names it (by any of its names, slips of the keyboard forgiven, and not within a
longer name), or lies so near to it that it is spoken of without its name. An Erasure that says what is asked is judged
as a Fact, and answers (`direct`) where a Fact would beyond doubt; elsewhere it is only watched over (`bridge`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from memedit.edits import Behaviour, Description, Erasure
from memedit.gate.features import TEXT, text_features
from memedit.gate.port import Role, Verdict
from memedit.gate.reading import Reading, known_by, read
from memedit.memory import Candidate, Recalled

Topical = Description | Behaviour | Erasure
WEIGHTS = {"description": (-5.7, 16.6, -7.5), "behaviour": (-6.4, 16.5, -5.0), "erasure": (-6.4, 16.5, -5.0)}
"""By kind: log-odds of nothing, of a cosine of 1, and of another name; `bench/topics.py` fits them."""
BY_NAME = 2.0
"""Log-odds of a topic that is named, whatever it is like: a long text may name it in passing."""
ASKED = 0.9
"""Probability from which it is beyond doubt that what is erased is asked for."""
NAMED, EXACT, STRANGE = map(TEXT.index, ("named", "exact", "strange names"))


@dataclass(frozen=True, slots=True)
class Topic:
    """What speaks for a topic being spoken of.

    Args:
        name: The topic's first name; empty where none is known.
        named: How much of a name stands in the query, in [0, 1]; of one within a longer name, a part.
        similarity: Cosine of the query to the topic, or to what is said of it.
        other_name: Whether the topic is a name that is not named, and the query has a name that is not of the topic.
    """

    name: str
    named: float
    similarity: float
    other_name: bool

    def reasons(self) -> tuple[str, ...]:
        """In words."""
        said = f"topic “{self.name}” is {'named' if self.named == 1 else f'named to {self.named:.0%}'}"
        other = ("another name is",) if self.other_name else ()
        return (said if self.name else "no known topic", *other, f"similarity {self.similarity:.2f} to it")

    def numbers(self) -> dict[str, float]:
        """By name."""
        return {"named": self.named, "similarity": self.similarity, "other name": float(self.other_name)}

    def probability(self, kind: str) -> float:
        """That the topic of an edit of this kind is spoken of."""
        nothing, by_likeness, by_other = WEIGHTS[kind]
        unnamed = nothing + by_likeness * self.similarity + by_other * self.other_name
        odds = unnamed + self.named * (max(unnamed, BY_NAME) - unnamed)
        return 1 / (1 + math.exp(-odds))


def judged_by_topic(recalled: Recalled) -> list[Verdict]:
    """The verdicts on Descriptions, Behaviours, and Erasures of which only a subject is known."""
    query: Reading | None = None
    verdicts = []
    for found in recalled.candidates:
        if isinstance(found.edit, Topical) and not (isinstance(found.edit, Erasure) and found.edit.asked):
            query = query or read(recalled.query)
            verdicts.append(_verdict(query, found, "bridge" if isinstance(found.edit, Erasure) else "direct"))
    return verdicts


def with_erasures(recalled: Recalled, verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The verdicts on Facts, those on what Erasures would be asked for turned into verdicts on the Erasures."""
    erasures = {found.edit.id: found for found in recalled.candidates if isinstance(found.edit, Erasure)}
    if not erasures:
        return list(verdicts)
    query = read(recalled.query)
    return [
        verdict if (found := erasures.get(verdict.edit.id)) is None else _of_erasure(query, found, verdict)
        for verdict in verdicts
    ]


def _of_erasure(query: Reading, found: Candidate, asked: Verdict) -> Verdict:
    """Refused where it is asked for; watched over where its subject is spoken of."""
    doubted = asked.passed and not _asks_for(asked)
    if asked.passed and not doubted:
        return replace(asked, edit=found.edit)
    spoken_of = _verdict(query, found, "bridge")
    if doubted:
        return replace(spoken_of, passed=True)
    return spoken_of if spoken_of.passed else replace(asked, edit=found.edit)


def _asks_for(asked: Verdict) -> bool:
    """Whether what an Erasure keeps is asked for, and nothing else of its subject, or the same of another's.

    In doubt it has to read so, and what is asked has to be more like what is erased than like whatever else may be
    asked. What is wrongly let through is still kept in the reply. A gate that does not measure that decides alone.
    """
    margin = asked.numbers.get("fit margin")
    return margin is None or asked.probability >= ASKED or (asked.shares[0] >= 0.5 and margin >= 0)


def _verdict(query: Reading, found: Candidate, role: Role) -> Verdict:
    edit = found.edit
    assert isinstance(edit, Topical)
    told = edit.description if isinstance(edit, Description) else ""
    measured = text_features(query, known_by(edit.names, told))
    named = 1.0 if measured[EXACT] else min(measured[NAMED], 0.5)
    is_name = bool(edit.names) and any(char.isupper() for char in edit.names[0])
    evidence = Topic(
        edit.names[0] if edit.names else "", named, found.similarity, is_name and named < 1 and measured[STRANGE] > 0
    )
    probability = evidence.probability(edit.kind)
    return Verdict(edit, probability, probability >= 0.5, evidence, role)
