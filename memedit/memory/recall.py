"""Which edits of a view a query may be about: the nearest ones, and those whose subject it names."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, islice

import numpy as np

from memedit.edits import AnyEdit
from memedit.embedders import Embedder, Vectors
from memedit.embedders.port import dots
from memedit.index import Index
from memedit.memory.standing import MOST, Standing
from memedit.memory.view import View
from memedit.memory.views import Views

SCANNED = 1_024
"""Patches of a namespace that are all candidates, however far they lie: a condition is a property of the text, which
need not be near to it. Of more, the nearest."""
FORMER = 4  # earlier statements that are looked at, for one that says something else
MOST_NAMED = 256  # edits of named subjects whose similarity is looked at


@dataclass(frozen=True, slots=True)
class Candidate:
    """An edit the memory proposes for a query.

    Args:
        edit: The edit.
        similarity: Cosine to the edit's key text, of the conversation where there is one, else of the query; [-1, 1].
        mentioned: Whether the query names its subject or an alias.
        across: Cosine of the conversation to its statement by the encoder of many languages; 0 where there is none.
        standing: Whether it looks like an instruction that governs many messages, near to it or not.
        before: What the statement said whose place it took; empty where it took none.
        vector: Of the key text, (dimension,).
        relation_vector: Of a Fact's relation text, (dimension,).
    """

    edit: AnyEdit
    similarity: float
    mentioned: bool = False
    standing: bool = False
    across: float = 0.0
    before: str = ""
    vector: Vectors | None = field(default=None, repr=False, compare=False)
    relation_vector: Vectors | None = field(default=None, repr=False, compare=False)

    @property
    def nearness(self) -> float:
        """By what candidates are ordered: the similarity, and what both finders say where there are two."""
        return self.similarity if self.across <= 0 else math.hypot(max(self.similarity, 0.0), self.across)


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a look-up in the memory gave; what the gate decides on.

    Args:
        query: The text that was looked up.
        revision: The revision it was read at.
        candidates: Nearest first.
        index: The index that proposed them.
        vector: Of the query, (dimension,); None when nothing had to be embedded.
        embedder: Made the vectors.
        whole: The conversation that the query is of; empty where it is none, such as a hop of a walk.
        among: Of a thing that a message asks beside others, how many it asks: each is one more chance to be wrong.
        system: What the system messages of the conversation say.
    """

    query: str
    revision: int
    candidates: tuple[Candidate, ...] = ()
    index: str = "none"
    vector: Vectors | None = field(default=None, repr=False, compare=False)
    embedder: Embedder | None = field(default=None, repr=False, compare=False)
    whole: str = ""
    among: int = 1
    system: str = ""


def candidates(
    views: Views,
    view: View,
    vectors: Vectors,
    query_words: Sequence[str],
    *,
    kinds: Sequence[str],
    k: int,
    now: datetime,
    standing: Standing | None = None,
    across: Vectors | None = None,
) -> tuple[Candidate, ...]:
    """For each kind the `k` edits in force that are nearest to each text, and as many again of those that are named;
    nearest to the last text first. Patches are scanned: all of them are candidates, up to `SCANNED`. Of Facts, those
    that look like standing instructions are candidates too; and where the conversation has a vector `across`
    languages, the `k` statements nearest to that.

    The caller holds the view's lock. vectors (texts, dimension); across (its own dimension,).
    """
    found: list[Candidate] = []
    mentioned = view.mentions.find(query_words, MOST_NAMED)
    for kind in kinds:
        if index := view.indexes.get(kind):
            named = [edit_id for edit_id in mentioned if view.rows[edit_id].kind == kind]
            always = _standing(view, index, standing) if kind == "fact" and standing else ()
            most = max(k, min(view.counts[kind], SCANNED)) if kind == "patch" and k else k
            proposed = [_of_kind(views, view, index, vector, named, always, most, now) for vector in vectors]
            of_kind = _merged(proposed, vectors[-1]) if len(proposed) > 1 else proposed[0]
            if across is not None and (second := view.languages.get(kind)):
                of_kind = _joined(views, view, of_kind, (index, vectors[-1]), (second, across), set(mentioned), k, now)
            found += of_kind
    found = _with_what_was_before(views, view, found)
    return tuple(sorted(found, key=lambda candidate: -candidate.nearness))


def _standing(view: View, index: Index, standing: Standing) -> tuple[str, ...]:
    """The ids of plain statements that look most like standing instructions; looked for once a state of the view."""
    if view.standing[0] != view.head.seq:
        found = index.search(standing.direction, 2 * MOST) if view.counts["slotless"] else []
        ids = [
            one for one, cosine in found if cosine >= standing.least and one in view.rows and view.rows[one].slotless
        ]
        view.standing = (view.head.seq, tuple(ids[:MOST]))
    return view.standing[1]


