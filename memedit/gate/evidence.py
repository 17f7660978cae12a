"""Evidence that a query falls in the scope of an edit, and the probability it gives.

A query may ask for the very fact an edit states, or only look like it: another subject, or another relation of the
same subject. The evidence is read from the texts and from vectors that are there anyway (the query's, and two kept
with each edit: its key text and its relation text). Nothing is embedded here.

In scope means the same subject *and* the same relation, so the probability is the product of two logistic scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from memedit.embedders.port import Vectors, dots
from memedit.gate.reading import SLIP, Known, Reading, mention
from memedit.text import FUNCTION_WORDS

COEFFICIENTS = {
    "subject": {"constant": -20.5, "exact": 8.5, "named": 8.0, "about": 13.5},
    "relation": {"constant": -2.0, "margin": 4.5, "profile": 4.0, "explained": 0.5, "vague": 1.0, "rival": -8.0},
}
"""Fitted with scikit-learn (logistic regression, C = 10, rounded to halves) on vectors of all-MiniLM-L6-v2, with edits
and probes of CounterFact, MQuAKE and KnowEdit; fits on half of the relations were tested on the other half, the shipped
one is fitted on both, so that figures on these benchmarks are in-distribution. `subject` parts right edits
from edits of other subjects (which weigh 20-fold), `relation` from other relations of the same subject. Set by hand:
4 of `exact`, `rival`, and the threshold."""

UNNAMED = {"constant": -20.0, "similarity": 15.0, "explained": 8.0}
"""For a Fact of which no subject is known: set by hand, so that it takes likeness (about 0.9) and most of the words."""

THRESHOLD = 0.4
"""Probability from which a Fact is let through. Lower, and more paraphrases pass; higher, and fewer questions about
another relation of the same subject do."""

CONTRASTS = tuple(
    phrase.strip()
    for phrase in """was born in; date of birth; place of death; died on; is buried in; cause of death;
    lives in; nationality; native language; speaks the language; is married to; father; mother; child;
    sibling; gender; religion; occupation; job title; works for the company; field of study;
    was educated at; award received; political party; member of the team; plays the sport;
    position on the team; plays the instrument; music genre; record label; chief executive; founder;
    was founded in; headquarters; owner; parent company; manufacturer; product; price; opening hours;
    phone number; number of employees; is located in; country; continent; capital city; head of state;
    head of government; official language; currency; population; area; height; anthem; sister city;
    neighbouring place; author; director; composer; performer; cast member; original language;
    first broadcast on; publisher; release date; sequel; named after; designed by; discovered by;
    material; colour; species; family; symptom; treatment; deadline; password; version;
    programming language; operating system""".split(";")
)
"""Everyday questions. A query fits an edit's relation only if it fits it better than these."""

NUMBERS = ("named", "exact", "similarity", "about", "margin", "profile", "explained", "vague", "rival")

TITLES = frozenset("dr mr mrs ms prof professor president king queen sir lady captain saint".split())

