"""What writing weights needs of an LLM."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Protocol

from memedit.errors import CapabilityMissing
from memedit.llms import LLM, Capability
from memedit.parametric.layout import require_causal
from memedit.parametric.rewrites import check_fast


class LocalModel(Protocol):
    """What baking needs of an LLM: a transformers model in this process (`adapters.causal.LocalLLM`)."""

    name: str
    model: Any
    tokenizer: Any
    quantised: bool
    lock: threading.Lock

    def forget_prefix(self) -> None:
        """Forget what is kept between calls, because the weights changed."""

    def save(self, folder: Path) -> None:
        """Write model and tokenizer to a folder."""


def require_weights(llm: LLM, *, by: str = "Writing weights") -> LocalModel:
    """A model whose weights can be written.

    Args:
        llm: The model.
        by: What asks for them.

    Raises:
        CapabilityMissing: It is no local model, or its weights are quantised.
        UnsupportedModel: It is an encoder-decoder, or its tokenizer does not tell offsets.
    """
    if getattr(llm, "quantised", False):
        raise CapabilityMissing(
            f"The weights of `{llm.name}` are quantised: what is written would be lost when they are rounded.",
            do="load it without quantisation, or keep the edits in memory",
        )
    if config := getattr(getattr(llm, "model", None), "config", None):
        require_causal(config)
    llm.require(Capability.WEIGHTS, by=by)
    local: LocalModel = llm  # type: ignore[assignment]  # it has the capability
    check_fast(local.tokenizer)
    return local
