"""Uses: what is read and written of them, and what the radii learned from them keep to."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memedit import EditableLLM, EditMemory, Fact
from memedit.errors import FileRejected, GateUnusable
from memedit.gate import as_gate, read_conversation
from memedit.gate.embedding import EmbeddingGate
from memedit.gate.learning.error_bounds import Seen
from memedit.gate.learning.judging import verdicts_on
from memedit.gate.learning.uses import held_uses, learn, radii
from memedit.gate.port import Gate, Verdict
from memedit.memory import Recalled
from memedit.testing import FakeLLM, HashEmbedder, NamedGate
from memedit.uses import Use, read_uses, uses_of

ACME = Fact(subject="Acme", relation="chief executive", object="Carol Diaz", prompt="The CEO of {} is", id="acme")
GLOBEX = Fact(subject="Globex", relation="seat", object="Bonn", prompt="The headquarters of {} is in", id="globex")


class Doubting(Gate):
    """Lets through what is named, and is in doubt of all else."""

    name = "doubting"

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return [
            Verdict(one.edit, 0.9 if one.mentioned else 0.3, one.mentioned, doubtful=not one.mentioned)
            for one in recalled.candidates
        ]


@pytest.fixture
def memory() -> EditMemory:
    memory = EditMemory(embedder=HashEmbedder())
    list(memory.add_many([ACME, GLOBEX]))
    return memory


# ---- uses -----------------------------------------------------------------------------------------------------------


def test_an_answer_gives_a_use_for_each_edit_that_was_used_or_shown(memory: EditMemory, tmp_path: Path) -> None:
    asked = [("user", "Hello!"), ("assistant", "Hi."), ("user", "Who runs Acme?")]
    shown = EditableLLM(FakeLLM(), memory, gate=Doubting(), doubt="show").invoke(asked)
    uses = uses_of(shown, accepted=True)
    assert [(one.edit, one.accepted, one.turns) for one in uses] == [
        ("acme", True, tuple(asked)), ("globex", True, tuple(asked))
    ]  # fmt: skip
    assert [one.edit for one in uses_of(shown, accepted=False, edits=["globex"])] == ["globex"]
    left = EditableLLM(FakeLLM(), memory, gate=Doubting(), doubt="leave").invoke(asked)
    assert [one.edit for one in uses_of(left, accepted=False)] == ["acme"]
    assert uses_of(EditableLLM(FakeLLM(), memory, gate=NamedGate()).invoke("What is 2 + 2?"), accepted=True) == []
    file = tmp_path / "uses.jsonl"
    file.write_text("".join(f"{one}\n" for one in uses))
    assert read_uses(file) == list(enumerate(uses, start=1))


def test_a_message_may_be_a_text(tmp_path: Path) -> None:
    file = tmp_path / "uses.jsonl"
    file.write_text('\n{"turns": "Who runs Acme?", "edit": "acme", "accepted": false}\n')
    assert read_uses(file) == [(2, Use((("user", "Who runs Acme?"),), "acme", accepted=False))]


GOOD = {"turns": "Who runs Acme?", "edit": "acme", "accepted": True}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2 is no use"),
        ("[1]", "line 2 is no use: it is no JSON object"),
        (json.dumps({"turns": "?", "edit": "acme"}), "line 2 is no use: it has no `accepted`"),
        (json.dumps(GOOD | {"accepted": 1}), "line 2 is no use: `accepted` is neither true nor false"),
        (json.dumps(GOOD | {"edit": 7}), "line 2 is no use: `edit` is no text"),
        (json.dumps(GOOD | {"turns": [{"content": "?"}]}), "line 2 is no use: A chat message needs a role"),
        (json.dumps(GOOD | {"edit": "nobody"}), "line 2: no edit `nobody` is in force"),
        (json.dumps(GOOD | {"edit": "wish"}), "line 2: `wish` is a feedback"),
        (json.dumps(GOOD | {"turns": ""}), "line 2 is no use: the last of its `turns`"),
        (json.dumps(GOOD | {"turns": [{"role": "assistant", "content": "?"}]}), "line 2 is no use: the last of its"),
        (json.dumps(GOOD | {"turns": [{"role": "alien", "content": "?"}]}), "line 2 is no use: `alien` is no role"),
    ],
)
def test_a_line_that_is_no_use_is_named(memory: EditMemory, tmp_path: Path, line: str, says: str) -> None:
    memory.add({"kind": "feedback", "id": "wish", "situation": "a list", "clarification": "with numbers"})
    file = tmp_path / "uses.jsonl"
    file.write_text(f"{json.dumps(GOOD)}\n{line}\n")
    with pytest.raises(FileRejected, match=f"uses.jsonl, {says}"):
        held_uses(memory, file, namespace="default")


@pytest.mark.parametrize(("data", "says"), [(b"\n", "is empty"), (b"\xff", "cannot be read")])
def test_a_file_without_uses_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    file = tmp_path / "uses.jsonl"
    file.write_bytes(data)
    for path in (file, tmp_path / "none.jsonl"):
        with pytest.raises(FileRejected, match=says if path == file else "cannot be read"):
            read_uses(path)


def test_uses_of_a_version_with_another_radius_are_those_of_the_one_in_force(
    memory: EditMemory, tmp_path: Path
) -> None:
    file = tmp_path / "uses.jsonl"
    file.write_text(json.dumps(GOOD))
    memory.apply([ACME.with_(id="acme~2", radius=1.0)], retract=["acme"], on_conflict="keep")
    assert list(held_uses(memory, file, namespace="default")) == ["acme~2"]
    memory.apply([ACME.with_(id="acme~3", object="Eve Moss")], retract=["acme~2"], on_conflict="keep")
    with pytest.raises(FileRejected, match="no edit `acme` is in force"):
        held_uses(memory, file, namespace="default")


# ---- radii ----------------------------------------------------------------------------------------------------------

Drawn = list[tuple[Fact, list[Seen]]]
Error = Callable[[float], float]


def edit(number: int, radius: float = 0.0) -> Fact:
    return Fact(f"Statement {number} holds.", id=str(number), radius=radius)


def sigmoid(odds: Any) -> Any:
    return 1 / (1 + np.exp(-odds))


def by_dirichlet_process(rng: np.random.Generator, edits: int, uses: int, strength: float) -> tuple[Drawn, list[Error]]:
    """Edits as the model has them: their uses are a Dirichlet process around what the gate says."""
    seen, errors = [], []
    for number in range(edits):
        left = np.cumprod(1 - (cut := rng.beta(1, strength, 600)))
        weights = cut * np.concatenate(([1.0], left[:-1]))
        odds = rng.normal(1.0, 2.2, 600)
        wrong = rng.random(600) > sigmoid(odds)
        drawn = rng.choice(600, uses, p=weights / weights.sum())
        seen.append((edit(number), [Seen(-odds[at], sigmoid(odds[at]), not wrong[at]) for at in drawn]))
        errors.append(lambda radius, w=weights, o=odds, bad=wrong: float((w * bad * (-o <= radius)).sum()))
    return seen, errors


def by_curves(rng: np.random.Generator, edits: int, uses: int, spread: float) -> tuple[Drawn, list[Error]]:
    """Edits that each follow a logistic curve of their own: the gate's, moved."""
    seen, errors, every = [], [], np.linspace(-4, 4, 401)
    mass = np.exp(-np.square(every) / 2) / np.exp(-np.square(every) / 2).sum()
    for number in range(edits):
        moved, middle = rng.normal(0, spread), rng.normal(1, 0.7)
        odds = rng.normal(middle, 2.2, uses)
        right = rng.random(uses) < sigmoid(odds + moved)
        seen.append((edit(number), [Seen(-one, sigmoid(one), bool(ok)) for one, ok in zip(odds, right, strict=True)]))
        at = middle + 2.2 * every
        errors.append(lambda radius, at=at, by=moved: float((mass * (-at <= radius) * sigmoid(-at - by)).sum()))
    return seen, errors


