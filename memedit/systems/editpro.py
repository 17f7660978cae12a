"""EditPro (Reid & Neubig 2022, arXiv:2205.12374): texts come about in edits, and each edit is tags and spans of words.

A step keeps, deletes, inserts or replaces words of the text before. Its probability is that of the tags, by how tags
follow one another in steps that were seen, times that of each new span behind what stands before it, by the language
model. ePPL is the perplexity of a step over the words of the new text, oPPL that of its tags alone, gPPL that of its
spans a token. The ledger has such steps: what took the place of what (`memedit history --ops`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any, Literal

from memedit.edits import AnyEdit, Fact
from memedit.eval.cases import Case
from memedit.memory import Change
from memedit.systems.ground import Ground
from memedit.systems.registry import Finding

Tag = Literal["keep", "delete", "insert", "replace"]
TAGS: tuple[Tag, ...] = ("keep", "delete", "insert", "replace")
NAMES: dict[str, Tag] = {"equal": "keep", "delete": "delete", "insert": "insert", "replace": "replace"}
BEGIN, END = "begin", "end"
PIECE = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True, slots=True)
class Operation:
    """What one edit does in one place.

    Args:
        tag: What it does.
        old: The words of the text before, with their blanks; empty for an insertion.
        new: Those of the text after; empty for a deletion.
    """

    tag: Tag
    old: str
    new: str


def operations(before: str, after: str) -> tuple[Operation, ...]:
    """How a text becomes another, word by word; old parts joined are the one, new parts joined the other."""
    old, new = PIECE.findall(before), PIECE.findall(after)
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return tuple(Operation(NAMES[tag], "".join(old[a:b]), "".join(new[c:d])) for tag, a, b, c, d in codes)


def steps(change: Change, texts: dict[str, AnyEdit]) -> Iterator[tuple[str, str, tuple[Operation, ...]]]:
    """What of a change took the place of what: ids of the former and the new edit, and the operations between."""
    for event in change.events:
        if event.kind == "superseded" and event.edit_id in texts and event.data["by"] in texts:
            by = event.data["by"]
            yield event.edit_id, by, operations(texts[event.edit_id].text, texts[by].text)


@dataclass(frozen=True, slots=True)
class Tagger:
    """How tags of words follow one another.

    Args:
        counts: Of (tag, next tag), from `begin` to `end`.
    """

    counts: Counter[tuple[str, str]]

    @classmethod
    def learn(cls, chains: Sequence[tuple[Operation, ...]]) -> Tagger:
        """From steps that were seen."""
        return cls(Counter(pair for one in chains for pair in pairwise(tags_of(one))))

    def logprob(self, step: tuple[Operation, ...]) -> float:
        """Of a step's tags, every pair counted once more than it was seen."""
        total = 0.0
        for first, second in pairwise(tags_of(step)):
            seen = sum(count for (one, _), count in self.counts.items() if one == first)
            total += math.log((self.counts[first, second] + 1) / (seen + len(TAGS) + 1))
        return total


def tags_of(step: tuple[Operation, ...]) -> list[str]:
    """One tag a word of the text before, one a span that is inserted, between `begin` and `end`."""
    words = [[one.tag] * max(1, len(one.old.split())) for one in step]
    return [BEGIN, *(tag for word in words for tag in word), END]


@dataclass(frozen=True, slots=True)
class Perplexities:
    """Of steps: whole, of their tags, of their spans; and of the new texts written from nothing."""

    e: float
    o: float
    g: float
    scratch: float


def perplexities(anatomy: Any, tokenizer: Any, tagger: Tagger, pairs: Sequence[tuple[str, str]]) -> Perplexities:
    """Of steps from a text to another.

    Args:
        anatomy: Of the language model.
        tokenizer: Of the language model.
        tagger: How tags follow one another.
        pairs: Text before and text after.
    """
    from memedit.parametric.measuring import likelihoods

    spans, words, tags, logs = [], 0, 0, 0.0
    for before, after in pairs:
        step, so_far = operations(before, after), ""
        for one in step:
            if one.new and one.tag != "keep":
                spans.append((so_far.strip() or ".", one.new.strip()))
            so_far += one.new
        logs += tagger.logprob(step)
        tags += len(tags_of(step)) - 1
        words += len(after.split())
    said = likelihoods(anatomy, tokenizer, spans)
    whole = likelihoods(anatomy, tokenizer, [(".", after) for _, after in pairs])
    written, tokens = sum(one.logprob for one in said), sum(one.tokens for one in said)
    return Perplexities(
        math.exp(-(logs + written) / words), math.exp(-logs / tags), math.exp(-written / max(tokens, 1)),
        math.exp(-sum(one.logprob for one in whole) / words),
    )  # fmt: skip


def chains(cases: Sequence[Case]) -> list[tuple[str, str]]:
    """Steps of made-up revisions: a value replaced, then a sentence added, then the first one taken out."""
    found = []
    for case, other in pairwise(cases):
        one, two = case.edits[0], other.edits[0]
        if isinstance(one, Fact) and isinstance(two, Fact) and one.previous_object:
            first, second = f"{one.cloze} {one.previous_object}.", f"{one.cloze} {one.object}."
            longer = f"{second} {two.cloze} {two.object}."
            found += [(first, second), (second, longer), (longer, f"{two.cloze} {two.object}.")]
    return found


def check(ground: Ground, cases: int = 60) -> Finding:
    """A tagger learnt on half of the chains; the other half as steps, and written from nothing."""
    half = cases // 2
    learnt, held = chains(ground.cases[:half]), chains(ground.cases[half:cases])
    tagger = Tagger.learn([operations(*one) for one in learnt])
    found = perplexities(*ground.parts, tagger, held)
    blind = perplexities(*ground.parts, Tagger(Counter()), held)
    figure = (
        f"{len(held)} held-out steps: ePPL {found.e:.2f} a word (oPPL {found.o:.2f}, gPPL {found.g:.1f}); the same "
        f"texts written from nothing {found.scratch:.1f}; oPPL without learning {blind.o:.2f}"
    )
    more = {"ePPL": found.e, "oPPL": found.o, "gPPL": found.g, "scratch": found.scratch}
    return Finding(figure, found.e < found.scratch and found.o < blind.o, more)