def _with_what_was_before(views: Views, view: View, found: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, plain statements among them with the latest that they replaced and that said something else."""
    plain = [one.edit for one in found if view.replaced.get(one.edit.id) and view.rows[one.edit.id].slotless]
    former = {edit.id: list(islice(view.before(edit.id), FORMER)) for edit in plain}
    ids = set(chain.from_iterable(former.values()))
    known = views.edits(view.head.namespace_id, list(ids)) if ids else {}
    if lost := ids - known.keys():  # purged by another process
        view.forget(lost)
        return _with_what_was_before(views, view, found)
    texts = {}
    for edit in plain:
        said = (known[edit_id].text for edit_id in former[edit.id])
        texts[edit.id] = next((text for text in said if text != edit.text), "")
    return [replace(one, before=texts[one.edit.id]) if one.edit.id in texts else one for one in found]


def expired(edit: AnyEdit, now: datetime) -> bool:
    """Whether its time in the memory is over."""
    return edit.expires_at is not None and edit.expires_at <= now


def _merged(proposed: Iterable[Sequence[Candidate]], vector: Vectors) -> list[Candidate]:
    """The candidates of several texts, each once, with its similarity to one of them. vector (dimension,)."""
    each = {one.edit.id: one for one in chain.from_iterable(proposed)}
    similar = dots(np.stack([one.vector for one in each.values() if one.vector is not None]), vector) if each else ()
    return [replace(one, similarity=float(value)) for one, value in zip(each.values(), similar, strict=True)]


def _joined(
    views: Views, view: View, found: Sequence[Candidate], first: tuple[Index, Vectors], second: tuple[Index, Vectors],
    mentioned: Collection[str], k: int, now: datetime,
) -> list[Candidate]:  # fmt: skip
    """The candidates of the first index, with the `k` nearest of the second; each with what both say of it."""
    nearest = second[0].search(second[1], k)
    known = {one.edit.id: one for one in found}
    further = [edit_id for edit_id, _ in nearest if edit_id not in known]
    best = _best_of(*first, further, len(further))
    edits = _in_force(views, view, list(best), now)
    known |= {
        edit_id: _candidate(view, edits[edit_id], *best[edit_id], mentioned=edit_id in mentioned)
        for edit_id in further
        if edit_id in edits
    }
    said = _best_of(*second, list(known), len(known))
    return [replace(one, across=said[edit_id][0]) if edit_id in said else one for edit_id, one in known.items()]


def _of_kind(
    views: Views, view: View, index: Index, vector: Vectors, named: Sequence[str], always: Sequence[str], k: int,
    now: datetime,
) -> list[Candidate]:  # fmt: skip
    near = index.search_whole(vector, k)
    known = {edit_id: (cosine, own) for edit_id, cosine, own in near}
    best = _best_of(index, vector, [edit_id for edit_id in named if edit_id not in known], k)
    best |= _best_of(index, vector, [edit_id for edit_id in always if edit_id not in known], len(always))
    edits = _in_force(views, view, [*known, *best], now)  # both in one read
    more = k
    while sum(edit_id in edits for edit_id in known) < k and len(near) >= more:
        more *= 4  # some were expired, or unknown to the ledger: ask for more
        near = index.search_whole(vector, more)
        known = {edit_id: (cosine, own) for edit_id, cosine, own in near}
        edits |= _in_force(views, view, [edit_id for edit_id in known if edit_id not in edits], now)
    nearest = islice((edit_id for edit_id in known if edit_id in edits), k)
    chosen = dict.fromkeys([*nearest, *(edit_id for edit_id in best if edit_id in edits)])
    known = best | known
    mentioned = set(named)
    return [
        _candidate(view, edits[edit_id], *known[edit_id], mentioned=edit_id in mentioned, standing=edit_id in always)
        for edit_id in chosen
    ]


def _candidate(
    view: View, edit: AnyEdit, similarity: float, vector: Vectors, *, mentioned: bool = False, standing: bool = False
) -> Candidate:
    relation = view.relations.get(view.rows[edit.id].relation_hash)
    return Candidate(edit, similarity, mentioned, standing, vector=vector, relation_vector=relation)


def _best_of(index: Index, vector: Vectors, ids: Sequence[str], k: int) -> dict[str, tuple[float, Vectors]]:
    """The `k` nearest of these edits, with cosine and vector."""
    held = index.vectors(ids)
    if not held:
        return {}
    cosines = dots(np.stack(list(held.values())), vector).tolist()
    found = zip(held, zip(cosines, held.values(), strict=True), strict=True)
    return dict(sorted(found, key=lambda item: -item[1][0])[:k])


def _in_force(views: Views, view: View, ids: Iterable[str], now: datetime) -> dict[str, AnyEdit]:
    """Those of these edits that are in force now."""
    edits = views.edits(view.head.namespace_id, [edit_id for edit_id in ids if edit_id in view.rows])
    return {edit_id: edit for edit_id, edit in edits.items() if not expired(edit, now)}
