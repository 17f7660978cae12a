"""Which thing a question starts from: the name in it that the memory knows, a quoted one, or the last capitalised."""

from __future__ import annotations

import re
from collections.abc import Iterable

from memedit.edits import Fact
from memedit.gate.port import Hits
from memedit.text import FUNCTION_WORDS, same_key
from memedit.text.naming import NAME
from memedit.text.relations import shipped_relations

QUOTED = re.compile(r"[\"“]([^\"”“]{2,100}?)[,.]?[\"”]")

POSSESSIVE = re.compile(r"['’]s?(?=[\s?.!,]|$)")


def name_in(query: str, hits: Hits) -> str | None:
    """The name as it stands in the query; None where there is none."""
    names = dict.fromkeys(name for edit in hits.verdicts if isinstance(edit.edit, Fact) for name in edit.edit.names)
    known = _standing(query, names)
    said = [found[1] for found in QUOTED.finditer(query)]
    parted = POSSESSIVE.sub(" ,", query)
    capital = [name for found in NAME.finditer(parted) if (name := _real(found[0], opens=found.start() == 0))]
    longest = max([*known, *said], key=len, default=None)
    last = capital[-1] if capital else None
    if longest and last and longest in last:  # "Paris" is known, and "Paris Hilton" asked about
        return last
    return longest or last


def _standing(query: str, names: Iterable[str]) -> list[str]:
    """Those of the names that stand in the query as words of their own, as they stand there."""
    whole = _folded(query)
    held = [name for name in names if name and _folded(name) in whole]  # a pattern takes a while to be made
    found = [re.search(rf"(?<!\w){re.escape(name)}(?!\w)", query, re.IGNORECASE) for name in held]
    return [one[0] for one in found if one and one[0].casefold() not in FUNCTION_WORDS]


def _folded(text: str) -> str:
    """The text such that whatever a pattern takes for equal but for case is equal: also i with and without its dot."""
    return text.casefold().replace("\u0307", "").replace("ı", "i")


def _real(name: str, *, opens: bool) -> str | None:
    """A capitalised run without what a sentence begins with; None where nothing is left, or but a relation's name."""
    parts = name.split()
    while parts and (parts[0].casefold() == "of" or (opens and parts[0].casefold() in FUNCTION_WORDS)):
        parts = parts[1:]
    rest = " ".join(parts)
    role, of, holder = rest.partition(" of ")
    if of and same_key(role) in shipped_relations().keys:  # the CEO of Acme
        return _real(holder, opens=False)
    known = same_key(rest) in shipped_relations().keys
    return None if not rest or known or rest.casefold() in FUNCTION_WORDS else rest