SAME_RELATION = 0.5  # cosine; a contrast this close to the edit's own relation is no contrast


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for and against an edit being in scope of a query.

    Args:
        name: The subject as it was looked for.
        shared: Stems that both the query and the relation hold.
        named: 1 when the subject occurs word for word; below, the share of it that occurs.
        exact: Whether it occurs, and does not go on into a longer name.
        similarity: Cosine of query and key text.
        about: Cosine of the query and what the key holds beside its relation, that is, its subject.
        margin: How much better the query, less the subject, fits the relation than any contrast (cosines).
        profile: Correlation of the query's and the key's similarities to the contrasts.
        explained: Share of the query's other words that the relation's words explain.
        vague: Whether the relation text holds function words only, and cannot be compared.
        rival: How much better another edit of the same subject fits.
    """

    name: str
    shared: tuple[str, ...]
    named: float
    exact: bool
    similarity: float
    about: float
    margin: float
    profile: float
    explained: float
    vague: bool
    rival: float = 0.0

    @property
    def probability(self) -> float:
        """How likely the query is in scope of the edit, in [0, 1]."""
        if not self.name:
            return _logistic(
                UNNAMED["constant"] + UNNAMED["similarity"] * self.similarity + UNNAMED["explained"] * self.explained
            )
        return self._score("subject") * self._score("relation")

    def _score(self, part: str) -> float:
        weights = COEFFICIENTS[part]
        total = weights["constant"] + sum(
            weight * float(getattr(self, name)) for name, weight in weights.items() if name != "constant"
        )
        return _logistic(total)

    def numbers(self) -> dict[str, float]:
        """The measured features by name."""
        return {name: float(getattr(self, name)) for name in NUMBERS}

    def reasons(self) -> tuple[str, ...]:
        """The evidence in words, for and against."""
        said = []
        if not self.name:
            said.append("no known subject")
        elif not self.named:
            said.append(f"subject “{self.name}” is not named")
        elif self.named == 1:
            said.append(f"subject “{self.name}” is named" + ("" if self.exact else ", within a longer name"))
        else:
            said.append(f"subject “{self.name}” is named in part ({self.named:.0%})")
        if self.shared:
            said.append("relation words: " + " ".join(self.shared))
        said.append(f"similarity {self.similarity:.2f}")
        said.append(
            f"fits the relation {'better' if self.margin > 0 else 'worse'} than other questions ({self.margin:+.2f})"
        )
        if self.rival > 0:
            said.append(f"another edit of the subject fits better (by {self.rival:.2f})")
        return tuple(said)


def _logistic(total: float) -> float:
    return 1 / (1 + math.exp(-total))


def measure(query: Reading, known: Sequence[Known], table: Vectors) -> list[Evidence]:
    """The evidence for each candidate, given its row of `similarity_table`. table (candidates, 4)."""
    items = [_measure(query, edit, *row) for edit, row in zip(known, table.tolist(), strict=True)]
    fits = [item.similarity + item.margin for item in items]
    best: dict[tuple[tuple[str, ...], ...], float] = {}
    for edit, fit in zip(known, fits, strict=True):
        best[edit.names] = max(fit, best.get(edit.names, fit))
    return [
        replace(item, rival=best[edit.names] - fit) if edit.names and best[edit.names] > fit else item
        for item, edit, fit in zip(items, known, fits, strict=True)
    ]


def similarity_table(query: Vectors, keys: Vectors, relations: Vectors, contrasts: Vectors) -> Vectors:
    """Similarity, about, margin and profile of each candidate.

    What a key holds beside its relation stands for its subject. The query less that part is compared with the relation
    and with the contrasts.

    Shapes:
        query (d,); keys, relations (n, d); contrasts (m, d); result (n, 4). All vectors of unit length.
    """
    similarity, relation = dots(keys, query), dots(relations, query)
    shared = np.einsum("ij,ij->i", keys, relations)
    rest = np.sqrt(np.maximum(1 - shared**2, 1e-6))
    about = (similarity - shared * relation) / rest
    size = np.sqrt(np.maximum(1 - about**2, 1e-6))
    near = dots(contrasts, relations)
    answers, key_answers = dots(contrasts, query), dots(contrasts, keys)
    along = (key_answers - near * shared) / rest
    against = (answers[:, None] - about * along) / size
    against[near >= SAME_RELATION] = -1
    # The relation text has no part along the subject, so its own fit needs only the new length.
    margin = relation / size - against.max(axis=0)
    lean, leans = answers - answers.mean(), key_answers - key_answers.mean(axis=0)
    profile = (lean @ leans) / np.maximum(np.linalg.norm(lean) * np.linalg.norm(leans, axis=0), 1e-6)
    return np.column_stack((similarity, about, margin, profile))


def _measure(query: Reading, edit: Known, similarity: float, about: float, margin: float, profile: float) -> Evidence:
    named, places, name = max(((*mention(query, name), name) for name in edit.names), default=(0.0, (), ()))
    inside = set(places)
    other = [at for at, word in enumerate(query.words) if at not in inside and word not in FUNCTION_WORDS]
    stems = {at: query.stems[at] for at in other}
    shared = {stem for stem in stems.values() if stem in edit.relation}
    # Capitals in the first word mean nothing, unless the second word has one too.
    strange = [
        at
        for at in other
        if query.capital[at]
        and query.words[at] not in TITLES
        and stems[at] not in shared
        and (at or query.capital[1:2] == (True,))
    ]
    goes_on = bool(places) and query.goes_on(min(places), max(places), strange)
    return Evidence(
        name=" ".join(name),
        shared=tuple(sorted(shared)),
        named=named,
        exact=named >= SLIP and not goes_on,
        similarity=similarity,
        about=about,
        margin=margin,
        profile=profile,
        explained=len(shared) / len(set(stems.values())) if stems else 0.5,
        vague=not edit.relation,
    )
