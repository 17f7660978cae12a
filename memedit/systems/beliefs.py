"""Beliefs of a model, and what an update of one does to the others (SLAG; Hase et al. 2021, arXiv:2111.13654).

A belief is which of two endings a model finds likelier. Updating it makes it believe the other one. The update is
judged by itself, by other wordings, by beliefs that follow from it and by those that do not; and the belief graph has
an edge from A to B where updating A turns B. All this is of any update: a change of weights, slots, an edit in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memedit import EditableLLM, EditMemory
from memedit.edits import Fact
from memedit.errors import MissingExtra
from memedit.eval.cases import Case, Kind
from memedit.parametric.meta import Meta
from memedit.parametric.methods import Writer, find_writer
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.slots import laid
from memedit.systems.ground import Ground, asked, rewrites_of
from memedit.systems.registry import Finding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Question = tuple[str, str, str]
"""A text and two endings."""
Believes = Callable[[Sequence[Question]], list[bool]]
"""Of each question whether the first ending is the likelier one, a token."""
Flips = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Belief:
    """Something that a model believes or does not.

    Args:
        id: Its own.
        prompt: With `{}` for the subject.
        subject: Of it.
        endings: The two.
        wordings: Other texts behind which the same is asked.
        follow: Ids of beliefs that turn with it.
    """

    id: str
    prompt: str
    subject: str
    endings: tuple[str, str]
    wordings: tuple[str, ...] = ()
    follow: tuple[str, ...] = ()

    @property
    def question(self) -> Question:
        """It, asked."""
        return (self.prompt.replace("{}", self.subject), *self.endings)

    def turned(self, held: bool) -> Rewrite:
        """What makes a model believe the other ending."""
        return Rewrite(self.id, self.prompt, self.subject, self.endings[1 if held else 0])


Updated = Callable[[Rewrite], AbstractContextManager[Believes]]
"""While it lasts, the model believes a rewrite."""


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """What updates of beliefs did.

    Args:
        beliefs: In the order of rows and columns.
        before: What was believed.
        flips: Whether updating the row's belief turned the column's, (n, n); the diagonal is the update itself.
        wordings: Share of the other wordings that turned with their belief.
    """

    beliefs: tuple[Belief, ...]
    before: tuple[bool, ...]
    flips: Flips
    wordings: float

    def scores(self) -> dict[str, float]:
        """Success, other wordings, and the shares of what follows that turned, and of the rest that stayed."""
        ids = [one.id for one in self.beliefs]
        follows = np.array([[other in one.follow for other in ids] for one in self.beliefs])
        apart = ~follows & ~np.eye(len(ids), dtype=bool)
        return {
            "success": float(self.flips.diagonal().mean()),
            "wordings": self.wordings,
            "entailed": float(self.flips[follows].mean()) if follows.any() else float("nan"),
            "retained": float(1 - self.flips[apart].mean()) if apart.any() else float("nan"),
        }

    def edges(self) -> list[tuple[str, str]]:
        """From the updated belief to the one that turned."""
        turned = self.flips & ~np.eye(len(self.beliefs), dtype=bool)
        return [(self.beliefs[a].id, self.beliefs[b].id) for a, b in np.argwhere(turned)]

    def plot(self) -> Figure:
        """Beliefs on a circle, an arrow an edge, what was not believed before in grey.

        Raises:
            MissingExtra: Matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as missing:
            raise MissingExtra("eval", package="matplotlib") from missing
        figure = Figure(figsize=(6, 6), layout="constrained")
        axes, angles = figure.add_subplot(), np.linspace(0, 2 * np.pi, len(self.beliefs), endpoint=False)
        at = {one.id: (np.cos(angle), np.sin(angle)) for one, angle in zip(self.beliefs, angles, strict=True)}
        for one, held in zip(self.beliefs, self.before, strict=True):
            axes.annotate(one.subject, at[one.id], ha="center", color="black" if held else "grey", fontsize="small")
        for start, end in self.edges():
            axes.annotate("", at[end], at[start], arrowprops={"arrowstyle": "->", "shrinkA": 12, "shrinkB": 12})
        axes.set(xlim=(-1.4, 1.4), ylim=(-1.3, 1.3))
        axes.axis("off")
        return figure


