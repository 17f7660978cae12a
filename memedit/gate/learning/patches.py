"""Training the patch gate: cross-entropy on pairs of text and condition, cross-fitted by groups, then calibrated.

Murty et al. 2022 (section 3.2) train on templates too, so that nothing but the meaning of condition and text decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from memedit.embedders import Embedder, Vectors
from memedit.embedders.port import QueryCache, dots
from memedit.errors import MissingExtra, RunRejected
from memedit.gate.learning.patch_templates import Pair
from memedit.gate.patch_features import WORDS, read_text, rows, vectored
from memedit.gate.patch_reading import condition
from memedit.gate.patch_scorer import Network, PatchScorer

try:
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits
except ModuleNotFoundError as missing:
    raise MissingExtra("local", package="torch") from missing

MEMBERS = 3  # networks, from other first weights, that are averaged
HIDDEN = 16
EPOCHS = 12
BATCH = 512
RATE, DECAY = 5e-3, 1e-3
TEMPERATURES = np.geomspace(0.5, 4.0, 40)
INTERPRETER = (0.2, 1.0, 0.5)  # of `VIEWS`, until it is fitted on a model


@dataclass(frozen=True, slots=True)
class GateScore:
    """How well pairs are judged.

    Args:
        pairs, applies: How many, and of how many the condition applies.
        precision, recall, f1: Of “applies”, in [0, 1].
    """

    pairs: int
    applies: int
    precision: float
    recall: float
    f1: float

    def to_dict(self) -> dict[str, float]:
        """As JSON values."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class TrainedPatches:
    """What training gave.

    Args:
        scorer: The gate; its interpreter has the weights it was given.
        unseen: Scores of pairs whose group was not trained on, of the network with vectors and of the plain one.
        groups: How many groups there were.
    """

    scorer: PatchScorer
    unseen: Mapping[str, GateScore]
    groups: int


def train_gate(
    pairs: Sequence[Pair],
    embedder: Embedder,
    *,
    folds: int = 4,
    seed: int = 0,
    threshold: float = 0.5,
    interpreter: Sequence[float] = INTERPRETER,
    progress: Callable[[str], None] | None = None,
) -> TrainedPatches:
    """A patch gate from pairs.

    Args:
        pairs: What is learned from. Pairs of one group are never parted.
        embedder: Whose vectors the first network reads.
        folds: Parts of the cross-fitting, by which it is scored and calibrated.
        seed: Of first weights, order and parting.
        threshold: Probability from which a patch is let through.
        interpreter: Weights of the interpreter's views.
        progress: Told what it is at.

    Raises:
        RunRejected: There are fewer groups than folds, or no condition applies, or every one does.
    """
    groups = sorted({pair.group for pair in pairs})
    truth = np.array([pair.applies for pair in pairs], dtype=np.float32)
    if len(groups) < folds or truth.all() or not truth.any():
        raise RunRejected(
            f"{len(pairs)} pairs of {len(groups)} groups, in {int(truth.sum())} of which the condition applies, are "
            f"too few for {folds} folds.",
            do="give more data, with pairs that apply and pairs that do not, or lower folds",
        )
    tell = progress or (lambda _text: None)
    tell(f"measuring {len(pairs):,} pairs")
    features = features_of(pairs, embedder)
    order = np.random.default_rng(seed).permutation(len(groups))
    fold_of = {groups[at]: place % folds for place, at in enumerate(order)}
    part = np.array([fold_of[pair.group] for pair in pairs])
    networks, scores = {}, {}
    for name, seen in (("network", features), ("plain", features[:, : len(WORDS)])):
        tell(f"fitting the {name} on {folds} folds, then on all")
        odds = np.zeros(len(pairs), dtype=np.float32)
        for fold in range(folds):
            held = part == fold
            odds[held] = fit(seen[~held], truth[~held], seed=seed).odds(seen[held])
        fitted = fit(seen, truth, seed=seed)
        temperature = min(TEMPERATURES, key=lambda one: _loss(odds / one, truth))
        networks[name] = Network(fitted.mean, fitted.scale, fitted.members, float(temperature))
        scores[name] = score(odds >= np.log(threshold / (1 - threshold)) * temperature, truth)
    weights = np.array(interpreter, dtype=np.float32)
    scorer = PatchScorer(networks["network"], networks["plain"], embedder.space, threshold, weights)
    return TrainedPatches(scorer, scores, len(groups))


