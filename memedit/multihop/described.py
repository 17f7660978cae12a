"""What a message calls by its description, and a statement by its name: where “My sister is Lena.” is known, “Lena is
allergic to nuts.” answers “What is my sister allergic to?”, which names no Lena.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

from memedit.edits import Fact
from memedit.gate.port import Hits
from memedit.methods.base import Effect, Recall
from memedit.multihop.walk import Thing, Walk
from memedit.text.naming import called
from memedit.trace import Hop

SAID_OF = {"our": "(?:our|my|the)"}  # a message calls “our dentist” also “the dentist”
MOST = 2  # descriptions that are looked up


def described(query: str, hits: Hits) -> Generator[Effect, Any, Walk | None]:
    """The walk from a description over the name that a statement gives to what another says of that; None where there
    is none. The second is read beside the message as if that had named it.
    """
    for hop in _names(query, hits)[:MOST]:
        asked = query.replace(hop.question, hop.answer)
        found: Hits = yield Recall(asked, whole=asked)
        made = Walk(Thing((hop.answer,)), hits, [hop])
        made.heed(found)
        if made.refused:
            return made
        for one in found.direct:
            if isinstance(one.edit, Fact) and one.edit != hop.edit and not _is_another(one.edit.statement, hop):
                made.take(asked, one)
                return made
    return None


def _is_another(statement: str, hop: Hop) -> bool:
    """Whether it is of somebody else of that name: “My neighbour Lena has a dog.”, where Lena is the sister."""
    called = re.search(rf"(?i:\b(?:my|our|his|her|their) (\w+) ){re.escape(hop.answer)}\b", statement)
    return called is not None and called[1].casefold() not in hop.question.casefold()


def _names(query: str, hits: Hits) -> list[Hop]:
    """From each description in the message to its name, by the statement that gives it."""
    found = []
    for one in hits.verdicts:
        told = called(one.edit.statement) if isinstance(one.edit, Fact) else None
        if told:
            whose, thing, name = told
            whose = SAID_OF.get(whose, whose)
            said = re.search(rf"(?i)\b{whose} {re.escape(thing)}\b(?! of\b)", query)
            found += [Hop(said[0], name, "edit", one.edit)] if said else []
    return found
