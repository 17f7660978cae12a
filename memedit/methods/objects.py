"""Where an edit's object is the answer by itself: a cloze, or a short question after a thing; and where a paragraph is
the answer to its own question. Nothing is generated.

A small model given the right edit still says something else now and then (Mitchell et al. 2022 train a counterfactual
model for it); what the edit holds needs no model to be said.
"""

from __future__ import annotations

import re

from memedit.edits import Fact
from memedit.gate.port import Hits
from memedit.messages import Request
from memedit.methods.frames import is_short
from memedit.text import words

AFTER_A_THING = re.compile(
    r"\b(?:who|whom|whose|what|which|when|where|how (?:many|much|old|tall|high|long|far|large|big))\b"
)
MORE = re.compile(
    r"^\W*(?:is|are|was|were|do|does|did|can|could|will|would|should|has|have|had|how come|how (?:do|does|did|can|to)"
    r"|explain|describe|write|compare|summari[sz]e|translate|list|discuss|argue|if|suppose|imagine)\b"
    r"|\b(?:why|explain|because|or not|true or false|yes or no|mean by)\b"
)
"""What asks for more than a thing, or for a yes or no."""


def object_answer(request: Request, hits: Hits) -> str | None:
    """The answer that the most probable edit holds, where the request asks for nothing but that; else None."""
    edit = hits.direct[0].edit if hits.direct else None
    if not isinstance(edit, Fact) or not is_plain(request):
        return None
    if edit.answer is None:  # a paragraph, which answers the question it was given with
        own = edit.question is not None and words(edit.question) == words(hits.query)
        return edit.statement if own else None
    query = hits.query.strip().casefold()
    if MORE.search(query):
        return None
    is_question = query.endswith("?")
    asks = AFTER_A_THING.search(query) is not None if is_question else query[-1:] not in ".!:;…"
    return edit.answer if asks else None


def is_plain(request: Request) -> bool:
    """Whether it is a short text, after which a short text is wanted: no system message, no options, no list."""
    told = any(message.role in ("system", "developer") for message in request.messages)
    return is_short(request) and not told
