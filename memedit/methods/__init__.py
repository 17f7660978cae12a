"""Methods: how edits in scope change the answer."""

from memedit.methods.base import (
    Decode,
    Effect,
    Final,
    Generate,
    Method,
    Ready,
    Recall,
    Run,
    Score,
    Steps,
    Support,
    Task,
    find_method,
    method,
)

__all__ = [
    "Decode",
    "Effect",
    "Final",
    "Generate",
    "Method",
    "Ready",
    "Recall",
    "Run",
    "Score",
    "Steps",
    "Support",
    "Task",
    "find_method",
    "method",
]
