"""LangChain: its models inside an EditableLLM, and the edit memory inside LangChain's chains and agents.

Names are imported when they are first used: chains need `langchain-core` alone, agents `langchain`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memedit.errors import MissingExtra

if TYPE_CHECKING:
    from memedit.adapters.langchain.chat import EditableChatModel
    from memedit.adapters.langchain.middleware import EditMiddleware
    from memedit.adapters.langchain.model import LangChainLLM, wrap
    from memedit.adapters.langchain.retriever import EditRetriever
    from memedit.adapters.langchain.steps import as_step
    from memedit.adapters.langchain.store import EditStore
    from memedit.adapters.langchain.tools import memory_tools

PACKAGES = ("langchain", "langchain_core", "langgraph")  # of the extra
_HOME = {
    "EditMiddleware": "middleware",
    "EditRetriever": "retriever",
    "EditStore": "store",
    "EditableChatModel": "chat",
    "LangChainLLM": "model",
    "as_step": "steps",
    "memory_tools": "tools",
    "wrap": "model",
}

__all__ = [
    "EditMiddleware",
    "EditRetriever",
    "EditStore",
    "EditableChatModel",
    "LangChainLLM",
    "as_step",
    "memory_tools",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in PACKAGES:
            raise
        raise MissingExtra("langchain", package=package.replace("_", "-")) from missing
