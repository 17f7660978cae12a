"""The features of a (query, edit) pair: from vectors that are there anyway, from the two texts, and from the other
candidates of the same query. Nothing is embedded here.

In scope means the same subject *and* the same relation, so most features are about one of the two; the third group
lets the best of several near edits win, and moves the threshold with the query (RECIPE's sentinel, Chen et al. 2024,
arXiv:2405.03279, learned there as a prompt).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from memedit.embedders.port import Vectors, dots
from memedit.encoder.network import through
from memedit.gate.reading import SLIP, Known, Reading, is_number, mention

TEXT = (
    "named", "exact", "tail named", "spelled", "initials", "strange names", "other words", "explained", "vague",
    "no subject", "question", "length", "negated", "type fits", "type differs", "quoted", "missing", "voice differs",
    "number differs", "swapped",
)  # fmt: skip
GEOMETRY = (
    "similarity", "about", "relation", "margin", "profile", "fit", "fit margin", "who",
    "recognised", "relation known", "asked known",
)  # fmt: skip
COMPETITION = (
    "rank", "similarity lead", "about lead", "who lead", "named elsewhere", "sibling", "sibling fits better",
    "nearest", "spread", "crowd",
)  # fmt: skip
FEATURES = (*TEXT, *GEOMETRY, *COMPETITION)
IN_WORDS = dict.fromkeys(FEATURES, "how near the others lie") | {
    **dict.fromkeys(("named", "exact", "tail named", "spelled", "initials", "who", "who lead"), "whom it is about"),
    **dict.fromkeys(("strange names", "named elsewhere", "number differs", "swapped"), "another name or number"),
    **dict.fromkeys(("other words", "explained", "missing"), "words that only one of them has"),
    **dict.fromkeys(
        ("relation", "profile", "fit", "fit margin", "recognised", "relation known"), "what is asked of it"
    ),
    **dict.fromkeys(("about", "about lead", "similarity", "similarity lead", "margin"), "how near both lie in meaning"),
    **dict.fromkeys(("type fits", "type differs"), "the sort of answer that is wanted"),
    **dict.fromkeys(("vague", "no subject"), "how little the edit says of its subject"),
    **dict.fromkeys(("question", "length", "negated", "quoted", "voice differs", "asked known"), "how it is worded"),
    **dict.fromkeys(("sibling", "sibling fits better"), "another edit of the same subject"),
}
"""What each feature is, for people."""
CROWD = {"similarity": 0.5, "about": 0.45, "who": 0.5}
"""What the best of many other subjects comes to: where few edits are in memory, one has to do better than this too."""
LEAD = 0.4  # a larger lead counts as this much
UNLIKE = -8.0  # log-probability of asking for the edit's relation; less counts as this much
SAME_RELATION = 0.5  # cosine; a contrast this close to the edit's own relation is no contrast
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
"""What else may be asked of a subject. A query fits an edit's relation only if it fits it better than these."""


def text_features(query: Reading, edit: Known) -> tuple[float, ...]:
    """What the two texts tell, in the order of `TEXT`."""
    named, places, name = max(((*mention(query, name), name) for name in edit.names), default=(0.0, (), ()))
    inside = set(places)
    other = [at for at in query.content if at not in inside]
    shared = {query.stems[at] for at in other} & edit.relation
    foreign = [at for at in other if query.stems[at] not in shared]
    strange = [at for at in foreign if query.is_name(at)]
    goes_on = bool(places) and query.goes_on(min(places), max(places), strange)
    content = {query.stems[at] for at in other}
    return (
        named,
        float(named >= SLIP and not goes_on),
        float(any(name[-1] in query.words for name in edit.names if len(name) > 1)),
        max((len(trigrams & query.trigrams) / len(trigrams) for trigrams in edit.trigrams), default=0.0),
        float(bool(edit.initials & query.initials)),
        min(len(strange), 4) / 4,
        min(len(foreign), 12) / 12,
        len(shared) / len(content) if content else 0.5,
        float(not edit.relation),
        float(not edit.names),
        float(query.asks),
        min(len(query.words), 40) / 40,
        float(query.negated),
        float(query.wants is not None and query.wants == edit.gives),
        float(query.wants is not None and edit.gives is not None and query.wants != edit.gives),
        float(query.quotes),
        1 - len(query.stem_set & edit.relation) / len(edit.relation) if edit.relation else 0.5,
        float(query.passive != edit.passive),
        float(bool(query.numbers) and any(is_number(word) and word not in query.numbers for word in name)),
        float(named < SLIP and goes_on),
    )


