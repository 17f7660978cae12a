"""What the judge's readings of a message's candidates come to: which pass, and which are in doubt.

The judge's logits become probabilities at one temperature (Guo et al. 2017, arXiv:1706.04599), and log-odds are shifted
by the manner of the message: of a plain question that an edit answers the judge is sure, and what it finds only likely
there is mostly wrong; of a need that is told in passing it is less sure, and oftener right than it says. What lies far
from a message is less likely than it reads: “ok thx” reads like “The landlord is Mr. Okafor.” All that and the
thresholds are chosen on messages of groups that the judge was not trained on (`learning/thresholds.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from memedit.embedders.port import Vectors
from memedit.encoder.graph import CARD, shipped_folder
from memedit.encoder.network import softmax
from memedit.errors import GateUnusable
from memedit.gate.port import Verdict

NAME = "thresholds"  # in the card
UNREAD = (0.0, -12.0, -12.0)  # logits of what was not read
NEAR = 0.25  # cosine below which a candidate lies far
TINY = 1e-6  # probability below which less says no more
RATE = 0.05  # of false fires, where none is given


@dataclass(frozen=True)
class Thresholds:
    """What the judge was calibrated to.

    Args:
        temperature: Its logits are divided by it.
        rates: Share of messages out of scope for which an edit was let through, and the threshold of it; falling.
        bridge: Probability from which an edit on the way is let through.
        any: Probability that one candidate has to have before any is left in doubt.
        behind: How far the log-odds of a candidate may lie behind the likeliest one's for it to be in doubt then.
        far: What is taken off the log-odds of a candidate for each unit by which its cosine lies below `NEAR`.
        manner: Weights of a message's vector by MiniLM and, last, a bias; empty where nothing is shifted.
    """

    temperature: float
    rates: tuple[tuple[float, float], ...]
    bridge: float = 0.5
    any: float = 0.2
    behind: float = 2.0
    far: float = 0.0
    manner: tuple[float, ...] = field(default=(), repr=False)
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

    def shift(self, vector: Vectors | None) -> float:
        """What the manner of a message adds to log-odds. vector: By MiniLM; None where there is none."""
        if vector is None or not self.manner:
            return 0.0
        *weights, bias = self.manner
        return float(np.dot(vector, weights)) + bias

    def off(self, similarity: float) -> float:
        """What is added to the log-odds of a candidate that lies far, at most 0. similarity: By the finder."""
        return self.far * min(similarity - NEAR, 0.0)

    def probabilities(self, judged: Mapping[int, Vectors], radii: Sequence[float]) -> Vectors:
        """Of `LABELS`, for the candidates of one message. Result (candidates, 3).

        Args:
            judged: The judge's logits, by the place of the candidate.
            radii: Of all candidates, with what manner and distance add; added to the log-odds of each.
        """
        logits = np.array([judged.get(at, UNREAD) for at in range(len(radii))], dtype=np.float32).reshape(-1, 3)
        logits /= self.temperature
        logits[:, 1:] += np.array(radii, dtype=np.float32)[:, None]
        return softmax(logits)


def with_doubts(
    verdicts: Iterable[Verdict], *, any_: float, behind: float, most: int, also: Sequence[str] = ()
) -> list[Verdict]:
    """The verdicts of one message, with those marked that may bear on it: where one does, those hardly less likely.

    also: Ids of edits that are in doubt unless they passed, the likeliest first.
    """
    found = list(verdicts)
    passing = sum(one.passed for one in found)
    likeliest = max((one.probability for one in found), default=0.0)
    out = {one.edit.id: one.probability for one in found if not one.passed}
    order = [one for one in also if one in out]
    if likeliest >= any_:
        near = [one for one, likely in out.items() if _odds(likely) >= _odds(likeliest) - behind and one not in order]
        order += sorted(near, key=lambda one: -out[one])
    doubtful = set(order[: max(most - passing, 0)])
    return [replace(one, doubtful=one.edit.id in doubtful) for one in found]


def load(folder: Path) -> Thresholds:
    """The thresholds of a folder of encoders.

    Raises:
        GateUnusable: There are none, or they were made for another version.
    """
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))[NAME]
        rates = tuple((float(rate), float(threshold)) for rate, threshold in card["rates"])
        manner = tuple(map(float, card.get("manner", "").split()))
        known = card["bridge"], card["any"], card["behind"], card.get("far", 0.0)
        return Thresholds(float(card["temperature"]), rates, *known, manner, card)
    except (OSError, KeyError, TypeError, ValueError) as error:
        why = f"its card has no {error}" if isinstance(error, KeyError) else error
        raise GateUnusable(
            f"The judge in `{folder}` cannot be used: {why}.", do="install memedit again, or train it anew"
        ) from error


def save(thresholds: Thresholds, folder: Path) -> None:
    """Write them into the card of a folder of encoders."""
    path = folder / CARD
    card = json.loads(path.read_text(encoding="utf-8"))
    card[NAME] = {
        **thresholds.card, "temperature": thresholds.temperature, "rates": [list(rate) for rate in thresholds.rates],
        "bridge": thresholds.bridge, "any": thresholds.any, "behind": thresholds.behind,
        "far": thresholds.far,
        "manner": " ".join(map(str, thresholds.manner)),
    }  # fmt: skip
    path.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def _odds(probability: float) -> float:
    """Its logarithm."""
    kept = min(max(probability, TINY), 1 - TINY)
    return math.log(kept / (1 - kept))


@cache
def shipped() -> Thresholds:
    """Those that come with memedit."""
    return load(shipped_folder())
