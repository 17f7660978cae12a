"""The gate: which candidates are in scope of an input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memedit.errors import GateUnusable
from memedit.gate import scorer
from memedit.gate.evidence_gate import EvidenceGate
from memedit.gate.focus import Focus, focus
from memedit.gate.port import Gate, Hits, Role, Verdict
from memedit.plugins import plugin, schemes

__all__ = ["EvidenceGate", "Focus", "Gate", "Hits", "Role", "Verdict", "as_gate", "focus"]


def as_gate(source: Gate | str | Path | None = None, **options: Any) -> Gate:
    """A gate from a gate, a folder that one was trained into, or `name` or `name:argument` of a registered kind.

    Args:
        source: What to make it of. Kinds: `evidence`, `embedding`, `cross_encoder:FOLDER_OR_HUB_ID`, `asking:MODEL`.
            None gives the default gate.
        options: Passed to the kind.

    Raises:
        GateUnusable: It is none of these, or was made for another version.
        MissingExtra: Its package is not installed.
    """
    if isinstance(source, Gate):
        return source
    if source is None:
        return EvidenceGate(**options)
    if (Path(source) / scorer.CARD).is_file():
        kind = plugin("gates", scorer.kind(source))
        if kind is None:
            raise GateUnusable(f"The gate in `{source}` is of an unknown kind.", do=f"known kinds: {schemes('gates')}")
        return kind.load(source, **options)  # type: ignore[attr-defined, no-any-return]
    name, _, argument = str(source).partition(":")
    kind = plugin("gates", name)
    if kind is None:
        raise GateUnusable(
            f"`{source!s:.80}` is neither a gate's folder nor a kind of gate.", do=f"known kinds: {schemes('gates')}"
        )
    return kind.load(argument, **options) if argument else kind(**options)  # type: ignore[attr-defined, no-any-return]
