"""The gate: which candidates are in scope of an input."""

from memedit.gate.evidence_gate import EvidenceGate
from memedit.gate.focus import Focus, focus
from memedit.gate.port import Gate, Hits, Verdict

__all__ = ["EvidenceGate", "Focus", "Gate", "Hits", "Verdict", "default_gate", "focus"]


def default_gate() -> Gate:
    """The gate that is used when none is given."""
    return EvidenceGate()
