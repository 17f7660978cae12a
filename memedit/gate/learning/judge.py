"""Training the judge: an encoder that reads a conversation and an edit together, and tells `roles.LABELS` apart
(SERAC's scope classifier, Mitchell et al. 2022, arXiv:2206.06520).

Its negatives are what the finder proposes from the same memory: near-by edits that do not bear on the message; and,
of a message out of scope, above all the edit that it was written around; besides those, edits of memories that have
nothing to do with the message (`apart.py`). It also learns to read two statements, and to tell whether the later one
takes the earlier one's place, says the same, or leaves it standing; and to read one, and to tell whether it says how
every message is to be answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from memedit.embedders.finder import load_finder, load_minilm
from memedit.encoder.judge import TOKENS, Judge
from memedit.gate.conversation import read_conversation
from memedit.gate.learning.asides import ASIDE, with_asides
from memedit.gate.learning.encoding import Learning, Report, batches, embedded, encoder, hold, save
from memedit.gate.learning.messages import Group, Message
from memedit.gate.learning.scope_sets import DIRECT, OUT
from memedit.gate.learning.several import several
from memedit.gate.learning.slips import slipped
from memedit.gate.roles import LABELS
from memedit.memory.governing import EVERY
from memedit.memory.statements import CONTRADICTS, LATER, OTHER

SOFT = 2.0  # temperature at which it is compared with another judge
NEAR = 8  # edits that the finder proposes


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the judge is trained.

    Args:
        minutes: How long.
        rate: Of learning.
        batch: Pairs a step.
        further: Share of the further pairs that one pass over the messages takes.
        older: Share of the messages of `groups` that is learned from, drawn once; of `fresh` ones all are.
        slips: Share of the messages that are read with slips of the keyboard.
        several: Share of the short messages that are read once more, with another one of their group behind them.
        asides: Share of the messages that are read once more, with something said around what they ask.
        beside: Share of the loss that is how far it is from what another judge reads, at `SOFT`, where one is given
            (distillation, Hinton et al. 2015, arXiv:1503.02531).
        held: How many of the lowest layers are not trained.
        dropout: Share of what each layer says that is left out (of the attention nothing is: it would take longer than
            all the rest). Without, it learns faster and soon knows by heart.
        seed: Of the draws and the order.
    """

    minutes: float = 52
    rate: float = 1e-4
    batch: int = 32
    further: float = 0.15
    older: float = 1.0
    slips: float = 0.1
    several: float = 0.06
    asides: float = 0.3
    beside: float = 0.5
    held: int = 0
    dropout: float = 0.1
    seed: int = 0


Pair = tuple[str, str, int]
"""Conversation, edit, and what the edit is to it: a place in `LABELS`."""
Nearby = tuple[Message, str, dict[str, str], list[str]]
"""A message, its text, the edits of its group, and the ids of those that the finder proposes."""


def train(
    groups: Sequence[Group], out: str | Path, *, finder: str | Path | None = None, pairs: Sequence[Pair] = (),
    apart: Sequence[Pair] = (), statements: Sequence[Pair] = (), instructions: Sequence[tuple[str, bool]] = (),
    fresh: Sequence[Group] = (), base: str | Path | None = None, beside: Judge | None = None,
    recipe: Recipe | None = None, report: Report = print,
) -> None:  # fmt: skip
    """Train the judge, and write it into a folder.

    Args:
        groups: Everyday messages.
        fresh: Further groups, whose messages are all learned from.
        out: The folder.
        finder: The folder of the trained finder, which proposes negatives; the one that comes with memedit when left
            out.
        pairs: Further ones, of benchmarks.
        apart: Of messages and memories that have nothing to do with one another. What another judge reads of them, or
            of messages with an aside, does not count: it may never have seen such.
        statements: A later statement, an earlier one, and what the one is to the other (`memory.statements.OTHER`, …).
        instructions: Statements, and whether each governs every answer.
        base: Folder or hub id of the encoder that it grows from, or `shipped`; the finder, or MiniLM, when left out.
        beside: Another judge, of whose readings it learns too.
        recipe: The settings.
        report: Told how it goes.
    """
    recipe = recipe or Recipe()
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    groups = [*(replace(one, messages=_some(one.messages, recipe.older, rng)) for one in groups), *fresh]
    made = [(*several(one, recipe.several, rng), *with_asides(one, recipe.asides, rng)) for one in groups]
    groups = [replace(one, messages=(*one.messages, *more)) for one, more in zip(groups, made, strict=True)]
    near = list(_near(groups, finder))
    always = [(f"{LATER}{later}", earlier, said) for later, earlier, said in (*statements, *_replaced(groups, near))]
    always += [(EVERY, statement, DIRECT if governs else OUT) for statement, governs in instructions]
    always += apart
    untaught = {(text, edit) for text, edit, _ in apart}
    untaught |= {(text, edit) for message, text, edits, _ in near if message.kind == ASIDE for edit in edits.values()}
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {name: place for place, name in enumerate(LABELS)}}
    dropped = {"hidden_dropout_prob": recipe.dropout, "attention_probs_dropout_prob": 0.0}
    model, tokenizer = encoder(
        base or finder, AutoModelForSequenceClassification, num_labels=len(LABELS), **dropped, **names
    )
    hold(model, recipe.held)
    learning = Learning(model, recipe.rate, recipe.minutes, report)
    while learning.done < 1:
        drawn = [*always, *(pair for one in near for pair in _typed(_drawn(*one, rng), recipe.slips, rng))]
        drawn += [pairs[at] for at in rng.permutation(len(pairs))[: int(recipe.further * len(pairs))]]
        report(f"{len(drawn)} pairs")
        for batch in batches(drawn, lambda pair: len(pair[0]) + len(pair[1]), recipe.batch, rng):
            if learning.done >= 1:
                break
            taught = [at for at, (text, edit, _) in enumerate(batch) if (text, edit) not in untaught]
            learning.step(partial(_loss, model, tokenizer, batch, beside, taught, recipe.beside))
    save(model, tokenizer, out)


