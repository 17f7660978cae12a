"""How edits that are scoped by a topic are judged, whatever gate judges the Facts: Descriptions, Behaviours, Erasures.

A topic is in scope where the query names it (by any of its names, slips of the keyboard forgiven, and not within a
longer name), or lies so near to it that it is spoken of without its name. An Erasure that says what is asked is judged
as a Fact, and answers (`direct`) where a Fact would; elsewhere it is only watched over (`bridge`).
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
WEIGHTS = {"description": (-4.0, 6.0, 5.0), "behaviour": (-4.0, 6.0, 5.0), "erasure": (-4.0, 6.0, 5.0)}
"""By kind: log-odds of nothing, of a topic that is named, and of a cosine of 1; `bench/topics.py` fits them."""
NAMED, EXACT = TEXT.index("named"), TEXT.index("exact")


@dataclass(frozen=True, slots=True)
class Topic:
    """What speaks for a topic being spoken of.

    Args:
        name: The topic's first name; empty where none is known.
        named: How much of a name stands in the query, in [0, 1]; of one within a longer name, a part.
        similarity: Cosine of the query to the topic, or to what is said of it.
    """

    name: str
    named: float
    similarity: float

    def reasons(self) -> tuple[str, ...]:
        """In words."""
        said = f"topic “{self.name}” is {'named' if self.named == 1 else f'named to {self.named:.0%}'}"
        return (said if self.name else "no known topic", f"similarity {self.similarity:.2f} to it")

    def numbers(self) -> dict[str, float]:
        """By name."""
        return {"named": self.named, "similarity": self.similarity}


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
    if asked.passed:
        return replace(asked, edit=found.edit)
    spoken_of = _verdict(query, found, "bridge")
    return spoken_of if spoken_of.passed else replace(asked, edit=found.edit)


def _verdict(query: Reading, found: Candidate, role: Role) -> Verdict:
    edit = found.edit
    assert isinstance(edit, Topical)
    measured = text_features(query, known_by(edit.names))
    named = 1.0 if measured[EXACT] else min(measured[NAMED], 0.5)
    evidence = Topic(edit.names[0] if edit.names else "", named, found.similarity)
    probability = topic_probability(edit.kind, named, found.similarity)
    return Verdict(edit, probability, probability >= 0.5, evidence, role)


def topic_probability(kind: str, named: float, similarity: float) -> float:
    """That a query is about the topic of an edit of this kind."""
    nothing, by_name, by_likeness = WEIGHTS[kind]
    return 1 / (1 + math.exp(-(nothing + by_name * named + by_likeness * similarity)))
