"""A plan by a language model, where the grammar of a question tells none: a chain of single-relation hops.

The relations that the memory holds facts of, near to the question, are offered, so that a plan is made of them where
they fit. What the model writes is checked: each hop asks one thing of what the hop before it found.
"""

from __future__ import annotations

from collections.abc import Iterable

from memedit.edits import SLOT, Fact
from memedit.gate.port import Hits
from memedit.messages import Message, Request
from memedit.multihop.reading import read_hops
from memedit.text import as_data, same_key

TOLD = (
    "Take the question apart into steps. The first step asks one thing about a name that stands in the question. Each "
    "further step asks one thing about #, the answer of the step before it. The last step gives the answer."
)
EXAMPLES = (
    (
        "Which river flows through the birthplace of the architect of the Walden Tower?",
        "Walden Tower",
        ("the architect of #", "the birthplace of #", "the river that flows through #"),
    ),
    (
        "In what currency are people paid at the firm that Ines Duarte's brother manages?",
        "Ines Duarte",
        ("the brother of #", "the firm that # manages", "the currency in which # pays"),
    ),
    ("How tall is the tallest building of Larkport?", "Larkport", ("the tallest building of #", "the height of #")),
)
OFFERED = 6  # relations
TOKENS = 120
MOST_HOPS = 8


def ask_plan(request: Request, query: str, hits: Hits, kind: str) -> Request:
    """The request for a plan.

    Args:
        request: The caller's, whose options it keeps, but for the length.
        query: The question.
        hits: What was recalled for it.
        kind: Of the model that plans.
    """
    if kind == "planner":
        return trained_form(request.limited(TOKENS), query)
    known = relations(hits)
    offer = [f"Relations that are known: {'; '.join(known)}."] if known else []
    shots = [_shown(question, f"{name}\n" + "\n".join(steps)) for question, name, steps in EXAMPLES]
    short = request.limited(TOKENS)
    if kind != "chat":
        text = "\n\n".join([TOLD, *shots, *offer, f"Question: {as_data(query)}\nName:"])
        return short.raw(text, stop=["\n\n", "Question:"])
    told = "\n\n".join([TOLD, "Write nothing but a line “Name: …” and a line a step.", *shots, *offer])
    return short.with_messages([Message("system", told), Message("user", f"Question: {as_data(query)}")])


def trained_form(request: Request, query: str) -> Request:
    """The request to a planner that was trained (`memedit multihop train`): nothing but the question."""
    return request.raw(f"Question: {as_data(query)}\nName:", stop=["\n\n", "Question:"])


def relations(hits: Hits) -> tuple[str, ...]:
    """In words, those of the facts that were recalled, nearest first."""
    facts = [one.edit for one in hits.verdicts if isinstance(one.edit, Fact)]
    return tuple(dict.fromkeys(as_data(fact.relation_text) for fact in facts))[:OFFERED]


def plan_in(text: str, query: str) -> tuple[str, tuple[str, ...]] | None:
    """The name and the hops in what a model wrote; None where they are no plan for the question.

    A step that still holds several hops is taken apart by its grammar.
    """
    lines = [line.strip(" -*\t.") for line in text.strip().splitlines() if line.strip()]
    if len(lines) < 2:
        return None
    name = lines[0].removeprefix("Name:").strip(' “”"')
    steps = [line.split(". ", 1)[-1] if line[:1].isdigit() else line for line in lines[1:]]
    if not name or same_key(name) not in same_key(query) or len(steps) > MOST_HOPS:
        return None
    if any(step.count("#") != 1 for step in steps):
        return None
    return name, tuple(_parted(step.replace("#", SLOT) for step in steps))


def written(plan: tuple[str, tuple[str, ...]]) -> str:
    """A plan as a planner would write it, so that its likelihood can be told."""
    name, hops = plan
    return " " + "\n".join((name, *(hop.replace(SLOT, "#") for hop in hops))) + "\n\n"


def _parted(steps: Iterable[str]) -> list[str]:
    marked = "Xanadu"  # a name that a step is read around
    return [hop for step in steps for hop in read_hops(step.replace(SLOT, marked), marked) or (step,)]


def _shown(question: str, plan: str) -> str:
    return f"Question: {question}\nName: {plan}"
