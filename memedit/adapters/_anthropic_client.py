"""An Anthropic client that keeps its class and its every call, and gains an edit memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from anthropic import Anthropic, AnthropicAWS, AsyncAnthropic, AsyncAnthropicAWS

from memedit.adapters._clients import copied
from memedit.errors import UnsupportedModel
from memedit.gate import Gate
from memedit.memory import EditMemory
from memedit.methods.base import Method
from memedit.methods.doubt import Doubt

OTHERWISE = "take EditableLLM(as_llm(client, model=…)), or an Anthropic(…)"
Client = TypeVar("Client", bound=Anthropic | AsyncAnthropic)


def editable(
    client: Client, memory: EditMemory | str | Path, *, namespace: str = "default", gate: Gate | str | None = None,
    method: str | Method = "auto", models: Mapping[str, Any] | None = None, doubt: Doubt | None = None,
) -> Client:  # fmt: skip
    """A client of the same class and settings, whose calls are answered as if the edits of a memory were true.

    Every call of `messages` and `beta.messages` goes by the memory: `create`, `parse`, `stream`, raw and streaming
    responses, tool runners, and those of `with_options(…)`. Counting tokens, batches and all else do not; the rest is
    as for the `editable` of OpenAI's clients.

    Args:
        client: `Anthropic`, `AsyncAnthropic`, or those of Foundry and Google Cloud. Its connections are used: closing
            one closes both.
        memory: An EditMemory, or the folder of one.
        namespace: Whose edits.
        gate: As `EditableLLM` takes it, like the rest.
        method: How edits change the answer.
        models: Further models that the method names.
        doubt: What is done with edits that may bear on a message and may not.

    Raises:
        UnsupportedModel: It is no such client, or one of Bedrock, Vertex or AWS, or its `http_client` is of `httpx`.
        CapabilityMissing: The method needs log-probabilities or weights.
    """
    return copied(
        _checked(client), memory, namespace=namespace, gate=gate, method=method, models=models, doubt=doubt,
        sdk="anthropic 2",
    )  # fmt: skip


def _checked(client: Client) -> Client:
    """The client, if its requests may be changed on their way.

    Raises:
        UnsupportedModel: It is none of Anthropic's, or one whose requests may not.
    """
    name, kind = type(client).__name__, type(client)
    if isinstance(client, (AnthropicAWS, AsyncAnthropicAWS)):
        raise UnsupportedModel(
            f"An {name} signs each request before memedit could change it.",
            do=OTHERWISE,
        )
    if isinstance(client, (Anthropic, AsyncAnthropic)):
        return client
    if kind.__module__.startswith("anthropic."):
        raise UnsupportedModel(
            f"An {name} speaks the API of its cloud, which memedit does not read.",
            do=OTHERWISE,
        )
    raise UnsupportedModel(f"A {name} is no Anthropic client.", do="pass Anthropic(…) or AsyncAnthropic(…)")
