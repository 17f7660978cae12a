"""An EditableLLM as a model of Inspect (inspect_ai, UK AI Security Institute; https://inspect.aisi.org.uk).

By name, through the entry point of this package, `inspect eval task.py --model memedit/bundled -M memory=.memedit`;
as an object, `inspect_ai.eval(task, model=as_model(editable))`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from memedit.errors import MissingExtra, RequestRejected

if TYPE_CHECKING:
    from memedit.answers import Answer
    from memedit.editable import EditableLLM

try:
    from inspect_ai.model import (
        GenerateConfig,
        Model,
        ModelAPI,
        ModelCall,
        ModelOutput,
        get_model,
        messages_to_openai,
        model_output_from_openai,
        modelapi,
    )
    from inspect_ai.tool import ToolFunction
except ModuleNotFoundError as missing:
    raise MissingExtra("inspect", package=missing.name or "inspect_ai") from missing

SAME = (
    "max_tokens", "temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty", "logit_bias",
    "parallel_tool_calls", "reasoning_effort", "verbosity", "extra_headers", "extra_body",
)  # fmt: skip
OPTIONS = {name: name for name in SAME} | {"stop_seqs": "stop"}
INSPECTS_OWN = frozenset({
    # what Inspect sees to itself
    "max_retries", "timeout", "attempt_timeout", "max_connections", "adaptive_connections", "system_message", "cache",
    "max_tool_output", "reasoning_history", "fail_on_refusal",
    # what changes no answer, only how it is fetched
    "stream_idle_timeout", "cache_prompt", "batch", "internal_tools",
})  # fmt: skip
FINISH = {"length": "length", "max_tokens": "length", "MAX_TOKENS": "length", "content_filter": "content_filter"}


class EditableAPI(ModelAPI):  # type: ignore[misc]
    """The provider `memedit`. Runs on asyncio, which is Inspect's default.

    Every output has the edits that were used in its `metadata["memedit"]`, and every call in the log shows what was
    sent last and the trace.

    Args:
        model_name: What stands behind `memedit/`: whatever `as_llm` takes.
        base_url: Of an OpenAI-compatible server.
        api_key: Its key.
        config: Inspect's; comes with every call again.
        editable: The EditableLLM, where it is there already.
        how: Else `memory` (its folder), `namespace`, `method`, `embedder`, and what the model's loader takes.

    Raises:
        LedgerError: A memory is named that holds nothing in this namespace.
    """

    def __init__(
        self, model_name: str, base_url: str | None = None, api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008  as in Inspect's own providers
        editable: EditableLLM | None = None, **how: Any,
    ) -> None:  # fmt: skip
        super().__init__(model_name, base_url, api_key, [], config)
        server = {"base_url": base_url, "api_key": api_key}
        how |= {name: value for name, value in server.items() if value is not None}
        self.editable = editable or _opened(model_name, how)

    async def generate(
        self, input: Any, tools: Sequence[Any], tool_choice: Any, config: GenerateConfig
    ) -> tuple[ModelOutput, ModelCall]:
        """The answer, its edits and its trace.

        Raises:
            RequestRejected: The configuration asks for something that would be lost without a word.
        """
        asked: Any = await messages_to_openai(input)
        answer = await self.editable.ainvoke(asked, **_options(config), **_tools(tools, tool_choice))
        output = await model_output_from_openai(_completion(answer, self.model_name))
        output.metadata = {"memedit": _cited(answer)}
        return output, ModelCall.create(self._sent(answer), answer.trace.to_dict(), time=answer.trace.seconds)

    def _sent(self, answer: Answer) -> dict[str, Any]:
        """The last call that was made for an answer; nothing where the memory answered alone."""
        if not answer.trace.calls:
            return {}
        call = answer.trace.calls[-1]
        options = {
            name: value for name, value in call.request.options.items() if name != "extra_headers"
        }  # may be keys
        messages = [message.to_openai() for message in call.request.messages]
        return {"model": self.editable.models[call.model].name, "messages": messages, **options}


modelapi(name="memedit")(EditableAPI)


def as_model(editable: EditableLLM, **config: Any) -> Model:
    """An EditableLLM for `inspect_ai.eval`.

    Args:
        editable: The model with its memory.
        config: Of `GenerateConfig` (temperature, max_tokens, …).
    """
    # Not kept by Inspect, which would give it back for any other of the same name.
    return get_model(f"memedit/{editable.llm.name}", config=GenerateConfig(**config), memoize=False, editable=editable)


def _opened(model_name: str, how: dict[str, Any]) -> EditableLLM:
    from memedit.adapters._open import open_editable  # only now: Inspect imports this file whenever it starts

    return open_editable(model_name, **how)


def _options(config: GenerateConfig) -> dict[str, Any]:
    """Inspect's configuration under the names that options have in OpenAI's API."""
    options: dict[str, Any] = {}
    for name, value in config:
        if value is None or name in INSPECTS_OWN or (name == "num_choices" and value == 1):
            continue
        if name not in OPTIONS:
            raise RequestRejected(
                f"The provider `memedit` does not carry out `{name}`.", do=f"use {', '.join(OPTIONS)}, or leave it out"
            )
        options[OPTIONS[name]] = value
    return options


def _tools(tools: Sequence[Any], choice: Any) -> dict[str, Any]:
    """Inspect's tools, and which of them are to be called, in OpenAI's form."""
    if not tools:
        return {}
    shown = {"name", "description", "parameters"}
    named = {"type": "function", "function": {"name": choice.name}} if isinstance(choice, ToolFunction) else choice
    return {
        "tools": [
            {"type": "function", "function": tool.model_dump(include=shown, exclude_none=True)} for tool in tools
        ],
        **({} if choice == "auto" else {"tool_choice": "required" if choice == "any" else named}),
    }


def _completion(answer: Answer, model: str) -> dict[str, Any]:
    """An answer as an OpenAI chat completion, which Inspect reads; the usage is that of all its calls."""
    reply = answer.reply
    message = {"role": "assistant", "content": answer.text, "tool_calls": list(reply.tool_calls) or None}
    reason = "tool_calls" if reply.tool_calls else FINISH.get(reply.finish_reason or "", "stop")
    usages = [call.usage for call in answer.trace.calls if call.usage]
    sent, written = (sum(usage.get(name, 0) for usage in usages) for name in ("input", "output"))
    usage = {"prompt_tokens": sent, "completion_tokens": written, "total_tokens": sent + written}
    return {
        "id": str(getattr(reply.raw, "id", "")),
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "finish_reason": reason, "message": message}],
        "usage": usage if usages else None,
    }


def _cited(answer: Answer) -> dict[str, Any]:
    """What the memory had to do with an answer."""
    return {
        "edited": answer.edited,
        "citations": [{"id": edit.id, "kind": edit.kind, "text": edit.text} for edit in answer.citations],
        "namespace": answer.trace.namespace,
        "revision": answer.revision,
        "method": answer.trace.method,
    }
