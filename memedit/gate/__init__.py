"""The gate: which candidates are in scope of an input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memedit.encoder import lacking
from memedit.errors import GateUnusable
from memedit.gate import scorer
from memedit.gate.conversation import Conversation, read_conversation
from memedit.gate.evidence_gate import EvidenceGate
from memedit.gate.port import Gate, Hits, Role, Verdict
from memedit.plumbing.plugins import plugin, schemes

__all__ = ["Conversation", "EvidenceGate", "Gate", "Hits", "Role", "Verdict", "as_gate", "read_conversation"]


def as_gate(source: Gate | str | Path | None = None, **options: Any) -> Gate:
    """A gate from a gate, a folder that one was trained into, or `name` or `name:argument` of a registered kind.

    Args:
        source: What to make it of. Kinds: `judge`, `deep`, `evidence`, `embedding`, `cross_encoder:…`,
            `asking:MODEL`. None gives the default gate: `judge`, or `evidence` where what runs it is not installed.
        options: Passed to the kind.

    Raises:
        GateUnusable: It is none of these, or was made for another version.
        MissingExtra: Its package is not installed.
    """
    if isinstance(source, Gate):
        return source
    if source is None:
        return _default(options)
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


def _default(options: dict[str, Any]) -> Gate:
    if lacking():
        return EvidenceGate(**options)
    from memedit.gate.judge_gate import JudgeGate

    return JudgeGate(**options)
