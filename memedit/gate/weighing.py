"""Weighing what finder and judge say of a message's candidates, together: which pass, and which are in doubt.

Candidates compete: some features say how far the best of the others is behind. The network, of one layer, is fitted,
and its thresholds are chosen, on messages of groups that the judge was not trained on (`learning/weighing.py`). The
evidence says what is read; what it thinks of that is not weighed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from memedit.embedders.port import Vectors
from memedit.encoder.graph import CARD, shipped_folder
from memedit.encoder.network import Network, network_in, packed, softmax
from memedit.errors import GateUnusable
from memedit.gate.port import Verdict
from memedit.text import FUNCTION_WORDS, words

FEATURES = (
    "similarity", "read", "judged direct", "judged bridge", "similarity lead", "judged lead", "ruled out", "place",
    "opposite",
    "length said", "length told", "told is said", "said is told",
)  # fmt: skip
WEIGHTS = "weighing.npz"
BOUND = 12.0  # log-odds beyond which more says no more
UNREAD = (0.0, -BOUND, -BOUND)  # logits of what was not read
BEHIND = 6.0  # a lead beyond this counts as this much
RATE = 0.05  # of false fires, where none is given


@dataclass(frozen=True, slots=True)
class Pair:
    """What is known of a candidate before it is read.

    Args:
        similarity: Of the message to it.
        logits: Of `LABELS`, by the evidence.
        ruled_out: Whether the query rules out what it says.
        opposite: Whether the query asks for the opposite of what it says.
        lengths: Of the conversation and of what it says, characters.
        shared: Shares of its words that the conversation holds, and of the conversation's that it holds.
    """

    similarity: float
    logits: tuple[float, ...]
    ruled_out: bool = False
    opposite: bool = False
    lengths: tuple[int, int] = (0, 0)
    shared: tuple[float, float] = (0.0, 0.0)

    @property
    def odds(self) -> float:
        """Log-odds of being in scope in either role, by the evidence."""
        out, direct, bridge = self.logits
        return float(np.logaddexp(direct, bridge) - out)

    @property
    def likely(self) -> float:
        """How probably it is in scope in either role, by the evidence."""
        return float(1 / (1 + np.exp(-self.odds)))


@dataclass(frozen=True)
class Weighing:
    """The network and what it was calibrated to.

    Args:
        network: Over `FEATURES`.
        rates: Share of messages out of scope for which an edit was let through, and the threshold of it; falling.
        bridge: Probability from which an edit on the way is let through.
        any: Probability that one candidate has to have before any is left in doubt.
        each: Probability from which a candidate is in doubt then.
    """

    network: Network
    rates: tuple[tuple[float, float], ...]
    bridge: float = 0.5
    any: float = 0.2
    each: float = 0.02
    card: Mapping[str, object] = field(default_factory=dict, repr=False)

    def threshold(self, rate: float | None = None) -> float:
        """The threshold at which false fires stay within a rate.

        Raises:
            GateUnusable: It is not between 0 and 1, or lower than was measured.
        """
        wanted = RATE if rate is None else rate
        if not 0 < wanted < 1:
            raise GateUnusable(f"max_false_fires is {rate}.", do="give a share between 0 and 1, such as 0.02")
        found = [threshold for share, threshold in self.rates if share <= wanted]
        if not found:
            least = min(share for share, _ in self.rates)
            raise GateUnusable(f"max_false_fires {rate} was not reached; the least is {least}.", do=f"give {least}")
        return min(found)

    def probabilities(
        self, pairs: Sequence[Pair], judged: Mapping[int, Vectors], radii: Sequence[float] | None = None
    ) -> Vectors:
        """Of `LABELS`, for the candidates of one message. Result (pairs, 3).

        Args:
            pairs: Nearest first.
            judged: The judge's logits by place.
            radii: Added to the log-odds of each.
        """
        logits = self.network.logits(features(pairs, judged))
        if radii is not None:
            logits[:, 1:] += np.array(radii, dtype=np.float32)[:, None]
        return softmax(logits)


def features(pairs: Sequence[Pair], judged: Mapping[int, Vectors]) -> Vectors:
    """One row a candidate, in the order of `FEATURES`; (pairs, features)."""
    read = np.array([at in judged for at in range(len(pairs))], dtype=np.float32)
    said = np.array([judged.get(at, UNREAD) for at in range(len(pairs))])
    odds = np.logaddexp(said[:, 1], said[:, 2]) - said[:, 0]
    similar = np.array([pair.similarity for pair in pairs])
    columns = (
        similar,
        read,
        np.clip(said[:, 1] - said[:, 0], -BOUND, BOUND),
        np.clip(said[:, 2] - said[:, 0], -BOUND, BOUND),
        _lead(similar, 0.0),
        np.clip(_lead(odds, -BOUND), -BEHIND, BEHIND),
        np.array([float(pair.ruled_out) for pair in pairs]),
        np.log1p(np.argsort(np.argsort(-similar, kind="stable"), kind="stable")),
        np.array([float(pair.opposite) for pair in pairs]),
        *np.log1p([pair.lengths for pair in pairs]).T,
        *np.array([pair.shared for pair in pairs]).T,
    )
    rows: Vectors = np.stack(columns, axis=1).astype(np.float32)
    return rows


def shared(said: str, told: str) -> tuple[float, float]:
    """The shares of the words of what is told that are said, and of what is said that are told; words of meaning."""
    saying, telling = _meaning(said), _meaning(told)
    both = len(saying & telling)
    return both / max(len(telling), 1), both / max(len(saying), 1)


def with_doubts(
    verdicts: Iterable[Verdict], *, any_: float, each: float, most: int, also: Sequence[str] = ()
) -> list[Verdict]:
    """The verdicts of one message, with those marked that may bear on it: where one probably does, all that might.

    also: Ids of edits that are in doubt unless they passed, the likeliest first.
    """
    found = list(verdicts)
    passing = sum(one.passed for one in found)
    likeliest = max((one.probability for one in found), default=0.0)
    out = {one.edit.id: one.probability for one in found if not one.passed}
    order = [one for one in also if one in out]
    if likeliest >= any_:
        order += sorted((one for one in out if one not in order and out[one] >= each), key=lambda one: -out[one])
    doubtful = set(order[: max(most - passing, 0)])
    return [replace(one, doubtful=one.edit.id in doubtful) for one in found]


def load(folder: Path) -> Weighing:
    """The weighing of a folder of encoders.

    Raises:
        GateUnusable: There is none, or it was made for another version.
    """
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))["weighing"]
        if card["features"] != list(FEATURES):
            raise ValueError("its features are others")
        with np.load(folder / WEIGHTS, allow_pickle=False) as arrays:
            network = network_in(dict(arrays), "weighing", card["members"], card["temperature"])
        rates = tuple((float(rate), float(threshold)) for rate, threshold in card["rates"])
        return Weighing(network, rates, card["bridge"], card["any"], card["each"], card)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise GateUnusable(
            f"The judge in `{folder}` cannot be used: {error}.", do="install memedit again, or train it anew"
        ) from error


def save(weighing: Weighing, folder: Path) -> None:
    """Write it beside the encoders of a folder, and into their card."""
    np.savez_compressed(folder / WEIGHTS, allow_pickle=False, **packed("weighing", weighing.network))
    path = folder / CARD
    card = json.loads(path.read_text(encoding="utf-8"))
    card["weighing"] = {
        **weighing.card, "features": list(FEATURES), "members": len(weighing.network.members),
        "temperature": weighing.network.temperature, "rates": [list(rate) for rate in weighing.rates],
        "bridge": weighing.bridge, "any": weighing.any, "each": weighing.each,
    }  # fmt: skip
    path.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


@cache
def shipped() -> Weighing:
    """The one that comes with memedit."""
    return load(shipped_folder())


@lru_cache(maxsize=4_096)
def _meaning(text: str) -> frozenset[str]:
    return frozenset(words(text)) - FUNCTION_WORDS


def _lead(values: Vectors, nothing: float) -> Vectors:
    """How far each is before the best of the others; of one alone, before what has nothing to do with the message."""
    if len(values) < 2:
        return values - nothing
    order = np.sort(values)
    best, second = order[-1], order[-2]
    lead: Vectors = np.where(values == best, values - second, values - best)
    return lead
