"""What shows whether an edit holds: its own probes, or texts made of what it says, in scope and out of it."""

from __future__ import annotations

from memedit.edits import SLOT, AnyEdit, Behaviour, Description, Erasure, Fact, Feedback, Probe
from memedit.text.naming import split_statement

STRANGERS = ("Quillon Abernathy", "Velden Harbour", "Tamsin & Rook Ltd")
"""Made-up subjects: the same question about them is out of scope of any edit."""
ABOUT, OPINION = "What is known about {}?", "What do you think of {}?"
UNRELATED = ("Write one sentence about the sea.", "What is two plus two?", "Name a colour of the rainbow.")


def probes_of(edit: AnyEdit) -> tuple[Probe, ...]:
    """A Fact's own probes, or ones made of what an edit says; none for kinds that tell no text in their scope."""
    if isinstance(edit, Fact) and edit.probes:
        return edit.probes
    if isinstance(edit, Behaviour) and edit.standing:
        return tuple(Probe(prompt=text) for text in UNRELATED)
    inside, template = _asking(edit)
    if not inside and not isinstance(edit, Fact):
        return ()
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
    parts = split_statement(edit.statement)
    return (parts[1], *edit.object_aliases) if parts else edit.object_aliases


def cloze_of(edit: Fact) -> tuple[str | None, str | None]:
    """(cloze, the same with a slot for the subject), as far as the Fact gives them."""
    if edit.prompt:
        return edit.cloze, edit.prompt
    parts = split_statement(edit.statement)
    if parts is None:
        return None, None
    subject = next((name for name in edit.names if name in parts[0]), None)
    template = parts[0].replace(subject, SLOT, 1) if subject else None
    return parts[0], template


def _asking(edit: AnyEdit) -> tuple[list[str], str | None]:
    """Texts in scope of an edit, and one with a slot for what it is about."""
    match edit:
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
