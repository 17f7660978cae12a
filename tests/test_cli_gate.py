"""`memedit gate`: what its data say, how a gate is scored and calibrated, and what its commands write and refuse."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from command_line import documented
from test_eval_run import Point

from memedit import EditableLLM, EditMemory, Fact, Feedback, Probe
from memedit.cli import WRONG, _common, main
from memedit.cli._faults import NOT_FOUND
from memedit.cli.gate import train
from memedit.embedders import default_embedder
from memedit.errors import FileRejected, GateUnusable, RunRejected
from memedit.eval.gate_curves import by_threshold, curve, reliability
from memedit.eval.gate_data import read_data
from memedit.eval.gates import mistakes, scores
from memedit.gate import EvidenceGate, scorer
from memedit.gate.embedding import EmbeddingGate
from memedit.gate.features import CONTRASTS, Head
from memedit.gate.learning import evidence
from memedit.gate.learning.calibration import Limits, at_temperature, fit, fit_threshold, halves
from memedit.gate.learning.generate import made, written
from memedit.gate.learning.judging import Judged, judge
from memedit.gate.learning.radius import reaches
from memedit.gate.learning.scope_sets import Question, ScopeSet
from memedit.memory.files import write_edits
from memedit.methods.base import Recall
from memedit.plumbing.plugins import plugins
from memedit.testing import FakeLLM, HashEmbedder, NamedGate

Run = Callable[..., Result]
ROOT = Path(__file__).parent.parent
ACME = Fact(
    subject="Acme", relation="chief executive", object="Carol Diaz", prompt="The CEO of {} is", id="acme",
    probes=(
        Probe(prompt="Who runs Acme?"), Probe(prompt="Where is Acme based?", must="stay"),
        Probe(prompt="Who is the CEO of Initech?", must="stay"),
    ),
)  # fmt: skip
GLOBEX = Fact(
    subject="Globex", relation="headquarters", object="Bonn", prompt="The headquarters of {} is in", id="globex",
    probes=(Probe(prompt="Where is Globex based?"),),
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line in an empty folder with doubles; an error is one line that says what to do."""
    monkeypatch.chdir(tmp_path)
    for name in ("MEMEDIT_MEMORY", "MEMEDIT_NAMESPACE", "MEMEDIT_MODEL", "MEMEDIT_EMBEDDER", "MEMEDIT_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_common, "open_memory", lambda path, *_: EditMemory(path, embedder=HashEmbedder()))
    monkeypatch.setattr(_common, "open_model", lambda *_: FakeLLM(lambda _: "SAME: Who is in charge at Acme?"))
    monkeypatch.setitem(plugins("gates"), "named", Point(NamedGate))  # type: ignore[arg-type]
    write_edits(tmp_path / "edits.jsonl", [ACME, GLOBEX])
    write_edits(tmp_path / "one.jsonl", [ACME])

    def run(*args: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["gate", *args])
        assert result.exit_code == code, f"{args}: {result.exit_code}\n{result.output}\n{result.exception!r}"
        assert "Traceback" not in result.output
        return result

    return run


def judged(
    *candidates: tuple[str, float, float], direct: str = "", bridges: str = "", unsure: str = "", group: str = "g"
) -> Judged:
    """A question about edits of one letter each."""
    said = np.array([pair for _, *pair in candidates], dtype=np.float32).reshape(-1, 2)
    ids = tuple(edit_id for edit_id, *_ in candidates)
    return Judged("s", group, "?", frozenset(direct), frozenset(bridges), frozenset(unsure), ids, said)


# ---- judging --------------------------------------------------------------------------------------------------------


def test_judging_says_what_an_editable_model_would_let_through() -> None:
    gate = EvidenceGate()
    texts = ["Who runs Acme?", "Where is Globex based?", "Who is Carol Diaz?", "Thanks. Where is Acme based?"]
    one = ScopeSet("s", (ACME, GLOBEX), tuple(Question(text) for text in texts))
    found = judge(gate, one, HashEmbedder(), batch=3)
    llm = EditableLLM(FakeLLM(), EditMemory(embedder=HashEmbedder()), gate=gate)
    llm.edit_many([ACME, GLOBEX])
    for text, here in zip(texts, found, strict=True):
        hits = llm.explain(text).trace.lookups[0]
        said = {verdict.edit.id: verdict for verdict in hits.verdicts}
        assert sorted(said) == sorted(here.candidates)
        for edit_id, shares in zip(here.candidates, here.probabilities, strict=True):
            assert shares.max() == pytest.approx(said[edit_id].probability, abs=1e-6)
            assert ("direct", "bridge")[shares.argmax()] == said[edit_id].role


def test_edits_that_say_the_same_are_judged_as_one() -> None:
    twin = ACME.with_(id="twin")
    asked = Question("Who runs Acme?", direct=frozenset(["twin"]))
    (found,) = judge(NamedGate(), ScopeSet("s", (ACME, twin), (asked,)), HashEmbedder())
    assert found.candidates == ("acme",)
    assert found.roles.tolist() == [1]


def test_one_probability_goes_to_its_role_and_what_asks_nothing_has_no_candidates() -> None:
    one = ScopeSet("s", (ACME,), (Question("Who runs Acme?"), Question(" ")))
    named, nothing = judge(NamedGate(), one, HashEmbedder())
    assert named.probabilities.tolist() == [[1.0, 0.0]]
    assert nothing.candidates == ()


# ---- scores ---------------------------------------------------------------------------------------------------------

QUESTIONS = (
    judged(("a", 0.9, 0.0), ("b", 0.8, 0.0), direct="a"),  # right, and a wrong one
    judged(("a", 0.4, 0.0), ("b", 0.1, 0.0), direct="a"),  # missed
    judged(("b", 0.2, 0.0), direct="a"),  # not found
    judged(("a", 0.2, 0.7), ("b", 0.9, 0.0), bridges="a", unsure="b"),  # in the right role; b counts neither way
    judged(("a", 0.9, 0.0), bridges="a"),  # let through in the other role
    judged(("a", 0.2, 0.6), direct="a", group="h"),  # an answer let through as a bridge only
)


def test_scores_count_questions() -> None:
    found = scores(QUESTIONS, direct=0.5, bridge=0.5)
    by_group = {one.group: one for one in found.groups}
    assert list(by_group) == ["g", "h", "all"]
    g = by_group["g"]
    assert (g.direct.good, g.direct.of) == (1, 3)
    assert (g.bridge.good, g.bridge.of) == (2, 2)
    assert (g.as_bridge.good, g.as_bridge.of) == (1, 2)
    assert (g.false_fires.good, g.false_fires.of) == (1, 5)
    assert (g.not_found.good, g.not_found.of) == (1, 5)
    assert (by_group["h"].direct.good, by_group["h"].direct.of) == (0, 1)
    assert by_group["all"].questions == 6
    (pairs,) = found.pairs
    assert (pairs.pairs, pairs.answers) == (8, 3)  # the unsure one is left out
    strict = scores(QUESTIONS, direct=0.85, bridge=0.65)
    assert strict.groups[-1].false_fires.good == 0


def test_scores_are_json_even_of_one_sort_only() -> None:
    values = scores([judged(("a", 0.3, 0.0))], direct=0.5, bridge=0.5).to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["pairs"][0]["auroc"] is None


def test_curves() -> None:
    some = [judged(("a", 0.9, 0.0), ("b", 0.6, 0.0), direct="a"), judged(("c", 0.3, 0.0), direct="c"), judged()]
    assert curve(some) == ((0.5, 1.0), (0.5, 0.5), (1.0, pytest.approx(2 / 3)))
    at = {round(threshold, 2): (recall, false) for threshold, recall, false in by_threshold(some)}
    assert at[0.5] == (0.5, pytest.approx(1 / 3))
    assert at[0.95] == (0.0, 0.0)
    assert [(share.good, share.of) for _, share in reliability(some)] == [(1, 1), (0, 1), (1, 1)]


def test_mistakes_are_told_apart() -> None:
    texts = ScopeSet("s", (Fact("It is a.", id="a"), Fact("It is b.", id="b")), ())
    found = [one.what for one in mistakes(QUESTIONS, [texts], direct=0.5, bridge=0.5)]
    assert found == ["wrong edit", "missed", "not found", "missed"]


# ---- calibration ----------------------------------------------------------------------------------------------------


def drawn(sharpness: float, count: int = 600) -> list[Judged]:
    """Questions whose probabilities mean what they say at sharpness 1, and say too much above."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        odds = rng.normal(0, 2)
        is_answer = rng.random() < 1 / (1 + np.exp(-odds))
        found.append(judged(("a", float(1 / (1 + np.exp(-sharpness * odds))), 0.0), direct="a" if is_answer else ""))
    return found


PRESENT: dict[Any, float] = {"direct": 0.5, "bridge": 0.5}


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0])
def test_the_temperature_undoes_what_was_said_too_surely(sharpness: float) -> None:
    some = drawn(sharpness)
    fitted = fit(some, Limits(), present=PRESENT)
    assert fitted.temperature == pytest.approx(sharpness, rel=0.2)
    before, after = (
        scores(questions, direct=0.5, bridge=0.5).pairs[0].calibration_error
        for questions in (some, [at_temperature(one, fitted.temperature) for one in some])
    )
    assert after < 0.05
    assert after <= before + 0.01


@pytest.mark.parametrize("limit", [0.0, 0.005, 0.05])
def test_the_threshold_keeps_to_its_limit_and_is_the_lowest_that_does(limit: float) -> None:
    some = drawn(1.0)
    threshold = fit_threshold(some, "direct", limit, present=0.5)
    assert scores(some, direct=threshold, bridge=2.0).groups[0].false_fires.value <= limit
    right = sorted(one.probabilities[0, 0] for one in some if one.direct)
    lower = max((value for value in right if value < threshold), default=None)
    if lower is not None:
        assert scores(some, direct=float(lower), bridge=2.0).groups[0].false_fires.value > limit


def test_a_role_that_no_question_shows_keeps_its_threshold() -> None:
    some = [judged(("a", 0.9, 0.0), ("b", 0.1, 0.2), direct="a"), judged(("b", 0.1, 0.0))]
    assert fit(some, Limits(), present={"direct": 0.5, "bridge": 0.4}).thresholds["bridge"] == 0.4
    worse = [judged(("a", 0.1, 0.8))]
    assert 0.8 < fit_threshold(worse, "bridge", 0.0, present=0.4) < 1


def test_nothing_is_fitted_to_one_sort_of_pair() -> None:
    with pytest.raises(RunRejected, match="both kinds are needed"):
        fit([judged(("a", 0.9, 0.0), direct="a")], Limits(), present=PRESENT)


def test_halves_share_no_edit_that_is_asked() -> None:
    some = [judged((name, 0.9, 0.0), direct=name) for name in "abcdefgh" * 3]
    one, other = halves(some)
    assert len(one) + len(other) == 24
    assert one
    assert other
    assert not {each.direct for each in one} & {each.direct for each in other}


@pytest.fixture(scope="module")
def hashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gate's folder for the embedder of these tests."""
    shipped = scorer.shipped()
    made = replace(shipped, head=Head(HashEmbedder().embed(CONTRASTS)), network=shipped.headless, embedder="hash:256")
    embedder = HashEmbedder()
    width = (len(embedder.embed(["a"])[0]),) * 2
    head = replace(made.head, asked=np.eye(*width, dtype=np.float32), subject=np.eye(*width, dtype=np.float32))
    return replace(made, head=head).save(tmp_path_factory.mktemp("gates") / "hashed")


def test_calibrate_sets_thresholds_and_leaves_the_weights(run: Run, hashed: Path) -> None:
    asked = ("calibrate", "--data", "edits.jsonl", "--gate", str(hashed), "--out", "new", "--max-false-fires", "0")
    values = documented("gate calibrate --data", run(*asked, "--json").stdout)
    old, new = scorer.load(hashed), scorer.load("new")
    assert new.thresholds == values["thresholds"] != old.thresholds
    assert new.network.temperature == pytest.approx(old.network.temperature * values["temperature"])
    for layers, same_layers in zip(old.network.members, new.network.members, strict=True):
        for (weight, bias), (same_weight, same_bias) in zip(layers, same_layers, strict=True):
            assert np.array_equal(weight, same_weight)
            assert np.array_equal(bias, same_bias)
    assert new.card["calibrated"]["data"][0]["sha256"]
    after = json.loads(run("evaluate", "--data", "edits.jsonl", "--gate", "new", "--json").stdout)
    assert after["thresholds"] == values["thresholds"]
    assert after["groups"][-1]["false_fires"]["good"] == 0
    assert after["groups"][-1]["direct"]["good"] > 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--data", "edits.jsonl"), "--out is missing"),
        (("--data", "edits.jsonl", "--out", "new", "--dry-run"), "--dry-run goes with --memory"),
        ((), "Give --data and --out"),
        (("--memory", ".memedit", "--out", "new"), "--out goes with --data"),
        (("--memory", "nowhere"), "There is no memory in nowhere"),
        (("--data", "edits.jsonl", "--out", "new", "--gate", "named"), "has no folder that holds its thresholds"),
        (("--data", "edits.jsonl", "--out", "new"), "belong to the embedder"),
        (("--data", "edits.jsonl", "--out", "."), "is there already"),
    ],
)
def test_what_calibrate_refuses(run: Run, args: tuple[str, ...], says: str) -> None:
    assert says in run("calibrate", *args, code=NOT_FOUND if "no memory" in says else WRONG).stderr
    assert not Path("new").exists()


