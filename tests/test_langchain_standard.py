"""LangChain's own standard tests: what the wrapped chat model passes, the editable one passes; retriever and tools."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import pytest

pytest.importorskip("langchain_tests")

from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool
from langchain_provider import FACT, Provider
from langchain_tests.integration_tests import ChatModelIntegrationTests, RetrieversIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests, ToolsUnitTests

from memedit import EditMemory
from memedit.adapters.langchain import EditableChatModel, EditRetriever, memory_tools
from memedit.testing import HashEmbedder, NamedGate


@cache
def memory() -> EditMemory:
    made = EditMemory(embedder=HashEmbedder())
    made.add(FACT)
    return made


class EditableProvider(EditableChatModel):
    """Made of the settings of a Provider, as the tests make every model."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(Provider(**settings), memory(), gate=NamedGate())


class TestProvider(ChatModelUnitTests):
    """The wrapped model."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return Provider


class TestProviderIntegration(ChatModelIntegrationTests):
    """The wrapped model, asked."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return Provider


class TestEditableProvider(ChatModelUnitTests):
    """The same one with an edit memory in front of it."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return EditableProvider


class TestEditableProviderIntegration(ChatModelIntegrationTests):
    """The same one with an edit memory in front of it, asked."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return EditableProvider


class TestEditRetriever(RetrieversIntegrationTests):
    """Five edits are in scope of its question."""

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return EditRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        made = EditMemory(embedder=HashEmbedder())
        list(made.add_many({**FACT, "relation": f"twin town {place}", "statement": None} for place in range(5)))
        return {"memory": made, "gate": NamedGate()}

    @property
    def retriever_query_example(self) -> str:
        return "Which are the twin towns of Norland?"


class ToolTests(ToolsUnitTests):
    place: ClassVar[int]

    @property
    def tool_constructor(self) -> BaseTool:
        return memory_tools(memory())[self.place]


class TestCorrect(ToolTests):
    place = 0
    tool_invoke_params_example: ClassVar = {"statement": "The capital of Norland is Oslo"}


class TestRecall(ToolTests):
    place = 1
    tool_invoke_params_example: ClassVar = {"message": "Norland"}


class TestRetract(ToolTests):
    place = 2
    tool_invoke_params_example: ClassVar = {"edit_id": "beef"}