def belief_graph(beliefs: Sequence[Belief], believes: Believes, updated: Updated) -> Graph:
    """Update each belief by itself, and look at all of them."""
    questions = [one.question for one in beliefs]
    before = believes(questions)
    rows, turned = [], list[bool]()
    for one, held in zip(beliefs, before, strict=True):
        with updated(one.turned(held)) as now:
            rows.append([new != old for new, old in zip(now(questions), before, strict=True)])
            turned += [new != held for new in now([(text, *one.endings) for text in one.wordings])]
    return Graph(tuple(beliefs), tuple(before), np.array(rows), sum(turned) / max(1, len(turned)))


def consistency(beliefs: Sequence[Belief], believes: Believes) -> float:
    """The share of other wordings in which a belief is what it is in its own, before any update."""
    own = believes([one.question for one in beliefs])
    pairs = [(held, (text, *one.endings)) for held, one in zip(own, beliefs, strict=True) for text in one.wordings]
    return sum(now == held for (held, _), now in zip(pairs, believes([q for _, q in pairs]), strict=True)) / max(
        1, len(pairs)
    )


def in_weights(ground: Ground, method: str | Writer) -> Updated:
    """Updates by a method that writes weights or lies beside them."""
    writer = find_writer(method)
    assert not isinstance(writer, Meta)

    @contextmanager
    def updated(rewrite: Rewrite) -> Iterator[Believes]:
        with laid(ground.local.overlay, writer.write(ground.local, [rewrite])):
            yield by_weights(ground)

    return updated


def in_memory(ground: Ground) -> Updated:
    """Updates by an edit in a memory of its own."""

    @contextmanager
    def updated(rewrite: Rewrite) -> Iterator[Believes]:
        with EditMemory() as memory:
            memory.add(Fact(subject=rewrite.subject, prompt=rewrite.prompt, object=rewrite.target))
            editable = EditableLLM(ground.llm, memory)

            def believes(questions: Sequence[Question]) -> list[bool]:
                apart = by_weights(ground)(questions)
                scored = editable.score(
                    [one[0] for one in questions], [[f" {end}" for end in q[1:]] for q in questions]
                )
                return [
                    plain if not one.citations or one.likelihoods is None
                    else _first(one.likelihoods[0], one.likelihoods[1])
                    for one, plain in zip(scored, apart, strict=True)
                ]  # fmt: skip

            yield believes

    return updated


def by_weights(ground: Ground) -> Believes:
    """What the model believes as it is now."""
    from memedit.parametric.measuring import likelihoods

    def believes(questions: Sequence[Question]) -> list[bool]:
        told = likelihoods(*ground.parts, [(text, end) for text, *ends in questions for end in ends])
        return [_first(one, other) for one, other in zip(told[::2], told[1::2], strict=True)]

    return believes


def beliefs_of(cases: Sequence[Case]) -> list[Belief]:
    """What was true before each case's edit against what it says, with its paraphrases."""
    return [
        Belief(one.id, one.prompt, one.subject, (other, one.target),
               tuple(text for text, _, _ in asked([case], Kind.PARAPHRASE)))
        for case, one in zip(cases, rewrites_of(cases), strict=True)
        for _, _, other in asked([case], Kind.EFFICACY)
    ]  # fmt: skip


def check(ground: Ground, method: str = "ft_m", most: int = 8) -> Finding:
    """Beliefs of the cases that come with memedit, updated in the weights, and in memory."""
    beliefs, shown, scores = beliefs_of(ground.cases[:most]), [], dict[str, Mapping[str, float]]()
    for name, updated in (("in memory", in_memory(ground)), (f"by {method}", in_weights(ground, method))):
        found = belief_graph(beliefs, by_weights(ground), updated)
        scores[name] = found.scores()
        told = ", ".join(f"{what} {share:.0%}" for what, share in scores[name].items() if share == share)
        shown.append(f"{name} {told}, {len(found.edges())} edges")
    same = consistency(beliefs, by_weights(ground))
    figure = f"{len(beliefs)} beliefs, held in {same:.0%} of other wordings; each updated: {'; '.join(shown)}"
    ours = scores["in memory"]
    return Finding(figure, ours["success"] >= 0.9 and ours["retained"] >= 0.95, scores)


def _first(one: Any, other: Any) -> bool:
    return bool(one.logprob / one.tokens > other.logprob / other.tokens)
