"""Entailer (Tafjord et al. 2022, arXiv:2210.12217): an answer with a proof of what it follows from, the memory first.

A hypothesis is proved by premises, one or two edits in force, which hold as they are; how surely it follows from them
is told by the odds of yes and no that the model itself gives. A proof stands for its hypothesis where it beats the
direct score. The result is a tree whose leaves carry the ids of the edits: where an answer comes from. The authors'
model also writes premises, and proves them in turn; a small one writes none that hold, so that trees are one step deep.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp

from memedit.eval.cases import Kind
from memedit.llms import LLM, Capability
from memedit.memory import EditMemory
from memedit.messages import as_request
from memedit.systems.ground import Ground, asked
from memedit.systems.registry import Finding

DIRECT = "Is this true? “{}”\nAnswer (yes or no):"
FOLLOWS = "Facts: {}\nDo these facts show that “{}”?\nAnswer (yes or no):"
CANDIDATES, MOST = 6, 2
"""Edits that are looked at, and premises of a step."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Why something is held to be true.

    Args:
        text: What is held.
        score: From 0 to 1.
        edit: The id of the edit that says it; None where none does.
        premises: From which it follows; none where it is an edit, or believed by itself.
    """

    text: str
    score: float
    edit: str | None = None
    premises: tuple[Proof, ...] = ()

    @property
    def edits(self) -> tuple[str, ...]:
        """The ids of all edits that it rests on."""
        own = (self.edit,) if self.edit else ()
        return tuple(dict.fromkeys((*own, *(edit for one in self.premises for edit in one.edits))))

    def lines(self, depth: int = 0) -> Iterator[str]:
        """The tree as lines of text, premises below what follows."""
        source = f" [{self.edit}]" if self.edit else "" if self.premises else " [believed]"
        yield f"{'  ' * depth}{self.score:.2f} {self.text}{source}"
        for one in self.premises:
            yield from one.lines(depth + 1)


@dataclass(frozen=True)
class Prover:
    """Proves by a model and a memory.

    Args:
        llm: Gives log-probabilities.
        memory: Whose edits are premises.
        namespace: Of it.
    """

    llm: LLM
    memory: EditMemory
    namespace: str = "default"

    def prove(self, hypothesis: str) -> Proof:
        """The best of believing a hypothesis and of proving it.

        Raises:
            CapabilityMissing: The model gives no log-probabilities.
        """
        self.llm.require(Capability.LOGPROBS, by="A proof")
        found = self.memory.recall(hypothesis, namespace=self.namespace, k=CANDIDATES)
        known = {one.edit.text: one.edit.id for one in found.candidates}
        if hypothesis in known:
            return Proof(hypothesis, 1.0, known[hypothesis])
        steps = [step for size in range(1, MOST + 1) for step in combinations(known, size)]
        sure = self.odds([DIRECT.format(hypothesis), *(FOLLOWS.format(" ".join(one), hypothesis) for one in steps)])
        best = Proof(hypothesis, sure[0])
        for step, follows in zip(steps, sure[1:], strict=True):
            if follows > best.score:
                best = Proof(hypothesis, follows, None, tuple(Proof(text, 1.0, known[text]) for text in step))
        return best

    def answer(self, options: Sequence[str]) -> Proof:
        """The proof of that of several statements which is proved best."""
        return max((self.prove(one) for one in options), key=lambda one: one.score)

    def odds(self, questions: Sequence[str]) -> list[float]:
        """p(yes) against p(no) of each question."""
        told = self.llm.score([as_request(one) for one in questions], [[" yes", " no"]] * len(questions))
        return [1 / (1 + exp(min(700.0, no.logprob - yes.logprob))) for yes, no in told]


def check(ground: Ground, facts: int = 24) -> Finding:
    """Steps with the right premise against the same with another edit's; and edits that contradict turn the answer."""
    cases = [case for case in ground.cases if case.edits[0].text][:facts]
    with EditMemory() as memory:
        prover = Prover(ground.llm, memory)
        texts = [case.edits[0].text for case in cases]
        wordings = [asked([case], Kind.PARAPHRASE, 1)[0] for case in cases]
        claims = [f"{text.rsplit('. ', 1)[-1]} {new}." for text, new, _ in wordings]
        untrue = [f"{text.rsplit('. ', 1)[-1]} {old}." for text, _, old in wordings]
        right = prover.odds([FOLLOWS.format(text, claim) for text, claim in zip(texts, claims, strict=True)])
        wrong = prover.odds([
            FOLLOWS.format(text, claim) for text, claim in zip([*texts[1:], texts[0]], claims, strict=True)
        ])  # fmt: skip
        verified = sum(one > other for one, other in zip(right, wrong, strict=True)) / len(cases)
        turned, cited = [], []
        for case, options in zip(cases, zip(claims, untrue, strict=True), strict=True):
            memory.add(case.edits[0])
            proof = prover.answer(options)
            turned.append(proof.text == options[0])
            cited.append(case.edits[0].id in proof.edits)
            memory.undo()
    figure = (
        f"{len(cases)} steps: {verified:.0%} are surer with their premise than with another's; with the edit in memory "
        f"{sum(turned) / len(turned):.0%} of answers are what it says, {sum(cited) / len(cited):.0%} cite it in the "
        "tree"
    )
    return Finding(figure, verified >= 0.75 and sum(cited) / len(cited) >= 0.75, {"verified": verified})
