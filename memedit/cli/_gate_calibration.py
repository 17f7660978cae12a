"""`gate calibrate`: a gate's temperature and thresholds by data, and the radii of a memory's edits by their probes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memedit.cli import _gate
from memedit.cli._common import Session
from memedit.cli._gate_radii import marked, say_changed, with_radii
from memedit.cli._print import Piece, say, short, show_json, table
from memedit.text import one_line

if TYPE_CHECKING:
    from memedit.embedders import Embedder
    from memedit.eval.gate_data import GateData
    from memedit.eval.gates import GateScores
    from memedit.gate import Gate, Role
    from memedit.gate.learning.calibration import Fitted, Limits
    from memedit.gate.learning.judging import Judged
    from memedit.gate.learning.radius import Reach

CALIBRATED = ("evidence", "cross_encoder")  # kinds of gate that keep their thresholds in a folder
REASON = "radii fitted to the edits' probes"


def calibrate_gate(session: Session, known: GateData, source: str | None, out: Path, given: Mapping[str, Any]) -> None:
    """Write a gate with another temperature and other thresholds."""
    from memedit.gate import as_gate
    from memedit.gate.learning.calibration import Limits, fit

    gate = as_gate(source or "evidence")
    embedder = _gate.embedder_of(session)
    _check(gate, source, embedder)
    judged = _gate.judge_all(gate, known.sets, embedder)
    limits = Limits(given["max_false_fires"] / 100, given["max_false_bridges"] / 100)
    at = _gate.thresholds_of(gate)
    present: dict[Role, float] = {"direct": at["direct"], "bridge": at["bridge"]}
    fitted = fit(judged, limits, present=present)
    before, after, how = _compared(judged, limits, fitted, present)
    facts = _gate.about(
        session, known, seed=given["seed"], limits=asdict(limits), temperature=fitted.temperature,
        thresholds=dict(fitted.thresholds), before=before.to_dict(), after=after.to_dict(), measured=how,
    )  # fmt: skip
    with _gate.drafted(out) as draft:
        _save(gate, source, fitted, facts, draft)
    if session.as_json:
        show_json({"gate": str(out), **facts})
        return
    say(("before", "bold"))
    _gate.show_scores(before)
    say()
    say(("after", "bold"), f", {how}")
    _gate.show_scores(after)
    said = ", ".join(f"{role} {present[role]:.3f} → {value:.3f}" for role, value in fitted.thresholds.items())
    say(f"temperature × {fitted.temperature:.2f}; thresholds: {said}")
    say(("✓ ", "green"), f"the calibrated gate is in {out}")


def calibrate_radii(session: Session, source: str | None, given: Mapping[str, Any]) -> None:
    """Give the edits of a memory the radii that their probes ask for."""
    from memedit.gate import as_gate
    from memedit.gate.learning.radius import reaches

    gate = as_gate(source)
    with session.memory() as memory:
        session.load_embedder(memory)
        with _gate.counted("edits with probes") as progress:
            found = reaches(memory, gate, namespace=session.namespace, progress=progress)
        changed = [one for one in found if one.radius is not None and one.radius != one.edit.radius]
        radii = [] if given["dry_run"] else [(one.edit, one.radius) for one in changed if one.radius is not None]
        written = with_radii(
            memory, radii, namespace=session.namespace, author=given["author"], reason=given["reason"] or REASON
        )
        revision = memory.revision(namespace=session.namespace)
    if session.as_json:
        values = [_values(one, written.get(one.edit.id)) for one in found]
        show_json({"edits": values, "changed": len(written), "revision": revision, "dry_run": given["dry_run"]})
        return
    _show(found)
    if changed:
        say_changed(written, len(changed), revision)
    elif found:
        say("No radius has to change." if all(one.radius is not None for one in found) else "No radius was changed.")


def _check(gate: Gate, source: str | None, embedder: Embedder) -> None:
    """Refuse a gate that has no folder to keep thresholds in, or whose folder could not serve this embedder."""
    from memedit.errors import GateUnusable
    from memedit.gate.evidence_gate import EvidenceGate

    if gate.name not in CALIBRATED or not (source is None or Path(source).is_dir()):
        raise GateUnusable(
            f"The gate `{source or gate.name}` has no folder that holds its thresholds.",
            do="give --gate the folder of a trained gate, or leave it out for the one that comes with memedit",
        )
    if isinstance(gate, EvidenceGate) and gate.weights.embedder != embedder.space:
        raise GateUnusable(
            f"The gate's weights belong to the embedder `{gate.weights.embedder}`, not to `{embedder.id}`.",
            do="train one with this embedder (`memedit gate train --embedder …`)",
        )


def _compared(
    judged: Sequence[Judged], limits: Limits, fitted: Fitted, present: Mapping[Role, float]
) -> tuple[GateScores, GateScores, str]:
    """The scores as the gate is, those of the calibrated one, and how the latter were measured.

    The latter: each half of the questions at the thresholds that were fitted to the other half; where a half is too
    small for that, all of them at those fitted to all.
    """
    from memedit.errors import RunRejected
    from memedit.eval.gates import passing, scores, scores_of
    from memedit.gate.learning.calibration import at_temperature, fit_thresholds, halves

    before = scores(judged, direct=present["direct"], bridge=present["bridge"])
    tempered = [at_temperature(one, fitted.temperature) for one in judged]
    parts = halves(tempered)
    try:
        crossed = [(fit_thresholds(one, limits, present=present), other) for one, other in (parts, parts[::-1])]
        how = "each half of the questions at the thresholds fitted to the other half"
    except RunRejected:
        crossed = [(dict(fitted.thresholds), tempered)]
        how = "on the questions it was fitted to, which flatters; give more to have it measured on others"
    passed = [
        (one, passing(one, direct=thresholds["direct"], bridge=thresholds["bridge"]))
        for thresholds, asked in crossed
        for one in asked
    ]
    return before, scores_of(passed, {str(role): value for role, value in fitted.thresholds.items()}), how


def _save(gate: Gate, source: str | None, fitted: Fitted, about: Mapping[str, Any], out: Path) -> None:
    from memedit.gate.evidence_gate import EvidenceGate

    if isinstance(gate, EvidenceGate):
        weights = gate.weights
        network = weights.network.at(weights.network.temperature * fitted.temperature)
        thresholds = {str(role): value for role, value in fitted.thresholds.items()}
        card = {**weights.card, "calibrated": dict(about)}
        replace(weights, network=network, thresholds=thresholds, card=card).save(out)
        return
    from memedit.gate.cross_encoder import CARD, read_setting

    assert source is not None  # none comes with memedit
    shutil.copytree(source, out, dirs_exist_ok=True)
    setting, times = read_setting(Path(source)), fitted.temperature
    old = setting.calibration
    calibration = replace(old, temperature=old.temperature * times, out=old.out / times, bridge=old.bridge / times)
    card = json.loads((out / CARD).read_text(encoding="utf-8")) if (out / CARD).is_file() else {}
    # It has one threshold for both roles, so that the stricter one is kept.
    threshold = max(fitted.thresholds.values())
    card["setting"] = {**asdict(calibration), "threshold": threshold, "shown": setting.shown}
    card["calibrated"] = dict(about)
    (out / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _values(one: Reach, written: str | None) -> dict[str, Any]:
    """What was found of an edit, as JSON values."""
    return {
        "edit": one.edit.id,
        "text": one.edit.text,
        "radius": one.edit.radius,
        "becomes": one.radius,
        "written": written,
        "limits": [
            {**asdict(limit), "radius": limit.radius if abs(limit.radius) < float("inf") else None}
            for limit in one.limits
        ],
    }


def _show(found: Sequence[Reach]) -> None:
    """What was found, for people."""
    if not found:
        say("No edit in force has probes of its own.")
        return
    rows: list[Sequence[Piece]] = []
    for one in found:
        of, new = len(one.limits), one.radius
        kept = f"{one.kept(one.edit.radius)}/{of}" + ("" if new is None else f" → {one.kept(new)}/{of}")
        mark, radius = marked(one.edit.radius, new)
        rows.append([mark, (short(one.edit.id), "cyan"), one.edit.text, radius, kept, _why_not(one)])
    table(["", "id", "edit", "radius", "as wanted", "cannot be separated"], rows, wrap=["edit", "cannot be separated"])


def _why_not(one: Reach) -> str:
    if one.radius is not None:
        return ""
    least, most = one.least, one.most
    if least is not None and least.radius == float("inf"):
        return f"“{one_line(least.text, 60)}” is out of scope at any radius"
    if least is None or most is None:
        return "no radius reaches that far"
    kind = "must stay" if most.wanted == "stay" else "is another edit's"
    return f"“{one_line(least.text, 60)}” must change, and “{one_line(most.text, 60)}” {kind}"
