"""The one schema of the harness: a case is a few edits and the probes that show what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from memedit.edits import AnyEdit
from memedit.text import storable

Triple = tuple[str, str, str]
"""Subject, relation, object."""

Judging = Literal["answer", "choice", "number", "text", "span", "pick", "judge", "none"]
"""How a probe is judged:

- `answer`: the reply holds one of `answers` (exact, F1 and contains are all reported).
- `choice`: the prompt lists lettered options; `answers` are the right letters, `choices` all letters.
- `number`: the last number of the reply is one of `answers`.
- `text`: a long reference; ROUGE-L and F1.
- `span`: `answers[0]` is running text that follows the prompt; its likelihood and perplexity only.
- `pick`: the likeliest of `choices` has to be one of `answers`; likelihood only.
- `judge`: only a judge model can tell, by `criterion`.
- `none`: nothing can be right or wrong: retrieval, locality by identity, or fluency only.
"""


class Kind(StrEnum):
    """What a probe shows."""

    EFFICACY = "efficacy"
    PARAPHRASE = "paraphrase"
    ALIAS = "alias"
    FREE_FORM = "free form"
    NEIGHBOURHOOD = "neighbourhood"
    SAME_SUBJECT = "same subject"
    LOCALITY = "locality"
    PORTABILITY = "portability"
    COMPOSITION = "composition"
    LOGICAL = "logical generalisation"
    PRESERVATION = "preservation"
    MULTI_HOP = "multi-hop"
    HOP = "hop"
    CONDITION = "condition"
    FLUENCY = "fluency"
    PASSAGE = "passage"
    CASUAL = "casual"
    PRESUPPOSES = "presupposes"
    EMBEDDED = "embedded"
    FOLLOW_UP = "follow-up"
    INDIRECT = "indirect"
    OPPOSITE = "opposite"
    TASK_MENTION = "task mention"
    SHARED_WORDS = "shared words"
    MOVED_ON = "moved on"

    @property
    def in_scope(self) -> bool | None:
        """Whether the case's own edit answers it (True), no edit does (False), or an edit only bears on it (None)."""
        return SCOPE.get(self)


SCOPE = {
    Kind.EFFICACY: True,
    Kind.PARAPHRASE: True,
    Kind.ALIAS: True,
    Kind.FREE_FORM: True,
    Kind.NEIGHBOURHOOD: False,
    Kind.SAME_SUBJECT: False,
    Kind.LOCALITY: False,
    Kind.PASSAGE: False,
    Kind.CASUAL: True,
    Kind.PRESUPPOSES: True,
    Kind.EMBEDDED: True,
    Kind.FOLLOW_UP: True,
    Kind.INDIRECT: True,
    Kind.OPPOSITE: False,
    Kind.TASK_MENTION: False,
    Kind.SHARED_WORDS: False,
    Kind.MOVED_ON: False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One prompt of a case.

    Args:
        id: Unique in its case.
        kind: What it shows.
        prompt: What is asked; a question, or a text to go on with.
        turns: The conversation (role and text, oldest first) whose last message is the prompt, where there is more.
        answers: Accepted answers; any of them is right. Empty where nothing is known.
        rejected: Answers that must lose the likelihood ranking (the old object in scope, the new one out of scope).
        choices: All options of `choice` and `pick`.
        form: How it is judged.
        after: The text behind the span (`span`, `pick`), which is scored with it.
        rests_on: Facts that the accepted answers presuppose. Where another edit in memory says otherwise, the probe
            cannot be scored.
        relation: Of an out-of-scope probe whose subject stands only in the prompt: its relation.
        group: Probes of a group are one question in several wordings: any right one counts (M-Acc).
        requires: Ids of `condition` probes, all of which the unedited model has to pass before this one counts
            (RippleEdits).
        max_tokens: Of the answer; the benchmark's own where it is None.
        criterion: What a judge is asked about the reply.
    """

    id: str
    kind: Kind
    prompt: str
    answers: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    form: Judging = "answer"
    after: str = ""
    rests_on: tuple[Triple, ...] = ()
    relation: str | None = None
    group: str | None = None
    requires: tuple[str, ...] = ()
    max_tokens: int | None = None
    criterion: str = ""
    turns: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        named = (self.relation or "", *(part for triple in self.rests_on for part in triple))
        said = (part for turn in self.turns for part in turn)
        texts = (self.prompt, *self.answers, *self.rejected, *self.choices, self.after, self.criterion)
        for text in (*texts, *named, *said):
            if not isinstance(text, str):
                raise TypeError(f"probe {self.id} holds {text!r:.60} where text should stand")
            if storable(text) != text:
                raise ValueError(f"probe {self.id} holds half a character, which no file can keep")
        if not self.prompt.strip():
            raise ValueError(f"the prompt of probe {self.id} is empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Edits, and the probes that ask after them.

    Args:
        id: Unique in its benchmark, and the same in every file that holds the case.
        edits: Put in force in this order.
        probes: What is asked.
        memory: Name of the memory that its edits share with those of other cases, where the benchmark has several.
    """

    id: str
    edits: tuple[AnyEdit, ...] = ()
    probes: tuple[Probe, ...] = field(default=(), repr=False)
    memory: str | None = None


def ask(kind: Kind, prompts: str | Iterable[str], /, **same: Any) -> list[Probe]:
    """Probes of one kind for one or several prompts, numbered, each with the same fields otherwise."""
    listed = [prompts] if isinstance(prompts, str) else list(prompts)
    name = str(kind).replace(" ", "-")
    return [Probe(id=f"{name}-{number}", kind=kind, prompt=prompt, **same) for number, prompt in enumerate(listed)]
