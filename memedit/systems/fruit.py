"""FRUIT (Iv et al. 2022, arXiv:2112.08634): a document is brought up to date, and says of each change what it rests on.

Their model writes a mark for every sentence that stays, and the evidence before every one that does not. Here the
memory is the evidence: a sentence is cut before what it says, the gate decides which edits are in scope of that, and
where the former value stands in the sentence, the edit's takes its place. All else stays byte by byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from memedit.editable.documents import LONGEST, standing_alone
from memedit.editable.look_up import looked_up
from memedit.edits import Fact
from memedit.errors import EditRejected, RequestRejected
from memedit.gate import Gate, as_gate
from memedit.gate.focus import cut_up
from memedit.memory import EditMemory
from memedit.methods.base import Recall
from memedit.text import says


@dataclass(frozen=True, slots=True)
class Revised:
    """A sentence of a document, with what stands up to the next.

    Args:
        text: As it is now.
        before: As it was; empty where it was added.
        edits: The ids of what it was changed by; empty where it stays.
    """

    text: str
    before: str
    edits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Updated:
    """A document that was brought up to date.

    Args:
        sentences: Joined, they are the text.
    """

    sentences: tuple[Revised, ...]

    @property
    def text(self) -> str:
        """The document as it is now."""
        return "".join(one.text for one in self.sentences)

    @property
    def changed(self) -> tuple[Revised, ...]:
        """The sentences that are not as they were."""
        return tuple(one for one in self.sentences if one.edits)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        told = [{"before": one.before, "after": one.text, "edits": list(one.edits)} for one in self.changed]
        return {"text": self.text, "changed": told, "sentences": len(self.sentences)}


def update(
    text: str, memory: EditMemory, *, namespace: str = "default", gate: Gate | str | None = None, append: bool = False
) -> Updated:
    """Bring a text in line with the Facts in force.

    Args:
        text: Plain text.
        memory: What holds.
        namespace: Whose edits.
        gate: Decides which edits a sentence is in scope of; the default one when left out.
        append: Whether Facts whose subject the text names, and which it does not tell, are added at its end.

    Raises:
        RequestRejected: The text is empty, too long, or no text.
    """
    if not text.strip() or "\0" in text or len(text) > LONGEST:
        raise RequestRejected(
            f"The document is {len(text):,} characters of text; 1 to {LONGEST:,} can be updated.",
            do="give plain text, such as a .txt or .md file, in parts where it is long",
        )
    cuts = cut_up(text)
    told = [place for place, cut in enumerate(cuts) if re.search(r"\w", cut)]
    alone = [full for _, full in standing_alone([" ".join(cuts[place].split()) for place in told])]
    facts = [one for one in memory.edits(namespace=namespace, kind="fact") if isinstance(one, Fact)]
    asked = [(place, *one) for place, full in zip(told, alone, strict=True) for one in _asking(full, facts)]
    hits = looked_up(memory, as_gate(gate), namespace, [Recall(query) for _, query, _, _ in asked])
    changes: dict[int, list[tuple[Fact, str]]] = {}
    for (place, _, fact, former), found in zip(asked, hits, strict=True):
        if any(one.edit.id == fact.id for one in found.passed):
            changes.setdefault(place, []).append((fact, former))
    made = [_revised(cut, changes.get(place, ())) for place, cut in enumerate(cuts)]
    return Updated((*made, *(_added("".join(one.text for one in made), facts) if append else ())))


def _asking(sentence: str, facts: Sequence[Fact]) -> Iterator[tuple[str, Fact, str]]:
    """What a sentence asks, as it were, of which Fact, and which value it gives: it is cut before that."""
    for fact in facts:
        if not fact.answer or says(sentence, (fact.answer, *fact.object_aliases)) or not says(sentence, fact.names):
            continue
        former = fact.previous_object or _said_instead(sentence, fact)
        place = former and _place(sentence, former, fact.names)
        if former and place:
            yield sentence[: place.start()].strip(), fact, former


def _said_instead(sentence: str, fact: Fact) -> str | None:
    """The value of a plain sentence that says something else of what the Fact is of."""
    try:
        said = Fact(sentence)
    except EditRejected:
        return None
    return said.answer if said.answer and said.key_text.casefold() == fact.key_text.casefold() else None


def _place(sentence: str, value: str, names: Sequence[str]) -> re.Match[str] | None:
    """Where a value stands as words of its own, and not within the name of what is spoken of."""
    inside = [
        (found.start(), found.end()) for name in names for found in re.finditer(re.escape(name), sentence)
    ]  # fmt: skip
    for found in re.finditer(rf"(?<!\w){re.escape(value)}(?!\w)", sentence):
        if not any(start <= found.start() < end for start, end in inside):
            return found
    return None


def _revised(cut: str, changes: Sequence[tuple[Fact, str]]) -> Revised:
    text, ids = cut, []
    for fact, former in changes:
        place = _place(text, former, fact.names)
        if place:
            text = text[: place.start()] + (fact.answer or "") + text[place.end() :]
            ids.append(fact.id)
    return Revised(text, cut, tuple(ids))


def _added(text: str, facts: Sequence[Fact]) -> Iterator[Revised]:
    """A sentence for every Fact about something the text names, which the text does not tell."""
    for fact in facts:
        if fact.answer and says(text, fact.names) and not says(text, (fact.answer, *fact.object_aliases)):
            before = "" if not text or text[-1].isspace() else " "
            sentence = f"{before}{fact.statement.rstrip()}"
            text = f"{text}{sentence}{'' if sentence[-1] in '.!?' else '.'}"
            yield Revised(sentence if sentence[-1] in ".!?" else f"{sentence}.", "", (fact.id,))
