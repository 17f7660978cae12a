"""The walk along a question's hops: memory first, and a short question to a model where no edit answers.

A hop's fact fits in subject *and* relation: the gate says that it answers the hop, and its subject is the thing the hop
before it found, by name or alias. Where none does, an edit about that thing may lie between (the sport of a player is
that of the position he plays): the hop is then asked of its object.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeGuard

from memedit.edits import SLOT, AnyEdit, Erasure, Fact
from memedit.gate.port import Hits, Verdict
from memedit.methods.base import Effect, Generate, Recall, Task
from memedit.multihop.asking import answer_in, ask
from memedit.multihop.reading import asked_kind, asks_for_a_thing
from memedit.secrecy import reveals
from memedit.text import words
from memedit.trace import Hop

BETWEEN = 4  # facts about a thing that are tried as lying between, most probable first
DEEPEST = 2  # of them, one behind another
NAMES = 3  # of a thing, by which a hop is asked
AKIN = 0.1  # how probably an edit is in scope of a hop, if it may be another wording of its relation
PROMISING = 0.02  # how probably an edit is in scope of a hop that names no thing, if it is about the same relation


@dataclass(frozen=True, slots=True)
class Thing:
    """What a hop is about: its names, the first of which is written into the hop."""

    names: tuple[str, ...]

    @classmethod
    def found_by(cls, verdict: Verdict) -> Thing:
        """The object of an edit; of a plain statement in which none stands, all that it says."""
        fact = verdict.edit
        if not isinstance(fact, Fact):
            raise TypeError(f"{fact.kind} has no object")
        return cls((fact.thing or fact.statement, *fact.object_aliases))

    def is_named(self, fact: Fact) -> bool:
        """Whether a fact is about it; articles, case and accents aside."""
        return self.is_like(Thing(fact.names))

    def is_like(self, other: Thing) -> bool:
        """Whether another thing has a name of it."""
        own = {_bare(name) for name in self.names}
        return any(_bare(name) in own for name in other.names)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a walk may cost.

    Args:
        calls: Of models.
        tokens: Of these calls, sent and received; None for as many as it takes.
        seconds: In all; None for as long as it takes.
    """

    calls: int = 8
    tokens: int | None = None
    seconds: float | None = None

    def reached(self, calls: int, tokens: int, seconds: float) -> str | None:
        """Which of them is reached, in words; None while none is."""
        if calls >= self.calls:
            return f"{self.calls} calls of the model are made"
        if self.tokens is not None and tokens >= self.tokens:
            return f"{self.tokens} tokens are spent"
        if self.seconds is not None and seconds >= self.seconds:
            return f"{self.seconds:g} s are over"
        return None

    def less(self, made: Walk) -> Limits:
        """What is left to spend on models after a walk."""
        tokens = None if self.tokens is None else self.tokens - made.tokens
        return replace(self, calls=self.calls - made.calls, tokens=tokens)


@dataclass(slots=True)
class Walk:
    """Where a walk stands.

    Args:
        thing: What the last hop found.
        known: On the question as a whole, which is not looked up again.
        hops: Those made.
        ended: Why it stopped before its end; None where it came to it.
        erasures: Those in scope of what was looked up.
        calls, tokens: Of models.
    """

    thing: Thing
    known: Hits
    hops: list[Hop] = field(default_factory=list)
    ended: str | None = None
    erasures: list[Verdict] = field(default_factory=list)
    calls: int = 0
    tokens: int = 0

    @property
    def arrived(self) -> bool:
        """Whether it came to its end, by an edit at least once."""
        return self.ended is None and bool(self.edits)

    def passed_by(self, verdict: Verdict) -> bool:
        """Whether an edit answered a hop, and no less probably than the verdict on it says."""
        return any(hop.edit == verdict.edit and (hop.probability or 0) >= verdict.probability for hop in self.hops)

    @property
    def refused(self) -> Erasure | None:
        """An Erasure of what a hop asks for, or of what one found."""
        for one in self.erasures:
            erasure = one.edit
            if isinstance(erasure, Erasure) and (
                one.role == "direct" or any(reveals(hop.answer, erasure.secrets) for hop in self.hops)
            ):
                return erasure
        return None

    @property
    def edits(self) -> tuple[Fact, ...]:
        """The edits it rests on, in order."""
        return tuple(hop.edit for hop in self.hops if isinstance(hop.edit, Fact))

    @property
    def grounded(self) -> bool:
        """Whether its edits are enough to go by: two, or one that says itself what it is about, or that the gate lets
        through. A plain statement fits the words of a hop too easily: only reading the whole question can tell.
        """
        passed = {one.edit.id for one in self.known.verdicts if one.passed}
        return len(self.edits) > 1 or any(says_of_what(edit) or edit.id in passed for edit in self.edits)

    def heed(self, hits: Hits) -> None:
        """Keep the Erasures in scope of what was looked up."""
        self.erasures += [one for one in hits.passed if isinstance(one.edit, Erasure)]

    def take(self, question: str, verdict: Verdict) -> None:
        """Go on to what an edit says."""
        self.thing = Thing.found_by(verdict)
        self.hops.append(Hop(question, self.thing.names[0], "edit", verdict.edit, verdict.probability))


