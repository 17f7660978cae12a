"""Where an edit is the answer by itself, and nothing is generated: its object, of a cloze or a short question after a
thing; its statement, of any other short question; a paragraph, of its own question.

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
QUESTION_MARKS = ("?", "？", "؟")
UNMARKED = re.compile(
    r"(?i)^\W*(?:who|whom|whose|what|what['’]s|which|when|where|why|how|is|are|was|were|am|do|does|did|can|could|will|would"
    r"|should|has|have|had)\b[^?？؟]*(?<! is)(?<! are)(?<! was)(?<! were)(?<! of)(?<! by)(?<! the)$"
)
"""What asks without a mark: it begins as a question does, and does not stop where a cloze would."""
MORE = re.compile(
    r"^\W*(?:is|are|was|were|do|does|did|can|could|will|would|should|has|have|had|how come|how (?:do|does|did|can|to)"
    r"|explain|describe|write|compare|summari[sz]e|translate|list|discuss|argue|if|suppose|imagine)\b"
    r"|\b(?:why|explain|because|or not|true or false|yes or no|mean by)\b"
)
"""What asks for more than a thing, or for a yes or no."""
TO_BE_MADE = re.compile(
    r"^\W*(?:(?:please|can you|could you|would you|will you|help me) )*(?:explain|describe|write|draft|compare"
    r"|summari[sz]e|translate|proofread|list|plan|discuss|argue|if|suppose|imagine)\b|\b(?:why|how come|mean by)\b"
)
"""What no statement settles: a text to be made, a reason, a case."""
SENTENCE = 300  # characters of a statement that is quoted
FEW = 12  # words of a message in small letters, that asks without saying so
OWN = frozenset(
    "i my me mine myself ich mein meine mir mich je mon mes moi yo mi mis io mio mia ik mijn eu meu".split()
)
"""Words of a note in which somebody speaks of themselves."""
NAME_OR_FIGURE = re.compile(r"[A-Z0-9€$£].*")
SEVERAL = re.compile(r"[;:,]| and | but ")
"""What a statement of more than one thing holds."""


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
    asks = AFTER_A_THING.search(query) is not None if query.endswith("?") or is_question(request) else is_cloze(request)
    sure = edit.object is not None or (NAME_OR_FIGURE.match(edit.answer) and not SEVERAL.search(edit.statement))
    return edit.answer if asks and sure else None


def statement_answer(request: Request, hits: Hits) -> str | None:
    """What the most probable edit states, where a short question is settled by it; else None.

    A small model that is given the edit and asked “…, right?” agrees with the question, and of two things in one
    statement it picks the wrong one. What somebody said of themselves is told as said by them.
    """
    edit = hits.direct[0].edit if hits.direct else None
    if not isinstance(edit, Fact) or not is_plain(request) or len(edit.text) > SENTENCE:
        return None
    asked = request.turns[-1][1].strip()
    in_haste = asked[:1].islower() and len(words(asked)) <= FEW
    if to_be_made(request) or not (is_question(request) or in_haste):
        return None
    return f"You noted: “{edit.text}”" if OWN & set(words(edit.text)) else edit.text


def to_be_made(request: Request) -> bool:
    """Whether it asks for a text, a reason or a case, which no statement settles."""
    return TO_BE_MADE.search(request.turns[-1][1].casefold()) is not None


def is_question(request: Request) -> bool:
    """Whether its last text asks, with a question mark or by how it begins."""
    asked = request.turns[-1][1].strip()
    marked = asked.rstrip("\"'”)» ").endswith(QUESTION_MARKS)
    return marked or (UNMARKED.match(asked) is not None and len(words(asked)) <= FEW)


def is_cloze(request: Request) -> bool:
    """Whether its last text is to be continued: it begins as a sentence does, and does not end as one, nor asks."""
    asked = request.turns[-1][1].strip()
    return asked[-1:] not in ".!:;…?？؟" and not asked[:1].islower() and not is_question(request)


def is_plain(request: Request) -> bool:
    """Whether it is a short text, after which a short text is wanted: no system message, no options, no list."""
    told = any(message.role in ("system", "developer") for message in request.messages)
    return is_short(request) and not told
