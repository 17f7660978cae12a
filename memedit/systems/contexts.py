"""Three contexts before the same question (KAFT, Li et al. 2023, arXiv:2211.05110; Si et al. 2023, arXiv:2210.09150).

Knowledge in the context is to be followed where it bears on the question, even against what the model knows
(controllable), and to be ignored where it does not (robust). Each question is asked behind a context that says
otherwise, behind one about something else, and behind none. Any model that answers can be asked; with an edit memory
the context is an edit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from memedit import EditableLLM, EditMemory
from memedit.edits import Fact
from memedit.systems.ground import Ground
from memedit.systems.registry import Finding
from memedit.text import says

Answers = Callable[[Sequence[str], Sequence[Fact | None]], Sequence[str]]
"""What is answered to questions, each with a Fact in its context, or none."""


@dataclass(frozen=True, slots=True)
class Contexts:
    """What a model did with what stood before its questions, as shares.

    Args:
        follows: Behind the counterfactual context it says what that says.
        ignores: Behind the irrelevant context its answer does not take anything from it.
        unchanged: Behind the irrelevant context its answer is the very same as behind none.
        by_itself: Behind none it says what the counterfactual context says: what it would have said anyway.
    """

    follows: float
    ignores: float
    unchanged: float
    by_itself: float


def in_three_contexts(facts: Sequence[Fact], answers: Answers) -> Contexts:
    """Ask each fact's cloze behind itself, behind the next fact, and behind nothing.

    Args:
        facts: With prompt, subject and object; two at least, of different objects.
        answers: Of the model.
    """
    questions = [fact.cloze or fact.statement for fact in facts]
    others = [*facts[1:], facts[0]]
    told, foreign = answers(questions, facts), answers(questions, others)
    alone = answers(questions, [None] * len(facts))

    def share(found: Sequence[bool]) -> float:
        return sum(found) / len(found)

    return Contexts(
        share([says(text, (fact.object or "",)) for text, fact in zip(told, facts, strict=True)]),
        share([not says(text, (one.object or "",)) or text == bare
               for text, one, bare in zip(foreign, others, alone, strict=True)]),
        share([text == bare for text, bare in zip(foreign, alone, strict=True)]),
        share([says(text, (fact.object or "",)) for text, fact in zip(alone, facts, strict=True)]),
    )  # fmt: skip


def in_prompt(llm: Any, **options: Any) -> Answers:
    """The context written before the question, as it is: any model without a memory."""

    def answers(questions: Sequence[str], context: Sequence[Fact | None]) -> Sequence[str]:
        asked = [
            f"{one.text}\n{question}" if one else question for question, one in zip(questions, context, strict=True)
        ]
        with EditMemory() as nothing:
            return [reply.text for reply in EditableLLM(llm, nothing).ask_base(asked, **options)]

    return answers


def in_memory(llm: Any, **options: Any) -> Answers:
    """The context as the one edit of a namespace, and memedit in front of the model."""

    def answers(questions: Sequence[str], context: Sequence[Fact | None]) -> Sequence[str]:
        with EditMemory() as memory:
            names = [f"context-{place}" for place in range(len(questions))]
            for name, fact in zip(names, context, strict=True):
                if fact is not None:
                    memory.add(fact, namespace=name)
            editable = EditableLLM(llm, memory)
            return [answer.text for answer in editable.batch(list(questions), namespace=names, **options)]

    return answers


def check(ground: Ground, facts: int = 24, max_tokens: int = 12) -> Finding:
    """The model alone, with the context in its prompt, and with memedit in front of it."""
    chosen = [fact for case in ground.cases if isinstance(fact := case.edits[0], Fact)][:facts]
    plain = in_three_contexts(chosen, in_prompt(ground.llm, max_tokens=max_tokens))
    ours = in_three_contexts(chosen, in_memory(ground.llm, max_tokens=max_tokens))

    def told(one: Contexts) -> str:
        return f"follows {one.follows:.0%}, ignores {one.ignores:.0%}, unchanged {one.unchanged:.0%}"

    figure = f"in the prompt: {told(plain)}; memedit: {told(ours)}; by itself {ours.by_itself:.0%}"
    more = {"in the prompt": _values(plain), "memedit": _values(ours)}
    return Finding(figure, ours.follows >= 0.9 and ours.unchanged >= 0.95 and ours.follows >= plain.follows, more)


def _values(one: Contexts) -> dict[str, float]:
    return {"follows": one.follows, "ignores": one.ignores, "unchanged": one.unchanged, "by itself": one.by_itself}
