"""What follows from edits, and what must not: RippleEdits (Cohen et al. 2023, arXiv:2307.12976) in small.

Their criteria on made-up facts, of which no model knows any: the edit itself, another name of its subject (subject
aliasing), a question two facts away (compositionality; MQuAKE, Zhong et al. 2023, arXiv:2305.14795, asks such), and
another relation of the subject, which has to be answered as before (relation specificity). Their files and MQuAKE's
are read by `memedit eval`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from memedit import EditableLLM, EditMemory
from memedit.edits import Fact
from memedit.systems.ground import Ground
from memedit.systems.registry import Finding
from memedit.text import says

CHAINS = (
    ("Tallis Robotics", "Tallis Inc.", "Carol Diaz", "Lisbon"),
    ("Kestrel Outdoor", "Kestrel & Sons", "Imre Valko", "Oslo"),
    ("Marlow Glass", "the Marlow works", "Petra Lund", "Nairobi"),
    ("Orrin Foods", "Orrin's", "Sanjay Ode", "Quito"),
    ("Bexley Rail", "the Bexley line", "Mila Okafor", "Perth"),
    ("Dunmore Press", "Dunmore Books", "Jon Brandt", "Havana"),
)
"""Company, another name of it, its head, the head's place of birth."""
Asked = tuple[str, str]
"""A question, and what its answer has to say."""


@dataclass(frozen=True, slots=True)
class Ripples:
    """What is asked of the facts.

    Args:
        facts: All of them, two a chain.
        questions: By criterion; those of `specificity` have no answer of their own.
    """

    facts: tuple[Fact, ...]
    questions: Mapping[str, tuple[Asked, ...]]


def ripples() -> Ripples:
    """The facts and questions of all chains."""
    heads = [
        Fact(subject=one, aliases=(other,), prompt="The head of {} is", question=f"Who is the head of {one}?",
             object=head) for one, other, head, _ in CHAINS
    ]  # fmt: skip
    births = [
        Fact(subject=head, prompt="{} was born in", question=f"Where was {head} born?", object=place)
        for *_, head, place in CHAINS
    ]
    return Ripples(
        (*heads, *births),
        {
            "efficacy": tuple((str(fact.question), str(fact.object)) for fact in (*heads, *births)),
            "aliasing": tuple((f"Who is the head of {other}?", head) for _, other, head, _ in CHAINS),
            "composition": tuple((f"Where was the head of {one} born?", place) for one, _, _, place in CHAINS),
            "specificity": tuple((f"In which year was {one} founded?", "") for one, *_ in CHAINS),
        },
    )


def check(ground: Ground, method: str, demand: Mapping[str, float], max_tokens: int = 16) -> Finding:
    """All facts in one memory.

    Args:
        ground: With the model.
        method: A name of `memedit methods`.
        demand: The least share of each criterion that counts.
        max_tokens: Of an answer.
    """
    told, shares = ripples(), {}
    with EditMemory() as memory:
        list(memory.add_many(told.facts))
        editable = EditableLLM(ground.llm, memory, method=method)
        for name, asked in told.questions.items():
            questions = [question for question, _ in asked]
            answers = [one.text for one in editable.batch(questions, max_tokens=max_tokens)]
            apart = [question for question, wanted in asked if not wanted]  # these are compared with the bare model
            bare = iter(editable.ask_base(apart, max_tokens=max_tokens) if apart else [])
            good = [
                says(text, (wanted,)) if wanted else text == next(bare).text
                for text, (_, wanted) in zip(answers, asked, strict=True)
            ]
            shares[name] = sum(good) / len(good)
    figure = f"{len(told.facts)} made-up facts: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return Finding(figure, all(shares[name] >= least for name, least in demand.items()), shares)
