"""What the SDKs' clients have in common that keep their class and their every call, and gain an edit memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from memedit.adapters.wire.transport import with_memory
from memedit.editable import EditableLLM
from memedit.errors import UnsupportedModel
from memedit.gate import Gate, as_gate
from memedit.llms import as_llm
from memedit.memory import EditMemory
from memedit.methods.base import Method, find_method
from memedit.methods.doubt import Doubt

Client = TypeVar("Client")


def copied(
    client: Client, memory: EditMemory | str | Path, *, namespace: str, gate: Gate | str | None, method: str | Method,
    models: Mapping[str, Any] | None, doubt: Doubt | None, sdk: str,
) -> Client:  # fmt: skip
    """A client of the same class and settings whose transport applies a memory; see the `editable` of its SDK.

    Args:
        client: With a `copy` that takes another `http_client`.
        memory: An EditMemory, or the folder of one.
        namespace: As `EditableLLM` takes it, like the rest.
        gate: Decides which edits are in scope.
        method: How edits change the answer.
        models: Further models that the method names.
        doubt: What is done with edits that may bear on a message and may not.
        sdk: Of the client, for errors.

    Raises:
        UnsupportedModel: Its `http_client` is one of `httpx`.
        CapabilityMissing: The method needs log-probabilities or weights.
    """
    around = partial(
        EditableLLM,
        memory=memory if isinstance(memory, EditMemory) else EditMemory(memory),
        namespace=namespace,
        gate=as_gate(gate),
        method=find_method(method),
        models={name: as_llm(model) for name, model in (models or {}).items()},
        doubt=doubt,
    )
    around(as_llm(str))  # what does not fit together is said here, and not at the first call
    inner = getattr(client, "_client", None)
    if not isinstance(inner, (httpx2.Client, httpx2.AsyncClient)):
        raise UnsupportedModel(
            f"The client's `http_client` is a {type(inner).__module__}.{type(inner).__name__}.",
            do=f"make it with httpx2, which {sdk} uses (httpx2.Client or httpx2.AsyncClient)",
        )
    copy: Any = client.copy  # type: ignore[attr-defined]
    return copy(http_client=with_memory(inner, around))  # type: ignore[no-any-return]