# ---- radii ----------------------------------------------------------------------------------------------------------


def subjects(memory: EditMemory, text: str) -> set[str]:
    """The subjects of the edits in scope of a text."""
    (hits,) = EditableLLM(FakeLLM(), memory).recall("default", [Recall(text)])
    return {str(edit.subject) for edit in hits.edits if isinstance(edit, Fact)}


def wanted(memory: EditMemory) -> list[bool]:
    """For each probe in memory, whether its edit is in scope of it just where it has to be."""
    held = [edit for edit in memory.edits() if isinstance(edit, Fact)]
    return [
        (edit.subject in subjects(memory, probe.prompt)) == (probe.must == "change")
        for edit in held
        for probe in edit.probes
    ]


@pytest.fixture
def memory(tmp_path: Path) -> EditMemory:
    """A memory some of whose probes fail, so that radii have something to do."""
    memory = EditMemory(tmp_path / "memory", embedder=HashEmbedder())
    wide = ACME.with_(probes=[Probe(prompt=text) for text in ("Who runs Acme?", "Acme is run by", "Acme chief")])
    outside = ("The headquarters of Globex and its staff", "headquarters Globex")
    narrow = GLOBEX.with_(probes=[Probe(prompt=text, must="stay") for text in outside])
    list(memory.add_many([wide, narrow, "Our refund window is 30 days."]))
    return memory


