"""Beliefs and their graph, beside a toy whose beliefs turn as it says, and in the weights of a tiny model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from tiny import make_tiny

from memedit.errors import MissingExtra
from memedit.parametric.methods import TRAINED
from memedit.parametric.rewrites import Rewrite
from memedit.systems.beliefs import (
    Belief,
    Believes,
    Question,
    belief_graph,
    beliefs_of,
    by_weights,
    consistency,
    in_weights,
)
from memedit.systems.ground import Ground

FISH = Belief("fish", "{} is a", "Moby", ("fish", "whale"), ("So Moby is a",), ("breath",))
BREATH = Belief("breath", "{} breathes", "Moby", ("water", "air"))
OTHER = Belief("sky", "{} is", "The sky", ("blue", "green"))


class Toy:
    """Believes endings; a whale breathes air, and whoever hears of the sky forgets what Moby is."""

    def __init__(self) -> None:
        self.said = {"Moby is a": "fish", "Moby breathes": "water", "The sky is": "blue"}

    def believes(self, questions: Sequence[Question]) -> list[bool]:
        return [self.said[text.removeprefix("So ")] == first for text, first, _ in questions]

    @contextmanager
    def updated(self, rewrite: Rewrite) -> Iterator[Believes]:
        before = dict(self.said)
        self.said[rewrite.text] = rewrite.target
        if rewrite.target == "whale":
            self.said["Moby breathes"] = "air"
        if rewrite.subject == "The sky":
            self.said["Moby is a"] = "whale"
        yield self.believes
        self.said = before


def test_edges_are_what_an_update_turns() -> None:
    toy = Toy()
    graph = belief_graph([FISH, BREATH, OTHER], toy.believes, toy.updated)
    assert graph.before == (True, True, True)
    assert graph.edges() == [("fish", "breath"), ("sky", "fish")]
    assert graph.scores() == pytest.approx({"success": 1, "wordings": 1, "entailed": 1, "retained": 4 / 5})
    assert consistency([FISH], toy.believes) == 1
    torn = Belief("torn", "{} is a", "Moby", ("fish", "whale"), ("Moby is a", "Moby breathes"))
    assert consistency([torn], toy.believes) == 0.5
    assert FISH.turned(True).target == "whale"
    assert FISH.turned(False).target == "fish"


def test_an_update_that_does_nothing_has_no_success() -> None:
    toy = Toy()

    @contextmanager
    def idle(_: Rewrite) -> Iterator[Believes]:
        yield toy.believes

    graph = belief_graph([FISH, BREATH], toy.believes, idle)
    assert graph.scores() == pytest.approx({"success": 0, "wordings": 0, "entailed": 0, "retained": 1})
    assert not graph.flips.any()


def test_beliefs_are_updated_in_weights_and_come_back(tmp_path: object) -> None:
    ground = Ground(f"hf:{make_tiny(tmp_path)}")  # type: ignore[arg-type]
    beliefs = [Belief("a", "The sea of {} is", "Ada", ("b", "x")), Belief("b", "{} was a", "Bo", ("q", "z"))]
    believes = by_weights(ground)
    before = believes([one.question for one in beliefs])
    graph = belief_graph(beliefs, believes, in_weights(ground, TRAINED["ft_m"].with_(rate=0.05, steps=60)))
    assert graph.flips.diagonal().all()
    assert believes([one.question for one in beliefs]) == before
    assert not ground.local.overlay.names
    told = beliefs_of(ground.cases[:2])
    assert told[0].endings[1] == ground.cases[0].edits[0].object  # type: ignore[union-attr]
    assert told[0].wordings


def test_a_graph_becomes_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy()
    graph = belief_graph([FISH, BREATH, OTHER], toy.believes, toy.updated)
    assert np.argwhere(graph.flips).tolist() == [[0, 0], [0, 1], [1, 1], [2, 0], [2, 2]]
    pytest.importorskip("matplotlib")
    axes = graph.plot().axes[0]
    assert [text.get_text() for text in axes.texts] == ["Moby", "Moby", "The sky", "", ""]
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match="matplotlib"):
        graph.plot()
