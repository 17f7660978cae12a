"""What people say around a question, and what changes nothing of what it asks: a judge learns to read past it.

“Who is head of sales again?” was taken for something else than “Who is head of sales?”.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from memedit.gate.learning.messages import Group, Message

ASIDE = "aside"
BEFORE = (
    "Hey, ", "hi, ", "Hi there! ", "Hello! ", "Good morning, ", "ok so ", "btw ", "Sorry to bother you, ",
    "quick question: ", "random question but ", "one more thing, ", "just checking, ", "I forgot, ", "remind me, ",
    "pls help: ", "does anyone know ", "do you know ", "any idea ", "can you tell me ", "I was wondering, ",
    "just out of curiosity: ", "Hallo, ", "Hola, ", "Bonjour, ",
)  # fmt: skip
AFTER = (
    " again?", " again", " again please?", " right now?", " at the moment?", " currently?", " these days?",
    " nowadays?", " now?", " today?", " actually?", " anyway?", " exactly?", " then?", " though?", " please", " pls",
    " thanks", " thx!", " Thanks in advance!", " lol", " btw", " if you know", " do you know?", " I forgot.",
    " I keep forgetting.", " just asking", " :)", " Danke!", " merci !",
)  # fmt: skip


def with_asides(group: Group, share: float, rng: np.random.Generator) -> Iterator[Message]:
    """Some of the messages of a group once more, with something said before or behind what they ask.

    Args:
        share: Of the messages.
        rng: Of the draws.
    """
    for message in group.messages:
        if rng.random() < share:
            *earlier, (role, text) = message.turns
            yield replace(message, kind=ASIDE, turns=(*earlier, (role, _around(text, rng))))


def _around(text: str, rng: np.random.Generator) -> str:
    if rng.random() < 0.6:
        return f"{text.rstrip(' ?.!')}{rng.choice(AFTER)}"
    return f"{rng.choice(BEFORE)}{text if rng.random() < 0.5 else text[:1].lower() + text[1:]}"
