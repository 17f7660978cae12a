"""The default gate's parts: features, folds, rows as the memory proposes them, training, and its files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from memedit import EditableLLM, EditMemory, Fact
from memedit.embedders import Embedder, default_embedder
from memedit.encoder.network import Network
from memedit.errors import EditRejected, FileRejected, GateUnusable
from memedit.gate import EvidenceGate, as_gate, scorer
from memedit.gate.features import FEATURES, TEXT, text_features
from memedit.gate.learning.everyday import everyday, kinds
from memedit.gate.learning.evidence import Trained, train
from memedit.gate.learning.grouping import fold, relation_groups
from memedit.gate.learning.rows import Parted, embed, rows, texts_of
from memedit.gate.learning.scope_sets import Question, ScopeSet
from memedit.gate.reading import know, read, type_of
from memedit.gate.scorer import deciding
from memedit.testing import FakeLLM, HashEmbedder

pytestmark = pytest.mark.model

CEO = Fact(id="ceo", subject="Acme Robotics", prompt="The CEO of {} is", object="Carol Diaz")


def text_of(query: str, fact: Fact = CEO) -> dict[str, float]:
    return dict(zip(TEXT, text_features(read(query), know(fact)), strict=True))


def test_what_the_texts_tell() -> None:
    asked = text_of("Who is the CEO of Acme Robotics?")
    assert asked["named"] == asked["exact"] == asked["question"] == asked["type fits"] == 1
    assert asked["strange names"] == 0
    assert asked["explained"] == 1
    other = text_of("When was Globex founded?")
    assert other["named"] == other["exact"] == 0
    assert other["type differs"] == 1
    assert other["strange names"] > 0
    assert text_of("Who runs AR?")["initials"] == 1
    assert text_of("Who is not the CEO of Acme Robotics?")["negated"] == 1
    release = Fact(subject="Norvex 9", prompt="{} was released in", object="2021")
    assert text_of("When was Norvex 8 released?", release)["number differs"] == 1
    assert text_of("When was Norvex 9 released?", release)["number differs"] == 0


@pytest.mark.parametrize(
    ("value", "type"),
    [("2021", "date"), ("3 March", "date"), ("45 days", "number"), ("Carol Diaz", "name"), ("goalkeeper", "word")],
)
def test_type_of(value: str, type: str) -> None:
    assert type_of(value) == type


def test_relations_stay_together() -> None:
    facts = [
        Fact(subject="Ann", relation="P19", prompt="{} was born in", object="Linz"),
        Fact(subject="Bea", relation="P19", prompt="The birthplace of {} is", object="Graz"),
        Fact(subject="Cleo", prompt="{} was born in the city of", object="Wels"),
        Fact(subject="Dora", prompt="The favourite colour of {} is", object="red"),
        Fact(subject="Eve", prompt="{}'s favourite colour is", object="blue"),
    ]
    embedder = default_embedder()
    groups = relation_groups(facts, embedder.embed([fact.relation_text for fact in facts]))
    assert groups[0] == groups[1] == groups[2] == "p19"
    assert groups[3] == groups[4] != "p19"
    assert {fold(name, 4) for name in groups} <= {0, 1, 2, 3}


def test_rows_hold_what_the_memory_proposes() -> None:
    whole = everyday()
    edits, questions = whole.edits[:300], whole.questions[:40]
    embedder = default_embedder()
    some = ScopeSet("some", edits, questions)
    texts = list(dict.fromkeys(texts_of(some)))
    held = embed(some, dict(zip(texts, embedder.embed(texts), strict=True)))
    head = scorer.shipped().head
    parted = [Parted([head], np.zeros(300, dtype=np.int64))]
    made = rows(held, range(len(questions)), parted, head, memory=None, rng=None)  # type: ignore[arg-type]
    memory = EditMemory(embedder=embedder)
    list(memory.add_many(edits))
    for row, text in zip(made, held.texts, strict=True):
        proposed = {found.edit.id for found in memory.recall(text).candidates}
        # Two edits may be equally near.
        assert len({held.facts[at].id for at in row.candidates} ^ proposed) <= 2


def test_everyday_examples() -> None:
    made = everyday()
    assert len(kinds()) >= 25
    ids = {edit.id for edit in made.edits}
    assert len(ids) == len(made.edits) > 1_500
    groups = {question.group for question in made.questions}
    assert groups == {"paraphrase", "same subject", "alias", "two hops", "neighbourhood"}
    assert all(question.direct <= ids and question.bridges <= ids for question in made.questions)
    again = everyday()
    assert again.questions == made.questions
    assert [edit.content for edit in again.edits] == [edit.content for edit in made.edits]


@pytest.fixture(scope="module")
def small() -> ScopeSet:
    """A few kinds of daily life."""
    made = everyday()
    keep = {edit.id for edit in made.edits[:160]}
    first = [one for one in made.questions[:1_400] if one.direct | one.bridges <= keep]
    return ScopeSet("small", made.edits[:160], tuple(first))


@pytest.fixture(scope="module")
def trained(small: ScopeSet) -> Trained:
    return train([small], default_embedder(), folds=2, card={"note": "a test"})


def test_training_judges_every_question_out_of_fold(trained: Trained, small: ScopeSet) -> None:
    assert len(trained.judged) == len(trained.judged_seen) == len(small.questions)
    right = [
        float(judged.probabilities[at, 0])
        for judged in trained.judged
        for at, edit_id in enumerate(judged.candidates)
        if edit_id in judged.direct
    ]
    wrong = [
        float(judged.probabilities[at, 0])
        for judged in trained.judged
        for at, edit_id in enumerate(judged.candidates)
        if edit_id not in judged.direct | judged.bridges | judged.unsure
    ]
    assert np.mean(right) > 2 * np.mean(wrong)


def test_training_again_gives_the_same(trained: Trained, small: ScopeSet) -> None:
    again = train([small], default_embedder(), folds=2)
    for first, second in zip(trained.scorer.network.members, again.scorer.network.members, strict=True):
        for (one, _), (other, _) in zip(first, second, strict=True):
            assert np.allclose(one, other, atol=1e-4)


def test_nothing_to_learn_from() -> None:
    with pytest.raises(FileRejected, match="answers it"):
        train([ScopeSet("none", (CEO,), (Question("Who runs Globex?"),))], default_embedder())


def test_a_gate_folder_is_loaded_again(trained: Trained, tmp_path: Path) -> None:
    folder = trained.scorer.save(tmp_path / "gate")
    gate = as_gate(folder)
    assert isinstance(gate, EvidenceGate)
    assert gate.weights.card["note"] == "a test"
    memory = EditMemory(embedder=default_embedder())
    memory.add(CEO)
    asked = memory.recall("Who is the CEO of Acme Robotics?")
    before, after = EvidenceGate(trained.scorer).decide(asked), gate.decide(asked)
    assert [one.probability for one in before] == pytest.approx(
        [one.probability for one in after], abs=1e-3
    )  # the file holds half precision


def _damaged(folder: Path, how: str) -> None:
    card = json.loads((folder / "gate.json").read_text())
    if how == "version":
        card["features"] = card["features"][:-1]
    elif how == "kind":
        card["kind"] = "something"
    elif how == "weights":
        (folder / "weights.npz").write_bytes(b"no weights")
    elif how == "missing":
        (folder / "weights.npz").unlink()
    (folder / "gate.json").write_text("{" if how == "card" else json.dumps(card))


@pytest.mark.parametrize("how", ["version", "kind", "weights", "missing", "card"])
def test_a_gate_that_cannot_be_used_is_refused(
    trained: Trained, tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = trained.scorer.save(tmp_path / "gate")
    _damaged(folder, how)
    with pytest.raises(GateUnusable, match="gate"):
        as_gate(folder)
    with pytest.raises(GateUnusable, match="memedit gate train"):
        EvidenceGate.load(folder)
    assert EvidenceGate.load(folder, or_shipped=True).weights is scorer.shipped()
    assert "comes with memedit" in caplog.text


def test_another_embedder_is_refused_unless_told_otherwise(trained: Trained) -> None:
    memory = EditMemory(embedder=HashEmbedder())
    memory.add(CEO)
    asked = memory.recall("Who is the CEO of Acme Robotics?")
    with pytest.raises(GateUnusable, match="trained with the embedder"):
        EvidenceGate(trained.scorer).decide(asked)
    assert EvidenceGate(trained.scorer, or_shipped=True).decide(asked)
    assert EvidenceGate().decide(asked)


@pytest.mark.parametrize("source", ["nothing-like-it", "evidence:/nowhere"])
def test_no_such_gate(source: str) -> None:
    with pytest.raises(GateUnusable):
        as_gate(source)


def test_the_radius_of_an_edit_moves_its_scope() -> None:
    def probability(radius: float) -> float:
        memory = EditMemory(embedder=default_embedder())
        memory.add(CEO.with_(radius=radius))
        (verdict,) = EvidenceGate().decide(memory.recall("Who is the boss at Acme Robotics?"))
        return verdict.probability

    assert probability(-6) < probability(0) < probability(6)
    with pytest.raises(EditRejected, match="radius"):
        Fact("Acme is here.", radius=100)


def test_a_question_of_two_steps_has_a_bridge() -> None:
    llm = EditableLLM(FakeLLM(), EditMemory(embedder=default_embedder()))
    llm.edit(Fact(subject="Acme Robotics", relation="P159", prompt="{} is based in", object="Oslo"))
    hits = llm.explain("What is the currency of the country where Acme Robotics is based?").trace.lookups[0]
    assert [verdict.role for verdict in hits.passed] == ["bridge"]
    assert hits.bridges
    assert not hits.direct


@pytest.mark.parametrize(
    ("query", "passes"),
    [
        ("The CEO of Acme Robotics is", True),
        ("The CEO of Acme Robotics, who is not Carol Diaz, is", False),
        ("Who is the CEO of Acme Robotics, other than the Carol Diaz?", False),
        ("Who is the CEO of Acme Robotics, other than Carol Dietz?", True),
        ("Is the CEO of Acme Robotics not Carol Diaz?", True),
    ],
)
def test_an_edit_whose_object_the_query_rules_out_does_not_pass(query: str, passes: bool) -> None:
    memory = EditMemory(embedder=default_embedder())
    memory.add(CEO)
    (verdict,) = EvidenceGate().decide(memory.recall(query))
    assert verdict.passed == passes
    assert any("ruled out" in reason for reason in verdict.reasons) != passes


def test_the_features_that_decided_are_told() -> None:
    memory = EditMemory(embedder=default_embedder())
    memory.add(CEO)
    (verdict,) = EvidenceGate().decide(memory.recall("Who is the CEO of Acme Robotics?"))
    assert set(FEATURES) < set(verdict.numbers)
    subject, *spoke = verdict.reasons
    assert subject == "subject “acme robotics” is named"
    assert spoke
    assert all(reason.startswith(("for it: ", "against it: ")) for reason in spoke)
    assert not any(sign.isdigit() for sign in "".join(spoke))
    assert verdict.numbers["p(direct)"] == pytest.approx(verdict.probability)


def test_deciding_features_are_measured_against_the_mean() -> None:
    size = len(FEATURES)
    layer = np.zeros((size, size), dtype=np.float32)
    np.fill_diagonal(layer, 1)
    last = np.zeros((3, size), dtype=np.float32)
    last[1, 0] = 2.0
    zeros = np.zeros(size, dtype=np.float32)
    network = Network(zeros, zeros + 1, (((layer, zeros), (layer, zeros), (last, np.zeros(3, dtype=np.float32))),))
    features = zeros.copy()
    features[:2] = 1.0
    (first, added), *others = deciding(network, features)
    assert first == FEATURES[0]
    assert added > 1
    assert all(other == pytest.approx(0) for _, other in others)


def test_embedders_without_a_head_are_served(tmp_path: Path) -> None:
    embedder: Embedder = HashEmbedder()
    llm = EditableLLM(FakeLLM(), EditMemory(embedder=embedder))
    llm.edit(CEO)
    (hits,) = llm.explain("The CEO of Acme Robotics is").trace.lookups
    assert hits.passed
