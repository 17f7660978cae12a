"""LangChain's messages from requests, and replies from its messages; and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from memedit.answers import Answer
from memedit.edits import AnyEdit
from memedit.llms import as_reply
from memedit.messages import Reply, Request, openai_tool_calls

FINISH_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason")  # OpenAI, Anthropic, Bedrock, Ollama
NOTE = "memedit"  # where a message's `response_metadata` tells of the edits


def input_of(request: Request) -> Any:
    """What a Runnable is given: the caller's own object where nothing was changed, else text or messages."""
    if request.untouched:
        return request.source
    if request.form != "messages":
        return request.text
    messages = (
        message.source if isinstance(message.source, BaseMessage) else message.to_openai()
        for message in request.messages
    )
    return convert_to_messages(list(messages))


def messages_of(request: Request) -> list[BaseMessage]:
    """As `input_of`, for what takes messages only."""
    given = input_of(request)
    return convert_to_messages([given]) if isinstance(given, str) else given


def reply_of(output: Any, usage: UsageMetadata | None = None) -> Reply:
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


def reply_of_result(result: ChatResult) -> Reply:
    """The reply that a chat model's result is, of its first generation."""
    return replace(reply_of(result.generations[0].message), raw=result)


def result_of(answer: Answer) -> ChatResult:
    """An answer as a chat model's result: the model's own, with the edits that were used in its metadata."""
    result = answer.reply.raw
    if not isinstance(result, ChatResult):
        result = ChatResult(generations=[ChatGeneration(message=message_of(answer.reply))])
    if not (note := applied(answer)):
        return result
    generations = [one.model_copy(update={"message": noted(one.message, note)}) for one in result.generations]
    return result.model_copy(update={"generations": generations})


def chunk_of(piece: Reply) -> ChatGenerationChunk:
    """A piece of a stream as LangChain's chunk: the model's own, where it gave one."""
    if isinstance(piece.raw, ChatGenerationChunk):
        return piece.raw
    if isinstance(piece.raw, ChatResult):  # a whole answer
        generation = piece.raw.generations[0]
        return ChatGenerationChunk(message=_as_chunk(generation.message), generation_info=generation.generation_info)
    return ChatGenerationChunk(message=_as_chunk(message_of(piece)))


def note_chunk(note: dict[str, Any]) -> ChatGenerationChunk:
    """The chunk that ends a stream in which edits were used."""
    message = AIMessageChunk(content="", response_metadata={NOTE: note}, chunk_position="last")
    return ChatGenerationChunk(message=message)


def message_of(reply: Reply) -> AIMessage:
    """A reply that did not come from a LangChain model."""
    given = {"role": "assistant", "content": reply.text, "tool_calls": list(reply.tool_calls)}
    (message,) = convert_to_messages([given])
    assert isinstance(message, AIMessage)
    return message


def noted(message: BaseMessage, note: dict[str, Any]) -> BaseMessage:
    """The message with a note of the edits in its metadata."""
    return message.model_copy(update={"response_metadata": {**message.response_metadata, NOTE: note}})


def applied(answer: Answer) -> dict[str, Any]:
    """The edits that an answer rests on, as JSON values; empty where it is the model's own.

    `edits` and `in_doubt` (shown as such that may not apply) hold ids and probabilities; `usage` counts the tokens of
    the calls that were made on the way to the answer, where the model says.
    """
    trace = answer.trace
    if not (answer.citations or trace.in_doubt):
        return {}

    def told(edits: Sequence[AnyEdit]) -> list[dict[str, Any]]:
        likely = {one.id: max((hits.probability_of(one) for hits in trace.lookups), default=0.0) for one in edits}
        return [{"id": edit_id, "probability": round(probability, 4)} for edit_id, probability in likely.items()]

    note = {"namespace": trace.namespace, "revision": answer.revision, "edits": told(answer.citations)}
    if trace.in_doubt:
        note["in_doubt"] = told(trace.in_doubt)
    usage: dict[str, int] = {}
    for call in trace.calls[:-1] if answer.reply.usage else trace.calls:  # but for the one that answered
        for name, tokens in call.usage.items():
            usage[name] = usage.get(name, 0) + tokens
    return {**note, "usage": usage} if usage else note


def _as_chunk(message: BaseMessage) -> AIMessageChunk:
    if isinstance(message, AIMessageChunk):
        return message
    fields = {name: value for name, value in message if name != "type"}
    return AIMessageChunk(**fields, chunk_position="last")


def _deltas(chunk: AIMessageChunk) -> Iterator[dict[str, Any]]:
    for call in chunk.tool_call_chunks:
        function = {"name": call["name"] or "", "arguments": call["args"] or ""}
        whole = {"id": call["id"], "type": "function", "function": function}
        yield whole if call["index"] is None else {"index": call["index"], **whole}
