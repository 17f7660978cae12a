"""Where an edit is the answer by itself, and nothing is generated: its object, of a cloze or a short question after a
thing; its statement, of any other short message that neither is to be continued nor asks for a text to be made; a
paragraph, of its own question.

A small model given the right edit still says something else now and then (Mitchell et al. 2022 train a counterfactual
model for it); what the edit holds needs no model to be said.
"""

from __future__ import annotations

import math
import re

from memedit.edits import AnyEdit, Fact
from memedit.gate.port import Hits, Verdict
from memedit.messages import Request
from memedit.methods.frames import SHORT, is_short
from memedit.text import words
from memedit.text.naming import unpacked

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
    r"|summari[sz]e|translate|proofread|list|plan|discuss|argue)\b|\b(?:why|how come|mean by)\b"
)
"""What no statement settles: a text to be made, a reason."""
LETTER = re.compile(r"[^\W\d_]")
FEW = 12  # words of a question that has no mark
BESIDE = math.e  # what is told beside the likeliest edit has at least its odds divided by this
OWN = frozenset(
    "i my me mine myself ich mein meine mir mich je mon mes moi yo mi mis io mio mia ik mijn eu meu".split()
)
"""Words of a note in which somebody speaks of themselves."""
NAME_OR_FIGURE = re.compile(r"[A-Z0-9€$£].*")
SEVERAL = re.compile(r"[;:,]| and | but ")
"""What a statement of more than one thing holds."""


def object_answer(request: Request, hits: Hits) -> str | None:
    """The answer that the most probable edit holds, where the request asks for nothing but that; else None."""
    first = next(iter(hits.direct), None) if not hits.parts else None
    edit = first.edit if first and first.noted is None else None  # of two that contradict one another neither is all
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


def statement_answer(request: Request, hits: Hits) -> tuple[str, tuple[AnyEdit, ...]] | None:
    """What the most probable edit states, where a short message is settled by it, and the edits told; else None.

    A small model that is given the edit and asked “…, right?” agrees with the question, of two things in one statement
    it picks the wrong one, and of a message that does not end in a question it repeats some words. What somebody said
    of themselves is told as said by them; what is nearly as likely, and surely passes or contradicts it, with it.
    """
    told = _together(hits)
    if not told or not is_plain(request) or is_cloze(request) or to_be_made(request):
        return None
    lines = [told[0].edit.text] if len(told) == 1 else [one.line for one in told]
    text = "\n".join(f"You noted: “{line}”" if OWN & set(words(line)) else line for line in map(_begun, lines))
    return (text, tuple(one.edit for one in told)) if len(text) <= SHORT else None


def _begun(line: str) -> str:
    bare = unpacked(line)
    return bare if bare == line else f"{bare[0].upper()}{bare[1:]}"


def _together(hits: Hits) -> list[Verdict]:
    """The likeliest edit, and those that are told with it, of each thing that is asked; empty where one is no Fact."""
    if hits.parts:
        of_each = [_together(one) for one in hits.parts]
        told = {one.edit.id: one for found in of_each for one in found}
        kept = {one.edit.id for one in hits.direct}
        return [one for one in told.values() if one.edit.id in kept] if all(of_each) else []
    passed = list(hits.direct)
    if not passed or not isinstance(passed[0].edit, Fact):
        return []
    first, *others = passed
    return [first, *(one for one in others if isinstance(one.edit, Fact) and _goes_with(first, one))]


def _goes_with(first: Verdict, other: Verdict) -> bool:
    near = first.probability * (1 - other.probability) <= BESIDE * other.probability * (1 - first.probability)
    return near and (other.noted is not None or not other.doubtful)


def to_be_made(request: Request) -> bool:
    """Whether it asks for a text or a reason, which no statement settles."""
    return TO_BE_MADE.search(request.turns[-1][1].casefold()) is not None


def is_question(request: Request) -> bool:
    """Whether its last text asks, with a question mark or by how it begins."""
    asked = request.turns[-1][1].strip()
    marked = asked.rstrip("\"'”)» ").endswith(QUESTION_MARKS)
    return marked or (UNMARKED.match(asked) is not None and len(words(asked)) <= FEW)


def is_cloze(request: Request) -> bool:
    """Whether its last text is to be continued: it begins as a sentence does, and does not end as one, nor asks."""
    asked = request.turns[-1][1].strip()
    begins = LETTER.search(asked)
    return asked[-1:] not in ".!:;…?？؟" and not (begins and begins[0].islower()) and not is_question(request)


def is_plain(request: Request) -> bool:
    """Whether it is a short text, after which a short text is wanted: no system message, no options, no list."""
    told = any(message.role in ("system", "developer") for message in request.messages)
    return is_short(request) and not told