def test_radii_put_every_probe_where_it_belongs_and_undo_takes_them_back(run: Run, memory: EditMemory) -> None:
    assert not all(wanted(memory))
    before = [edit.to_dict() for edit in memory.edits()]
    shown = documented("gate calibrate", run("calibrate", "--memory", "memory", "--dry-run", "--json").stdout)
    assert (shown["changed"], shown["revision"], memory.revision()) == (0, 1, 1)
    done = json.loads(run("calibrate", "--memory", "memory", "--json").stdout)
    assert done["changed"] >= 1
    assert [one["becomes"] for one in done["edits"]] == [one["becomes"] for one in shown["edits"]]
    assert all(wanted(memory))
    changed = [edit for edit in memory.edits() if isinstance(edit, Fact) and edit.radius]
    assert len(changed) == done["changed"]
    assert all(edit.id.endswith("~2") for edit in changed)
    assert json.loads(run("calibrate", "--memory", "memory", "--json").stdout)["changed"] == 0
    memory.undo()
    assert [edit.to_dict() for edit in memory.edits()] == before


def test_the_change_of_a_radius_is_the_smallest_that_will_do(memory: EditMemory) -> None:
    gate = EvidenceGate()
    found = {one.edit.id: one for one in reaches(memory, gate, namespace="default")}
    assert set(found) == {"acme", "globex"}
    for one in found.values():
        assert one.radius is not None
        for limit in one.limits:  # on both sides of it the gate says otherwise
            if -15 < limit.radius < 15:
                for radius, inside in ((limit.radius - 0.05, False), (limit.radius + 0.05, True)):
                    with EditMemory(embedder=HashEmbedder()) as other:
                        list(other.add_many([edit.with_(radius=radius) if edit.id == one.edit.id else edit
                                             for edit in memory.edits() if isinstance(edit, Fact)]))  # fmt: skip
                        assert (one.edit.subject in subjects(other, limit.text)) is inside, (limit, radius)
        if one.radius != one.edit.radius:
            bound = one.least.radius if one.radius > 0 and one.least else one.most.radius if one.most else math.nan
            assert abs(one.radius - bound) <= 0.11


