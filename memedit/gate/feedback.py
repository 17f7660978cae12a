"""Which Feedback a request calls for, by the two look-ups of MemPrompt (Madaan et al. 2022, arXiv:2201.06009, 3.3).

`EditDistance` compares what is said of a quoted word, letter by letter; `TrainedLookUp` compares vectors behind a layer
that learned which wordings mean the same. One Feedback at most is let through, the nearest. All other kinds of edit are
judged by another gate. Candidates are what the memory proposes, which is not the whole of a large one.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import numpy as np

from memedit.embedders.port import Vectors
from memedit.encoder.network import through
from memedit.errors import GateUnusable
from memedit.gate.port import Gate, Verdict
from memedit.memory import Candidate, Recalled
from memedit.text import FUNCTION_WORDS, words

QUOTED = re.compile(r"<[^<>]*>|\"[^\"]*\"|“[^“”]*”|«[^«»]*»|`[^`]*`")
MOST_EDITS, CUT_OFF = 6, 0.9  # the paper's: fewer edits than this, a cosine above this
CARD, WEIGHTS = "gate.json", "look_up.npz"


@dataclass(frozen=True, slots=True)
class Match:
    """How near a request is to a situation.

    Args:
        measure: What was measured (`edits`, `trained cosine`).
        value: What it came to.
        limit: What it has to stay below (edits), or to exceed (cosine).
    """

    measure: str
    value: float
    limit: float

    def reasons(self) -> tuple[str, ...]:
        """In words."""
        return (f"{self.measure} {self.value:.4g} from its situation, with a limit of {self.limit:.4g}",)

    def numbers(self) -> dict[str, float]:
        """By name."""
        return {self.measure.replace(" ", "_"): self.value}


class LookUp(ABC):
    """A way to find the Feedback whose situation is the one at hand."""

    name: str

    @abstractmethod
    def compare(self, recalled: Recalled, found: Sequence[Candidate]) -> list[tuple[float, Match]]:
        """For each candidate its probability (above 0.5: the same situation) and what that rests on."""


class EditDistance(LookUp):
    """Levenshtein distance of query and situation, without quoted words, stop words and punctuation.

    Args:
        limit: Distances from this on are no match.
    """

    name = "edit_distance"

    def __init__(self, limit: int = MOST_EDITS) -> None:
        if limit < 1:
            raise ValueError(f"limit is at least 1, not {limit}")
        self.limit = limit

    def compare(self, recalled: Recalled, found: Sequence[Candidate]) -> list[tuple[float, Match]]:
        distances = [self._distance(recalled.query, one.edit.key_text) for one in found]
        return [(1 - one / (2 * self.limit), Match("edits", one, self.limit)) for one in distances]

    def _distance(self, query: str, situation: str) -> int:
        one, other = key(query), key(situation)
        if not (one and other):  # stop words alone say nothing that may differ by a few letters
            return 0 if without_quoted(query) == without_quoted(situation) else self.limit
        return edit_distance(one, other, self.limit)


class TrainedLookUp(LookUp):
    """Cosine behind a layer tanh(W x + b) over the embedder's vectors; `gate.learning.look_up` trains one.

    Args:
        weight: (out, in); the paper has 256 out.
        bias: (out,).
        embedder: Id of the embedder it was trained with.
        cut_off: Cosines up to this are no match.
    """

    name = "trained"

    def __init__(self, weight: Vectors, bias: Vectors, embedder: str, *, cut_off: float = CUT_OFF) -> None:
        self.weight = np.ascontiguousarray(weight, dtype=np.float32)
        self.bias = np.asarray(bias, dtype=np.float32)
        self.embedder = embedder
        self.cut_off = cut_off

    def project(self, vectors: Vectors) -> Vectors:
        """Unit vectors behind the layer. vectors (n, in); result (n, out)."""
        behind = np.tanh(through(np.asarray(vectors, dtype=np.float32), self.weight.T) + self.bias)
        unit: Vectors = behind / np.maximum(np.linalg.norm(behind, axis=1, keepdims=True), 1e-12)
        return unit

    def compare(self, recalled: Recalled, found: Sequence[Candidate]) -> list[tuple[float, Match]]:
        given = recalled.embedder.id if recalled.embedder else None
        if given != self.embedder or recalled.vector is None or any(one.vector is None for one in found):
            raise GateUnusable(
                f"The look-up was trained with vectors of `{self.embedder}`, and these are of `{given}`.",
                do="train it anew with this memory's embedder, or use EditDistance()",
            )
        query, *others = self.project(np.stack([recalled.vector, *(one.vector for one in found)]))  # type: ignore[list-item]
        cosines = [float(query @ other) for other in others]
        return [
            (float(1 / (1 + np.exp(-20 * (cosine - self.cut_off)))), Match("trained cosine", cosine, self.cut_off))
            for cosine in cosines
        ]

    def save(self, folder: str | Path, **card: Any) -> Path:
        """Write it into a folder, which is made, with what else a card shall say; `as_gate` takes the folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        packed = BytesIO()
        np.savez_compressed(packed, allow_pickle=False, weight=self.weight, bias=self.bias)
        (folder / WEIGHTS).write_bytes(packed.getvalue())
        about = card | {"kind": FeedbackGate.name, "embedder": self.embedder, "cut_off": self.cut_off}
        (folder / CARD).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The look-up of a folder.

        Raises:
            GateUnusable: There is none, or it is damaged.
        """
        try:
            card = json.loads((Path(folder) / CARD).read_text(encoding="utf-8"))
            with np.load(Path(folder) / WEIGHTS, allow_pickle=False) as arrays:
                weight, bias = arrays["weight"], arrays["bias"]
            if weight.ndim != 2 or bias.shape != weight.shape[:1]:
                raise ValueError(f"weight and bias have the shapes {weight.shape} and {bias.shape}")
            return cls(weight, bias, str(card["embedder"]), cut_off=float(card["cut_off"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise GateUnusable(
                f"No trained look-up can be read from {folder}: {error}.", do="train it anew, or use EditDistance()"
            ) from error


class FeedbackGate(Gate):
    """Lets the one Feedback through whose situation is the one at hand, and of other edits what another gate does.

    Args:
        look_up: How situations are compared.
        others: Judges every other kind of edit: whatever `as_gate` takes. The default gate, when it is needed.
    """

    name = "feedback"

    def __init__(self, look_up: LookUp | None = None, *, others: Gate | str | Path | None = None) -> None:
        self.look_up = look_up or EditDistance()
        self._others = others

    @classmethod
    def load(cls, source: str | Path, **options: Any) -> Self:
        """`feedback:edit_distance`, or the folder of a trained look-up.

        Raises:
            GateUnusable: It is neither.
        """
        return cls(EditDistance() if str(source) == EditDistance.name else TrainedLookUp.load(source), **options)

    @property
    def others(self) -> Gate:
        """The gate for other kinds of edit, made when it is first needed."""
        from memedit.gate import as_gate

        if not isinstance(self._others, Gate):
            self._others = as_gate(self._others)
        return self._others

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return self.decide_many([recalled])[0]

    def decide_many(self, recalled: Sequence[Recalled]) -> list[list[Verdict]]:
        rest = [_only(one, feedback=False) for one in recalled]
        asked = [one for one in rest if one.candidates]
        judged = iter(self.others.decide_many(asked) if asked else [])
        return [
            sorted(
                [*self._feedback(_only(one, feedback=True)), *(next(judged) if other.candidates else ())],
                key=lambda verdict: -verdict.probability,
            )
            for one, other in zip(recalled, rest, strict=True)
        ]

    def _feedback(self, recalled: Recalled) -> list[Verdict]:
        """All verdicts, at most one of which passed; of equally near ones the newest."""
        found = recalled.candidates
        if not found:
            return []
        compared = self.look_up.compare(recalled, found)
        best = max(range(len(found)), key=lambda at: (compared[at][0], found[at].edit.created_at))
        return [
            Verdict(one.edit, probability, at == best and probability > 0.5, match)
            for at, (one, (probability, match)) in enumerate(zip(found, compared, strict=True))
        ]


def without_quoted(text: str) -> tuple[str, ...]:
    """The words of a text outside of quotation marks and angle brackets."""
    return words(QUOTED.sub(" ", text))


def key(text: str) -> str:
    """What is compared by edit distance: what is left without quoted words and stop words."""
    return " ".join(word for word in without_quoted(text) if word not in FUNCTION_WORDS)


def edit_distance(one: str, other: str, most: int) -> int:
    """Levenshtein distance, or `most` where it is at least that, for which no more is computed than needed."""
    if abs(len(one) - len(other)) >= most:
        return most
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        current = [row] + [most] * len(other)
        for at in range(max(1, row - most), min(len(other), row + most) + 1):
            current[at] = min(above[at] + 1, current[at - 1] + 1, above[at - 1] + (letter != other[at - 1]))
        above = current
    return min(above[-1], most)


def _only(recalled: Recalled, *, feedback: bool) -> Recalled:
    kept = tuple(one for one in recalled.candidates if (one.edit.kind == "feedback") == feedback)
    return replace(recalled, candidates=kept)
