"""Training the finder: conversations are drawn to the edits that they need, where MiniLM puts these, and away from
all other edits (InfoNCE, van den Oord et al. 2018, arXiv:1807.03748; only the query's encoder learns, as in retrieval
with a frozen index, Lewis et al. 2020, arXiv:2005.11401). So what an index holds stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from memedit.gate.conversation import read_conversation
from memedit.gate.learning.encoding import Learning, Report, batches, embedded, encoder, pooled, save
from memedit.gate.learning.messages import Group

TOKENS = 144
ALONE = 0.15  # share of conversations of which only the last message is learned from


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the finder is trained.

    Args:
        minutes: How long.
        rate: Of learning.
        batch: Conversations a step.
        temperature: The cosines are divided by it.
        seed: Of the order.
    """

    minutes: float = 14
    rate: float = 8e-5
    batch: int = 64
    temperature: float = 0.05
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Example:
    """A text, and the numbers of the documents that it needs."""

    text: str
    needs: frozenset[int]


def train(
    groups: Sequence[Group], out: str | Path, *, pairs: Iterable[tuple[str, str]] = (),
    base: str | Path | None = None, recipe: Recipe | None = None, report: Report = print,
) -> None:  # fmt: skip
    """Train the finder, and write it into a folder.

    Args:
        groups: Everyday messages.
        out: The folder.
        pairs: Further texts, each with the document that it needs: questions and the sentences that answer them.
        base: Folder of a finder to go on from, or `shipped`; MiniLM when left out.
        recipe: The settings.
        report: Told how it goes.
    """
    recipe = recipe or Recipe()
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    numbers: dict[str, int] = {}  # of the documents, each once, whatever edits or pairs it is in
    place = {edit.id: numbers.setdefault(edit.key_text, len(numbers)) for group in groups for edit in group.edits}
    edits = len(numbers)
    examples = [
        Example(text, frozenset(place[one] for one in message.bearing))
        for group in groups
        for message in group.messages
        if message.side == "in"
        for text in [_text(message.turns, alone=rng.random() < ALONE)]
    ]
    others = [Example(text, frozenset([numbers.setdefault(document, len(numbers))])) for text, document in pairs]
    frozen, tokenizer = encoder()
    fixed = torch.from_numpy(embedded(frozen, tokenizer, list(numbers), tokens=192))
    model, _ = encoder(base)
    learning = Learning(model, recipe.rate, recipe.minutes, report)
    first = True
    while learning.done < 1:
        for batch in batches([*examples, *(others if first else ())], lambda one: len(one.text), recipe.batch, rng):
            if learning.done >= 1:
                break
            learning.step(partial(_loss, model, tokenizer, batch, fixed, edits, recipe.temperature))
        first = False
    save(model, tokenizer, out)


def _loss(
    model: object, tokenizer: object, batch: Sequence[Example], fixed: torch.Tensor, edits: int, temperature: float
) -> torch.Tensor:
    """How far the texts lie from what they need, against all edits and the other documents of the batch."""
    further = sorted({at for one in batch for at in one.needs if at >= edits})
    columns = [*range(edits), *further]
    place = {at: column for column, at in enumerate(columns)}
    needed = torch.zeros(len(batch), len(columns), dtype=torch.bool)
    for row, one in enumerate(batch):
        needed[row, [place[at] for at in one.needs]] = True
    vectors = pooled(model, tokenizer, [one.text for one in batch], tokens=TOKENS)
    likely = torch.log_softmax(vectors.float() @ fixed[columns].T / temperature, dim=1)
    return -torch.logsumexp(likely.masked_fill(~needed, -1e4), dim=1).mean()


def _text(turns: Sequence[tuple[str, str]], *, alone: bool) -> str:
    return read_conversation(turns[-1:] if alone else turns).whole
