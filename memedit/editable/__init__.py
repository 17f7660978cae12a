"""EditableLLM: memory, gate and methods around a model."""

from __future__ import annotations

from memedit.editable.model import EditableLLM

__all__ = ["EditableLLM"]
