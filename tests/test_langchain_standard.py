"""LangChain's own standard tests of a chat model: what the wrapped model passes, the editable one passes."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

pytest.importorskip("langchain_tests")

from langchain_core.language_models import BaseChatModel
from langchain_provider import FACT, Provider
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from memedit import EditMemory
from memedit.adapters.langchain import EditableChatModel
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