def _some(messages: Sequence[Message], share: float, rng: np.random.Generator) -> tuple[Message, ...]:
    return tuple(one for one in messages if rng.random() < share)


def _near(groups: Iterable[Group], finder: str | Path | None) -> Iterator[Nearby]:
    embed_edits = load_minilm().embed
    embed_messages = load_finder().embed if finder is None else partial(embedded, *encoder(finder), tokens=192)
    for group in (one for one in groups if one.messages):
        texts = [read_conversation(message.turns).whole for message in group.messages]
        asked, known = embed_messages(texts), embed_edits([edit.key_text for edit in group.edits])
        order = np.argsort(-(asked @ known.T), axis=1)[:, :NEAR]
        held = {edit.id: edit.text for edit in group.edits}
        ids = list(held)
        for message, text, found in zip(group.messages, texts, order, strict=True):
            yield message, text, held, [ids[at] for at in found]


def _replaced(groups: Iterable[Group], near: Iterable[Nearby]) -> Iterator[Pair]:
    """Statements of a group with those that they replace, and with neighbours that they leave standing."""
    beside = {message.edit: ids for message, _, _, ids in near}
    for group in groups:
        held = {edit.id: edit.text for edit in group.edits}
        linked = {*group.replaced.items(), *((earlier, later) for later, earlier in group.replaced.items())}
        yield from ((held[later], held[earlier], CONTRADICTS) for later, earlier in group.replaced.items())
        for later in held:
            others = [one for one in beside.get(later, ()) if one != later and (later, one) not in linked]
            yield from ((held[later], held[one], OTHER) for one in others[:2])


def _drawn(
    message: Message, text: str, edits: dict[str, str], near: Sequence[str], rng: np.random.Generator
) -> list[Pair]:
    """What is learned of a message in one pass: what bears on it, and two or three edits that do not."""
    right = [one for one in sorted(message.bearing) if one in edits]
    wrong = [one for one in near if one not in message.bearing]
    if message.side == "in":
        shown = (
            right if len(right) < 3 else [message.edit, *rng.choice([one for one in right if one != message.edit], 1)]
        )
        out = {wrong[int(rng.random() ** 2 * len(wrong))] for _ in range(2)} if wrong else set()
    else:
        shown = right
        own = [message.edit] if message.edit not in message.bearing else []
        rest = [one for one in wrong if one not in own]
        out = {*own, *rest[:1], *([rng.choice(rest)] if rest and rng.random() < 0.35 else [])}
    return [*((text, edits[one], DIRECT) for one in shown), *((text, edits[one], OUT) for one in sorted(out))]


def _typed(drawn: list[Pair], slips: float, rng: np.random.Generator) -> list[Pair]:
    """The pairs of a message, now and then with its text as somebody types it in haste."""
    if not drawn or rng.random() >= slips:
        return drawn
    text = slipped(drawn[0][0], rng)
    return [(text, edit, label) for _, edit, label in drawn]


def _loss(
    model: Any, tokenizer: Any, batch: Sequence[Pair], beside: Judge | None = None, taught: Sequence[int] = (),
    share: float = 0.0,
) -> torch.Tensor:  # fmt: skip
    """The cross entropy of a batch; of what another judge reads too, `share` of it is how far it is from that."""
    read = tokenizer(
        [text for text, _, _ in batch], [edit for _, edit, _ in batch], padding=True, truncation="longest_first",
        max_length=TOKENS, return_tensors="pt",
    )  # fmt: skip
    logits = model(**read).logits.float()
    losses = torch.nn.functional.cross_entropy(logits, torch.tensor([label for _, _, label in batch]), reduction="none")
    if beside is not None and taught:
        said = torch.as_tensor(beside.logits([batch[at][:2] for at in taught]))
        far = torch.nn.functional.kl_div(
            torch.log_softmax(logits[taught] / SOFT, dim=1), torch.softmax(said / SOFT, dim=1), reduction="none"
        )
        losses[taught] = (1 - share) * losses[taught] + share * SOFT**2 * far.sum(dim=1)
    return losses.mean()
