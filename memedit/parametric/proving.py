"""Proving what was written: each edit's efficacy, paraphrases and locality, and the model's perplexity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memedit.edits import AnyEdit, Fact
from memedit.parametric.layout import Anatomy
from memedit.parametric.measuring import first_choices, goes_on, likelihoods, perplexity
from memedit.parametric.rewrites import Rewrite, outside

LEADS = ("As is well known, ", "Somebody asked me about it the other day. ")
"""Put before a rewrite's prompt, where the edit has no paraphrases of its own."""

NOTHING = "the"  # stands for a continuation that is all blank


@dataclass(frozen=True, slots=True)
class Demand:
    """What a written edit has to show; one that does not is left in memory.

    Args:
        efficacy: Whether every token of the target has to be the model's first choice behind the bare prompt.
        paraphrase: Least share of paraphrases behind which the target is likelier than what was said before.
        locality: Least share of texts out of scope whose next token stays.
        perplexity: Most that perplexity may rise to, as a multiple of what it was.
    """

    efficacy: bool = True
    paraphrase: float = 0.5
    locality: float = 0.5
    perplexity: float = 1.1


@dataclass(frozen=True, slots=True)
class Proof:
    """How an edit fared in the weights.

    Args:
        efficacy: Whether every token of the target is the model's first choice behind the bare prompt.
        paraphrase: Share of paraphrases behind which the target is likelier than what was said before.
        locality: Share of texts out of scope whose next token stayed.
    """

    efficacy: bool
    paraphrase: float
    locality: float

    def fault(self, demand: Demand) -> str | None:
        """Why it does not do, in words; None where it does."""
        if demand.efficacy and not self.efficacy:
            return "the model does not say it behind its own prompt"
        if self.paraphrase < demand.paraphrase:
            return f"holds in {self.paraphrase:.0%} of its paraphrases"
        if self.locality < demand.locality:
            return f"leaves {self.locality:.0%} of the texts beside it as they were"
        return None


@dataclass(frozen=True, slots=True)
class _Asked:
    rewrite: Rewrite
    inside: tuple[str, ...]
    former: tuple[str, ...]
    outside: tuple[str, ...]
    stayed: tuple[int, ...]


class Prover:
    """Asks a model before anything is written, and afterwards.

    Args:
        anatomy: Of the model, before it is changed.
        tokenizer: Of the model.
        pairs: Edits, with what is written for each.
        held: Running text that no statistics were taken of.
    """

    def __init__(
        self, anatomy: Anatomy, tokenizer: Any, pairs: Sequence[tuple[AnyEdit, Rewrite]], held: Sequence[str]
    ) -> None:
        self._parts, self._held = (anatomy, tokenizer), held
        self._asked = {rewrite.id: self._ask(edit, rewrite) for edit, rewrite in pairs}
        self.before = perplexity(*self._parts, held)

    def proofs(self, ids: Sequence[str]) -> Mapping[str, Proof]:
        """How these edits fare in the model as it is now."""
        return {edit_id: self._proof(self._asked[edit_id]) for edit_id in ids}

    def perplexity(self) -> float:
        """Of the model as it is now."""
        return perplexity(*self._parts, self._held)

    def _ask(self, edit: AnyEdit, rewrite: Rewrite) -> _Asked:
        probes = edit.probes if isinstance(edit, Fact) else ()
        changing = [probe.prompt for probe in probes if probe.must == "change" and probe.prompt != rewrite.text]
        inside = tuple(changing or [lead + rewrite.text for lead in LEADS])
        staying = [probe.prompt for probe in probes if probe.must == "stay"]
        apart = tuple(staying or outside(rewrite))
        length = len(self._parts[1](f" {rewrite.target}", add_special_tokens=False)["input_ids"])
        former = tuple(said or NOTHING for said in goes_on(*self._parts, inside, [length] * len(inside)))
        return _Asked(rewrite, inside, former, apart, tuple(first_choices(*self._parts, apart)))

    def _proof(self, asked: _Asked) -> Proof:
        target = asked.rewrite.target
        pairs = [(asked.rewrite.text, target), *((text, target) for text in asked.inside)]
        own, *new = likelihoods(*self._parts, pairs)
        old = likelihoods(*self._parts, list(zip(asked.inside, asked.former, strict=True)))
        likelier = [a.logprob / a.tokens >= b.logprob / b.tokens for a, b in zip(new, old, strict=True)]
        now = first_choices(*self._parts, asked.outside)
        same = [a == b for a, b in zip(now, asked.stayed, strict=True)]
        return Proof(all(own.matched), sum(likelier) / len(likelier), sum(same) / len(same))
