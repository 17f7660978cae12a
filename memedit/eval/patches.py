"""Measuring language patches: how well the gate knows where a condition applies, and what patches do to the labels.

The second is what Murty et al. 2022 report (section 5): accuracy on the slice that patches are for, and elsewhere.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from memedit.editable import EditableLLM
from memedit.editable.classify import label_prior
from memedit.edits import Patch
from memedit.embedders import Embedder
from memedit.errors import RunRejected
from memedit.eval.stats import Share
from memedit.gate.learning.patch_data import Told
from memedit.gate.learning.patch_templates import Pair
from memedit.gate.learning.patches import GateScore, features_of, score
from memedit.gate.patch_features import WORDS
from memedit.gate.patch_gate import PatchGate
from memedit.gate.patch_scorer import PatchScorer
from memedit.llms import LLM
from memedit.memory import EditMemory
from memedit.methods.interpreter import PROMPT, Labels, Row, fit_weights, normal, views
from memedit.methods.patches import patches

REVIEWS = (
    "Review: I loved it.\nSentiment: positive\n\nReview: What a waste of money.\nSentiment: negative\n\n"
    "Review: The staff were rude.\nSentiment: negative\n\nReview: A lovely evening.\nSentiment: positive\n\n"
    "Review: {text}\nSentiment:"
)
"""A prompt in which a small model knows the sentiment of a review, for measuring patches on it."""
NEAR = 3  # of the describing words, each third is never patched: texts with them are near misses


@dataclass(frozen=True, slots=True)
class Slice:
    """Texts with the labels they ought to have, in the namespace whose patches are looked up.

    Args:
        texts, labels, namespaces: One each a text.
    """

    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Slices:
    """A measurement of patches on labels.

    Args:
        edits: Patches by namespace.
        inside: Texts a patch is for.
        outside: Texts no patch is for.
        labels: All labels.
    """

    edits: Mapping[str, tuple[Patch, ...]]
    inside: Slice
    outside: Slice
    labels: tuple[str, ...]


@dataclass(frozen=True)
class SliceScore:
    """Accuracy without and with patches, and in how many texts a patch was in scope."""

    alone: Share
    patched: Share
    in_scope: Share

    @property
    def gain(self) -> float:
        """In points of accuracy."""
        return 100 * (self.patched.value - self.alone.value)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        named = {"alone": self.alone, "patched": self.patched, "in scope": self.in_scope}
        return {name: {"good": one.good, "of": one.of} for name, one in named.items()} | {"gain": round(self.gain, 2)}


def score_gate(scorer: PatchScorer, pairs: Sequence[Pair], embedder: Embedder) -> dict[str, GateScore]:
    """Precision, recall and F1 of a patch gate, with vectors (where it knows the embedder) and by words alone."""
    features = features_of(pairs, embedder)
    truth = np.array([pair.applies for pair in pairs], dtype=np.float32)
    limit = np.log(scorer.threshold / (1 - scorer.threshold))
    found = {"plain": score(scorer.plain.odds(features[:, : len(WORDS)]) >= limit, truth)}
    if embedder.space == scorer.embedder:
        found["network"] = score(scorer.network.odds(features) >= limit, truth)
    return found


def slices(told: Iterable[Told], *, limit: int = 400, seed: int = 0) -> Slices:
    """Patches, texts they are for, and texts they are not for.

    Every row whose condition is patched is inside; its patch is in the namespace of its consequence, since a word may
    mean one thing in one row and another in the next. Outside are texts of which no condition is patched.

    Raises:
        RunRejected: There are no rows with a condition.
    """
    rows = [one for one in told if one.condition]
    if not rows:
        raise RunRejected("No row has a condition and a consequence.", do="give text, condition, consequence and label")
    meanings: dict[str, set[str]] = defaultdict(set)
    for one in rows:
        meanings[_word(one.condition)].add(one.consequence)
    # A word that has more than one meaning has none of its own, so that only a patch tells it.
    topics: dict[str, set[str]] = defaultdict(set)
    for one in rows:
        topics[_word(one.condition)].add(one.consequence.partition(" is ")[0])
    told_by_patch = sorted(word for word, said in meanings.items() if len(said) > len(topics[word])) or sorted(meanings)
    patched = {word for place, word in enumerate(told_by_patch) if place % NEAR != NEAR - 1} or set(told_by_patch)
    namespaces: dict[str, dict[str, Patch]] = defaultdict(dict)
    inside, outside = [], []
    for one in rows:
        where = one.consequence.rpartition(" is ")[2]
        if _word(one.condition) in patched:
            assert one.condition is not None
            namespaces[where].setdefault(one.condition, Patch(condition=one.condition, consequence=one.consequence))
            inside.append((one.text, one.label, where))
    mentioned = tuple(f" {word}" for word in patched)
    for one in rows:
        if not any(word in f" {one.text}" for word in mentioned):
            outside.append((one.text, one.label, one.consequence.rpartition(" is ")[2]))
    draw = random.Random(seed)  # noqa: S311 - a sample, no secrets
    return Slices(
        {name: tuple(held.values()) for name, held in namespaces.items()},
        _slice(inside, limit, draw),
        _slice([row for row in outside if row[2] in namespaces], limit, draw),
        rows[0].labels,
    )


def score_labels(
    data: Slices, llm: LLM, scorer: PatchScorer, embedder: Embedder, *, prompt: str = REVIEWS,
    trained: str | None = None, progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, SliceScore]:  # fmt: skip
    """Accuracy on both slices, without and with patches, through an EditableLLM."""
    memory = EditMemory(embedder=embedder)
    for name, edits in data.edits.items():
        list(memory.add_many(edits, namespace=name))
    editable = EditableLLM(llm, memory, gate=PatchGate(scorer), method=patches(trained=trained))
    found = {}
    for name, part in (("patched slice", data.inside), ("elsewhere", data.outside)):
        alone, after, scope = 0, 0, 0
        for start in range(0, len(part.texts), 32):
            batch = slice(start, start + 32)
            texts, labels = part.texts[batch], part.labels[batch]
            before = editable.classify_many(texts, data.labels, namespace="nothing", prompt=prompt)
            now = editable.classify_many(texts, data.labels, namespace=part.namespaces[batch], prompt=prompt)
            alone += sum(one.label == label for one, label in zip(before, labels, strict=True))
            after += sum(one.label == label for one, label in zip(now, labels, strict=True))
            scope += sum(one.edited for one in now)
            if progress:
                progress(name, min(start + 32, len(part.texts)), len(part.texts))
        of = len(part.texts)
        found[name] = SliceScore(Share(alone, of), Share(after, of), Share(scope, of))
    return found


def fit_interpreter(
    told: Sequence[Told], llm: LLM, *, prompts: Sequence[str] = (PROMPT, REVIEWS),
    progress: Callable[[int, int], None] | None = None,
) -> tuple[tuple[float, ...], float]:  # fmt: skip
    """The weights of the interpreter's views for a model, and the accuracy with them on the texts they were fitted on.

    Texts of one clause are left out: of them the consequence alone is judged.

    Raises:
        RunRejected: No text has more than one clause.
        CapabilityMissing: The model gives no log-probabilities.
    """
    rows = [one for one in told if len(views(one.text, one.condition or one.consequence, one.consequence)) > 1]
    if not rows:
        raise RunRejected("No text has more than one clause.", do="give texts that say more than a condition speaks of")
    seen: list[list[Row]] = []
    truth: list[int] = []
    for place, prompt in enumerate(prompts):
        labels = Labels(rows[0].labels, prompt)
        prior = label_prior(llm, labels)
        for at, one in enumerate(rows):
            texts = (one.text, *views(one.text, one.condition or one.consequence, one.consequence))
            scored = llm.score([labels.raw(text) for text in texts], [labels.continuations()] * len(texts))
            seen.append([normal([likelihood.logprob for likelihood in row], prior) for row in scored])
            truth.append(labels.names.index(one.label))
            if progress:
                progress(place * len(rows) + at + 1, len(rows) * len(prompts))
    weights = fit_weights(seen, truth)
    chosen = [int(np.argmax(np.tensordot(weights, np.stack(one), 1))) for one in seen]
    return weights, float(np.mean(np.array(chosen) == np.array(truth)))


def _slice(rows: Sequence[tuple[str, str, str]], limit: int, draw: random.Random) -> Slice:
    unique = sorted(set(rows))
    taken = draw.sample(unique, min(limit, len(unique)))
    if not taken:
        return Slice()
    texts, labels, names = zip(*taken, strict=True)
    return Slice(texts, labels, names)


def _word(condition: str | None) -> str:
    """The describing word of a condition, without its denial."""
    return (condition or "").split()[-1]
