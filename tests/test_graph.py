"""The graph of a memory's Facts, what follows from them, and the time in the world that a question names."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from memedit import EditableLLM, EditMemory, Fact
from memedit.cli import main
from memedit.multihop.graph import Graph, derived_facts, in_parts, triple_of
from memedit.testing import FakeLLM, HashEmbedder, NamedGate
from memedit.text.when import named_time

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ANN = Fact(subject="Ann", relation="mother", object="Bea", id="ann")
BEA = Fact(subject="Bea", relation="brother", object="Carl", id="bea")


def said(triples: Any) -> set[str]:
    return {str(triple) for triple in triples}


@pytest.mark.parametrize(
    ("fact", "triple"),
    [
        (ANN, ("Ann", "mother", "Bea")),
        (
            Fact(subject="Oslo", relation="P36", object="Bergen", prompt="The capital of {} is"),
            ("Oslo", "capital", "Bergen"),
        ),
        (Fact(subject="Jo", prompt="The name of the father of {} is", object="Al"), ("Jo", "father", "Al")),
        (Fact(subject="Block 2", prompt="{} follows", object="Block 1"), ("Block 2", "follows", "Block 1")),
        (Fact(subject="Jo", prompt="{}'s child is", object="Al"), ("Jo", "child", "Al")),
        (Fact("The CEO of Acme is Carol Diaz."), ("Acme", "CEO", "Carol Diaz")),
    ],
)
def test_triples_are_read_from_fields_or_wording(fact: Fact, triple: tuple[str, str, str]) -> None:
    found = triple_of(fact)
    assert found is not None
    assert (found.subject, found.relation, found.object) == triple


def test_what_tells_no_triple_is_left_out() -> None:
    assert triple_of(Fact("It rains.")) is None
    assert Graph.of([Fact("It rains.")]).triples == ()


def test_the_newest_of_one_value_and_every_one_of_several() -> None:
    old = Fact(subject="Acme", relation="CEO", object="Al", created_at=datetime(2020, 1, 1, tzinfo=UTC))
    new = Fact(subject="acme", relation="chief executive officer", object="Eve")
    kids = [Fact(subject="Ann", relation="child", object=name) for name in ("Di", "Ed")]
    graph = Graph.of([new, old, *kids])
    assert [triple.object for triple in graph.follow("ACME", "CEO")] == ["Eve"]
    assert [triple.object for triple in graph.follow("Ann", "children")] == ["Di", "Ed"]


def test_what_follows() -> None:
    found = said(Graph.of([ANN, BEA]).with_derived().triples)
    assert "Bea —child→ Ann  [inverse of mother]" in found
    assert "Ann —parent→ Bea  [implied by mother]" in found
    assert "Ann —uncle→ Carl  [brother of the parent]" in found
    assert "Carl —sibling→ Bea  [inverse of sibling]" in found


def test_deriving_ends_and_nobody_is_their_own_sibling() -> None:
    twins = [Fact(subject=name, relation="mother", object="Bea") for name in ("Ann", "Di")]
    graph = Graph.of([*twins, Fact(subject="Ann", relation="spouse", object="Ann")]).with_derived()
    assert all(triple.subject != triple.object for triple in graph.triples if triple.relation == "sibling")
    assert {triple.object for triple in graph.follow("Ann", "sibling")} == {"Di"}


@pytest.mark.parametrize(
    ("description", "parts"),
    [
        ("the maternal grandmother of {}", ("the mother of {}", "the mother of {}")),
        ("the father-in-law of {}", ("the spouse of {}", "the father of {}")),
        ("the uncle of {}", ("the uncle of {}",)),
        ("the mayor of {}", ("the mayor of {}",)),
        ("Where is {}?", ("Where is {}?",)),
    ],
)
def test_a_composed_relation_is_told_by_its_parts(description: str, parts: tuple[str, ...]) -> None:
    assert in_parts(description) == parts


def test_aliases_lead_on() -> None:
    graph = Graph.of([Fact(subject="Ann", relation="mother", object="Beatrix", object_aliases=("Bea",)), BEA])
    assert [triple.object for triple in graph.with_derived().follow("Ann", "uncle")] == ["Carl"]


def test_derived_facts_say_what_they_rest_on() -> None:
    facts = derived_facts([ANN, BEA], of=["bea"])
    uncle = next(fact for fact in facts if fact.relation == "uncle")
    assert uncle.text == "The uncle of Ann is Carl."
    assert uncle.source == "follows from ann, bea (brother of the parent)"
    assert uncle.tags == ("derived",)
    assert all("bea" in (fact.source or "") for fact in facts)


def test_what_follows_comes_and_goes_with_the_edit() -> None:
    llm = EditableLLM(FakeLLM(), EditMemory(embedder=HashEmbedder()), gate=NamedGate())
    llm.edit(ANN)
    assert llm.edit(BEA, derive=True).id == "bea"
    assert "The uncle of Ann is Carl." in llm.invoke("Who is the uncle of Ann?").text
    llm.undo()
    assert [edit.id for edit in llm.memory.edits()] == ["ann"]


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("Who ran Acme in 2019?", "2019-07-01"),
        ("Who ran Acme on 3 May 2020?", "2020-05-03"),
        ("Who ran Acme in March 2021?", "2021-03-15"),
        ("Who ran it on 2018-02-07?", "2018-02-07"),
        ("Who ran Acme last year?", "2025-06-01"),
        ("Who ran Acme two years ago?", "2024-06-01"),
        ("Who ran Acme a decade ago?", "2016-06-01"),
        ("Who runs Acme?", None),
        ("Who ran it on 31 February 2020?", None),
        ("Room 2019 is where?", None),
    ],
)
def test_the_time_a_question_names(text: str, when: str | None) -> None:
    found = named_time(text, NOW)
    assert (found and found.date().isoformat()) == when


def test_the_one_before_is_still_right_of_last_year() -> None:
    memory = EditMemory(embedder=HashEmbedder(), clock=lambda: NOW)
    llm = EditableLLM(FakeLLM(), memory, gate=NamedGate())
    llm.edit(Fact(subject="Acme", relation="CEO", object="Al Old", valid_until="2026-01-01"))
    llm.edit(Fact(subject="Acme", relation="CEO", object="Eve New", valid_from="2026-01-01"))
    assert "Eve New" in llm.invoke("Who is the CEO of Acme?").text
    assert "Al Old" not in llm.invoke("Who is the CEO of Acme?").text
    assert "Al Old" in llm.invoke("Who was the CEO of Acme last year?").text
    assert "Eve New" not in llm.invoke("Who was the CEO of Acme in 2025?").text


class TestCommand:
    def run(self, folder: Path, *given: str) -> Any:
        return CliRunner().invoke(main, [*given, "--memory", str(folder)])

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        memory = EditMemory(tmp_path / "m", embedder=HashEmbedder())
        list(memory.add_many([ANN, BEA, Fact(subject='A "quoted"\nname', relation="CEO", object="Eve")]))
        memory.close()
        return tmp_path / "m"

    def test_text(self, folder: Path) -> None:
        done = self.run(folder, "graph", "--entity", "ann", "--derived")
        assert done.exit_code == 0, done.output
        assert "uncle → Carl  [brother of the parent]" in done.output
        assert "CEO" not in done.output

    def test_drawn(self, folder: Path) -> None:
        dot = self.run(folder, "graph", "--format", "dot").output
        assert '"Ann" -> "Bea" [label="mother"];' in dot
        assert '"A \\"quoted\\" name"' in dot
        assert 'n0["Ann"] -->|"mother"| n1["Bea"]' in self.run(folder, "graph", "--format", "mermaid").output

    def test_json_and_nothing(self, folder: Path) -> None:
        found = json.loads(self.run(folder, "graph", "--entity", "Bea", "--json").output)["items"]
        assert [one["relation"] for one in found] == ["mother", "brother"]
        assert "No such facts" in self.run(folder, "graph", "--entity", "Nobody").output

    def test_a_wrong_date(self, folder: Path) -> None:
        done = self.run(folder, "graph", "--at", "soon")
        assert done.exit_code == 2
        assert "no time such as" in done.output