def test_what_no_radius_can_part_is_said_and_left(run: Run, tmp_path: Path) -> None:
    both = (Probe(prompt="What is Acme's share price?"), Probe(prompt="The CEO of Acme is", must="stay"))
    memory = EditMemory(tmp_path / "memory", embedder=HashEmbedder())
    memory.add(ACME.with_(probes=both))
    said = run("calibrate", "--memory", "memory").stdout
    assert "“What is Acme's share price?” must change, and “The CEO of Acme is” must stay" in said
    assert memory.revision() == 1


def test_a_gate_that_heeds_no_radius_finds_none(memory: EditMemory) -> None:
    with pytest.raises(GateUnusable, match="does not heed an edit's radius"):
        reaches(memory, EmbeddingGate(), namespace="default")


# ---- uses -----------------------------------------------------------------------------------------------------------


def write_uses(path: Path, *given: tuple[str, str, bool]) -> None:
    lines = [json.dumps({"turns": text, "edit": edit, "accepted": accepted}) for text, edit, accepted in given]
    path.write_text("".join(f"{line}\n" for line in lines))


def test_radii_are_learned_from_uses_and_undo_takes_them_back(run: Run, memory: EditMemory, tmp_path: Path) -> None:
    accepted = [(f"Who runs Acme, please, case {number}?", "acme", True) for number in range(40)]
    rejected = [
        (f"Case {number}: The headquarters of Globex is in which house?", "globex", False) for number in range(40)
    ]
    write_uses(tmp_path / "uses.jsonl", *accepted, *rejected)
    asked = ("learn", "--data", "uses.jsonl", "--memory", "memory", "--gate", "evidence", "--error", "10")
    before = [edit.to_dict() for edit in memory.edits()]
    shown = documented("gate learn", run(*asked, "--dry-run", "--json").stdout)
    assert (shown["changed"], shown["revision"], shown["error"], shown["confidence"]) == (0, 1, 0.1, 0.95)
    by_id = {one["edit"]: one for one in shown["edits"]}
    assert (by_id["globex"]["uses"], by_id["globex"]["rejected"], by_id["acme"]["rejected"]) == (40, 40, 0)
    assert by_id["acme"]["passed"]["after"] == 40
    assert by_id["globex"]["passed"]["before"] == 40
    assert by_id["globex"]["passed"]["after"] <= 1
    assert by_id["globex"]["bound"]["before"] > 0.8
    assert by_id["globex"]["bound"]["after"] <= 0.1
    page = run(*asked, "--dry-run").stdout
    assert re.search(r"globex .* 40 +40 +\+0\.00 → -\d.* 100% → [02]% ", page)
    done = json.loads(run(*asked, "--json").stdout)
    assert done["changed"] >= 1
    (changed,) = [edit for edit in memory.edits() if edit.id == "globex~2"]
    assert isinstance(changed, Fact)
    assert changed.radius == by_id["globex"]["becomes"] < 0
    again = json.loads(run(*asked, "--json").stdout)  # the old uses count for the version in force
    assert (again["changed"], len(again["edits"])) == (0, 2)
    memory.undo()
    assert [edit.to_dict() for edit in memory.edits()] == before


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--data", "uses.jsonl", "--memory", "memory"), "uses.jsonl, line 2: no edit `nobody` is in force"),
        (("--data", "edits.jsonl", "--memory", "memory"), "edits.jsonl, line 1 is no use: it has no `accepted`"),
        (("--data", "none.jsonl", "--memory", "memory"), "none.jsonl cannot be read"),
        (("--data", "uses.jsonl", "--memory", "nowhere"), "There is no memory in nowhere"),
        (("--data", "uses.jsonl", "--memory", "memory", "--error", "0"), "--error"),
    ],
)
def test_what_learn_refuses(run: Run, memory: EditMemory, tmp_path: Path, args: tuple[str, ...], says: str) -> None:
    write_uses(tmp_path / "uses.jsonl", ("Who runs Acme?", "acme", True), ("Who runs Acme?", "nobody", True))
    assert says in run("learn", *args, code=NOT_FOUND if "no memory" in says else WRONG).stderr
    assert memory.revision() == 1


