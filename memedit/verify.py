"""Proving an edit: what the model says with and without the memory, in scope and out of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from memedit.answers import Answer
from memedit.edits import AnyEdit, Behaviour, Erasure, Fact, Probe
from memedit.edits.probes import accepted_answers, probes_of
from memedit.messages import Reply, behind
from memedit.secrecy import reveals
from memedit.text import says


class Answering(Protocol):
    """What is verified: an EditableLLM."""

    def ask_base(self, /, inputs: Iterable[Any], **options: Any) -> list[Reply]:
        """Replies of the model alone."""

    def batch(self, inputs: Iterable[Any], *, namespace: str, **options: Any) -> list[Answer]:
        """Answers with the memory of a namespace."""


@dataclass(frozen=True, slots=True)
class Check:
    """One probe, asked of the model alone and of the model with its memory.

    Args:
        kind: In scope the answer must hold one of `expected`; out of scope it must be the very same as before, unless
            nothing but standing instructions governs it. Of an Erasure, an answer in scope must not reveal what is
            erased; of an edit that says of no answer whether it is right (a Description, a Behaviour, a user's
            Feedback, a Fact in another language than English), the edit must be cited.
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
class Step:
    """One method that was tried, where a fallback is set.

    Args:
        by: Its name.
        passed: Whether the edit holds by it.
        why: What its checks gave, or why it could not be tried, in words.
    """

    by: str
    passed: bool
    why: str


@dataclass(frozen=True, slots=True)
class Verification:
    """All checks of one edit.

    Args:
        edit: The edit.
        checks: By the method that answers it now.
        steps: Where a fallback was needed, what was tried, one after the other; the last one holds if any does.
    """

    edit: AnyEdit
    checks: tuple[Check, ...]
    steps: tuple[Step, ...] = ()

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
        return {
            "edit": self.edit.to_dict(), "passed": self.passed, "checks": [asdict(check) for check in self.checks],
            "steps": [asdict(step) for step in self.steps],
        }  # fmt: skip


def verify(
    llm: Answering, edits: Iterable[AnyEdit], *, namespace: str, system: str | None = None, **options: Any
) -> list[Verification]:
    """Run the probes of edits in force, or probes made of what they say where they have none.

    system: A system message in front of each.
    """
    edits = list(edits)
    probes = [(edit, probe) for edit in edits for probe in probes_of(edit)]
    prompts = [behind(system, probe.prompt) for _, probe in probes]
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


def _only_governed(answer: Answer) -> bool:
    """Whether nothing but standing instructions was used."""
    return answer.edited and all(isinstance(one, Behaviour) and one.standing for one in answer.citations)


def _follows(edit: AnyEdit, probe: Probe, answer: Answer) -> bool:
    """Whether an answer in scope is as the edit wants it, as far as that can be told."""
    if isinstance(edit, Fact) and (accepted := probe.expect or accepted_answers(edit)):
        return says(answer.text, accepted)
    if isinstance(edit, Erasure):
        return not reveals(answer.text, edit.secrets)
    return any(cited.id == edit.id for cited in answer.citations)