Walking = Generator[Effect, Any, Walk]


def walk(
    name: str, hops: Sequence[str], task: Task, *, model: str | None, limits: Limits, whole: Verdict | None = None
) -> Walking:
    """Walk from a thing along hops, and once more where what was found is not of the kind that was asked for.

    Args:
        name: The thing that the question names.
        hops: Each with `{}` for what the hop before it found.
        task: Whose request's options the questions to the model keep.
        model: Answers what no edit does; None where only edits are to.
        limits: What it may cost.
        whole: On an edit that is said to answer the question as a whole. Unless the walk shows that it is but a hop, no
            model is asked; of a plain statement it cannot, since that was read with the question as a whole.

    Returns:
        How far it came.
    """
    made, began = Walk(Thing((name,)), task.hits), time.perf_counter()
    for place, hop in enumerate(hops):
        if (yield from _in_memory(hop, made, deepest=DEEPEST)):
            continue
        if (yield from _said_already(hop, made)):
            continue
        if place == len(hops) - 1 and made.edits and (yield from _stated(hop, made)):
            continue
        is_but_a_hop = whole is None or (made.passed_by(whole) and says_of_what(whole.edit))
        may_ask = is_but_a_hop and asks_for_a_thing(hop)
        if model is None or not may_ask or not (made.grounded or (yield from _promising(hops[place + 1 :]))):
            made.ended = "no edit answers"
            return made
        made.ended = limits.reached(made.calls, made.tokens, time.perf_counter() - began)
        if not made.ended:
            yield from _of_model(hop.replace(SLOT, made.thing.names[0]), made, task, model)
        if made.ended:
            return made
    wanted = asked_kind(task.hits.query)
    if wanted and made.hops and not is_of_kind(made.hops[-1].edit, wanted):
        yield from _in_memory(f"the {wanted} of {SLOT}", made, deepest=0)
    return made


def _of_model(question: str, made: Walk, task: Task, model: str) -> Generator[Effect, Any, None]:
    """Answer a hop by a model."""
    llm = task.models[model]
    sent = ask(task.request, question, llm.kind)
    reply = yield Generate(sent, model)
    made.calls += 1
    made.tokens += sum(reply.usage.values()) or llm.count_tokens(sent.text + reply.text)
    answer = answer_in(reply.text)
    if answer is None:
        made.ended = f"{model} does not know: {question}"
        return
    made.hops.append(Hop(question, answer, model))
    made.thing = Thing((answer,))


def says_of_what(edit: AnyEdit) -> bool:
    """Whether an edit says itself what it is about; a plain statement does not."""
    return isinstance(edit, Fact) and edit.subject is not None


def is_of_kind(edit: AnyEdit | None, wanted: str) -> bool:
    """Whether an edit says itself that its object is of a kind: “… is located in the continent of”."""
    return isinstance(edit, Fact) and wanted in words(f"{edit.relation_text} {edit.relation or ''}")


def _in_memory(hop: str, made: Walk, *, deepest: int) -> Generator[Effect, Any, bool]:
    """Answer a hop by an edit, or by several of which all but the last lie between; whether that was possible."""
    used = {edit.id for edit in made.edits}
    trails: list[tuple[Verdict, ...]] = [()]
    for depth in range(deepest + 1):
        ends: list[tuple[Verdict, ...]] = []
        further: list[tuple[Verdict, ...]] = []
        for trail in trails:
            thing = Thing.found_by(trail[-1]) if trail else made.thing
            taken = used | {verdict.edit.id for verdict in trail}
            direct, between = yield from _about(hop, thing, made, taken)
            ends += [(*trail, one) for one in direct]
            further += [(*trail, one) for one in between if depth < deepest]
        if ends:
            for verdict in max(ends, key=lambda trail: (trail[-1].probability, trail[-1].edit.created_at)):
                made.take(hop.replace(SLOT, made.thing.names[0]), verdict)
            return True
        trails = further
    return False


