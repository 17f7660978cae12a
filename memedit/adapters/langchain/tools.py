"""Tools with which an agent keeps corrections: `correct`, `recall` and `retract`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from memedit.adapters.langchain.whose import TOLD, Namespace, named, tellable
from memedit.edits import AnyEdit
from memedit.errors import MemeditError
from memedit.memory import EditMemory

SHOWN = 5  # edits that `recall` gives


def memory_tools(
    memory: EditMemory, *, namespace: Namespace = "default", author: str | None = "agent"
) -> list[BaseTool]:
    """Tools for an agent: `correct(statement)`, `recall(about)` and `retract(edit_id)`.

    The namespace is never the model's choice. What the memory refuses comes back to the model as the tool's error.
    `author` and the tool's name are recorded with every change, so that a person can see and undo what agents did.

    Args:
        memory: Where the corrections are kept.
        namespace: Whose they are: a name, or a function that gives it.
        author: Recorded with each change.
    """

    def correct(statement: str) -> str:
        """Keep a correction, so that it holds in this and all later conversations.

        Only when the user has said that something is otherwise, or has agreed that it be kept. The statement is one
        plain sentence that can be understood by itself, such as "The CEO of Acme is Carol Diaz."
        """
        where = named(namespace)
        receipt = memory.add(statement, namespace=where, author=author, reason="kept by the tool `correct`")
        said = [f"Kept as {receipt.id}." if receipt.status == "added" else f"Known already as {receipt.id}."]
        if receipt.superseded:
            said.append(f"It replaces {', '.join(receipt.superseded)}.")
        known = memory.recorded(receipt.possible_conflicts, namespace=where)
        if others := tellable(known.values(), memory, where):
            said += ["These stay in force, and may contradict it:", *map(_line, others)]
        return "\n".join(said)

    def recall(about: str) -> str:
        """Look up which corrections are kept about something. Gives the id and text of each."""
        where = named(namespace)
        found = memory.recall(about, k=SHOWN, namespace=where, kinds=TOLD).candidates
        edits = tellable((one.edit for one in found), memory, where)[:SHOWN]
        return "\n".join(map(_line, edits)) or "Nothing is kept about that."

    def retract(edit_id: str) -> str:
        """Take a correction back, by its id. Only when the user wants it."""
        where = named(namespace)
        edit = memory.get(edit_id, namespace=where)
        memory.retract(edit.id, namespace=where, author=author, reason="taken back by the tool `retract`")
        return f"Taken back: {edit.id}."

    return [_tool(one) for one in (correct, recall, retract)]


def _line(edit: AnyEdit) -> str:
    return f"{edit.id}: {edit.text}"


def _tool(function: Callable[..., str]) -> BaseTool:
    """A tool that gives the model the errors of memedit as text."""

    @wraps(function)
    def called(**arguments: Any) -> str:
        try:
            return function(**arguments)
        except MemeditError as error:
            raise ToolException(str(error)) from error

    return StructuredTool.from_function(called, handle_tool_error=True)
