"""Which earlier statements a later one contradicts, where subject and relation do not say it: the judge reads both.

The nearest few are read. An earlier statement whose place is surely taken is treated as a Fact with the same subject
and relation would be, if it says one thing; one that says more may still hold in part, and stays, listed as a possible
conflict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from memedit.embedders import Vectors
from memedit.memory.rows import Row
from memedit.memory.view import View

if TYPE_CHECKING:
    from memedit.memory.statements import StatementJudge

READ = 3  # earlier statements that are read for one
NEAR = 0.3  # cosine from which they are
ALIKE = 0.75  # cosine from which statements are listed as a possible conflict, whatever reading them says
SURE = 0.85  # probability from which a statement takes another's place
LIKELY = 0.5  # from which it may
SHORT = 14  # words of a statement that says one thing
FURTHER = re.compile(r"[;:]|[.!?]\s+\S|。\S|, | (?:and|but|und|aber|et|mais|y|pero|e|ma|en|maar|i|ale|ve|ama) ")

WORDS = re.compile(r"[^\W_]+(?:[-.:/'’][^\W_]+)*")
TELLS = re.compile(r"^[^\W\d_a-z]|\d")  # a name, or something with a figure
CODE = re.compile(r"(?=.*\d)(?=.*[^\W\d_]).*")
WORDED_ALIKE = 0.6  # share of common words

Contradicted = Mapping[str, Mapping[str, float]]
"""Of the id of an edit that is added: the ids of earlier ones, and how probably it takes their place."""
Near = dict[str, list[tuple[str, float]]]
"""Of the id of an edit that is added: the ids of the nearest earlier ones, with their cosine."""
NOTHING: Contradicted = MappingProxyType({})


def judged(near: Near, texts: Mapping[str, str], judge: StatementJudge | None) -> Contradicted:
    """What statements that are added may contradict, among those near to them.

    Args:
        near: The nearest earlier ones of each.
        texts: By id.
        judge: Reads; where it is None, likeness alone counts.
    """
    if judge is None:
        return {one: {other: LIKELY for other, cosine in found if cosine >= ALIKE} for one, found in near.items()}
    pairs = [(one, other) for one, found in near.items() for other, _ in found if other in texts]
    cosines = [cosine for found in near.values() for other, cosine in found if other in texts]
    read = judge.contradiction([(texts[one], texts[other]) for one, other in pairs], cosines)
    said: dict[str, dict[str, float]] = {}
    for (one, other), cosine, probability in zip(pairs, cosines, read, strict=True):
        if probability >= SURE and are_parallel(texts[one], texts[other]):
            probability = LIKELY
        said.setdefault(one, {})[other] = max(probability, LIKELY) if cosine >= ALIKE else probability
    return said


def says_one_thing(text: str) -> bool:
    """Whether a statement is so short and plain that nothing of it is left when its place is taken."""
    return len(text.split()) <= SHORT and not FURTHER.search(text.rstrip(" .!?。"))


def are_parallel(later: str, earlier: str) -> bool:
    """Whether two statements may say the same of two things, such as the extensions of two people: then neither takes
    the other's place, however like a correction it reads.

    They are worded alike and differ at two places, or at one where each names a code (`B1`, `Person17`); or, worded
    otherwise, at two places where each has a name or a figure.
    """
    one, other = WORDS.findall(later), WORDS.findall(earlier)
    matched = SequenceMatcher(None, [word.casefold() for word in one], [word.casefold() for word in other], False)
    spans = [(one[a:b], other[c:d]) for tag, a, b, c, d in matched.get_opcodes() if tag == "replace"]
    if len(one) == len(other) and (placed := _by_place(one, other)):
        spans = placed  # “Table 6 seats 8.” after “Table 4 seats 6.”: what is said of one is the name of the other
    telling = [pair for pair in spans if all(any(map(TELLS.search, side)) for side in pair)]
    if len(telling) > 1 or (len(spans) > 1 and matched.ratio() >= WORDED_ALIKE):
        return True
    return any(all(any(map(CODE.fullmatch, side)) for side in pair) for pair in spans)


def _by_place(one: Sequence[str], other: Sequence[str]) -> list[tuple[list[str], list[str]]]:
    """Where two statements of as many words differ, word by word; none where they have fewer than two in common."""
    same = [a.casefold() == b.casefold() for a, b in zip(one, other, strict=True)]
    if sum(same) < 2:
        return []
    runs = [list(places) for alike, places in groupby(range(len(same)), key=same.__getitem__) if not alike]
    return [([one[at] for at in run], [other[at] for at in run]) for run in runs]


def nearest(view: View, rows: Sequence[Row], vectors: Mapping[str, Vectors]) -> Near:
    """The nearest Facts of each that is added, in force or before it in the same call, where one of both lacks subject
    or relation.

    Args:
        view: What is in force; the caller holds its lock.
        rows: Of what is added, in their order.
        vectors: Of their key texts, by text hash.
    """
    facts = [row for row in rows if row.kind == "fact"]
    if not facts or not (view.counts["slotless"] or any(row.slotless for row in facts)):
        return {}
    own = np.stack([vectors[row.text_hash] for row in facts])
    own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-9)
    index = view.indexes.get("fact")
    before: dict[str, Row] = {}
    near: Near = {}
    for at, row in enumerate(facts):
        cosines = own[:at] @ own[at]
        found = {facts[place].id: float(cosines[place]) for place in np.argsort(-cosines)[: 2 * READ]}
        found |= dict(index.search(own[at], 2 * READ)) if index else {}
        rivals = [
            (edit_id, cosine)
            for edit_id, cosine in sorted(found.items(), key=lambda one: -one[1])
            if cosine >= NEAR
            and (other := view.rows.get(edit_id) or before.get(edit_id)) is not None
            and other.content_hash != row.content_hash
            and (row.slotless or other.slotless)
        ]
        near[row.id] = rivals[:READ]
        before[row.id] = row
    return near
