"""Proving an edit: what the model says with and without the memory, in scope and out of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from memedit.edits import SLOT, AnyEdit, Behaviour, Description, Erasure, Fact, Feedback, Probe
from memedit.naming import split_statement
from memedit.secrecy import reveals
from memedit.text import says

if TYPE_CHECKING:
    from memedit.editable import EditableLLM
    from memedit.messages import Answer

STRANGERS = ("Quillon Abernathy", "Velden Harbour", "Tamsin & Rook Ltd")
"""Made-up subjects: the same question about them is out of scope of any edit."""
ABOUT, OPINION = "What is known about {}?", "What do you think of {}?"
UNRELATED = ("Write one sentence about the sea.", "What is two plus two?", "Name a colour of the rainbow.")


@dataclass(frozen=True, slots=True)
class Check:
    """One probe, asked of the model alone and of the model with its memory.

    Args:
        kind: In scope the answer must hold one of `expected`; out of scope it must be the very same as before, unless
            nothing but standing instructions governs it. Of an Erasure, an answer in scope must not reveal what is
            erased; of a kind of edit that says of no answer whether it is right (a Description, a Behaviour, a user's
            Feedback), the edit must be cited.
        edited: Whether an edit was in scope of the prompt, as the gate sees it.
    """

    kind: Literal["in scope", "out of scope"]
    prompt: str
    expected: tuple[str, ...]
    before: str
    after: str
    edited: bool
    passed: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """All checks of one edit."""

    edit: AnyEdit
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed; False when there was none to make."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Checks passed and made, in scope and out of scope."""
        kinds = ("in scope", "out of scope")
        groups = {kind: [check.passed for check in self.checks if check.kind == kind] for kind in kinds}
        return {kind: (sum(passed), len(passed)) for kind, passed in groups.items()}

    def to_dict(self) -> dict[str, Any]:
        """The verification as JSON values."""
        return {"edit": self.edit.to_dict(), "passed": self.passed, "checks": [asdict(check) for check in self.checks]}


def verify(llm: EditableLLM, edits: Iterable[AnyEdit], *, namespace: str, **options: Any) -> list[Verification]:
    """Run the probes of edits in force, or probes made of what they say where they have none."""
    edits = list(edits)
    probes = [(edit, probe) for edit in edits for probe in probes_of(edit)]
    prompts = [probe.prompt for _, probe in probes]
    before = llm.ask_base(prompts, **options)
    after = llm.batch(prompts, namespace=namespace, **options)
    checks: dict[str, list[Check]] = {edit.id: [] for edit in edits}
    for (edit, probe), old, new in zip(probes, before, after, strict=True):
        if probe.must == "change":
            accepted, passed = probe.expect or accepted_answers(edit), _follows(edit, probe, new)
            check = Check("in scope", probe.prompt, accepted, old.text, new.text, new.edited, passed)
        else:
            stays = old.text == new.text or _only_governed(new)
            check = Check("out of scope", probe.prompt, (), old.text, new.text, new.edited, stays)
        checks[edit.id].append(check)
    return [Verification(edit, tuple(checks[edit.id])) for edit in edits]


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


def _asking(edit: AnyEdit) -> tuple[list[str], str | None]:
    """Texts in scope of an edit, and one with a slot for what it is about."""
    match edit:
        case Fact():
            cloze, template = _cloze(edit)
            return [text for text in (cloze, edit.question) if text and accepted_answers(edit)], template
        case Erasure(asked=Fact() as asked):
            cloze, template = _cloze(asked) if edit.prompt or edit.relation else (None, None)
            return [text for text in (cloze, edit.question) if text], template
        case Erasure() | Description(names=(_, *_)):
            return [ABOUT.replace(SLOT, edit.names[0])], ABOUT
        case Behaviour(topic=str() as topic):
            return [OPINION.replace(SLOT, topic)], OPINION
        case Feedback():
            return [edit.situation], None
    return [], None


def _only_governed(answer: Answer) -> bool:
    """Whether nothing but standing instructions was used."""
    return answer.edited and all(isinstance(one, Behaviour) and one.standing for one in answer.citations)


def _follows(edit: AnyEdit, probe: Probe, answer: Answer) -> bool:
    """Whether an answer in scope is as the edit wants it, as far as that can be told."""
    if isinstance(edit, Fact):
        return says(answer.text, probe.expect or accepted_answers(edit))
    if isinstance(edit, Erasure):
        return not reveals(answer.text, edit.secrets)
    return any(cited.id == edit.id for cited in answer.citations)


def _cloze(edit: Fact) -> tuple[str | None, str | None]:
    """(cloze, the same with a slot for the subject), as far as the Fact gives them."""
    if edit.prompt:
        return edit.cloze, edit.prompt
    parts = split_statement(edit.statement)
    if parts is None:
        return None, None
    subject = next((name for name in edit.names if name in parts[0]), None)
    template = parts[0].replace(subject, SLOT, 1) if subject else None
    return parts[0], template
