"""Rewrites: what is written, and at which token its subject ends. Tokens are found by their offsets in the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memedit.edits import SLOT, AnyEdit, Fact
from memedit.edits.probes import STRANGERS, UNRELATED, accepted_answers, cloze_of
from memedit.errors import EditRejected, UnsupportedModel


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One wanted continuation: behind the prompt about the subject, the target (ROME's “requested rewrite”).

    Args:
        id: Of the edit.
        prompt: With `{}` for the subject.
        target: What shall follow, without its leading blank.
    """

    id: str
    prompt: str
    subject: str
    target: str

    @property
    def text(self) -> str:
        """The prompt with the subject put in."""
        return self.prompt.replace(SLOT, self.subject)

    def read(self, tokenizer: Any, prefix: str = "", *, with_target: bool = True) -> Tokens:
        """The rewrite behind a prefix, in tokens."""
        said = prefix + self.text
        end = len(prefix) + self.prompt.index(SLOT) + len(self.subject)
        return read_tokens(tokenizer, said, end, f" {self.target}" if with_target else "")


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text in tokens.

    Args:
        ids: All of them.
        subject: Place of the subject's last token.
        target: Place of the target's first token; `len(ids)` where there is no target.
    """

    ids: tuple[int, ...]
    subject: int
    target: int


def read_tokens(tokenizer: Any, text: str, subject_end: int, target: str = "") -> Tokens:
    """The tokens of a text and a target behind it, in which no special token can be spelled out.

    Args:
        tokenizer: A fast one, which tells offsets.
        text: What is read.
        subject_end: Where in it the subject ends, in characters.
        target: What follows, with its leading blank.
    """
    read = tokenizer(text + target, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
    ids, offsets = list(read["input_ids"]), read["offset_mapping"]
    subject = max(place for place, (start, end) in enumerate(offsets) if start < subject_end and end > start)
    behind = next((place for place, (_, end) in enumerate(offsets) if end > len(text)), len(ids))
    first = begin(tokenizer)
    return Tokens((*first, *ids), subject + len(first), behind + len(first))


def begin(tokenizer: Any) -> tuple[int, ...]:
    """The token that begins every text, where the tokenizer puts one."""
    first = tokenizer.bos_token_id
    return (first,) if first is not None and tokenizer("x")["input_ids"][0] == first else ()


def outside(rewrite: Rewrite) -> list[str]:
    """Texts out of scope of a rewrite: its prompt about strangers, and others."""
    return [*(rewrite.prompt.replace(SLOT, one) for one in STRANGERS), *UNRELATED]


def as_rewrite(edit: AnyEdit) -> Rewrite:
    """What is written for an edit.

    Raises:
        EditRejected: It does not say which words shall follow which about what: only Facts do, those with a prompt, and
            plain sentences that name their subject before what they say of it.
    """
    if isinstance(edit, Fact):
        said, prompt = cloze_of(edit)
        answers = accepted_answers(edit)
        if prompt and answers:
            subject = next(name for name in edit.names if prompt.replace(SLOT, name) == said)
            return Rewrite(edit.id, prompt.rstrip(), subject, answers[0])
    raise EditRejected(
        f"Edit `{edit.id:.40}` does not say what shall follow which words about its subject.",
        do="give the Fact subject=, prompt= (with {} for the subject) and object=, or leave the edit in memory",
    )


def check_fast(tokenizer: Any) -> None:
    """Raise `UnsupportedModel` unless the tokenizer tells where in the text its tokens lie."""
    if not getattr(tokenizer, "is_fast", False):
        raise UnsupportedModel("The tokenizer does not tell offsets.", do="load the model with its fast tokenizer")
