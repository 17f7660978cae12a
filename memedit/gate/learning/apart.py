"""Messages that have nothing to do with a memory: those of other groups, and small talk.

A judge that never read such a message beside a statement takes “thanks” for likelier than it is.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from memedit.embedders.port import Vectors
from memedit.encoder.judge import Judge
from memedit.gate.conversation import read_conversation
from memedit.gate.learning.messages import Group, Message
from memedit.gate.learning.scope_sets import OUT
from memedit.gate.scorer import in_scope_odds

KINDS = ("small talk", "of another group")
"""Of messages that have nothing to do with a memory, beside those of everyday."""
OTHERS, TALK = 14, 7  # messages of other groups and of small talk that each group's statements are read beside
NEXT = 4  # nearest statements of which one is drawn, beside the nearest

Pair = tuple[str, str, int]


def small_talk(file: Path, *parts: str) -> list[str]:
    """Messages of these parts of a file (`train`, `dev`, `test`) that ask for nothing that anybody noted."""
    lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [one["text"] for one in lines if one["part"] in parts]


def apart_from(
    group: Group, groups: Sequence[Group], talk: Sequence[str], each: int, drawn: random.Random
) -> Iterator[Message]:
    """So many of each of `KINDS` that have nothing to do with the memory of a group, drawn."""
    others = [message for other in groups if other is not group for message in other.messages]
    said = (
        drawn.sample([(("user", text),) for text in talk], each),
        (message.turns for message in drawn.sample(others, each)),
    )
    for kind, conversations in zip(KINDS, said, strict=True):
        yield from (Message("", "out", kind, turns, frozenset()) for turns in conversations)


def pairs(
    groups: Sequence[Group], talk: Sequence[str], *, embed_messages: Callable[[list[str]], Vectors],
    embed_edits: Callable[[list[str]], Vectors], judge: Judge, seed: int = 0,
) -> Iterator[Pair]:  # fmt: skip
    """Messages beside the statements of groups that are none of theirs; each a conversation, an edit, and `OUT`.

    Where a message of another group is likely to be answered all the same, as “When do you open?” may be, it is left
    out.

    Args:
        groups: Everyday messages.
        talk: What asks for nothing that anybody noted.
        embed_messages, embed_edits: Give the vectors by which the nearest statements are chosen.
        judge: Says what is likely.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    every = [(group.name, message) for group in groups for message in group.messages]
    drawn = [every[at] for at in rng.permutation(len(every))[: OTHERS * len(groups)]]
    texts = [read_conversation(message.turns).whole for _, message in drawn]
    said = [*texts, *(read_conversation((("user", one),)).whole for one in talk)]
    vectors = embed_messages(said)
    for group in groups:
        known = embed_edits([edit.key_text for edit in group.edits])
        others = [int(at) for at in rng.permutation(len(texts))[:OTHERS] if drawn[at][0] != group.name]
        for at in [*others, *(len(texts) + rng.permutation(len(talk))[:TALK])]:
            near = np.argsort(-(known @ vectors[at]))
            read = [group.edits[place].text for place in {near[0], near[rng.integers(min(NEXT, len(near)))]}]
            odds = judge.logits([(said[at], text) for text in read])
            yield from (
                (said[at], text, OUT)
                for text, logits in zip(read, odds, strict=True)
                if at >= len(texts) or in_scope_odds(logits) < 0
            )
