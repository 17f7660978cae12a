"""Dissecting recall (Geva et al. 2023, arXiv:2304.14767): which tokens the last one has to look at, in which layers.

Attention from some tokens to the last is knocked out in a window of layers around each layer, and what is lost of the
target's probability is what flowed there. Beside it stands what the subject's last state says behind each layer, read
by the logit lens: the attributes that a subject gathers before it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from memedit.errors import UnsupportedModel
from memedit.parametric.layout import Anatomy
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.understanding.lens import lens
from memedit.parametric.understanding.plots import plot_lines
from memedit.parametric.understanding.tracing import subject_begin
from memedit.text import as_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Lost = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Recalled:
    """How a fact is recalled; in a notebook a table.

    Args:
        rewrite: The fact.
        clean: Probability of its target's first token.
        lost: By kind of token (subject, other, last), the share of it that is lost around each layer, (layers,).
        words: What the subject's last state says behind each layer, likeliest first.
    """

    rewrite: Rewrite
    clean: float
    lost: Mapping[str, Lost]
    words: tuple[tuple[str, ...], ...]

    def plot(self) -> Figure:
        """The curves of what is lost."""
        return plot_lines(self.lost, "share of p(target) lost", f"{self.rewrite.text} {self.rewrite.target}")

    def _repr_html_(self) -> str:
        rows = [
            (str(layer), *(f"{100 * one[layer]:+.0f} %" for one in self.lost.values()), " · ".join(said))
            for layer, said in enumerate(self.words)
        ]
        text = f"{self.rewrite.text} {self.rewrite.target} ({self.clean:.2f})"
        return as_html(text, head=("layer", *(f"without {name}" for name in self.lost), "the subject says"), rows=rows)


def recall(anatomy: Anatomy, tokenizer: Any, rewrite: Rewrite, *, window: int = 5, most: int = 5) -> Recalled:
    """How a fact is recalled.

    Args:
        anatomy: Of the model.
        tokenizer: Of the model.
        rewrite: Prompt, subject, and what follows.
        window: Layers in which attention is knocked out together.
        most: Words behind each layer.

    Raises:
        UnsupportedModel: Its attention takes no mask, or the lens does not fit it.
    """
    read = rewrite.read(tokenizer)
    begin, ids = subject_begin(tokenizer, rewrite), torch.tensor([read.ids[: read.target]], device=anatomy.device)
    last, token = ids.shape[1] - 1, read.ids[read.target]
    subject = range(begin, read.subject + 1)
    kinds = {"subject": list(subject), "other": [one for one in range(last) if one not in subject], "last": [last]}

    def chance() -> float:
        with torch.no_grad():
            said = anatomy.model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[0, -1]
        return float(said.double().softmax(-1)[token])

    clean, lost = chance(), {}
    for name, sources in kinds.items():
        lost[name] = np.zeros(len(anatomy))
        for layer in range(len(anatomy)):
            near = range(max(0, layer - window // 2), min(len(anatomy), layer + window // 2 + 1))
            with knocked_out(anatomy, near, sources, last):
                lost[name][layer] = 1 - chance() / clean
    said = lens(anatomy, tokenizer, rewrite.text)[:, read.subject]
    words = [tuple(str(tokenizer.decode([one])).strip() for one in np.argsort(-row)[:most].tolist()) for row in said]
    return Recalled(rewrite, clean, lost, tuple(words))


@contextmanager
def knocked_out(anatomy: Anatomy, layers: Sequence[int], sources: Sequence[int], target: int) -> Iterator[None]:
    """While it lasts, a token does not attend to some others in some layers. One unpadded text is read at once.

    Args:
        anatomy: Of the model.
        layers: Which.
        sources: Places that are not looked at.
        target: The place that looks.

    Raises:
        UnsupportedModel: The model gives its attention no mask.
    """

    def hook(module: Any, given: Any, named: dict[str, Any]) -> Any:
        if "attention_mask" not in named:
            raise UnsupportedModel(
                f"`{type(module).__name__}` takes no attention mask, so that nothing can be knocked out.",
                do="look at a model of another family",
            )
        states = given[0] if given else named["hidden_states"]
        tokens, lowest = states.shape[1], torch.finfo(states.dtype).min
        mask = torch.full((tokens, tokens), lowest, dtype=states.dtype, device=states.device).triu(1)
        if target < tokens:
            mask[target, list(sources)] = lowest
        return given, {**named, "attention_mask": mask[None, None]}

    handles = [anatomy.attention(layer).register_forward_pre_hook(hook, with_kwargs=True) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
