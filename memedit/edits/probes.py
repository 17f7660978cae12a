"""What shows whether an edit holds: its own probes, or texts made of what it says, in scope and out of it."""

from __future__ import annotations

import re

from memedit.edits import SLOT, AnyEdit, Behaviour, Description, Erasure, Fact, Feedback, Probe
from memedit.text import FUNCTION_WORDS, STOPS
from memedit.text.language import language_of
from memedit.text.naming import is_one_sentence, split_statement, unpacked

STRANGERS = ("Quillon Abernathy", "Velden Harbour", "Tamsin & Rook Ltd")
"""Made-up subjects: the same question about them is out of scope of any edit."""
ABOUT, OPINION = "What is known about {}?", "What do you think of {}?"
UNRELATED = ("Write one sentence about the sea.", "What is two plus two?", "Name a colour of the rainbow.")

NAMED = re.compile(r"(now |also |still )?(named|called|known as) ")
WHERE = re.compile(r"(?<=\w) (on|at|in|near) (?=[A-Z])")
"""Behind what is asked for may stand where it is: who says “Dr. Okafor” says “Dr. Okafor on Mill Street”, too."""
PERFECT = re.compile(r"\b(has|have|had) (now |also |just )?(been|become|gone|got|left|taken|[a-z]+ed)\b")
"""Behind such a verb stands no object: “Piano has moved to Wednesdays.”"""


def probes_of(edit: AnyEdit) -> tuple[Probe, ...]:
    """A Fact's own probes, or ones made of what an edit says; none for kinds that tell no text in their scope."""
    if isinstance(edit, Fact) and edit.probes:
        return edit.probes
    if isinstance(edit, Behaviour) and edit.standing:
        return tuple(Probe(prompt=text) for text in UNRELATED)
    inside, template = _asking(edit)
    if not inside and not isinstance(edit, Fact):
        return ()
    if isinstance(edit, Fact) and not inside:
        return (_asked_back(edit.statement), *(Probe(prompt=text, must="stay") for text in UNRELATED))
    outside = [template.replace(SLOT, stranger) for stranger in STRANGERS] if template else []
    return (
        *(Probe(prompt=text) for text in dict.fromkeys(inside)),
        *(Probe(prompt=text, must="stay") for text in (*outside, *UNRELATED)),
    )


def accepted_answers(edit: AnyEdit) -> tuple[str, ...]:
    """What counts as saying what the edit says."""
    if not isinstance(edit, Fact):
        return ()
    if edit.object:
        return (edit.object, *edit.object_aliases)
    if parts := split_statement(edit.statement):
        bare = NAMED.sub("", parts[1])  # “named Willow”: who says “Willow” says it, too
        named = WHERE.split(bare)[0]
        told = (parts[1], bare, *(() if named.islower() else (named,)))
        return (*dict.fromkeys(told), *edit.object_aliases)
    return edit.object_aliases


def cloze_of(edit: Fact) -> tuple[str | None, str | None]:
    """(cloze, the same with a slot for the subject), as far as the Fact gives them."""
    if edit.prompt:
        return edit.cloze, edit.prompt
    parts = split_statement(edit.statement)
    if parts is None:
        return None, None
    subject = next((name for name in edit.names if name in parts[0] and (edit.subject or not name.islower())), None)
    template = parts[0].replace(subject, SLOT, 1) if subject else None
    return parts[0], template


def _says_no_one_thing(statement: str) -> bool:
    """Whether behind the verb stands nothing that continues a cloze: “… is in the garage until Thursday”."""
    parts = split_statement(statement)
    phrase = parts[1].split() if parts else []
    return PERFECT.search(statement) is not None or (len(phrase) > 2 and phrase[0].islower())


def _asked_back(statement: str) -> Probe:
    """Whether a statement holds, asked in its own words, where no part of it is what a question would ask for. In
    another language than English, or in more than one sentence, only whether it is used can be told.
    """
    statement = unpacked(statement.strip())
    if language_of(statement, default="") not in ("en", "") or not is_one_sentence(statement):
        return Probe(prompt=f"{statement.rstrip(STOPS)}?")
    first, _, rest = statement.rstrip(" .!").partition(" ")
    begun = first.lower() if first.casefold() in FUNCTION_WORDS and first != "I" else first
    return Probe(prompt=f"Is it true that {begun} {rest}?", expect=("yes", statement))


def _asking(edit: AnyEdit) -> tuple[list[str], str | None]:
    """Texts in scope of an edit, and one with a slot for what it is about."""
    match edit:
        case Fact() if not edit.prompt and not edit.object and _says_no_one_thing(edit.statement):
            return [edit.question] if edit.question else [], None
        case Fact():
            cloze, template = cloze_of(edit)
            return [text for text in (cloze, edit.question) if text and accepted_answers(edit)], template
        case Erasure(asked=Fact() as asked):
            cloze, template = cloze_of(asked) if edit.prompt or edit.relation else (None, None)
            return [text for text in (cloze, edit.question) if text], template
        case Erasure() | Description(names=(_, *_)):
            return [ABOUT.replace(SLOT, edit.names[0])], ABOUT
        case Behaviour(topic=str() as topic):
            return [OPINION.replace(SLOT, topic)], OPINION
        case Feedback():
            return [edit.situation], None
    return [], None
