"""An OpenAI client that keeps its class and its every call, and gains an edit memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from openai import AsyncOpenAI, OpenAI

from memedit.adapters._clients import copied
from memedit.errors import UnsupportedModel
from memedit.gate import Gate
from memedit.memory import EditMemory
from memedit.methods.base import Method
from memedit.methods.doubt import Doubt

Client = TypeVar("Client", bound=OpenAI | AsyncOpenAI)


def editable(
    client: Client, memory: EditMemory | str | Path, *, namespace: str = "default", gate: Gate | str | None = None,
    method: str | Method = "auto", models: Mapping[str, Any] | None = None, doubt: Doubt | None = None,
) -> Client:  # fmt: skip
    """A client of the same class and settings, whose calls are answered as if the edits of a memory were true.

    Every call of `chat.completions`, `responses` and `completions` goes by the memory, also `parse`, `stream`, raw and
    streaming responses, and those of `with_options(…)`. One that no edit is in scope of is sent as the very bytes that
    the client made. The response's headers tell the edits that were applied: `x-memedit-edits`, `x-memedit-in-doubt`
    and `x-memedit-revision`. Realtime and other websockets do not go by it. An error of the memory is a `MemeditError`;
    any other is the client's own.

    While an Erasure is in force, an answer is read to its end and checked before the caller gets it, streamed or not,
    and calls that are not read here are refused where their answer could tell what is erased.

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
    if not isinstance(client, (OpenAI, AsyncOpenAI)):
        raise UnsupportedModel(f"A {type(client).__name__} is no OpenAI client.", do="pass OpenAI(…) or AsyncOpenAI(…)")
    return copied(
        client, memory, namespace=namespace, gate=gate, method=method, models=models, doubt=doubt, sdk="openai 3"
    )
