"""EditableChatModel: a LangChain chat model with an edit memory in front of it, which stays a LangChain chat model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field

from memedit.adapters.langchain.codec import applied, chunk_of, note_chunk, result_of
from memedit.adapters.langchain.hooks import ChatHooks
from memedit.adapters.langchain.model import LangChainLLM
from memedit.adapters.langchain.seats import reseated
from memedit.editable import EditableLLM
from memedit.editable.streaming import AnswerStream
from memedit.errors import RequestRejected, UnsupportedModel
from memedit.messages import as_request


class EditableChatModel(BaseChatModel):
    """A chat model that answers as the wrapped one, except where an edit is in scope.

    Out of scope the wrapped model is called with the very same messages and arguments. Tools, structured output,
    streaming, async, batches, callbacks, caches, usage and errors are the wrapped model's. A reply that rests on edits
    names them in `response_metadata["memedit"]`: ids, probabilities, namespace, revision; in a stream, in its last
    chunk. `namespace=` in a call, or bound, asks for another namespace. What else is read of it (`model_name`, …) is
    read of the wrapped model. A copy of it, also a deep one, has the same memory and model.

    Args:
        editable: An EditableLLM around a chat model; or a chat model, and then `memory` and `settings` as for it.
        memory: An EditMemory, or the folder of one.
        settings: Further settings of EditableLLM (namespace, gate, method, …) and fields of a chat model (name, cache,
            callbacks, …), which are those of the wrapped one when left out.

    Raises:
        UnsupportedModel: What is wrapped is no chat model of LangChain.
        RequestRejected: An EditableLLM is given together with settings of one.
    """

    editable: EditableLLM = Field(exclude=True, repr=False)

    def __init__(self, editable: Any, memory: Any = None, **settings: Any) -> None:
        fields = {name: settings.pop(name) for name in BaseChatModel.model_fields if name in settings}
        if not isinstance(editable, EditableLLM):
            editable = EditableLLM(editable, memory, **settings)
        elif memory is not None or settings:
            raise RequestRejected(
                "An EditableLLM has its memory and settings already.", do="give them to the EditableLLM"
            )
        inner = _chat_model(editable)
        inherited = {name: getattr(inner, name) for name in BaseChatModel.model_fields}
        super().__init__(**{**inherited, **fields, "editable": editable})

    @property
    def inner(self) -> BaseChatModel:
        """The wrapped chat model."""
        return _chat_model(self.editable)

    # ---- asking ---------------------------------------------------------------------------------------------------

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **options: Any
    ) -> ChatResult:
        asked = self._asked(messages, stop, options, run_manager, whole=True)
        for _ in asked.replies():
            pass
        assert asked.answer is not None
        return result_of(asked.answer)

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **options: Any
    ) -> ChatResult:
        asked = self._asked(messages, stop, options, run_manager, whole=True)
        async for _ in asked.areplies():
            pass
        assert asked.answer is not None
        return result_of(asked.answer)

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **options: Any
    ) -> Iterator[ChatGenerationChunk]:
        asked = self._asked(messages, stop, options, run_manager)
        for piece in asked.replies():
            yield chunk_of(piece)
        if asked.answer and (note := applied(asked.answer)):
            yield note_chunk(note)

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **options: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        asked = self._asked(messages, stop, options, run_manager)
        async for piece in asked.areplies():
            yield chunk_of(piece)
        if asked.answer and (note := applied(asked.answer)):
            yield note_chunk(note)

    def _asked(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any], run_manager: Any,
        *, whole: bool = False,
    ) -> AnswerStream:  # fmt: skip
        namespace = options.pop("namespace", None)
        request = as_request(messages, options if stop is None else {**options, "stop": stop})
        hooks = ChatHooks(self.inner, like=self.editable.llm, run_manager=run_manager, whole=whole)
        return self.editable.around(hooks).stream(request, namespace=namespace)

    def _should_stream(self, *, async_api: bool, run_manager: Any = None, **options: Any) -> bool:
        can = self.inner._should_stream(async_api=async_api, run_manager=run_manager, **options)
        return can and not self._streaming_disabled(**options)

    # ---- what is built around it ----------------------------------------------------------------------------------

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> Runnable[Any, Any]:
        return self._seated(self.inner.bind_tools(tools, **options), "bound tools")

    def with_structured_output(self, schema: Any, **options: Any) -> Runnable[Any, Any]:
        return self._seated(self.inner.with_structured_output(schema, **options), "structured output")

    def configurable_fields(self, **fields: Any) -> Any:
        """Fields of the wrapped model that are set at run time; where all are a chat model's, fields of this one."""
        if fields.keys() <= type(self).model_fields.keys():
            return super().configurable_fields(**fields)
        return self._seated(self.inner.configurable_fields(**fields), "configurable fields")

    def _seated(self, built: Runnable[Any, Any], what: str) -> Runnable[Any, Any]:
        def seat(model: BaseChatModel) -> BaseChatModel:
            if model is self.inner:
                return self
            return self.model_copy(update={"editable": _around(self.editable, model)})

        seated = reseated(built, seat)
        if seated is built:
            raise UnsupportedModel(
                f"The {what} of a {type(self.inner).__name__} hide the model, so that it cannot be edited.",
                do="put an EditMiddleware into the agent, or an EditRetriever into the chain",
            )
        return seated  # type: ignore[no-any-return]

    # ---- what it is -----------------------------------------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return self.inner._llm_type

    @property
    def _serialized(self) -> dict[str, Any]:
        return self.inner._serialized

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {**self.inner._identifying_params, "memedit": self._stand()}

    def _get_invocation_params(self, stop: list[str] | None = None, **options: Any) -> dict[str, Any]:
        stand = self._stand(options.pop("namespace", None))
        return {**self.inner._get_invocation_params(stop=stop, **options), "memedit": stand}

    def _get_llm_string(self, stop: list[str] | None = None, **options: Any) -> str:
        stand = self._stand(options.pop("namespace", None))
        return f"{self.inner._get_llm_string(stop=stop, **options)}---{sorted(stand.items())}"

    def _get_ls_params(self, stop: list[str] | None = None, **options: Any) -> Any:
        return self.inner._get_ls_params(stop=stop, **options)

    def _combine_llm_outputs(self, llm_outputs: list[Any]) -> dict[str, Any]:
        return self.inner._combine_llm_outputs(llm_outputs)

    def get_token_ids(self, text: str) -> list[int]:
        return self.inner.get_token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        return self.inner.get_num_tokens(text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Any = None) -> int:
        return self.inner.get_num_tokens_from_messages(messages, tools)

    def _stand(self, namespace: str | None = None) -> dict[str, Any]:
        """What an answer depends on besides the wrapped model: whose edits, at which revision, how used."""
        editable = self.editable
        memory, where = editable.memory, editable.namespace if namespace is None else namespace
        return {
            "memory": str(memory.path.resolve()) if memory.path else memory.identity,
            "namespace": where,
            "revision": memory.revision(namespace=where),
            "gate": f"{editable.gate.name} {dict(editable.gate.thresholds)}",
            "method": f"{editable.method.name} {dict(editable.method.config)}",
            "doubt": editable.doubt,
        }

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "editable" not in self.__dict__:
            return super().__getattr__(name)  # type: ignore[misc]
        return getattr(self.inner, name)


def _chat_model(editable: EditableLLM) -> BaseChatModel:
    source = getattr(editable.llm, "source", None)
    if not isinstance(source, BaseChatModel):
        raise UnsupportedModel(
            f"The model `{editable.llm.name}` is no chat model of LangChain.",
            do="wrap a chat model; any other, and what was built around one, stands in chains: as_step(EditableLLM(…))",
        )
    return source


def _around(editable: EditableLLM, model: BaseChatModel) -> EditableLLM:
    """The same memory around another chat model of the same kind."""
    return editable.around(LangChainLLM(model, kind=editable.llm.kind))