@dataclass(frozen=True, eq=False)
class Head:
    """The contrasts, (m, d), two learned linear maps out of the embedder's space, (h, d) each, and relations it knows.

    Args:
        contrasts: Vectors of `CONTRASTS`.
        asked: To what is asked about a subject, where wordings of one relation lie together.
        subject: To whom it is asked about, where names of one thing lie together.
        known: The relations it was trained with, as weights of a softmax behind `asked`, (r, h).
        prior: Their biases, (r,).

    Without maps it has learned nothing, and serves any embedder.
    """

    contrasts: Vectors
    asked: Vectors | None = None
    subject: Vectors | None = None
    known: Vectors | None = None
    prior: Vectors | None = None

    @cached_property
    def others(self) -> Vectors:
        """The contrasts through `asked`, of unit length; (h, m)."""
        return np.ascontiguousarray(_unit(self.to_asked(self.contrasts)).T)

    def beside(self, vectors: Vectors) -> Vectors:
        """How near each row is to each contrast; (m, n)."""
        return through(vectors, self._turned["contrasts"]).T

    def to_asked(self, vectors: Vectors) -> Vectors:
        """Each row through `asked`; (n, h)."""
        return vectors if self.asked is None else through(vectors, self._turned["asked"])

    def to_subject(self, vectors: Vectors) -> Vectors:
        """Each row through `subject`; (n, h)."""
        return vectors if self.subject is None else through(vectors, self._turned["subject"])

    def recognise(self, asked: Vectors) -> Vectors:
        """Log-probability of each known relation. asked (n, h), of unit length; result (n, r)."""
        assert self.prior is not None
        logits = through(asked, self._turned["known"]) + self.prior
        top = logits.max(axis=1, keepdims=True)
        found: Vectors = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        return found

    @cached_property
    def _turned(self) -> Mapping[str, Vectors]:
        """The maps as they are multiplied with from the right."""
        maps = {"contrasts": self.contrasts, "asked": self.asked, "subject": self.subject, "known": self.known}
        return {name: np.ascontiguousarray(one.T) for name, one in maps.items() if one is not None}


def geometry(query: Vectors, keys: Vectors, relations: Vectors, head: Head) -> Vectors:
    """What the vectors tell, in the order of `GEOMETRY`.

    What a key holds beside its relation stands for its subject. The query less that part is what is asked *about* the
    subject; it is compared with the edit's relation, plainly and through the head.

    Shapes:
        query (d,); keys, relations (n, d), of unit length; result (n, len(GEOMETRY)).
    """
    similarity, relation = dots(keys, query), dots(relations, query)
    shared = np.einsum("ij,ij->i", keys, relations)
    rest = np.sqrt(np.maximum(1 - shared**2, 1e-6))
    about = (similarity - shared * relation) / rest
    size = np.sqrt(np.maximum(1 - about**2, 1e-6))
    near = head.beside(relations)
    answers, key_answers = dots(head.contrasts, query), head.beside(keys)
    along = (key_answers - near * shared) / rest
    against = (answers[:, None] - about * along) / size
    against[near >= SAME_RELATION] = -1
    # The relation text has no part along the subject, so its own fit needs only the new length.
    margin = relation / size - against.max(axis=0)
    lean, leans = answers - answers.mean(), key_answers - key_answers.mean(axis=0)
    profile = (lean @ leans) / np.maximum(np.linalg.norm(lean) * np.linalg.norm(leans, axis=0), 1e-6)

    asking = query[None, :]
    sought = head.to_asked(relations)
    along = (head.to_asked(keys) - shared[:, None] * sought) / rest[:, None]
    asked = _unit(head.to_asked(asking) - about[:, None] * along)
    sought = _unit(sought)
    fit = np.einsum("ij,ij->i", asked, sought)
    others = through(asked, head.others).T
    others[near >= SAME_RELATION] = -1
    ours = head.to_subject(relations)
    theirs = head.to_subject(asking) - relation[:, None] * ours
    who = np.einsum("ij,ij->i", _unit(theirs), _unit(head.to_subject(keys) - shared[:, None] * ours))
    plain = (similarity, about, relation, margin, profile, fit, fit - others.max(axis=0), who)
    return np.column_stack((*plain, *_recognised(head, asked, sought)))


def _recognised(head: Head, asked: Vectors, sought: Vectors) -> tuple[Vectors, Vectors, Vectors]:
    """Log-probability that question and edit are of one known relation, and how surely each is of any; (n,) each.

    On a relation the head never saw the latter two are low, and tell not to trust the first.
    """
    if head.known is None or not len(head.known):
        nothing = np.zeros(len(asked), dtype=np.float32)
        return nothing, nothing, nothing
    theirs, ours = head.recognise(asked), head.recognise(sought)
    both = theirs + ours
    top = both.max(axis=1)
    same = top + np.log(np.exp(both - top[:, None]).sum(axis=1))
    return np.maximum(same, UNLIKE), np.exp(ours.max(axis=1)), np.exp(theirs.max(axis=1))


def competition(names: Sequence[object], text: Vectors, vectors: Vectors) -> Vectors:
    """What the other candidates tell, in the order of `COMPETITION`.

    Args:
        names: Whom each candidate is about; equal for the same subject.
    """
    count = len(names)
    similarity, about, fit, who = (vectors[:, GEOMETRY.index(name)] for name in ("similarity", "about", "fit", "who"))
    same = np.array([[one == other for other in names] for one in names])
    siblings = same & ~np.eye(count, dtype=bool)
    has = siblings.any(axis=1)
    fits = fit + similarity
    return np.column_stack(
        (
            1 / (1 + (~same & (similarity[None, :] > similarity[:, None])).sum(axis=1)),
            _lead(similarity, ~same, CROWD["similarity"]),
            _lead(about, ~same, CROWD["about"]),
            _lead(who, ~same, CROWD["who"]),
            np.where(same, 0.0, text[:, TEXT.index("exact")]).max(axis=1),
            has,
            np.where(has, np.clip(np.where(siblings, fits, -9.0).max(axis=1) - fits, -1, 1), 0.0),
            np.full(count, similarity.max()),
            np.full(count, similarity.std()),
            np.full(count, min(count, 16) / 16),
        )
    ).astype(np.float32)


def _lead(values: Vectors, others: NDArray[np.bool_], crowd: float) -> Vectors:
    """By how much each value is above the largest of the others, and above a crowd's, (n,). others (n, n)."""
    led: Vectors = np.clip(values - np.maximum(np.where(others, values, -1.0).max(axis=1), crowd), -LEAD, LEAD)
    return led


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return unit
