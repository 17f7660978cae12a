"""Language patches (Murty et al. 2022, arXiv:2211.03318): if food is described as wug, then food is good.

Two files make them. The feature file has a review, a patch's consequence ("food is good") and the sentiment that it
then has; the gate file has the same reviews with the conditions that hold of them ("food is described as wug"). The
review and what is spoken of join the two. Without the gate file, the condition is that it is spoken of at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from memedit.edits import Patch
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record, digest
from memedit.eval.benchmarks.gather import together
from memedit.eval.cases import Case, Kind, Probe, ask

DESCRIBED = " is described as "
SENTIMENTS = ("negative", "positive")
UNKNOWN = "take that into account"
"""The consequence of a condition that only the gate file has."""


class Row(NamedTuple):
    """A review, what a patch says of it, and its sentiment."""

    review: str
    said: str
    label: int

    @property
    def topic(self) -> tuple[str, str]:
        """What joins the files: the review, and what the patch speaks of."""
        return self.review, self.said.partition(" is ")[0]


def row(record: Record, place: Place) -> Row:
    """A record of either file, by rows or by columns."""
    names = ("instance", "explanation", "label")
    review, said, label = (record[name] if name in record else record[f"{name}s"] for name in names)
    if label not in (0, 1):
        raise ValueError(f"its label {label} is neither 0 nor 1")
    if " is " not in said or not review.strip():
        raise ValueError(f"a review and a patch such as `food is good` are needed, not: {said}")
    return Row(review.strip(), said.strip(), label)


def patches(rows: Iterable[Row]) -> Iterator[Case]:
    """One case a patch: the reviews whose sentiment it decides, and those that only its condition is known of."""
    listed = list(rows)
    conditions = {row.topic: row.said for row in listed if DESCRIBED in row.said}
    consequences: dict[str, str] = {}
    decided = set()
    cases = []
    for row in listed:
        if DESCRIBED not in row.said:
            condition = conditions.get(row.topic, f"{row.topic[1]} is spoken of")
            consequences.setdefault(condition, row.said)
            decided.add(row.topic)
            told = {"answers": (SENTIMENTS[row.label],), "rejected": (SENTIMENTS[1 - row.label],)}
            cases.append(_case(condition, row.said, ask(Kind.FREE_FORM, _question(row.review), **told)))
    for row in listed:
        if DESCRIBED in row.said and row.topic not in decided:
            probes = ask(Kind.FREE_FORM, _question(row.review), form="none")
            cases.append(_case(row.said, consequences.get(row.said, UNKNOWN), probes))
    return together(cases)


def _question(review: str) -> str:
    return f"Is the sentiment of this review positive or negative?\nReview: {review}\nSentiment:"


def _case(condition: str, consequence: str, probes: list[Probe]) -> Case:
    name = digest(condition, consequence)
    patch = Patch(
        id=f"language-patches-{name}", condition=condition, consequence=consequence, source="Language patches"
    )
    return Case(id=f"language_patches:{name}", edits=(patch,), probes=tuple(probes))


LANGUAGE_PATCHES = Benchmark(
    name="language_patches",
    title="Language patches",
    measures="sentiment of reviews that a patch explains, with words that have no meaning but by the patch",
    paper="Murty et al. 2022, arXiv:2211.03318",
    published="https://github.com/MurtyShikhar/LanguagePatching/tree/main/PATCH_DIR/feature_based_patch_data",
    licence="none stated",
    forms=(
        Form("rows", ("instance", "explanation", "label"), row),
        Form("columns", ("instances", "explanations", "labels"), row),
    ),
    assemble=patches,
    max_tokens=5,
)