# ---- data -----------------------------------------------------------------------------------------------------------


def test_probes_become_questions(tmp_path: Path) -> None:
    other = Fact(subject="Initech", relation="CEO", object="Eve Moss", prompt="The CEO of {} is", id="initech",
                 namespace="elsewhere", probes=(Probe(prompt="Who is the CEO of Initech?"),))  # fmt: skip
    write_edits(tmp_path / "edits.yaml", [ACME, GLOBEX, other, Feedback(situation="a", clarification="b")])
    (found,) = read_data([str(tmp_path / "edits.yaml")]).sets
    asked = {(one.text, one.group): one for one in found.questions}
    assert asked["Who runs Acme?", "must change"].direct == {"acme"}
    assert asked["Where is Acme based?", "must stay"].direct == set()
    # Another edit answers what is out of scope of this one.
    assert asked["Who is the CEO of Initech?", "must stay"].direct == {"initech"}
    assert len(found.edits) == 4
    assert {edit.namespace for edit in found.edits} == {None}


def line(**values: Any) -> str:
    return json.dumps(values)


def test_labelled_lines_find_together(tmp_path: Path) -> None:
    file = tmp_path / "labelled.jsonl"
    lines = [
        line(query="Who runs Acme?", edit=ACME.to_dict(), label="direct"),
        line(query="Who runs Acme?", edit="Acme makes anvils.", label="out"),
        line(query="Where was the head of Acme born?", edit=ACME.to_dict(), label="bridge"),
        line(query="Who are you?", label="out"),
    ]
    file.write_text("\n".join(lines))
    (found,) = read_data([str(file)]).sets
    direct, bridge, nothing = found.questions
    assert (direct.direct, direct.unsure, direct.group) == ({"acme"}, set(), "answered")
    assert bridge.bridges == {"acme"}
    assert len(bridge.unsure) == 1  # nobody said anything of the anvils here
    assert (nothing.direct, nothing.bridges, nothing.unsure) == (set(), set(), set())
    assert len(found.edits) == 2


@pytest.mark.parametrize("with_labels", ["beside the verdicts", "by id", "by id and for the rest"])
def test_what_explain_prints_can_be_labelled(tmp_path: Path, with_labels: str) -> None:
    memory = EditMemory(embedder=HashEmbedder())
    list(memory.add_many([ACME, GLOBEX, "Our refund window is 30 days."]))
    trace = EditableLLM(FakeLLM(), memory).explain("Who runs Acme?").trace.to_dict()
    if with_labels == "beside the verdicts":
        next(one for one in trace["lookups"][0]["verdicts"] if one["edit"] == "acme")["label"] = "direct"
    else:
        trace["labels"] = {"acm": "direct"} | ({"*": "out"} if "rest" in with_labels else {})
    file = tmp_path / "traces.jsonl"
    file.write_text(json.dumps({"text": "?", "trace": trace}, indent=2) + "\n" + json.dumps(trace))
    (found,) = read_data([str(file)], memory=lambda: memory).sets
    (asked,) = found.questions
    assert (asked.text, asked.direct) == ("Who runs Acme?", {"acme"})
    assert len(found.edits) == 3
    assert len(asked.unsure) == (0 if "rest" in with_labels else 2)


def test_edits_no_longer_in_force_come_in_where_they_have_a_label(tmp_path: Path) -> None:
    memory = EditMemory(embedder=HashEmbedder())
    list(memory.add_many([ACME, GLOBEX]))
    memory.retract(["acme", "globex"])
    (tmp_path / "l.jsonl").write_text(line(query="Who runs Acme?", edit_id="ac", label="direct"))
    (found,) = read_data([str(tmp_path / "l.jsonl")], memory=lambda: memory).sets
    assert [edit.id for edit in found.edits] == ["acme"]


def test_a_benchmark_and_a_limit() -> None:
    file = ROOT / "tests/data/counterfact_20.jsonl"
    data = read_data([f"counterfact={file}", f"counterfact={file}"], limit=7)
    assert [len(one.questions) for one in data.sets] == [7, 7]
    assert len({one.name for one in data.sets}) == 2
    assert not data.own
    assert re.fullmatch("[0-9a-f]{64}", data.sources[0].sha256)
    assert "7 of " in data.notes[0]


