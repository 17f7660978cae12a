"""An OpenAI client that keeps its class and its every call, and gains an edit memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from openai import AsyncOpenAI, OpenAI

from memedit.adapters.wire.transport import with_memory
from memedit.editable import EditableLLM
from memedit.errors import UnsupportedModel
from memedit.gate import Gate, as_gate
from memedit.llms import as_llm
from memedit.memory import EditMemory
from memedit.methods.base import Method, find_method
from memedit.methods.doubt import Doubt

Client = TypeVar("Client", bound=OpenAI | AsyncOpenAI)


def editable(
    client: Client, memory: EditMemory | str | Path, *, namespace: str = "default", gate: Gate | str | None = None,
    method: str | Method = "auto", models: Mapping[str, Any] | None = None, doubt: Doubt | None = None,
) -> Client:  # fmt: skip
    """A client of the same class and settings, whose calls are answered as if the edits of a memory were true.

    Every call of `chat.completions` and `responses` goes by the memory, also `parse`, `stream`, raw and streaming
    responses, and those of `with_options(…)`. One that no edit is in scope of is sent as the very bytes that the client
    made. The response's headers tell the edits that were applied: `x-memedit-edits`, `x-memedit-in-doubt` and
    `x-memedit-revision`. Realtime and other websockets do not go by it. An error of the memory is a `MemeditError`; any
    other is the client's own.

    While an Erasure is in force, an answer is read to its end and checked before the caller gets it, streamed or not.

    Args:
        client: `OpenAI`, `AsyncOpenAI`, `AzureOpenAI` or `AsyncAzureOpenAI`. Its connections are used: closing one
            closes both.
        memory: An EditMemory, or the folder of one.
        namespace: Whose edits.
        gate: As `EditableLLM` takes it, like the rest.
        method: How edits change the answer.
        models: Further models that the method names.
        doubt: What is done with edits that may bear on a message and may not.

    Raises:
        UnsupportedModel: It is no such client, or its `http_client` is one of `httpx`.
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
    if isinstance(client, (OpenAI, AsyncOpenAI)) and isinstance(inner, (httpx2.Client, httpx2.AsyncClient)):
        copy: Any = client.copy
        return copy(http_client=with_memory(inner, around))  # type: ignore[no-any-return]
    if isinstance(client, (OpenAI, AsyncOpenAI)):
        raise UnsupportedModel(
            f"The client's `http_client` is a {type(inner).__module__}.{type(inner).__name__}.",
            do="make it with httpx2, which openai 3 uses (httpx2.Client or httpx2.AsyncClient)",
        )
    raise UnsupportedModel(f"A {type(client).__name__} is no OpenAI client.", do="pass OpenAI(…) or AsyncOpenAI(…)")