def features_of(pairs: Sequence[Pair], embedder: Embedder) -> Vectors:
    """The features of pairs, (pairs, features), in their order."""
    by_text: dict[str, list[int]] = defaultdict(list)
    for place, pair in enumerate(pairs):
        by_text[pair.text].append(place)
    cache = QueryCache(200_000)
    whole = list(dict.fromkeys([*by_text, *(pair.condition for pair in pairs)]))
    vectors = dict(zip(whole, embedder.embed(whole), strict=True))
    reads = {text: read_text(text) for text in by_text}
    pieces = {read.text[one.start : one.end] for read in reads.values() for one in read.clauses}
    said = {pair.condition: condition(pair.condition) for pair in pairs}
    single = {word for read in reads.values() for one in read.clauses for word in one.words}
    cache.embed(embedder, sorted(pieces | single | {one.phrase for one in said.values()}))
    found: list[Vectors] = [np.zeros(0, dtype=np.float32)] * len(pairs)
    for text, places in by_text.items():
        conditions = [said[pairs[place].condition] for place in places]
        similar = [float(dots(vectors[text][None], vectors[pairs[place].condition])[0]) for place in places]
        known = vectored(reads[text], conditions, embedder, cache)
        for place, row in zip(places, rows(reads[text], conditions, similar, known), strict=True):
            found[place] = row
    return np.stack(found)


def fit(features: Vectors, truth: Vectors, *, seed: int) -> Network:
    """Networks that tell where a condition applies. features (n, features), truth (n,) of 0 and 1."""
    mean, scale = features.mean(0), np.maximum(features.std(0), 1e-3)
    inputs = torch.from_numpy(np.clip((features - mean) / scale, -5, 5).astype(np.float32))
    targets = torch.from_numpy(truth.astype(np.float32))
    members = []
    for member in range(MEMBERS):
        generator = torch.Generator().manual_seed(1_000 * seed + member)
        layers = [
            _layer(inputs.shape[1], HIDDEN, generator),
            _layer(HIDDEN, HIDDEN, generator),
            _layer(HIDDEN, 1, generator),
        ]
        given = [one for layer in layers for one in layer]
        optimiser = torch.optim.AdamW(given, lr=RATE, weight_decay=DECAY)
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(inputs), generator=generator).split(BATCH):  # type: ignore[no-untyped-call]
                hidden = inputs[batch]
                for weight, bias in layers[:-1]:
                    hidden = torch.relu(hidden @ weight.T + bias)
                weight, bias = layers[-1]
                loss = binary_cross_entropy_with_logits((hidden @ weight.T + bias)[:, 0], targets[batch])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        members.append(tuple((weight.detach().numpy(), bias.detach().numpy()) for weight, bias in layers))
    return Network(mean, scale, tuple(members))


def score(passed: np.ndarray, truth: Vectors) -> GateScore:
    """Precision, recall and F1 of what was let through. Both (n,)."""
    hit = float((passed & (truth > 0)).sum())
    precision, recall = hit / max(float(passed.sum()), 1.0), hit / max(float(truth.sum()), 1.0)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return GateScore(len(truth), int(truth.sum()), precision, recall, f1)


def _layer(inputs: int, outputs: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    weight = torch.randn(outputs, inputs, generator=generator) * (2 / inputs) ** 0.5
    return weight.requires_grad_(), torch.zeros(outputs, requires_grad=True)


def _loss(odds: Vectors, truth: Vectors) -> float:
    return float(np.mean(np.logaddexp(0, odds) - truth * odds))