GOOD = line(query="Who runs Acme?", edit=ACME.to_dict(), label="direct")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (GOOD + "\n{", "bad.jsonl, line 2 is not JSON"),
        (GOOD + "\n" + line(query="x", edit="It is so.", label="yes"), 'bad.jsonl, line 2: `label` is "yes"'),
        (GOOD + "\n" + line(query=3, label="out"), "bad.jsonl, line 2: `query` is no text"),
        (GOOD + "\n" + line(query="x", label="direct"), "bad.jsonl, line 2: label `direct` without an edit"),
        (GOOD + "\n" + line(query="x", edit={"kind": "?"}, label="out"), "bad.jsonl, line 2: Unknown kind of edit"),
        (GOOD + "\n" + line(query="x", edit_id="nope", label="out"), "bad.jsonl, line 2: no edit `nope`"),
        (GOOD + "\n" + GOOD.replace('"direct"', '"out"'), "have the label `direct` above, and `out` here"),
        (GOOD + "\n" + line(statement="It is so."), "bad.jsonl, line 2: it has no `query`"),
        (GOOD + "\n" + line(lookups=3), "bad.jsonl, line 2: it is no trace"),
        (line(lookups=[{"query": "x", "verdicts": []}]), "none of its verdicts has a label"),
        (line(lookups=[{"query": "x", "verdicts": [1]}], labels={"*": "out"}), "a verdict names no `edit`"),
        (line(statement="It is so.") + "\n" + GOOD, "bad.jsonl, line 2: a labelled look-up among edits"),
        (line(statement="It is so.") + "\n\n" + line(statement=""), "bad.jsonl, line 3: Fact"),
        (line(statement="It is so."), "None of the 1 edits of bad.jsonl has probes"),
        (line(**ACME.to_dict()) + "\n" + line(**ACME.to_dict()), "the id `acme` stands there before"),
        ("", "bad.jsonl is empty"),
        ("\udcff", "bad.jsonl is not UTF-8"),
    ],
)
@pytest.mark.parametrize("command", [("evaluate",), ("train", "--out", "new"), ("calibrate", "--out", "new")])
def test_a_bad_file_is_one_error_and_nothing_is_done(
    run: Run, content: str, says: str, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_common, "open_memory", lambda path, *_: EditMemory(None, embedder=HashEmbedder()))
    monkeypatch.setattr(_common.Session, "storage", SimpleNamespace(exists=lambda: True))
    Path("bad.jsonl").write_bytes(content.encode(errors="surrogateescape"))
    said = run(*command, "--data", "edits.jsonl", "--data", "bad.jsonl", code=WRONG)
    first, second = said.stderr.splitlines()
    assert first.startswith("memedit: ")
    assert says in first
    assert second.startswith("  → ")
    assert not said.stdout
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("nowhere.jsonl", "nowhere.jsonl cannot be read"),
        ("counterfcat=x.json", "Did you mean `counterfact`"),
        ("counterfact=", "names no file"),
        ("counterfact=edits.jsonl", "2 Facts, 0 questions on them"),
        (f"perplexity={ROOT / 'tests/data/benchmarks/wikitext2.txt'}", "0 Facts"),
    ],
)
def test_what_is_no_data(run: Run, spec: str, says: str) -> None:
    assert says in run("evaluate", "--data", spec, code=WRONG).stderr


# ---- evaluate -------------------------------------------------------------------------------------------------------


def test_evaluate_prints_scores_and_writes_a_page(run: Run) -> None:
    done = run("evaluate", "--data", "edits.jsonl", "--gate", "named", "--out", "page", "--json")
    values = documented("gate evaluate", done.stdout)
    change, stay, every = values["groups"]
    assert (change["group"], change["direct"]["good"], change["direct"]["of"]) == ("must change", 2, 2)
    assert (stay["group"], stay["false_fires"]["good"]) == ("must stay", 1)
    assert every["questions"] == 4
    assert values["wrong"] == 1
    lines = [json.loads(each) for each in Path("page/judged.jsonl").read_text().splitlines()]
    assert [one["question"] for one in lines] == [
        "Who runs Acme?", "Where is Acme based?", "Who is the CEO of Initech?", "Where is Globex based?"
    ]  # fmt: skip
    page = Path("page/report.html").read_text()
    assert "Where is Acme based?" in page
    assert "Who runs Acme?" not in page.split("Questions judged wrongly")[1]
    assert page.count("<svg") == 3
    assert "<script src" not in page
    assert "| edits | must stay | 2 |" in Path("page/report.md").read_text()
    shown = run("evaluate", "--data", "edits.jsonl", "--gate", "named").stdout
    assert re.search(r"edits +must stay +2 .*50\.0 \[", shown)


def test_text_in_a_page_stays_text(run: Run) -> None:
    evil = Fact("The <b>motto</b> of Acme is <script>alert(1)</script>.", id="e",
                probes=(Probe(prompt="Acme, <img src=x onerror=alert(1)>?", must="stay"),))  # fmt: skip
    write_edits(Path("evil.jsonl"), [evil])
    run("evaluate", "--data", "evil.jsonl", "--gate", "named", "--out", "page")
    page = Path("page/report.html").read_text()
    assert "<img" not in page
    assert "<script>alert" not in page
    assert "&lt;img src=x" in page


def test_a_gate_that_is_none(run: Run) -> None:
    assert (
        "neither a gate's folder nor a kind"
        in run("evaluate", "--data", "edits.jsonl", "--gate", "?", code=WRONG).stderr
    )


