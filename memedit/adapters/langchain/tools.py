"""Tools with which an agent keeps corrections: `correct`, `recall` and `retract`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from memedit.adapters._agent_tools import MemoryTools
from memedit.adapters._whose import Namespace
from memedit.errors import MemeditError
from memedit.memory import EditMemory


def memory_tools(
    memory: EditMemory, *, namespace: Namespace = "default", gate: Any = None, author: str | None = "agent"
) -> list[BaseTool]:
    """Tools for an agent: `correct(statement)`, `recall(message)` and `retract(edit_id)`.

    The namespace is never the model's choice. What the memory refuses comes back to the model as the tool's error, and
    so do arguments that do not fit.
    `author` and the tool's name are recorded with every change, so that a person can see and undo what agents did.

    Args:
        memory: Where the corrections are kept.
        namespace: Whose they are: a name, or a function that gives it.
        gate: Decides what `recall` gives; as `as_gate` takes it.
        author: Recorded with each change.
    """
    tools = MemoryTools(memory, namespace=namespace, gate=gate, author=author)
    return [_tool(one) for one in (tools.correct, tools.recall, tools.retract)]


def _tool(function: Callable[..., object]) -> BaseTool:
    """A tool that gives the model what the function gives, and the errors of memedit, as text."""

    @wraps(function)
    def called(**arguments: Any) -> str:
        try:
            return str(function(**arguments))
        except MemeditError as error:
            raise ToolException(str(error)) from error

    def unfit(error: Any) -> str:
        name = str(error.errors()[0]["loc"][0])  # what pydantic says quotes the value, and its own address
        return f"`{function.__name__}` needs the argument `{name}`, a text."

    return StructuredTool.from_function(called, handle_tool_error=True, handle_validation_error=unfit)
