"""What checks stand on: a model, the cases that come with memedit, and running text. Each is loaded when it is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memedit.edits import Fact
from memedit.eval.benchmarks.counterfact import bundled_cases
from memedit.eval.cases import Case, Kind
from memedit.llms import LLM, as_llm

if TYPE_CHECKING:
    from memedit.parametric.method import Local
    from memedit.parametric.rewrites import Rewrite

SHORT = 8  # texts of which perplexity is measured
TOKENS = 12_000  # of running text that statistics are taken of: eight a direction of SmolLM2-135M's keys


@dataclass(frozen=True)
class Ground:
    """A model and the data that come with memedit.

    Args:
        model: As `as_llm` takes it.
        cache: Where statistics of the model are kept; the usual place when left out.
    """

    model: str = "bundled"
    cache: Path | None = None

    @cached_property
    def llm(self) -> LLM:
        """The model, loaded."""
        return as_llm(self.model)

    @cached_property
    def local(self) -> Local:
        """The model as methods that write weights see it.

        Raises:
            CapabilityMissing: Its weights cannot be written.
        """
        from memedit.parametric.delta import overlay_of
        from memedit.parametric.local_model import require_weights
        from memedit.parametric.method import Local
        from memedit.parametric.running_text import RunningText

        model = require_weights(self.llm)
        local = Local.of(overlay_of(model.model), model.tokenizer, RunningText.of().read, cache=self.cache)
        return replace(local, stats=replace(local.stats, tokens=TOKENS))

    @property
    def parts(self) -> tuple[Any, Any]:
        """Anatomy and tokenizer."""
        return self.local.anatomy, self.local.tokenizer

    @cached_property
    def held(self) -> Sequence[str]:
        """Running text of which no statistics were taken."""
        from memedit.parametric.running_text import RunningText

        return RunningText.of().held[:SHORT]

    def perplexity(self) -> float:
        """Of the held-out text, by the model as it is now."""
        from memedit.parametric.measuring import perplexity

        return perplexity(*self.parts, self.held)

    @cached_property
    def usual(self) -> float:
        """Perplexity of the held-out text by the model as it came, measured once."""
        with self.local.overlay.lifted():
            return self.perplexity()

    def likelier(self, triples: Sequence[tuple[str, str, str]]) -> float:
        """The share of (text, ending, other ending) where the first is likelier, a token, than the other."""
        from memedit.parametric.measuring import likelihoods

        found = likelihoods(*self.parts, [(text, ending) for text, *endings in triples for ending in endings])
        won = [a.logprob / a.tokens > b.logprob / b.tokens for a, b in zip(found[::2], found[1::2], strict=True)]
        return sum(won) / len(won)

    @cached_property
    def cases(self) -> Sequence[Case]:
        """150 records of CounterFact."""
        return bundled_cases()

    def of_relation(self, relation: str, most: int) -> Sequence[Case]:
        """The first cases of a relation (its Wikidata id)."""
        return [case for case in self.cases if relation_of(case) == relation][:most]


def rewrites_of(cases: Sequence[Case]) -> list[Rewrite]:
    """What is written for the edits of cases."""
    from memedit.parametric.rewrites import as_rewrite

    return [as_rewrite(edit) for case in cases for edit in case.edits]


def true_of(case: Case) -> str | None:
    """What was true before the case's edit."""
    edit = case.edits[0]
    return edit.previous_object if isinstance(edit, Fact) else None


def relation_of(case: Case) -> str | None:
    """The relation that the case's edit is of."""
    edit = case.edits[0]
    return edit.relation if isinstance(edit, Fact) else None


def asked(cases: Sequence[Case], kind: Kind, most: int | None = None) -> list[tuple[str, str, str]]:
    """(prompt, wanted, other) of each case's probes of a kind, the first `most` of each."""
    return [
        (probe.prompt, probe.answers[0], probe.rejected[0])
        for case in cases
        for probe in [one for one in case.probes if one.kind is kind][:most]
    ]