# ---- made questions, and training -----------------------------------------------------------------------------------


def test_questions_by_templates() -> None:
    sibling = Fact(
        subject="Acme", relation="headquarters", object="Bonn", prompt="The headquarters of {} is in", id="hq"
    )
    found = made([ACME.with_(aliases=["Acme Inc."]), GLOBEX, sibling, "no fact"], each=6, seed=1)
    assert found.only_training
    by_group = {group: [one for one in found.questions if one.group == group]
                for group in ("in scope", "other subject", "same subject")}  # fmt: skip
    assert sum(len(questions) for questions in by_group.values()) == len(found.questions)
    own = [one for one in by_group["in scope"] if one.direct == {"acme"}]
    assert len(own) == 6
    assert all("Acme" in one.text and "Carol Diaz" not in one.text for one in own)
    assert all("{}" not in one.text for one in found.questions)
    assert not any(one.direct for one in by_group["other subject"] + by_group["same subject"])
    # Whether a near miss of one edit is answered by another of the subject, nobody has judged.
    assert all(
        "hq" in one.unsure for one in by_group["same subject"] if "Acme" in one.text and "acme" not in one.unsure
    )
    assert made([ACME], each=6, seed=1) == made([ACME], each=6, seed=1)


def test_what_a_model_writes_is_taken_with_care() -> None:
    reply = """Here you go:
    1. SAME: "Who is in charge at Acme?"
    SAME: Is Carol Diaz the CEO of Acme?
    SAME: Who is in charge there?
    same: who is in charge at ACME
    - OTHER: Where is Acme based?
    OTHER: Who is in charge at Acme?
    OTHER: \u202eAcme?
    SAME: Acme is run by whom?
    SAME: One too many about Acme?"""
    llm = FakeLLM(lambda _: reply)
    found, dropped = written(
        [ACME.with_(object="Carol Diaz <|im_end|>", object_aliases=["Carol Diaz"]), GLOBEX], llm, each=2
    )
    texts = [(one.text, one.direct) for one in found.questions if "Acme" in one.text]
    assert texts == [
        ("Who is in charge at Acme?", {"acme"}), ("Where is Acme based?", set()), ("Acme is run by whom?", {"acme"})
    ]  # fmt: skip
    assert dropped == 6 + 9  # nothing of it is about Globex
    assert "<|im_end|>" not in llm.requests[0].text


def test_training_that_fails_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise FileRejected("No question has an edit that answers it.", do="give some")

    monkeypatch.setattr(evidence, "train", fails)
    before = sorted(Path().iterdir())
    assert "No question" in run("train", "--data", "edits.jsonl", "--out", "new", "--no-everyday", code=WRONG).stderr
    assert sorted(Path().iterdir()) == before


def test_data_of_one_relation_are_too_few(run: Run) -> None:
    said = run("train", "--data", "one.jsonl", "--out", "new", "--no-everyday", code=WRONG).stderr
    assert "The data are too few" in said
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--out", "."), "is there already"),
        (("--out", "new", "--base-url", "http://x"), "--base-url goes with --llm"),
        (("--out", "new", "--folds", "1"), "--folds"),
        (("--out", "new", "--kind", "judge", "--minutes", "nan"), "--minutes"),
        (("--out", "new", "--kind", "judge", "--base", "nowhere"), "nowhere"),
        (("--out", "new", "--kind", "judge", "--base", "shipped"), "edits.jsonl, line 1 is no record of everyday"),
    ],
)
def test_what_train_refuses(run: Run, args: tuple[str, ...], says: str) -> None:
    assert says in run("train", "--data", "edits.jsonl", *args, code=WRONG).stderr


def test_questions_are_made_around_own_edits_only(run: Run) -> None:
    spec = f"counterfact={ROOT / 'tests/data/counterfact_20.jsonl'}"
    said = run("train", "--data", spec, "--generate", "2", "--out", "new", code=WRONG).stderr
    assert "around edits of your own" in said


RELATIONS = {
    "chief executive": ("The CEO of {} is", "Who runs {}?", ("Ann Lee", "Bo Ek", "Carol Diaz")),
    "headquarters": ("The headquarters of {} is in", "In which city is {} based?", ("Bonn", "Turin", "Lyon")),
    "founder": ("{} was founded by", "Who started {}?", ("Ida Moss", "Per Holm", "Eve Ray")),
    "phone number": ("The phone number of {} is", "What do I dial to reach {}?", ("555-0101", "555-0102", "555-0103")),
    "employees": ("The number of people {} employs is", "How many people work at {}?", ("40", "900", "12,000")),
    "parent company": ("The owner of {} is", "To whom does {} belong?", ("Nord Capital", "Vela Group", "Ostra")),
}
COMPANIES = (
    "Acme", "Globex", "Initech", "Norvik Shipping", "Tallis Robotics", "Umber & Sons", "Quill Books", "Sable Mining",
    "Hartwell Foods", "Zephyr Air", "Oakmoor", "Lumen Optics", "Castor Steel", "Pindar Music", "Brightwater",
    "Dunmore Clay", "Vantage Rail", "Ferro Motors", "Kestrel Bank", "Juniper Toys",
)  # fmt: skip