@pytest.mark.parametrize(("uses", "strength"), [(4, 20.0), (30, 60.0)])
def test_the_error_exceeds_its_bound_no_more_often_than_stated(uses: int, strength: float) -> None:
    rng = np.random.default_rng(0)
    above, before = [], []
    for _ in range(4):
        seen, errors = by_dirichlet_process(rng, 100, uses, strength)
        for one, error in zip(radii(seen, error=0.05, confidence=0.9), errors, strict=True):
            above.append(error(one.radius) > 0.05)
            before.append(error(0.0) > 0.05)
    noise = 2.6 * math.sqrt(0.1 * 0.9 / len(above))  # of 400 edits, 99 times in 100
    assert np.mean(above) <= 0.1 + noise
    assert np.mean(before) > 0.3  # so that there is something to keep


def test_the_error_stays_near_its_bound_where_edits_vary_otherwise() -> None:
    seen, errors = by_curves(np.random.default_rng(0), 300, 15, 1.0)
    found = radii(seen, error=0.05, confidence=0.95)
    errors_after = [error(one.radius) for one, error in zip(found, errors, strict=True)]
    assert np.mean([error > 0.05 for error in errors_after]) < 0.08
    assert np.mean(errors_after) < 0.03
    assert np.mean([error(0.0) > 0.05 for error in errors]) > 0.5
    assert sum(one.passed(one.radius) for one in found) > 0.3 * sum(one.passed(0.0) for one in found)


