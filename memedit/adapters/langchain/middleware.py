"""EditMiddleware: an edit memory for the agents of `langchain.agents.create_agent`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, SystemMessage
from langgraph.constants import TAG_NOSTREAM

from memedit.adapters._whose import Namespace, named
from memedit.adapters.langchain.codec import applied, message_of, messages_of, noted, reply_of
from memedit.answers import Answer
from memedit.editable import EditableLLM
from memedit.editable.streaming import AnswerStream
from memedit.llms import LLM
from memedit.messages import Reply, Request, as_request

ASKED = ("tools", "tool_choice", "response_format")  # what an agent asks of its model besides messages


class EditMiddleware(AgentMiddleware[Any, Any, Any]):
    """Every call of the agent's model answers as before, except where an edit is in scope.

    Tools, structured output, streaming and retries stay the agent's, and no edit is written into its state: only the
    call sees them. A reply that rests on edits names them in `response_metadata["memedit"]`.

    Args:
        memory: An EditMemory, or the folder of one.
        namespace: Whose edits: a name, or a function that gives it.
        name: Of this one among an agent's middleware, where an agent has several (the company's edits, the user's).
        settings: Further settings of EditableLLM (gate, method, models, doubt).
    """

    def __init__(
        self, memory: Any = None, *, namespace: Namespace = "default", name: str | None = None, **settings: Any
    ) -> None:
        super().__init__()
        self._name = name or type(self).__name__
        self.editable = EditableLLM(AgentModel(), memory, **settings)
        self.namespace = namespace

    @property
    def name(self) -> str:
        return self._name

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | AIMessage:
        asked = self._asked(request, handler)
        for _ in asked.replies():
            pass
        assert asked.answer is not None
        return _response(asked.answer)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any] | AIMessage:
        asked = self._asked(request, handler)
        async for _ in asked.areplies():
            pass
        assert asked.answer is not None
        return _response(asked.answer)

    def _asked(self, request: ModelRequest[Any], handler: Callable[..., Any]) -> AnswerStream:
        system = [request.system_message] if request.system_message else []
        options = {name: getattr(request, name) for name in ASKED} | request.model_settings
        asked = as_request([*system, *request.messages], options)
        return self.editable.around(AgentModel(request, handler)).stream(asked, namespace=named(self.namespace))


class AgentModel(LLM):
    """An agent's model within one call of it; without arguments, one that is never asked.

    `stream` serves the answer. `generate` serves calls on the way to it, and answers that have to be checked first:
    the agent's stream does not show their tokens.

    Args:
        call: The agent's request.
        handler: Carries one out, at once or awaited.
    """

    name = "the agent's model"

    def __init__(self, call: ModelRequest[Any] | None = None, handler: Callable[..., Any] | None = None) -> None:
        self._call: Any = call
        self._handler: Any = handler

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        return [_reply(self._handler(_unseen(self._of(request)))) for request in requests]

    def stream(self, request: Request) -> Iterator[Reply]:
        yield _reply(self._handler(self._of(request)))

    async def agenerate(self, requests: Sequence[Request]) -> list[Reply]:
        return [_reply(await self._handler(_unseen(self._of(request)))) for request in requests]

    async def astream(self, request: Request) -> AsyncIterator[Reply]:
        yield _reply(await self._handler(self._of(request)))

    def _of(self, request: Request) -> ModelRequest[Any]:
        """The agent's request with what a method made of it; itself where nothing was changed."""
        if request.untouched:
            return self._call  # type: ignore[no-any-return]
        system, messages = None, messages_of(request)
        if isinstance(messages[0], SystemMessage):
            system, *messages = messages
        asked = {name: request.options.get(name) for name in ASKED}
        settings = {name: value for name, value in request.options.items() if name not in ASKED}
        return self._call.override(  # type: ignore[no-any-return]
            messages=messages, system_message=system, model_settings=settings, **asked | {"tools": asked["tools"] or []}
        )


def _unseen(call: ModelRequest[Any]) -> ModelRequest[Any]:
    """The same, kept out of the agent's stream."""
    if not isinstance(call.model, BaseChatModel):
        return call
    return call.override(model=call.model.model_copy(update={"tags": [*(call.model.tags or ()), TAG_NOSTREAM]}))


def _reply(response: ModelResponse[Any]) -> Reply:
    said = next(message for message in response.result if isinstance(message, AIMessage))
    return replace(reply_of(said), raw=response)


def _response(answer: Answer) -> ModelResponse[Any] | AIMessage:
    """The agent's own response, with the edits that were used in its message's metadata."""
    note, response = applied(answer), answer.reply.raw
    if not isinstance(response, ModelResponse):
        response = ModelResponse(result=[message_of(answer.reply)])
    if not note:
        return response
    result = [noted(one, note) if isinstance(one, AIMessage) else one for one in response.result]
    return replace(response, result=result)