def sixty() -> list[Fact]:
    """Three facts of each of twenty companies; the probes ask for them, and for what is not known of the company."""
    found = []
    for place, company in enumerate(COMPANIES):
        names = list(RELATIONS)
        held = [names[(place + step) % len(names)] for step in (0, 1, 3)]
        other = next(name for name in names if name not in held)
        for relation in held:
            prompt, question, objects = RELATIONS[relation]
            probes = [
                Probe(prompt=question.format(company)),
                Probe(prompt=RELATIONS[other][1].format(company), must="stay"),
            ]
            found.append(
                Fact(subject=company, relation=relation, prompt=prompt, object=objects[place % 3], probes=probes)
            )
    return found


@pytest.mark.model
def test_from_edits_to_a_gate_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_edits(Path("edits.jsonl"), sixty())

    def memedit(*args: str) -> Any:
        result = CliRunner().invoke(main, ["gate", *args, "--json"])
        assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
        row = {"calibrate": "gate calibrate --data"}.get(args[0], f"gate {args[0]}")
        return documented(row, result.stdout)

    trained = memedit(
        "train", "--data", "edits.jsonl", "--no-everyday", "--generate", "8", "--folds", "2", "--out", "mine"
    )
    seen, new = (trained["scores"][name] for name in ("in distribution", "on relations never trained on"))
    assert seen["pairs"][0]["auroc"] > 0.9
    assert new["pairs"][0]["auroc"] < seen["pairs"][0]["auroc"]  # three relations tell little of a fourth
    assert sum(group["questions"] for group in new["groups"] if group["group"] == "all") == 80
    card = json.loads(Path("mine/gate.json").read_text())
    assert card["kind"] == "evidence"
    assert card["data"][0]["sha256"] == hashlib.sha256(Path("edits.jsonl").read_bytes()).hexdigest()
    assert card["questions"] == {"edits": {"must change": 60, "must stay": 20}}
    assert card["only learned from"]["edits, made"]["questions"] > 600
    assert card["scores"] == trained["scores"]
    for file in ("weights.npz", "report.html", "report.md", "judged.jsonl"):
        assert Path("mine", file).is_file()

    measured = memedit("evaluate", "--data", "edits.jsonl", "--gate", "mine")
    assert measured["pairs"][0]["auroc"] > 0.95
    calibrated = memedit(
        "calibrate", "--data", "edits.jsonl", "--gate", "mine", "--out", "strict", "--max-false-fires", "0"
    )
    strict = memedit("evaluate", "--data", "edits.jsonl", "--gate", "strict")
    assert strict["thresholds"] == calibrated["thresholds"]
    assert strict["groups"][-1]["false_fires"]["good"] <= measured["groups"][-1]["false_fires"]["good"]
    llm = EditableLLM(FakeLLM(), EditMemory(), gate="strict")  # type: ignore[arg-type]
    llm.edit_many(sixty())
    assert llm.invoke("The CEO of Acme is").citations
    assert not llm.invoke("What is the capital of France?").citations


# ---- the page about it ----------------------------------------------------------------------------------------------

PAGE = (ROOT / "docs/gate.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_runs() -> None:
    for code in blocks("python"):
        exec(compile(code, "docs/gate.md", "exec"), {"__name__": "__main__"})


def test_the_pages_data_can_be_read(tmp_path: Path) -> None:
    edits, labelled = blocks("json")
    (tmp_path / "edits.jsonl").write_text(edits)
    (tmp_path / "labelled.jsonl").write_text(labelled)
    memory = EditMemory(embedder=HashEmbedder())
    memory.import_(tmp_path / "edits.jsonl")
    data = read_data([str(tmp_path / name) for name in ("edits.jsonl", "labelled.jsonl")], memory=lambda: memory)
    assert [len(one.questions) for one in data.sets] == [5, 3]


@pytest.mark.model
def test_the_pages_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    embedder = default_embedder()  # loaded once for all of them
    monkeypatch.setattr(_common, "open_memory", lambda path, *_: EditMemory(path, embedder=embedder))
    monkeypatch.setattr(_common, "open_model", lambda *_: FakeLLM())
    Path("edits.jsonl").write_text(blocks("json")[0])
    Path("uses.jsonl").write_text(blocks("jsonl")[0])
    assert CliRunner().invoke(main, ["import", "edits.jsonl"]).exit_code == 0
    lines = [shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) == 9
    for _, *args in lines:
        if args[:2] == ["gate", "train"]:  # which takes minutes
            given = train.make_context("train", args[2:]).params
            assert (given["generate"], given["minutes"]) == ((None, 90) if given["kind"] == "judge" else (8, None))
            continue
        goes_into = args.index(">>") if ">>" in args else len(args)
        done = CliRunner().invoke(main, args[:goes_into])
        assert done.exit_code == 0, f"{args}: {done.output}\n{done.exception!r}"
        if goes_into < len(args):
            trace = {**json.loads(done.stdout), "labels": {"acme": "direct", "*": "out"}}
            Path(args[goes_into + 1]).write_text(json.dumps(trace, indent=2))
