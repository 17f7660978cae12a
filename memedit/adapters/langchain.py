"""LangChain chat models, LLMs and other Runnables as language models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from memedit.errors import MissingExtra, UnsupportedModel
from memedit.llms import LLM, Kind, as_reply
from memedit.messages import Reply, Request, openai_tool_calls

try:
    from langchain_core.messages import AIMessageChunk, BaseMessage, convert_to_messages
    from langchain_core.messages.ai import UsageMetadata, add_usage
    from langchain_core.runnables import Runnable
except ModuleNotFoundError as missing:
    raise MissingExtra("langchain", package="langchain-core") from missing

FINISH_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason")  # OpenAI, Anthropic, Bedrock, Ollama


class LangChainLLM(LLM):
    """A Runnable from a prompt (text or chat messages) to a message or text.

    An untouched request reaches it as the caller's own object. One that a method changed is text where the caller gave
    text, so that a `prompt | model` chain of one variable can still fill it in, and else a list of LangChain messages,
    the unchanged ones among them the caller's own.

    Options become keyword arguments, `config` LangChain's config.

    Args:
        source: The Runnable.
        name: Shown in traces; class and model when left out.
        kind: `base` for an LLM that continues text.
    """

    def __init__(self, source: Runnable[Any, Any], *, name: str | None = None, kind: Kind = "chat") -> None:
        self.source = source
        self.name = name or _name(source)
        self.kind = kind

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        replies: dict[int, Reply] = {}
        for places, options in _by_options(requests):
            inputs = [_input(requests[place]) for place in places]
            # One call is made as the caller would make it: `batch` runs in another thread, and traces as a batch.
            outputs = (
                self.source.batch(inputs, **options) if len(inputs) > 1 else [self.source.invoke(inputs[0], **options)]
            )
            replies |= zip(places, map(_reply, outputs), strict=True)
        return [replies[place] for place in range(len(requests))]

    def stream(self, request: Request) -> Iterator[Reply]:
        usage: UsageMetadata | None = None
        for output in self.source.stream(_input(request), **request.options):
            usage = add_usage(usage, getattr(output, "usage_metadata", None))
            yield _reply(output, usage)

    async def agenerate(self, requests: Sequence[Request]) -> list[Reply]:
        replies: dict[int, Reply] = {}
        for places, options in _by_options(requests):
            inputs = [_input(requests[place]) for place in places]
            outputs = (
                await self.source.abatch(inputs, **options)
                if len(inputs) > 1
                else [await self.source.ainvoke(inputs[0], **options)]
            )
            replies |= zip(places, map(_reply, outputs), strict=True)
        return [replies[place] for place in range(len(requests))]

    async def astream(self, request: Request) -> AsyncIterator[Reply]:
        usage: UsageMetadata | None = None
        async for output in self.source.astream(_input(request), **request.options):
            usage = add_usage(usage, getattr(output, "usage_metadata", None))
            yield _reply(output, usage)


def wrap(source: Any, *, name: str | None = None, kind: Kind = "chat") -> LangChainLLM:
    """A chat model, an LLM, a `prompt | model` chain, an `init_chat_model` model, or any Runnable that answers text.

    Raises:
        UnsupportedModel: It is no Runnable.
    """
    if not isinstance(source, Runnable):
        raise UnsupportedModel(
            f"A {type(source).__name__} is no LangChain model.", do="pass a chat model, an LLM or another Runnable"
        )
    return LangChainLLM(source, name=name, kind=kind)


def _name(source: Runnable[Any, Any]) -> str:
    # Not getattr: on a configurable model that makes the model, which may fail here for want of a key.
    fields = vars(source)
    model = next((fields[key] for key in ("model_name", "model") if isinstance(fields.get(key), str)), "")
    return f"{type(source).__name__} {model}".strip()


def _input(request: Request) -> Any:
    if request.untouched:
        return request.source
    if request.form != "messages":
        return request.text
    messages = (
        message.source if isinstance(message.source, BaseMessage) else message.to_openai()
        for message in request.messages
    )
    return convert_to_messages(list(messages))


def _by_options(requests: Sequence[Request]) -> list[tuple[list[int], Mapping[str, Any]]]:
    """The places of the requests that can be asked in one batch, and their options."""
    groups: list[tuple[list[int], Mapping[str, Any]]] = []
    for place, request in enumerate(requests):
        places = next((places for places, options in groups if options == request.options), None)
        if places is None:
            groups.append(([place], request.options))
        else:
            places.append(place)
    return groups


def _reply(output: Any, usage: UsageMetadata | None = None) -> Reply:
    """The reply that a Runnable's output is.

    Args:
        output: A message, a chunk of one, or text.
        usage: In a stream, that of all chunks so far: LangChain's count only what is new.
    """
    if not isinstance(output, BaseMessage):
        return as_reply(output)
    usage = usage or getattr(output, "usage_metadata", None)
    metadata = output.response_metadata
    return Reply(
        str(output.text),
        tuple(_deltas(output) if isinstance(output, AIMessageChunk) else openai_tool_calls(output)),
        next((str(metadata[key]) for key in FINISH_REASONS if metadata.get(key)), None),
        {"input": usage["input_tokens"], "output": usage["output_tokens"]} if usage else {},
        output,
    )


def _deltas(chunk: AIMessageChunk) -> Iterator[dict[str, Any]]:
    for call in chunk.tool_call_chunks:
        function = {"name": call["name"] or "", "arguments": call["args"] or ""}
        whole = {"id": call["id"], "type": "function", "function": function}
        yield whole if call["index"] is None else {"index": call["index"], **whole}
