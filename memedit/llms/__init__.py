"""Language models: the port, `as_llm`, and plain functions as models."""

from __future__ import annotations

from memedit.llms.loading import as_llm, named
from memedit.llms.port import LLM, Capability, Kind, Likelihood, Mixer
from memedit.llms.replies import as_reply, join

__all__ = ["LLM", "Capability", "Kind", "Likelihood", "Mixer", "as_llm", "as_reply", "join", "named"]