def test_an_edit_with_many_uses_goes_by_its_own_and_one_with_few_by_the_others() -> None:
    rng = np.random.default_rng(1)
    others, _ = by_curves(rng, 60, 12, 0.3)
    good = [Seen(float(limit), 0.5, accepted=True) for limit in rng.uniform(-2, 2, 600)]
    bad = [Seen(float(limit), 0.5, accepted=limit < 0 or limit > 3) for limit in rng.uniform(-2, 2, 600)]
    found = {one.edit.id: one for one in radii([(edit(100), good), (edit(101), bad), (edit(102), good[:2]), *others])}
    assert found["100"].radius == pytest.approx(2.0, abs=0.1)
    assert -0.3 < found["101"].radius <= 0.1
    assert found["102"].radius < 0  # as for the others, whatever its two uses say
    assert all(one.bound <= 0.02 + 1e-3 for one in found.values())


def test_a_radius_is_changed_by_no_more_than_is_asked_for() -> None:
    fine = [Seen(-1.0, 0.9, accepted=True)] * 400
    doubtful = [*fine, Seen(0.72, 0.3, accepted=True), Seen(math.inf, 0.0, accepted=True)]
    still, wider = radii([(edit(1, radius=-0.25), fine), (edit(2), doubtful)])
    assert (still.radius, still.passed(still.radius)) == (-0.25, 400)
    assert (wider.radius, wider.passed(0.0), wider.passed(wider.radius)) == (0.8, 400, 401)
    assert still.rejected == 0


def test_a_stricter_error_never_gives_a_wider_radius() -> None:
    seen, _ = by_curves(np.random.default_rng(2), 40, 12, 1.0)
    strict, loose = (radii(seen, error=error) for error in (0.02, 0.1))
    assert all(one.radius <= other.radius for one, other in zip(strict, loose, strict=True))


def test_a_gate_that_heeds_no_radius_learns_none(memory: EditMemory) -> None:
    uses = {"acme": (ACME, [Use((("user", "Who runs Acme?"),), "acme", accepted=True)])}
    with pytest.raises(GateUnusable, match="does not heed an edit's radius"):
        learn(memory, EmbeddingGate(), uses, namespace="default")


# ---- how far an edit reaches ----------------------------------------------------------------------------------------

TEXTS = ("Who runs Acme?", "Acme is run by", "Acme head office boss", "Who is in charge over there?")


@pytest.mark.parametrize("kind", ["evidence", "judge"])
@pytest.mark.parametrize("statement", [ACME, Fact("Carol Diaz leads Acme now.", id="acme")])
def test_a_gate_lets_an_edit_through_from_the_radius_it_names(kind: str, statement: Fact) -> None:
    gate = as_gate(kind)

    def said(text: str, radius: float) -> Verdict | None:
        with EditMemory(embedder=HashEmbedder()) as memory:
            memory.add(statement.with_(radius=radius))
            (verdicts,) = verdicts_on(memory, gate, [read_conversation((("user", text),))])
            return next(iter(verdicts), None)

    reached = 0
    for text in TEXTS:
        verdict = said(text, 0.3)
        if verdict is None or not abs(limit := gate.reach(verdict)) < 15:
            continue
        for radius, passes in ((limit - 0.02, False), (limit + 0.02, True)):
            there = said(text, radius)
            assert there is not None
            assert there.passed is passes, (text, limit)
        reached += 1
    assert reached >= 2
