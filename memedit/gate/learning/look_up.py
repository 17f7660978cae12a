"""Training MemPrompt's look-up (Madaan et al. 2022, arXiv:2201.06009, appendix): which wordings mean the same.

One layer tanh(W x + b) over the embedder's vectors, by SBERT's cosine loss: the squared difference of cosine and label.
The embedder itself stays as it is, so that the memory's vectors serve as they are.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from memedit.embedders import Embedder
from memedit.errors import MissingExtra, RunRejected
from memedit.gate.feedback import CUT_OFF, TrainedLookUp

try:
    import torch
    from torch.nn.functional import cosine_similarity
except ModuleNotFoundError as missing:
    raise MissingExtra("local", package="torch") from missing

SIZE, EPOCHS, BATCH, RATE = 256, 30, 64, 2e-3
Pair = tuple[str, str, bool]
"""Two questions, and whether they mean the same."""


def train_look_up(pairs: Sequence[Pair], embedder: Embedder, *, epochs: int = EPOCHS, seed: int = 0) -> TrainedLookUp:
    """A look-up that learned from these pairs; seconds for a few thousand.

    Args:
        pairs: Questions that mean the same, and such that do not.
        embedder: The memory's.
        epochs: How often each pair is seen.
        seed: Of the start and of the order.

    Raises:
        RunRejected: All pairs have the same label, or there are none.
    """
    if len({same for _, _, same in pairs}) < 2:
        raise RunRejected(
            f"{len(pairs)} pairs do not show both what is the same and what is not.", do="give pairs of both sorts"
        )
    texts = sorted({text for pair in pairs for text in pair[:2]})
    place = {text: at for at, text in enumerate(texts)}
    vectors = torch.tensor(embedder.embed(texts))
    ends = torch.tensor([[place[one], place[other]] for one, other, _ in pairs])
    labels = torch.tensor([float(same) for _, _, same in pairs])
    generator = torch.Generator().manual_seed(seed)
    size = vectors.shape[1]
    weight = (torch.randn(SIZE, size, generator=generator) / size**0.5).requires_grad_()
    bias = torch.zeros(SIZE, requires_grad=True)
    steps = torch.optim.Adam([weight, bias], lr=RATE)
    order, draw = list(range(len(pairs))), random.Random(seed)  # noqa: S311 - an order, no secret
    for _ in range(epochs):
        draw.shuffle(order)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            one, other = (torch.tanh(vectors[ends[batch, side]] @ weight.T + bias) for side in (0, 1))
            loss = (cosine_similarity(one, other) - labels[batch]).square().mean()
            steps.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            steps.step()
    return TrainedLookUp(weight.detach().numpy(), bias.detach().numpy(), embedder.id, cut_off=CUT_OFF)


def agreement(look_up: TrainedLookUp, pairs: Sequence[Pair], embedder: Embedder) -> dict[str, float]:
    """How often the look-up says of a pair that means the same that it does (recall), and of one that does not (false).

    Args:
        look_up: A trained one.
        pairs: Pairs it did not learn from.
        embedder: The one it learned with.
    """
    one = look_up.project(embedder.embed([pair[0] for pair in pairs]))
    other = look_up.project(embedder.embed([pair[1] for pair in pairs]))
    said = np.einsum("nd,nd->n", one, other) > look_up.cut_off
    same = np.array([pair[2] for pair in pairs])
    return {"recall": float(said[same].mean()), "false": float(said[~same].mean())}
