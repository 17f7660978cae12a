"""`gate learn`: the radii of a memory's edits by what people said of their uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memedit.cli import _gate
from memedit.cli._common import Session
from memedit.cli._gate_radii import marked, say_changed, with_radii
from memedit.cli._print import Piece, say, short, show_json, table

if TYPE_CHECKING:
    from memedit.gate.learning.uses import Learned

REASON = "radii learned from uses"


def learn_radii(session: Session, data: Path, source: str | None, given: Mapping[str, Any]) -> None:
    """Give the edits of a memory the radii that their uses allow."""
    from memedit.gate import as_gate
    from memedit.gate.learning.uses import held_uses, learn

    gate = as_gate(source)
    wanted = {"error": given["error"] / 100, "confidence": given["confidence"] / 100}
    with session.memory() as memory:
        uses = held_uses(memory, data, namespace=session.namespace)
        session.load_embedder(memory)
        with _gate.counted("edits with uses") as progress:
            found = learn(memory, gate, uses, namespace=session.namespace, **wanted, progress=progress)
        changed = [(one.edit, one.radius) for one in found if one.radius != one.edit.radius]
        written = with_radii(
            memory, [] if given["dry_run"] else changed, namespace=session.namespace, author=given["author"],
            reason=given["reason"] or REASON,
        )  # fmt: skip
        revision = memory.revision(namespace=session.namespace)
    if session.as_json:
        values = [_values(one, written.get(one.edit.id)) for one in found]
        counts = {"changed": len(written), "revision": revision, "dry_run": given["dry_run"]}
        show_json({"edits": values, **wanted, **counts})
        return
    _show(found)
    if changed:
        say_changed(written, len(changed), revision)
    else:
        say("No radius has to change.")


def _values(one: Learned, written: str | None) -> dict[str, Any]:
    """What was learned of an edit, as JSON values."""
    return {
        "edit": one.edit.id,
        "text": one.edit.text,
        "uses": len(one.seen),
        "rejected": one.rejected,
        "radius": one.edit.radius,
        "becomes": one.radius,
        "written": written,
        "passed": {"before": one.passed(one.edit.radius), "after": one.passed(one.radius)},
        "bound": {"before": one.before, "after": one.bound},
    }


def _show(found: Sequence[Learned]) -> None:
    """What was learned, for people."""
    rows: list[Sequence[Piece]] = []
    for one in found:
        mark, radius = marked(one.edit.radius, one.radius)
        of = len(one.seen)
        passed = f"{one.passed(one.edit.radius) / of:.0%} → {one.passed(one.radius) / of:.0%}"
        wrong = f"{one.before:.1%} → {one.bound:.1%}"
        counts = [str(of), str(one.rejected)]
        rows.append([mark, (short(one.edit.id), "cyan"), one.edit.text, *counts, radius, passed, wrong])
    columns = ["", "id", "edit", "uses", "rejected", "radius", "let through", "wrongly at most"]
    table(columns, rows, wrap=["edit"])
