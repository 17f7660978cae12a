"""In whose house it is asked: “Who is our CEO?”, put to “the assistant of Brightleaf”, asks for the CEO of Brightleaf.

Statements have the name; whoever asks there says “we”, or nothing at all. The system message tells it. Beside a
statement that shares a name with it, a message without that name is also read as if it named the house, in two ways;
what both readings come to counts, less something, where it is more than the message says as it stands.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from memedit.embedders.port import Vectors
from memedit.gate.scorer import in_scope_odds
from memedit.text import FUNCTION_WORDS

NAME = re.compile(r"(?<![\w’'-])[^\W\d_a-zß-ÿ][\w&-]{2,}")
BEGINS = re.compile(r"(?:[.!?:;\n]|[-*#>]\s)[\s\"'“„«(]*$")
BEFORE = 8  # characters before a word that tell whether it begins a sentence
LONGEST = 4_000  # characters of the system messages that are read
MOST = 3  # words of a name
DISCOUNT = 1.2  # log-odds: who asks there may still mean another


def at_home(whole: str, statement: str, system: str) -> tuple[str, ...]:
    """The conversation as if it named the house, in two ways; none where it does, or the statement does not.

    whole: As it is read. system: What the system messages say.
    """
    there, here = _names(system[:LONGEST]), _names(statement)
    shared = [name for name, inside in here.items() if name in there and (inside or there[name])]
    if not shared or any(_says(whole, name) for name in shared):
        return ()
    name = " ".join(shared[:MOST])
    return f"{name}: {whole}", f"{whole} < user: I am with {name}."


def least(logits: Vectors) -> Vectors:
    """What readings of the message at home come to: the least likely one, less something. logits (ways, 3)."""
    lowest: Vectors = logits[int(np.argmin(in_scope_odds(logits)))].copy()
    lowest[1:] -= DISCOUNT
    return lowest


@lru_cache(maxsize=1_024)
def _names(text: str) -> dict[str, bool]:
    """The capitalised words of a text, in their order, and whether they stand within a sentence: else it may be the
    sentence that gives them their capital.
    """
    found: dict[str, bool] = {}
    for match in NAME.finditer(text):
        if match[0].casefold() not in FUNCTION_WORDS:
            before = text[max(match.start() - BEFORE, 0) : match.start()]
            begins = match.start() < BEFORE and not any(map(str.isalnum, before))
            found[match[0]] = found.get(match[0], False) or not (begins or BEGINS.search(before))
    return found


def _says(whole: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}", whole, re.IGNORECASE) is not None