def _about(
    hop: str, thing: Thing, made: Walk, taken: Set[str]
) -> Generator[Effect, Any, tuple[list[Verdict], list[Verdict]]]:
    """The edits about a thing that answer a hop, asked by one of its names after the other; where none does, those that
    may lie between. Those that are taken are left out.
    """
    between: list[Verdict] = []
    for name in thing.names[:NAMES]:
        asked = hop.replace(SLOT, name)
        hits: Hits = made.known if asked == made.known.query else (yield Recall(asked))
        made.heed(hits)
        about = [one for one in hits.verdicts if _fits(one, thing) and one.edit.id not in taken]
        if direct := [one for one in about if one.passed and one.role == "direct"]:
            return direct, []
        between += about[:BETWEEN]
    return [], between


def _stated(hop: str, made: Walk) -> Generator[Effect, Any, bool]:
    """Whether a plain statement about what was found answers the last hop, such as “Ann Lee works from Leeds”: as a
    whole, since it does not say which part of it is the answer. It is read beside the hop as if that had been asked.
    """
    asked = hop.replace(SLOT, made.thing.names[0])
    hits: Hits = yield Recall(asked, whole=asked)
    made.heed(hits)
    for one in hits.direct:
        fact = one.edit
        if isinstance(fact, Fact) and not _leads_on(fact) and made.thing.is_named(fact):
            made.take(asked, one)
            return True
    return False


def _said_already(hop: str, made: Walk) -> Generator[Effect, Any, bool]:
    """Whether the last edit answers its hop and this one together, and no less probably than its own alone.

    “What city is home to {}?” behind “the headquarters of Acme” asks nothing that the headquarters do not say.
    """
    last = made.hops[-1] if made.hops else None
    if last is None or last.edit is None or last.question.endswith("?") or not asks_for_a_thing(hop):
        return False
    hits: Hits = yield Recall(hop.replace(SLOT, last.question))
    return any(one.edit.id == last.edit.id and one.probability >= (last.probability or 0) for one in hits.direct)


def is_of_another(whole: Verdict, name: str, hops: Sequence[str]) -> Generator[Effect, Any, bool]:
    """Whether an edit that is said to answer a question of several hops answers but the later ones, of another thing.

    “The mother of Ann is Bea” is no answer to “Who is the mother of Ann's wife?”. So it is where the edit has nothing
    to do with the first hop, and is less probably in scope of all together than of the later ones, asked of `name`.
    """
    if (yield Recall(_joined(hops[:1], name))).probability_of(whole.edit) >= AKIN:
        return False
    together = (yield Recall(_joined(hops, name))).probability_of(whole.edit)
    for later in range(1, len(hops)):
        if (yield Recall(_joined(hops[later:], name))).probability_of(whole.edit) > together:
            return True
    return False


def _joined(hops: Sequence[str], name: str) -> str:
    """Hops as one: “the mother of the wife of Ann”."""
    for hop in hops:
        name = hop.replace(SLOT, name)
    return name


def _promising(hops: Sequence[str]) -> Generator[Effect, Any, bool]:
    """Whether an edit may answer one of these hops, whatever they will be about; of plain statements nobody can tell.

    Else nothing is worth asking: “for as long as it takes” is no hop, and no edit is about it.
    """
    for hop in filter(asks_for_a_thing, hops):  # “How do I load a file in Python?” asks for none
        hits: Hits = yield Recall(hop.replace(SLOT, "").strip())
        if any(
            one.probability >= PROMISING and _leads_on(one.edit) and says_of_what(one.edit) for one in hits.verdicts
        ):
            return True
    return False


def _fits(verdict: Verdict, thing: Thing) -> bool:
    return _leads_on(verdict.edit) and thing.is_named(verdict.edit)


def _leads_on(edit: AnyEdit) -> TypeGuard[Fact]:
    """Whether it says of a thing what another is to it."""
    return isinstance(edit, Fact) and edit.thing is not None


@lru_cache(maxsize=4_096)
def _bare(name: str) -> tuple[str, ...]:
    said = words(name)
    return said[1:] if said[:1] in (("the",), ("a",), ("an",)) else said
