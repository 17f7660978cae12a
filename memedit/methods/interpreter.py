"""The interpreter of language patches: p(label | text, consequence) (Murty et al. 2022, equation 2).

A consequence that states a label outright (*override*) makes it certain. One that tells what the text means (*feature*,
“food is good”) is put in the place of the clause its condition speaks of, and the wrapped model judges the text so
rewritten; three views of it are weighed, with weights that were learned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memedit.errors import RequestRejected
from memedit.gate.patch_features import locate
from memedit.messages import Message, Request
from memedit.text import as_data, one_line, same_key

Row = NDArray[np.float64]
SLOTS = re.compile(r"\{(text|labels)\}")
PROMPT = "Which label fits the text? The labels are: {labels}.\n\nText: {text}\nLabel:"
CONTENT_FREE = ("N/A", "[MASK]")
"""What says nothing: how likely a label is behind it is the label's own likelihood, which is taken off (Zhao et al.
2021, arXiv:2102.09690)."""


@dataclass(frozen=True)
class Labels:
    """The labels to choose from, and the prompt behind which one stands.

    Args:
        names: The labels, two or more.
        prompt: With `{text}` once for the text, and, where wanted, `{labels}`.

    Raises:
        RequestRejected: The labels or the prompt are no such.
    """

    names: tuple[str, ...]
    prompt: str = PROMPT

    def __post_init__(self) -> None:
        if len(self.names) < 2 or len({same_key(name) for name in self.names}) < len(self.names):
            raise RequestRejected(
                f"Labels {list(self.names)!r:.200} are not two or more different ones.", do="give such"
            )
        if any(not name.strip() for name in self.names):
            raise RequestRejected("A label is empty.", do="give each label a text")
        if self.prompt.count("{text}") != 1:
            raise RequestRejected(
                f"The prompt “{one_line(self.prompt)}” does not hold {{text}} exactly once.", do="put {text} into it"
            )

    def ask(self, text: str) -> str:
        """The prompt with a text put in; braces in text and labels stay as they are."""
        values = {"text": text, "labels": ", ".join(self.names)}
        return SLOTS.sub(lambda found: values[found[1]], self.prompt)

    def continuations(self) -> list[str]:
        """The labels as they stand behind the prompt."""
        blank = "" if self.prompt[-1:].isspace() else " "
        return [f"{blank}{name}" for name in self.names]

    def raw(self, text: str) -> Request:
        """The prompt as a text to be continued."""
        return Request((Message("user", self.ask(text)),), {}, "raw")

    def read(self, answer: str) -> str | None:
        """The label an answer gives: the one it is, begins with, or alone names."""
        said = same_key(answer.strip(" \n\t.!:*\"'`"))
        keys = {same_key(name): name for name in self.names}
        if said in keys:
            return keys[said]
        longest = sorted(keys, key=len, reverse=True)
        begun = next((one for one in longest if re.match(rf"{re.escape(one)}(?!\w)", said)), None)
        if begun is not None:
            return keys[begun]
        rest, named = said, []
        for one in longest:  # a longer label first, so that “not spam” is not also “spam”
            rest, times = re.subn(rf"(?<!\w){re.escape(one)}(?!\w)", " ", rest)
            named += [one] * bool(times)
        return keys[named[0]] if len(named) == 1 else None


def rewritten(text: str, condition: str, consequence: str) -> str:
    """The text with the clause that a condition speaks of replaced by the consequence, or with it added at the end."""
    place = locate(text, condition)
    said = as_data(consequence)
    if place is None:
        return f"{text.rstrip().rstrip('.')}. {said[0].upper()}{said[1:]}."
    start, end = place
    opens = not text[:start].strip() or text[:start].rstrip()[-1] in ".!?"
    return f"{text[:start]}{said[0].upper() if opens else said[0]}{said[1:]}{text[end:]}"


def views(text: str, condition: str, consequence: str) -> tuple[str, str]:
    """The texts to be judged beside the text itself, in the order of `patch_scorer.VIEWS`."""
    said = as_data(consequence)
    return rewritten(text, condition, consequence), f"{said[0].upper()}{said[1:]}."


def normal(logprobs: Sequence[float], prior: Row | None) -> Row:
    """Log-probabilities over the labels, (labels,): what says nothing taken off, and summing to 1."""
    row = np.asarray(logprobs, dtype=np.float64)
    row = row - (0.0 if prior is None else prior)
    result: Row = row - np.logaddexp.reduce(row)
    return result


def weigh(seen: Sequence[Row], weights: Sequence[float]) -> Row:
    """p(label | text, consequence) ∝ exp Σ wᵢ log pᵢ(label), over the views. seen: (labels,) each; result (labels,)."""
    scores = np.sum([float(one) * row for one, row in zip(weights, seen, strict=True)], axis=0)
    result: Row = np.exp(scores - np.logaddexp.reduce(scores))
    return result


def fit_weights(seen: Sequence[Sequence[Row]], truth: Sequence[int], *, decay: float = 1e-3) -> tuple[float, ...]:
    """The weights under which the true labels are likeliest: a conditional logit, fitted by gradient descent.

    seen: for each example, its views, (views, labels); truth: the place of its label.
    """
    weights = np.array([0.1, 1.0, 0.1])
    stacked = [np.stack(list(one)) for one in seen]
    for step in range(400):
        gradient = decay * weights
        for rows, true in zip(stacked, truth, strict=True):
            gradient = gradient + rows @ (weigh(list(rows), weights.tolist()) - np.eye(rows.shape[1])[true]) / len(
                truth
            )
        weights = weights - 0.5 / (1 + step / 100) * gradient
    return tuple(weights.tolist())


def mixed(base: Row, patched: Sequence[tuple[float, Row]], *, combine: str) -> Row:
    """The mixture g · p_patch + (1 - g) · p_base (equation 1 of Murty et al. 2022).

    Args:
        base: p_base, (labels,).
        patched: For each patch, most applicable first, its g and p_patch.
        combine: `most` takes the most applicable alone, as the paper does; `all` takes each in the share of its g, and
            all together with the probability that at least one applies, 1 - Π(1 - gᵢ).
    """
    if combine == "most":
        gate, said = patched[0]
        return gate * said + (1 - gate) * base
    gates = np.array([gate for gate, _ in patched])
    some = 1 - float(np.prod(1 - gates))
    shares: Iterator[Row] = (gate / gates.sum() * said for gate, said in patched)
    result: Row = some * np.sum(list(shares), axis=0) + (1 - some) * base
    return result
