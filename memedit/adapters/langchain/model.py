"""LangChain chat models, LLMs and other Runnables as language models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.runnables import Runnable

from memedit.adapters.langchain.codec import input_of, reply_of
from memedit.errors import UnsupportedModel
from memedit.llms import LLM, Kind
from memedit.messages import Reply, Request


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
            inputs = [input_of(requests[place]) for place in places]
            # One call is made as the caller would make it: `batch` runs in another thread, and traces as a batch.
            outputs = (
                self.source.batch(inputs, **options) if len(inputs) > 1 else [self.source.invoke(inputs[0], **options)]
            )
            replies |= zip(places, map(reply_of, outputs), strict=True)
        return [replies[place] for place in range(len(requests))]

    def stream(self, request: Request) -> Iterator[Reply]:
        usage: UsageMetadata | None = None
        for output in self.source.stream(input_of(request), **request.options):
            usage = add_usage(usage, getattr(output, "usage_metadata", None))
            yield reply_of(output, usage)

    async def agenerate(self, requests: Sequence[Request]) -> list[Reply]:
        replies: dict[int, Reply] = {}
        for places, options in _by_options(requests):
            inputs = [input_of(requests[place]) for place in places]
            outputs = (
                await self.source.abatch(inputs, **options)
                if len(inputs) > 1
                else [await self.source.ainvoke(inputs[0], **options)]
            )
            replies |= zip(places, map(reply_of, outputs), strict=True)
        return [replies[place] for place in range(len(requests))]

    async def astream(self, request: Request) -> AsyncIterator[Reply]:
        usage: UsageMetadata | None = None
        async for output in self.source.astream(input_of(request), **request.options):
            usage = add_usage(usage, getattr(output, "usage_metadata", None))
            yield reply_of(output, usage)


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
