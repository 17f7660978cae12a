"""A LangChain chat model asked through the methods that its provider writes, so that no call is traced twice."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import ChatGenerationChunk

from memedit.adapters.langchain.codec import messages_of, reply_of, reply_of_result
from memedit.llms import LLM
from memedit.messages import Reply, Request


class ChatHooks(LLM):
    """A chat model within one call of the EditableChatModel around it.

    `stream` serves the answer, with the caller's callbacks. `generate` serves calls on the way to it, and answers that
    have to be checked first: without callbacks, so that nobody sees their tokens as they come.

    Args:
        source: The chat model.
        like: Whose name and kind it has.
        run_manager: The call's.
        whole: Whether the answer is wanted in one piece.
    """

    def __init__(self, source: BaseChatModel, *, like: LLM, run_manager: Any = None, whole: bool = False) -> None:
        self.source = source
        self.name, self.kind = like.name, like.kind
        self._run_manager = run_manager
        streams = type(source)._stream is not BaseChatModel._stream
        self._streams = streams and not whole
        self._astreams = (streams or type(source)._astream is not BaseChatModel._astream) and not whole

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._whole(request) for request in requests]

    def stream(self, request: Request) -> Iterator[Reply]:
        if not self._streams:
            yield self._whole(request, self._run_manager)
            return
        usage = None
        for chunk in self.source._stream(messages_of(request), **request.options):
            usage = add_usage(usage, getattr(chunk.message, "usage_metadata", None))
            yield _piece(chunk, usage)

    async def agenerate(self, requests: Sequence[Request]) -> list[Reply]:
        return [await self._awhole(request) for request in requests]

    async def astream(self, request: Request) -> AsyncIterator[Reply]:
        if not self._astreams:
            yield await self._awhole(request, self._run_manager)
            return
        usage = None
        async for chunk in self.source._astream(messages_of(request), **request.options):
            usage = add_usage(usage, getattr(chunk.message, "usage_metadata", None))
            yield _piece(chunk, usage)

    def _whole(self, request: Request, run_manager: Any = None) -> Reply:
        ask = self.source._generate
        return reply_of_result(ask(messages_of(request), **_managed(ask, run_manager), **request.options))

    async def _awhole(self, request: Request, run_manager: Any = None) -> Reply:
        ask = self.source._agenerate
        return reply_of_result(await ask(messages_of(request), **_managed(ask, run_manager), **request.options))


def _managed(ask: Any, run_manager: Any) -> dict[str, Any]:
    """The run manager, for a provider that takes one."""
    takes = run_manager is not None and "run_manager" in inspect.signature(ask).parameters
    return {"run_manager": run_manager} if takes else {}


def _piece(chunk: ChatGenerationChunk, usage: UsageMetadata | None) -> Reply:
    return replace(reply_of(chunk.message, usage), raw=chunk)
