"""A scripted chat model as a LangChain provider would write one: tools, streaming, async, usage; it keeps its calls."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from memedit import EditableLLM, EditMemory
from memedit.testing import HashEmbedder, NamedGate

EDIT = "The capital of Norland is Oslo"
FACT = {"subject": "Norland", "relation": "capital", "object": "Oslo", "statement": EDIT}
ASKED = "What is the capital of Norland?"
OTHER = "What is seven times six?"
USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}

Script = Callable[[Sequence[BaseMessage], dict[str, Any]], AIMessage]


def echo(messages: Sequence[BaseMessage], options: dict[str, Any]) -> AIMessage:
    """Says what it saw; with tools, calls the first of them with 3, or with what the last message quotes."""
    if tools := options.get("tools"):
        function = tools[0]["function"]
        quoted = re.findall(r"'(.+?)'", str(messages[-1].content)) or ["Oslo"]
        arguments = {
            name: 3 if schema.get("type") == "integer" else quoted[0]
            for name, schema in function["parameters"]["properties"].items()
        }
        return AIMessage("", tool_calls=[{"id": "c1", "name": function["name"], "args": arguments}])
    return AIMessage(" / ".join(str(message.content) for message in messages))


class Provider(BaseChatModel):
    """See above.

    calls: For each call its way (`generate`, `stream`, `agenerate`, `astream`), messages and options.
    """

    model_name: str = "scripted-1"
    temperature: float | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    streaming: bool = False
    script: Script = Field(default=echo, exclude=True)
    calls: list[tuple[str, list[BaseMessage], dict[str, Any]]] = Field(default_factory=list, exclude=True)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "temperature": self.temperature}

    def _said(self, way: str, messages: list[BaseMessage], stop: Any, options: dict[str, Any]) -> AIMessage:
        options = {**options, "stop": stop} if stop else options
        self.calls.append((way, messages, options))
        said = self.script(messages, options)
        reason = {"finish_reason": "tool_calls" if said.tool_calls else "stop", "model_name": self.model_name}
        return said.model_copy(update={"usage_metadata": USAGE, "response_metadata": reason})

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any) -> ChatResult:
        return _result(self._said("generate", messages, stop, options))

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any) -> ChatResult:
        return _result(self._said("agenerate", messages, stop, options))

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any
    ) -> Iterator[ChatGenerationChunk]:
        yield from _chunks(self._said("stream", messages, stop, options))

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(self._said("astream", messages, stop, options)):
            yield chunk

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **options: Any) -> Runnable[Any, Any]:
        choice = {"tool_choice": tool_choice} if tool_choice else {}
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **choice, **options)


def editable(model: Any, **settings: Any) -> EditableLLM:
    """A model with one edit in its memory."""
    made = EditableLLM(model, EditMemory(embedder=HashEmbedder()), gate=NamedGate(), **settings)
    made.edit(FACT)
    return made


def _result(message: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message)], llm_output={"system": "scripted"})


def _chunks(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    for piece in re.findall(r"\S+\s*|\s+", str(message.content)):
        yield ChatGenerationChunk(message=AIMessageChunk(piece))
    for index, call in enumerate(message.tool_calls):
        whole = AIMessageChunk(**{name: value for name, value in AIMessage("", tool_calls=[call]) if name != "type"})
        args = whole.tool_call_chunks[0]["args"] or ""
        parts = ((call["name"], call["id"], args[:4]), (None, None, args[4:]))
        for name, call_id, text in parts:
            part = {"type": "tool_call_chunk", "index": index, "name": name, "id": call_id, "args": text}
            yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[part]))
    end = {"usage_metadata": message.usage_metadata, "response_metadata": message.response_metadata}
    yield ChatGenerationChunk(message=AIMessageChunk("", **end))
