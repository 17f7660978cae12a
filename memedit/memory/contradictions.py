"""Which earlier statements a later one contradicts, where subject and relation do not say it: the judge reads both.

The nearest few are read. An earlier statement whose place is surely taken is treated as a Fact with the same subject
and relation would be, if it says one thing; one that says more may still hold in part, and stays, listed as a possible
conflict. Standing instructions are not read, since nothing learned what one is to another: alike ones are listed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from memedit.embedders import Vectors
from memedit.memory.comparing import are_numbered, are_parallel, changes_one_thing, corrects, says_again
from memedit.memory.rows import Row
from memedit.memory.scoping import is_for_a_time
from memedit.memory.view import View
from memedit.text.naming import unpacked

if TYPE_CHECKING:
    from memedit.memory.statements import StatementJudge

READ = 3  # earlier statements that are read for one
NEAR = 0.3  # cosine from which they are
ALIKE = 0.75  # cosine from which statements are much alike: where nothing reads them, they are listed
ORDERED = 0.5  # likewise, standing instructions: “Answer in German.” and “Always reply in English.”
SURE = 0.85  # probability from which a statement takes another's place
CERTAIN = 1.0  # that of a correction in the same words, or of what is said again, which nobody has to read
LIKELY = 0.5  # from which it may
SHORT = 14  # words of a statement that says one thing
FURTHER = re.compile(r"[;:](?!\d)|[.!?]\s+\S|。\S|, | (?:and|but|und|aber|et|mais|y|pero|e|ma|en|maar|i|ale|ve|ama) ")

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
        return alike(near, ALIKE)
    said: dict[str, dict[str, float]] = {}
    in_doubt: list[tuple[str, str, float]] = []
    for one, found in near.items():
        for other, cosine in found:
            if other not in texts:
                continue
            if (surely := by_words(texts[one], texts[other])) is None:
                in_doubt.append((one, other, cosine))
            else:
                said.setdefault(one, {})[other] = surely
    pairs = [(unpacked(texts[one]), unpacked(texts[other])) for one, other, _ in in_doubt]
    read = judge.contradiction(pairs, [cosine for *_, cosine in in_doubt])
    for (one, other, _), probability in zip(in_doubt, read, strict=True):
        said.setdefault(one, {})[other] = weighed(texts[one], texts[other], probability)
    return said


def alike(near: Near, least: float) -> Contradicted:
    """What edits that are added may contradict, where nothing reads them: those of a cosine from `least` on."""
    return {one: {other: LIKELY for other, cosine in found if cosine >= least} for one, found in near.items()}


def by_words(later: str, earlier: str) -> float | None:
    """How probably a statement takes an earlier one's place, where their words say it surely; else None."""
    if says_again(later, earlier) or corrects(later, earlier):
        return CERTAIN
    return 0.0 if are_numbered(later, earlier) else None


def weighed(later: str, earlier: str, read: float) -> float:
    """The same of those whose words do not say it: what reading them says, after the words are compared."""
    if are_parallel(later, earlier) or is_for_a_time(later):
        return min(read, LIKELY)
    return max(read, LIKELY) if changes_one_thing(later, earlier) else read


def says_one_thing(text: str) -> bool:
    """Whether a statement is so short and plain that nothing of it is left when its place is taken."""
    return len(text.split()) <= SHORT and not FURTHER.search(text.rstrip(" .!?。"))


def nearest(
    view: View, rows: Sequence[Row], vectors: Mapping[str, Vectors], kind: Literal["fact", "behaviour"]
) -> Near:
    """The nearest edits of a kind to each that is added, in force or before it in the same call; of Facts those where
    one of both lacks subject or relation, of Behaviours those without a topic.

    Args:
        view: What is in force; the caller holds its lock.
        rows: Of what is added, in their order.
        vectors: Of their key texts, by text hash.
        kind: Of both.
    """
    mine = [row for row in rows if row.kind == kind]
    if not mine or (kind == "fact" and not (view.counts["slotless"] or any(row.slotless for row in mine))):
        return {}
    own = np.stack([vectors[row.text_hash] for row in mine])
    own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-9)
    index = view.indexes.get(kind)
    before: dict[str, Row] = {}
    near: Near = {}
    for at, row in enumerate(mine):
        cosines = own[:at] @ own[at]
        found = {mine[place].id: float(cosines[place]) for place in np.argsort(-cosines)[: 2 * READ]}
        found |= dict(index.search(own[at], 2 * READ)) if index else {}
        rivals = [
            (edit_id, cosine)
            for edit_id, cosine in sorted(found.items(), key=lambda one: -one[1])
            if cosine >= NEAR
            and (other := view.rows.get(edit_id) or before.get(edit_id)) is not None
            and other.content_hash != row.content_hash
            and (row.slotless or other.slotless if kind == "fact" else not row.names_text and not other.names_text)
        ]
        near[row.id] = rivals[:READ]
        before[row.id] = row
    return near
