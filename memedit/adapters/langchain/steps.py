"""An EditableLLM as a step of a LangChain chain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig

from memedit.adapters.langchain.chat import EditableChatModel
from memedit.adapters.langchain.model import LangChainLLM
from memedit.adapters.langchain.seats import reseated
from memedit.editable import EditableLLM


def as_step(editable: EditableLLM) -> Runnable[Any, Any]:
    """The Runnable that stands for an EditableLLM: of the type of what it wraps.

    A chat model becomes an EditableChatModel, alone or within what was built around it (bound tools, structured
    output, retries, fallbacks, a chain). Any other model becomes a step that gives text.

    `prompt | editable | parser` needs no call of it.
    """
    if not isinstance(editable.llm, LangChainLLM):
        return TextStep(editable)
    source, kind = editable.llm.source, editable.llm.kind

    def seat(model: BaseChatModel) -> BaseChatModel:
        return EditableChatModel(editable.around(LangChainLLM(model, kind=kind)))

    seated = reseated(source, seat)
    return TextStep(editable) if seated is source else seated


class TextStep(Runnable[Any, str]):
    """An EditableLLM as a step that gives text, whole or in pieces."""

    def __init__(self, editable: EditableLLM) -> None:
        self.editable = editable

    def invoke(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> str:
        return self.editable.invoke(input, **options).text

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> str:
        return (await self.editable.ainvoke(input, **options)).text

    def stream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Iterator[str]:
        yield from self.editable.stream(input, **options)

    async def astream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> AsyncIterator[str]:
        async for piece in self.editable.astream(input, **options):
            yield piece
